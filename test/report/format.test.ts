/** Numbers, texts and tables for people. */

import { expect, test } from "bun:test";
import {
  fitted,
  printable,
  shownBytes,
  shownCount,
  shownPercent,
  shownRate,
  shownShare,
  shownTime,
  table,
  wrapped,
} from "../../src/report/format.ts";

test.each([
  [0, "0 ms"],
  [0.000001, "1.00 ns"],
  [0.0009994, "999 ns"],
  [0.0009996, "1.00 us"],
  [0.05, "50.0 us"],
  [0.9994, "999 us"],
  [0.9995, "1.00 ms"],
  [9.994, "9.99 ms"],
  [9.996, "10.0 ms"],
  [99.94, "99.9 ms"],
  [99.96, "100 ms"],
  [999.4, "999 ms"],
  [999.6, "1.00 s"],
  [3_600_000, "3,600 s"],
])("%d ms is shown as %s", (milliseconds, shown) => {
  expect(shownTime(milliseconds)).toBe(shown);
});

test("counts, rates, bytes and parts", () => {
  expect([0, 999, 1000, 1_234_567].map(shownCount)).toEqual(["0", "999", "1,000", "1,234,567"]);
  expect([0, 0.5, 99.96, 999.4, 999.6, 20_000.4].map(shownRate)).toEqual([
    ...["0/s", "0.50/s", "100/s", "999/s", "1,000/s", "20,000/s"],
  ]);
  expect([0, 999, 1000, 1_500_000, 2e15].map(shownBytes)).toEqual([
    ...["0 B", "999 B", "1.00 kB", "1.50 MB", "2,000 TB"],
  ]);
  expect([0, 0.001, 0.01, 50, 99.99, 99.999, 100].map(shownPercent)).toEqual([
    ...["0 %", "<0.01 %", "0.01 %", "50.00 %", "99.99 %", ">99.99 %", "100 %"],
  ]);
  expect([shownShare(0, 0), shownShare(1, 3), shownShare(999_999, 1e6)]).toEqual([
    ...["-", "33.33 %", ">99.99 %"],
  ]);
});

test("a text is cut to its columns, of wide characters too", () => {
  expect(fitted("abcdef", 6)).toBe("abcdef");
  expect(fitted("abcdefg", 6)).toBe("abc...");
  expect(fitted("日本語日本語", 8)).toBe("日本...");
});

test("controls become spaces", () => {
  expect(printable("a\r\n\tb\x1b[1mc\u200b\u202e d\x7f")).toBe("a b [1mc  d");
});

test("words are wrapped, and a long one is cut", () => {
  expect(wrapped("one two three", 8, "  ", "    ")).toEqual([
    "  one",
    "    two",
    "    thre",
    "    e",
  ]);
  expect(wrapped("one two", 7)).toEqual(["one two"]);
  expect(wrapped("a bcdefgh", 4)).toEqual(["a", "bcde", "fgh"]);
  expect(wrapped("", 10, "- ")).toEqual(["- "]);
});

test("the first column of a table gives way to the others", () => {
  const rows = [
    ["title", "n"],
    ["a longer name", "1,000,000"],
  ];
  expect(table(rows, 10, 80)).toEqual(["title               n", "a longe...  1,000,000"]);
  expect(table(rows, 10, 19)).toEqual(["title             n", "a lon...  1,000,000"]);
});
