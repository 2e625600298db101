/** The curve of all percentiles of a histogram, on an axis that gives each further nine the same room. */

import type { Histogram } from "../load/histogram.ts";

/** So many places for each halving of the share above: some 27 for each nine. */
const placesPerHalving = 8;

/** The places of an axis for histograms of up to so many values: each is 1 / (1 - quantile), from 1 on. */
export function quantileAxis(count: number): readonly number[] {
  const last = Math.ceil(Math.log2(Math.max(count, 1)) * placesPerHalving) + 1;
  return Array.from({ length: last + 1 }, (_, index) => {
    return Number((2 ** (index / placesPerHalving)).toPrecision(7));
  });
}

/**
 * The value at each place, in milliseconds. Beyond the number of values is one place more, which has the maximum, and then nothing.
 */
export function quantileLine(
  histogram: Histogram,
  places: readonly number[],
): readonly (number | null)[] {
  const { count, most } = histogram;
  if (count === 0) return places.map(() => null);
  const within = places.filter((place) => place <= count);
  const values = histogram.percentiles(within.map((place) => 100 * (1 - 1 / place)));
  const rest = places.slice(within.length).map((_, index) => (index === 0 ? most : null));
  return [...values, ...rest].map((value) => value && Number(value.toPrecision(5)));
}
