/** When a cluster restarts workers that die again and again. */

import { expect, test } from "bun:test";
import { BackOff } from "../../src/cluster/back_off.ts";

test("each death doubles the pause, up to ten seconds", () => {
  const backOff = new BackOff();
  const pauses = Array.from({ length: 9 }, () => backOff.pauseAfter(0));
  expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
});

test("after half a minute of listening the pause is short again, after less it is not", () => {
  const backOff = new BackOff();
  const lives = [0, 29_999, 30_000, 0, Number.MAX_VALUE, 29_999];
  expect(lives.map((life) => backOff.pauseAfter(life))).toEqual([100, 200, 100, 200, 100, 200]);
});

test("each worker has its own pauses", () => {
  const [first, second] = [new BackOff(), new BackOff()];
  first.pauseAfter(0);
  expect(second.pauseAfter(0)).toBe(100);
});
