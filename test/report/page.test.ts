/** Pages of reports in a headless Chromium: at two widths, in light and dark, with a reader who points, clicks and types. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { Histogram } from "../../src/load/histogram.ts";
import type { Report } from "../../src/load/report.ts";
import { compareReports } from "../../src/report/compare.ts";
import { comparisonHtml } from "../../src/report/comparison_html.ts";
import { htmlReport } from "../../src/report/html.ts";
import { parseReport } from "../../src/report/json.ts";
import { Browser } from "../support/browser.ts";
import { isInstalled } from "../support/installed_program.ts";
import { sampleReport } from "../support/sample_report.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const bound = 60_000;
const audit = readFileSync(join(import.meta.dir, "../support/page_audit.js"), "utf8");

const phone = { width: 390, height: 844 };
const desk = { width: 1280, height: 900 };

const open = sampleReport({ withFailures: true, seconds: 8 });
const reports: Readonly<Record<string, Report>> = {
  open,
  closed: sampleReport({ isClosedLoop: true, seconds: 4 }),
  interrupted: interrupted(open),
  empty: empty(open),
};

const names = [...Object.keys(reports), "comparison"];

/** As a run that was ended after its first interval. */
function interrupted(report: Report): Report {
  const reasons = ["The run was interrupted after 1 s."];
  return {
    ...report,
    verdict: { ...report.verdict, exitCode: 130, reasons },
    milliseconds: 1000,
    intervals: report.intervals.slice(0, 1),
  };
}

/** As a run that could not reach its target. */
function empty(report: Report): Report {
  const none = new Histogram();
  const latencies = { wait: none, connect: none, handshake: none, lateness: none };
  return {
    ...report,
    command: undefined,
    verdict: {
      ...{ exitCode: 3, thresholds: [], generatorWasBottleneck: false, generatorReasons: [] },
      reasons: ["http://127.0.0.1:8080/item: connect: connection refused"],
    },
    iterations: {
      ...{ due: 0, sent: 0, droppedBusy: 0, droppedLate: 0, unsent: 0 },
      ...{ outcomes: {}, unfinished: 0 },
    },
    requests: { sent: 0, outcomes: {}, unfinished: 0, bytesSent: 0, bytesReceived: 0 },
    latencies: { ...latencies, response: {}, service: {}, requests: {} },
    ...{ steps: [], checks: [], failures: [], intervals: [], threads: [] },
    ...{ unfinishedAges: undefined, unsentAges: undefined },
  };
}

describe.skipIf(!isInstalled("chromium"))("the page of a report", () => {
  const folder = new TemporaryFolder();
  const pages = new Map<string, Page>();
  let browser: Browser;

  beforeAll(async () => {
    for (const [name, report] of Object.entries(reports)) {
      writeFileSync(folder.file(`${name}.html`), htmlReport(report));
    }
    const both = [
      { name: "before.json", report: reports.closed! },
      { name: "after.json", report: open },
    ];
    const comparison = compareReports(both, ["p99<+5%", "errors<+10%"]);
    writeFileSync(folder.file("comparison.html"), comparisonHtml(comparison));
    browser = await Browser.start();
    for (const name of names) {
      pages.set(name, await browser.open(pathToFileURL(folder.file(`${name}.html`)).href));
    }
  }, bound);

  afterAll(async () => {
    await browser[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  /** The page of a name, in front of the others: those behind it are drawn once a second. */
  async function shown(name: string): Promise<Page> {
    const page = pages.get(name)!;
    await page.bringToFront();
    return page;
  }

  test.each(names)(
    "%s: fits, is readable and draws, at two widths, light and dark",
    async (name) => {
      const page = await shown(name);
      const all = [phone, desk].flatMap((viewport) =>
        (["light", "dark"] as const).map((colorScheme) => ({ viewport, colorScheme })),
      );
      // All pages have the same style: one shows every combination, and the others two of them.
      for (const { viewport, colorScheme } of name === "open" ? all : [all[0]!, all[3]!]) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        const found = await page.evaluate(`${audit}; [overflow(), faintTexts()]`);
        const about = { name, viewport, colorScheme };
        expect({ ...about, found }).toEqual({ ...about, found: [0, []] });
        const verdict = (await page.locator(".verdict >> nth=0").boundingBox())!;
        expect(verdict.y).toBeLessThan(viewport.height / 4);
      }
      const drawn = (await page.evaluate(`${audit}; drawnColours()`)) as [string, number][];
      // A chart without values says so in words.
      const bare = drawn.filter(([, colours]) => colours < 5);
      if (name !== "empty") expect(bare.filter(([chart]) => chart !== "failures")).toEqual([]);
      expect(bare.every(([, colours]) => colours === 0)).toBe(true);
      expect(browser.problems).toEqual([]);
    },
    bound,
  );

  test(
    "shows values under the pointer, and by the keys",
    async () => {
      const page = await shown("open");
      const chart = page.locator("[data-chart=latency]");
      const tip = chart.locator(".tip");
      expect(await tip.isVisible()).toBe(false);
      await chart.locator(".u-over").hover();
      await tip.waitFor({ state: "visible" });
      expect(await tip.textContent()).toMatch(/^\d s to \d sp50[\d.]+ ms.*max[\d.]+ ms$/);
      await page.mouse.move(0, 0);
      await tip.waitFor({ state: "hidden" });
      await chart.locator(".plot").focus();
      await page.keyboard.press("End");
      await tip.waitFor({ state: "visible" });
      const last = open.intervals.at(-1)!.start / 1000;
      expect(await tip.textContent()).toStartWith(`${last} s to ${last + 1} s`);
      await page.keyboard.press("ArrowLeft");
      await chart.locator(`.tip p:text-is("${last - 1} s to ${last} s")`).waitFor();
      await page.keyboard.press("Escape");
      await tip.waitFor({ state: "hidden" });
      const heat = page.locator("[data-heat-map=latency]");
      await heat.locator(".u-over").hover({ position: { x: 20, y: 100 } });
      await heat.locator(".tip").waitFor({ state: "visible" });
      expect(await heat.locator(".tip").textContent()).toMatch(
        /^0 s to 1 s.* ms to .* ms\d+All\d+$/,
      );
      expect(browser.problems).toEqual([]);
    },
    bound,
  );

  test(
    "switches views, lines, scales and the zoom",
    async () => {
      const page = await shown("open");
      const chart = page.locator("[data-chart=latency]");
      const picture = (): Promise<string> =>
        page.evaluate('document.querySelector("[data-chart=latency] canvas").toDataURL()');
      const pictures = [await picture()];
      const changed = async (): Promise<void> => {
        const next = await until(picture, (one) => !pictures.includes(one));
        pictures.push(next);
      };
      await chart.locator("button:text-is('Service')").click();
      await changed();
      const line = chart.locator(".legend button:text-is('p50')");
      await line.click();
      await changed();
      expect(await line.getAttribute("aria-pressed")).toBe("false");
      await chart.locator("input[type=checkbox]").click();
      await changed();
      await chart.locator(".legend button:text-is('max')").dblclick();
      await changed();
      const pressed = await chart.locator(".legend [aria-pressed=true]").allTextContents();
      expect(pressed).toEqual(["max"]);
      // The zoom of one chart over time is that of all.
      const other = page.locator("[data-chart=rate] .reset");
      expect(await other.isVisible()).toBe(false);
      const box = (await chart.locator(".u-over").boundingBox())!;
      await page.mouse.move(box.x + 50, box.y + 50);
      await page.mouse.down();
      await page.mouse.move(box.x + 150, box.y + 50, { steps: 4 });
      await page.mouse.up();
      await changed();
      await other.waitFor({ state: "visible" });
      await other.click();
      await chart.locator(".reset").waitFor({ state: "hidden" });
      expect(browser.problems).toEqual([]);
    },
    bound,
  );

  test(
    "keeps the theme that a reader has chosen",
    async () => {
      const page = await shown("closed");
      await page.emulateMedia({ colorScheme: "light" });
      const paper = (): Promise<string> =>
        page.evaluate("getComputedStyle(document.body).backgroundColor");
      const light = await paper();
      await page.locator("button.theme").click();
      const dark = await paper();
      expect(dark).not.toBe(light);
      await page.reload();
      expect(await paper()).toBe(dark);
      await page.locator("button.theme").click();
      expect(await paper()).toBe(light);
      expect(browser.problems).toEqual([]);
    },
    bound,
  );

  test(
    "hands out the report as JSON, and prints in light colours",
    async () => {
      const page = await shown("open");
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.locator("button.download").click(),
      ]);
      const text = readFileSync(await download.path(), "utf8");
      expect(JSON.stringify(parseReport(text))).toBe(JSON.stringify(open));
      await page.emulateMedia({ colorScheme: "dark", media: "print" });
      expect(await page.locator("header.bar").isVisible()).toBe(false);
      const pdf = await page.pdf();
      expect(pdf.length).toBeGreaterThan(20_000);
      expect(browser.problems).toEqual([]);
    },
    bound,
  );
});

/** The first value that fits. */
async function until<Value>(
  read: () => Promise<Value>,
  fits: (value: Value) => boolean,
): Promise<Value> {
  for (let value = await read(); ; value = await read()) if (fits(value)) return value;
}
