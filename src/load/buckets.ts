/**
 * The buckets of an HdrHistogram with three significant digits, from 1 ns to an hour. The layout is that of the
 * HdrHistogram library, so that its format can be written from these counts.
 */

/** The largest value, in nanoseconds: larger ones count as this one. */
export const mostNanoseconds = 3_600_000_000_000;

/** Buckets of the same width lie together in a group of this many; each group is twice as wide as the one before. */
const halfCount = 1024;
const halfBits = 10;
const two20 = 2 ** 20;

/** The index of the bucket of a value in nanoseconds, a whole number from 0 to `mostNanoseconds`. */
export function bucketOf(nanoseconds: number): number {
  // Whole numbers of 31 bits need no floating point.
  if (nanoseconds < 0x8000_0000) {
    const shift = 21 - Math.clz32(nanoseconds | (2 * halfCount - 1));
    return (shift << halfBits) + (nanoseconds >> shift);
  }
  const high = Math.floor(nanoseconds / two20);
  const shift = 21 - Math.clz32(high);
  // `high` has more bits than a group when its shift is not negative.
  const isWide = shift > 0;
  const scaled = isWide ? high >> shift : Math.floor(nanoseconds / 2 ** (20 + shift));
  return ((20 + shift) << halfBits) + scaled;
}

/** How many buckets there are. */
export const bucketCount = bucketOf(mostNanoseconds) + 1;

/** The least value of a bucket, in nanoseconds. */
export function leastOf(bucket: number): number {
  const group = Math.max((bucket >> halfBits) - 1, 0);
  return (bucket - (group << halfBits)) * 2 ** group;
}

/** The greatest value of a bucket: another one below it has no other bucket. */
export function greatestOf(bucket: number): number {
  const group = Math.max((bucket >> halfBits) - 1, 0);
  return (bucket - (group << halfBits) + 1) * 2 ** group - 1;
}
