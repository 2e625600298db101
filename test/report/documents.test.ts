/** docs/load_reports.md has the columns and the metrics that there are. */

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import { CsvLog } from "../../src/report/csv.ts";
import { prometheusText } from "../../src/report/prometheus.ts";
import { sampleProgress } from "../support/sample_report.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const page = readFileSync(join(root, "docs", "load_reports.md"), "utf8");

test("each metric is in the page with its type and its labels, and no other one", () => {
  const text = prometheusText(sampleProgress({ withFailures: true, seconds: 1 })[0]!);
  const types = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]),
  );
  const documented = new Set<string>();
  for (const [, names, type, labels] of page.matchAll(
    /^\| (`plait_load[^|]*) +\| (\w+) +\| ([^|]*) \|/gm,
  )) {
    for (const [, name] of names!.matchAll(/`(\w+)`/g)) {
      documented.add(name!);
      expect([name, type]).toEqual([name, types.get(name!)]);
      const [, sample = ""] = new RegExp(`^${name}(?:_count)?(?:{(.*)})? `, "m").exec(text) ?? [];
      const found = [...sample.matchAll(/(\w+)="/g)].map(([, label]) => label);
      expect([name, found.join(", ")]).toEqual([name, labels!.trim()]);
    }
  }
  expect([...documented].sort()).toEqual([...types.keys()].sort());
});

test("each column of the rows is in the page, and no other one", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("run.csv");
  new CsvLog(path).close();
  const names = readFileSync(path, "utf8").trimEnd().split(",");
  const begin = page.indexOf("## Rows of intervals");
  const rows = page.slice(begin, page.indexOf("## ", begin + 3)).match(/^\| `.*$/gm)!;
  const documented = rows.flatMap((row) => {
    const [columns, meaning] = row.split("|").slice(1) as [string, string];
    const quoted = (text: string): string[] =>
      [...text.matchAll(/`([^`]+)`/g)].map(([, one]) => one!);
    const series = quoted(columns).filter((column) => column.endsWith("..."));
    if (series.length === 0) return quoted(columns);
    return series.flatMap((name) => quoted(meaning).map((number) => name.replace("...", number)));
  });
  expect(documented).toEqual(names);
});
