/** The text of a report's page: one file, complete, safe, bounded, and right about its numbers. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import { emit } from "../../scripts/emit.ts";
import { copyImportedTexts, importedTexts } from "../../scripts/imported_texts.ts";
import { PackedHistogram } from "../../src/load/packed_histogram.ts";
import type { Interval, Report } from "../../src/load/report.ts";
import { documentText, embeddedReports } from "../../src/report/document.ts";
import { htmlReport } from "../../src/report/html.ts";
import { html } from "../../src/report/markup.ts";
import type { PageData } from "../../src/report/page/data.ts";
import { merged, pageData } from "../../src/report/page_data.ts";
import { recorded } from "../support/recorded.ts";
import { sampleReport } from "../support/sample_report.ts";
import { isSoak } from "../support/soak.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const bound = 30_000;
const open = sampleReport({ withFailures: true });
const page = htmlReport(open);

/** The page without its scripts, styles and tags. */
function wordsOf(text: string): string {
  return text
    .replaceAll(/<(script|style)[^>]*>.*?<\/\1>/gs, " ")
    .replaceAll(/<[^>]*>/g, " ")
    .replaceAll("&lt;", "<")
    .replaceAll(/\s+/g, " ");
}

function dataOf(text: string): PageData {
  return JSON.parse(/<script type="application\/json" id="data">([^<]*)</.exec(text)![1]!);
}

describe("the page", () => {
  test("needs no network and no other file", () => {
    const markup = page.replaceAll(/<script[^>]*>.*?<\/script>/gs, "");
    const links = [...markup.matchAll(/\b(?:src|href|action)="([^"]*)"/g)].map(([, link]) => link);
    expect(links.filter((link) => !/^(#|data:)/.test(link!))).toEqual([]);
    expect(/@import|url\(/.test(markup)).toBe(false);
    expect(page.includes('content="default-src &#39;none&#39;;')).toBe(true);
  });

  test("names the licence of the plots in it", () => {
    expect(page.includes("The MIT License (MIT)")).toBe(true);
    expect(page.includes("Leon Sorokin")).toBe(true);
  });

  test("has the report in it, exactly", () => {
    const [json, ...others] = embeddedReports(page);
    expect(others).toEqual([]);
    expect(JSON.parse(json!)).toEqual(JSON.parse(JSON.stringify(open)));
  });

  test("has the verdict, the thresholds, and the command", () => {
    const words = wordsOf(page);
    expect(words).toContain("Thresholds missed The threshold errors<0.1% was missed.");
    expect(words).toMatch(/held p99<500ms .* missed errors<0.1%/);
    expect(words).toContain(open.command!);
    expect(words).toContain("read: 127.0.0.1:8080: the connection was reset ECONNRESET in read");
  });

  test("has the ledger with every part, and says if it does not add up", () => {
    const words = wordsOf(page);
    const count = (value: number): string => value.toLocaleString("en-US");
    const { due, sent, unsent, outcomes, unfinished } = open.iterations;
    expect(words).toContain(`Due ${count(due)} = sent ${count(sent)} + dropped, since every`);
    expect(words).toContain(`+ unsent at the end ${count(unsent)}`);
    expect(words).toContain(`Sent ${count(sent)} = ok ${count(outcomes.ok!)} +`);
    expect(words).toContain(`+ reset ${count(outcomes.reset!)} +`);
    expect(words).toContain(`+ unfinished ${count(unfinished)} `);
    expect(words).not.toContain("does not add up");
    const wrong = { ...open, iterations: { ...open.iterations, sent: sent + 1 } };
    expect(wordsOf(htmlReport(wrong))).toContain("does not add up");
  });

  test("blames the generator above all else", () => {
    const words = wordsOf(htmlReport(sampleReport({ isBottleneck: true })));
    const verdict = words.indexOf("The generator was the bottleneck");
    expect(verdict).toBeGreaterThan(0);
    expect(verdict).toBeLessThan(words.indexOf("Thresholds"));
    expect(words).toContain("Sends were late by up to 1 s");
  });
});

test("no text of a report becomes markup or script", () => {
  const hostile = `</script><script>alert(1)</script><img src=x onerror="alert(2)"><!--'&`;
  const [failure] = open.failures;
  const report: Report = {
    ...open,
    command: hostile,
    plan: { ...open.plan, target: hostile, scenario: hostile },
    failures: [
      { ...failure!, outcome: hostile, example: { ...failure!.example!, message: hostile } },
    ],
    steps: [{ ...open.steps[0]!, name: hostile }],
    checks: [{ ...open.checks[0]!, name: hostile }],
    intervals: open.intervals.map((each) => ({ ...each, outcomes: { [hostile]: 1 } })),
    verdict: { ...open.verdict, reasons: [hostile] },
  };
  const text = htmlReport(report);
  const scripts = (from: string): number => from.split("<script").length;
  expect(scripts(text)).toBe(scripts(page));
  expect(text.includes("<img")).toBe(false);
  expect(text.split("<!--").length).toBe(page.split("<!--").length);
  const [json] = embeddedReports(text);
  expect(JSON.parse(json!).command).toBe(hostile);
  expect(dataOf(text).charts.failures!.views[0]!.lines[0]!.name).toBe(hostile);
});

describe("what the charts show", () => {
  const data = pageData(open);

  function line(chart: string, view: string, name: string): readonly (number | null)[] {
    const found = data.charts[chart]!.views.find((each) => each.name === view)!;
    return found.lines.find((each) => each.name === name)!.values;
  }

  test("are the rates and percentiles of the intervals", () => {
    const { intervals } = open;
    expect(data.axes.time!.starts).toEqual(intervals.map(({ start }) => start / 1000));
    expect(line("rate", "Iterations", "Wanted")).toEqual(intervals.map(({ due }) => due));
    const failed = line("rate", "Iterations", "Failed");
    const kinds = data.charts.failures!.views[0]!.lines.map(({ values }) => values);
    failed.forEach((value, at) => {
      expect(value).toBe(kinds.reduce((sum, values) => sum + values[at]!, 0));
    });
    line("latency", "Service", "p99").forEach((value, at) => {
      expect(value).toBeCloseTo(intervals[at]!.service.unpack().percentile(99), 0);
    });
    expect(line("cpu", "CPU", "Thread 1")).toEqual(intervals.map(({ threads }) => threads[1]!));
  });

  test("is the curve of all percentiles, up to the maximum", () => {
    const response = merged(open.latencies.response);
    const { places } = data.axes.quantile!;
    const values = line("curve", "All", "Response").filter((value) => value !== null);
    values.forEach((value, at) => {
      const place = places[at]!;
      const right =
        place > response.count ? response.most : response.percentile(100 * (1 - 1 / place));
      expect(Math.abs(value / right - 1)).toBeLessThan(1e-3);
    });
    expect(Math.abs(values.at(-1)! / response.most - 1)).toBeLessThan(1e-3);
    expect(places[values.length - 1]).toBeGreaterThan(response.count / 2);
  });

  test("are heat maps that count every iteration", () => {
    const { views, times, edges } = data.heatMaps.latency!;
    const [response] = views;
    open.intervals.forEach(({ response: { numbers } }, column) => {
      const [first, ...counts] = response!.columns[column]!;
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(numbers.count);
      if (numbers.count === 0) return;
      // Edges are rounded to five digits.
      expect(edges[first!]!).toBeLessThanOrEqual(numbers.least * 1.001);
      expect(edges[first! + counts.length]!).toBeGreaterThanOrEqual(numbers.most * 0.999);
    });
    expect(times).toHaveLength(open.intervals.length + 1);
  });
});

test(
  "the page of the longest run is below 300 KB and its JSON",
  () => {
    const [first] = open.intervals as [Interval];
    const wide = new PackedHistogram(recorded(Array.from({ length: 300 }, (_, at) => 1.03 ** at)));
    // With 400 there are as many points as there ever are. More are put together.
    const length = isSoak ? 1200 : 400;
    const intervals = Array.from({ length }, (_, at): Interval => {
      const noise = 1 + ((at * 7919) % 1000) / 9973;
      return {
        ...{ ...first, start: at * 1000.7, response: wide, service: wide, lateness: wide },
        ...{ due: first.due * noise, sent: first.sent * noise, requests: first.requests * noise },
        bytesReceived: first.bytesReceived * noise,
        threads: Array.from({ length: 8 }, (_, thread) => (noise * (thread + 1)) / 17),
        outcomes: Object.fromEntries(
          Array.from({ length: 12 }, (_, kind) => [`status ${kind}xx`, noise * kind]),
        ),
      };
    });
    const text = htmlReport({ ...open, intervals });
    const [json] = embeddedReports(text);
    expect(text.length - json!.length).toBeLessThan(300_000);
    const { axes, charts } = dataOf(text);
    expect(axes.time!.places).toHaveLength(400);
    const failures = charts.failures!.views[0]!.lines;
    expect(failures).toHaveLength(8);
    expect(failures.at(-1)!.name).toBe("other kinds");
    expect(charts.rate!.views[0]!.lines[0]!.values).toHaveLength(400);
  },
  bound,
);

/** What a module of a folder exports by default, run as it is, and as a bundle. */
async function defaultsOf(entry: string, bundle: string): Promise<unknown[]> {
  await Bun.build({ entrypoints: [entry], target: "bun", outdir: bundle, throw: true });
  const modules = [entry, join(bundle, "entry.js")].map((path) => import(path));
  return (await Promise.all(modules)).map((module) => module.default);
}

test("a package has the texts that its sources import, also in a bundle, without node_modules", async () => {
  using folder = new TemporaryFolder();
  const source = await Bun.file(join(root, "src/report/document.ts")).text();
  const imports = [...source.matchAll(/^import (\w+) from .* with \{ type: "text" \};$/gm)];
  const names = imports.map(([, name]) => name!);
  const lines = imports.map(([line]) => line);
  const entry = folder.file("src/report/entry.js");
  await Bun.write(entry, [...lines, `export default [${names.join(", ")}];`].join("\n"));
  copyImportedTexts(folder.path);
  const wanted = importedTexts("src/report/entry.js", lines.join("\n")).map(({ from }) => from);
  expect(wanted).toHaveLength(names.length);
  const texts = await Promise.all(wanted.map((path) => Bun.file(join(root, path)).text()));
  for (const found of await defaultsOf(entry, folder.file("bundle"))) {
    // An expectation would print all of the page's script.
    expect(Bun.deepEquals(found, texts)).toBe(true);
  }
  expect(await Bun.file(folder.file("src/report/uplot/LICENSE")).text()).toContain("MIT License");
});

if (!isSoak)
  console.log("skipped: a page by the compiler's JavaScript, which `bun run soak` makes");
test.skipIf(!isSoak)(
  "the package's JavaScript makes the same page",
  async () => {
    using folder = new TemporaryFolder();
    emit(["src/report/document.ts", "src/report/markup.ts"], folder.path);
    const parts = (head: typeof html) => ({
      ...{ title: "a page", sections: [], reports: [], head: head`<h1>a page</h1>` },
      data: { axes: {}, charts: {}, heatMaps: {} },
    });
    const entry = folder.file("src/report/entry.js");
    const text = `
    import { documentText } from "./document.js";
    import { html } from "./markup.js";
    export default documentText((${parts})(html));
  `;
    await Bun.write(entry, text);
    const wanted = documentText(parts(html));
    for (const found of await defaultsOf(entry, folder.file("bundle"))) {
      expect(found === wanted).toBe(true);
    }
  },
  bound,
);
