/** The buckets of latencies: each value lies in one, and none is wider than a thousandth of its values. */

import { expect, test } from "bun:test";
import {
  bucketCount,
  bucketOf,
  greatestOf,
  leastOf,
  mostNanoseconds,
} from "../../src/load/buckets.ts";

test("the buckets follow each other without a gap, and each holds its values", () => {
  expect(leastOf(0)).toBe(0);
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    const [least, greatest] = [leastOf(bucket), greatestOf(bucket)];
    expect(bucketOf(least)).toBe(bucket);
    expect(bucketOf(greatest)).toBe(bucket);
    expect(greatest - least).toBeLessThanOrEqual(least / 1000);
    if (bucket > 0) expect(least).toBe(greatestOf(bucket - 1) + 1);
  }
});

test("values around every power of two lie in their buckets", () => {
  for (let power = 1; power <= mostNanoseconds; power *= 2) {
    for (let value = Math.max(power - 3, 0); value < power + 3; value++) {
      const bucket = bucketOf(value);
      expect(leastOf(bucket)).toBeLessThanOrEqual(value);
      expect(greatestOf(bucket)).toBeGreaterThanOrEqual(value);
    }
  }
});
