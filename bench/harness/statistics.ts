// Arithmetic that the suites share.

/** Interpolates between the two values next to the fraction. */
export function quantile(values: number[], fraction: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  const position = (sorted.length - 1) * fraction;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

export function median(values: number[]): number {
  return quantile(values, 0.5);
}

/** Formats with the given decimals. NaN, which was not measured, becomes a dash. */
export function fixed(value: number, decimals: number): string {
  return Number.isFinite(value) ? value.toFixed(decimals) : "-";
}
