/**
 * How large the files of a release may be, in bytes: some 5 % more than they had when the numbers were set. When one
 * is not enough, look first at what has grown: `nm --size-sort --print-size` on the library with symbols.
 */

/**
 * Nine tenths of a library are OpenSSL. That for x64 has its AES-GCM for AVX-512 (0.7 MB) and for older processors: what
 * is fast must stay. The packages' users load it from a disk, and nothing of it is read that is not used.
 */
export const libraryBudgets = { x64: 4_550_000, arm64: 3_330_000 } as const;

/** People wait for these. Half of plait's own is load testing, with uPlot for its pages. */
export function tarballBudget(name: string): number {
  if (name === "plait") return 1_000_000;
  return name.includes("x64") ? 1_660_000 : 1_460_000;
}
