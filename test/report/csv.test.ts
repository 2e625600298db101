/** The rows of intervals. */

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { CsvLog } from "../../src/report/csv.ts";
import { sampleProgress } from "../support/sample_report.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const progress = sampleProgress({ withFailures: true, seconds: 4 });

test("each interval is a row, and the rows add up to the totals", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("run.csv");
  const log = new CsvLog(path);
  for (const each of progress) log.write(each);
  log.close();
  const [head, ...lines] = readFileSync(path, "utf8").trimEnd().split("\n");
  const names = head!.split(",");
  expect(new Set(names).size).toBe(names.length);
  const rows = lines.map((line) => {
    const fields = line.split(",");
    expect(fields.length).toBe(names.length);
    return Object.fromEntries(names.map((name, index) => [name, fields[index]!]));
  });
  expect(rows.length).toBe(progress.length);
  const sum = (name: string): number => rows.reduce((all, row) => all + Number(row[name]), 0);
  const { iterations } = progress.at(-1)!.totals;
  const { ok, ...failures } = iterations.outcomes;
  expect([sum("due"), sum("sent"), sum("dropped"), sum("ok"), sum("failed")]).toEqual([
    ...[iterations.due, iterations.sent, 0, ok!],
    Object.values(failures).reduce((all, count) => all + count, 0),
  ]);
  for (const [index, row] of rows.entries()) {
    const { interval } = progress[index]!;
    expect(Number(row.start_ms)).toBe(interval.start);
    expect(Number(row.response_p99_ms)).toBeCloseTo(interval.response.percentile(99), 6);
    expect(Number(row.service_max_ms)).toBeCloseTo(interval.service.most, 6);
    expect(Number(row.lateness_p999_ms)).toBeCloseTo(interval.lateness.percentile(99.9), 6);
    expect(Number(row.wait_mean_ms)).toBeCloseTo(interval.wait.mean, 5);
    expect([row.in_flight, row.queued, row.cpu]).toEqual([
      ...[String(interval.inFlight), String(interval.queued), "0.44"],
    ]);
    for (const [outcome, count] of Object.entries(interval.outcomes)) {
      if (outcome !== "ok") expect(row.failures).toContain(`${outcome}=${count}`);
    }
  }
});

test("a kind of failure with a quote or a comma stays in its field", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("run.csv");
  const log = new CsvLog(path);
  const { interval, ...rest } = progress[0]!;
  log.write({ ...rest, interval: { ...interval, outcomes: { 'a "b", c': 2 } } });
  log.close();
  expect(readFileSync(path, "utf8")).toContain(',0,2,"a ""b"", c=2",');
});

test("errors of the file are those of the log of histograms", () => {
  expect(() => new CsvLog("/nowhere/run.csv")).toThrow("ENOENT");
  const full = new CsvLog("/dev/full");
  full.write(progress[0]!);
  expect(() => full.close()).toThrow("/dev/full is not complete: ENOSPC");
});
