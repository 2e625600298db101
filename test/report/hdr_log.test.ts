/** The log of histograms, read by Java's tool and by the library of npm. */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  decodeFromCompressedBase64,
  HistogramLogReader,
  type Histogram as Interval,
} from "hdr-histogram-js";
import { bucketOf, greatestOf } from "../../src/load/buckets.ts";
import { Histogram } from "../../src/load/histogram.ts";
import { HdrLog } from "../../src/report/hdr_log.ts";
import { isJavaHistogramInstalled, processLog } from "../support/java_histogram.ts";
import { sampleProgress } from "../support/sample_report.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const progress = sampleProgress({ withFailures: true, seconds: 5 });

/** The path of a log of the sample. */
function logged(folder: TemporaryFolder, command?: string): string {
  const path = folder.file("run.hlog");
  const log = new HdrLog(path, command);
  for (const each of progress) log.write(each);
  log.close();
  return path;
}

/** The greatest value in the bucket of a time, which is what Java calls the maximum. */
function bucketEnd(milliseconds: number): number {
  return greatestOf(bucketOf(Math.round(milliseconds * 1e6)));
}

describe.skipIf(!isJavaHistogramInstalled())("Java's tool", () => {
  test("finds the three tags", async () => {
    using folder = new TemporaryFolder();
    const path = logged(folder, "plait load http://a/ \n#[Histogram log format version 9]\nTag=x");
    const text = await processLog("-i", path, "-listtags");
    expect(text.trim().split("\n").slice(1)).toEqual(["response", "service", "wait"]);
  });

  test.each(["response", "wait"] as const)("reads the same percentiles of %s", async (tag) => {
    using folder = new TemporaryFolder();
    const path = logged(folder);
    const out = folder.file("out");
    await processLog("-i", path, "-tag", tag, "-outputValueUnitRatio", "1", "-csv", "-o", out);
    const [, start, , ...rows] = readFileSync(out, "utf8").trim().split("\n");
    expect(start).toStartWith("#[StartTime: 1795780800.000 (seconds since epoch)");
    const all = new Histogram();
    const expected = progress.map(({ interval: { start, milliseconds, ...interval } }) => {
      const histogram = interval[tag];
      all.merge(histogram);
      return [
        ...[(start + milliseconds) / 1000, histogram.count],
        ...histogram.percentiles([50, 90]).map(bucketEnd),
        ...[bucketEnd(histogram.most), all.count],
        ...all.percentiles([50, 90, 99, 99.9, 99.99]).map(bucketEnd),
        bucketEnd(all.most),
      ];
    });
    expect(rows.map((row) => row.split(",").map(Number))).toEqual(expected);
  });
});

test("each line has its tag, its interval, the maximum in milliseconds, and the histogram", () => {
  using folder = new TemporaryFolder();
  const lines = readFileSync(logged(folder), "utf8").trim().split("\n");
  const legend = lines.findIndex((line) => line.startsWith('"'));
  expect(lines.slice(0, legend).every((line) => line.startsWith("#["))).toBe(true);
  expect(lines).toContain("#[Histogram log format version 1.3]");
  const rows = lines.slice(legend + 1);
  expect(rows.length).toBe(progress.length * 3);
  for (const [index, row] of rows.entries()) {
    const tag = (["response", "service", "wait"] as const)[index % 3]!;
    const { start, [tag]: histogram } = progress[Math.floor(index / 3)]!.interval;
    const [name, begin, length, most, encoded] = row.split(",");
    expect([name, begin, length, most]).toEqual([
      ...[`Tag=${tag}`, (start / 1000).toFixed(3), "1.000", histogram.most.toFixed(3)],
    ]);
    expect(decodeFromCompressedBase64(encoded!, 64).totalCount).toBe(histogram.count);
  }
});

test("the library of npm reads the log", () => {
  using folder = new TemporaryFolder();
  const reader = new HistogramLogReader(readFileSync(logged(folder), "utf8"));
  for (const { interval } of progress) {
    for (const tag of ["response", "service", "wait"] as const) {
      const found = reader.nextIntervalHistogram() as Interval;
      const { start, milliseconds, [tag]: histogram } = interval;
      expect([found.tag, found.startTimeStampMsec, found.endTimeStampMsec]).toEqual([
        ...[tag, 1795780800000 + start, 1795780800000 + start + milliseconds],
      ]);
      expect(found.getValueAtPercentile(99)).toBe(bucketEnd(histogram.percentile(99)));
    }
  }
  expect(reader.nextIntervalHistogram()).toBeNull();
});

test("lines are there while the run goes on", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("run.hlog");
  const log = new HdrLog(path);
  const rows = (): number => readFileSync(path, "utf8").match(/^Tag=/gm)?.length ?? 0;
  log.write(progress[0]!);
  expect(rows()).toBe(3);
  log.write(progress[1]!);
  expect(rows()).toBe(6);
  log.close();
});

test("a file that cannot be made is refused at once, and one that cannot be written at the end", () => {
  expect(() => new HdrLog("/nowhere/run.hlog")).toThrow("ENOENT");
  const full = new HdrLog("/dev/full");
  full.write(progress[0]!);
  full.write(progress[1]!);
  expect(() => full.close()).toThrow("/dev/full is not complete: ENOSPC");
  expect(() => full.close()).not.toThrow();
});
