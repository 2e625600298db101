/** The report as text. */

import { describe, expect, test } from "bun:test";
import type { Report } from "../../src/load/report.ts";
import { reportText, type TextOptions } from "../../src/report/text.ts";
import { type SampleOptions, sampleReport } from "../support/sample_report.ts";

const samples: [name: string, options: SampleOptions][] = [
  ["an open loop", { seconds: 2 }],
  ["an open loop with failures", { withFailures: true, seconds: 4 }],
  ["a closed loop with failures", { isClosedLoop: true, withFailures: true, seconds: 4 }],
  ["a late generator", { isBottleneck: true, seconds: 7 }],
  ["more than the target can do", { rate: 2000, connections: 8, withFailures: true, seconds: 2 }],
];
const failed = sampleReport({ withFailures: true, seconds: 4 });

function linesOf(report: Report, options?: TextOptions): string[] {
  return reportText(report, options).split("\n");
}

/** The lines from a heading to the next empty line. */
function part(report: Report, heading: string): string[] {
  const lines = linesOf(report);
  const begin = lines.findIndex((line) => line.startsWith(heading));
  expect(begin).not.toBe(-1);
  return lines.slice(begin, lines.indexOf("", begin));
}

describe.each(samples)("%s", (_, options) => {
  const report = sampleReport(options);

  test.each([1, 80, 93, 100, 250])("lines fit in %d columns, from 80 to 100", (columns) => {
    const limit = Math.min(Math.max(columns, 80), 100);
    const long = linesOf(report, { columns }).filter((line) => Bun.stringWidth(line) > limit);
    expect(long).toEqual([]);
  });

  test("the ledger as it is written adds up", () => {
    const sums = { iterations: 0, requests: 0 };
    const results: number[] = [];
    for (const line of part(report, "Ledger").slice(1)) {
      const found = /^ {2}([-= ]) (.{20}) +([\d,]+)( +\S+ %)?(?: +([\d,]+))?/.exec(line);
      if (found === null) continue;
      const [, sign, name, left, , right] = found;
      const [iterations, requests] = [left, right ?? "0"].map((count) =>
        Number(count!.replaceAll(",", "")),
      ) as [number, number];
      if (sign === "=") {
        // The requests begin with what was sent.
        if (name!.startsWith("sent")) sums.requests = requests;
        expect([line, sums]).toEqual([line, { iterations, requests }]);
        results.push(iterations, requests);
      } else {
        sums.iterations += sign === "-" ? -iterations : iterations;
        sums.requests += sign === "-" ? -requests : requests;
      }
    }
    expect(results).toEqual([
      ...[report.iterations.sent, report.requests.sent],
      ...[report.iterations.outcomes.ok!, report.requests.outcomes.ok!],
    ]);
  });

  test("colours come only when they are asked for, and change nothing else", () => {
    const colored = reportText(report, { colors: true });
    expect(colored).toContain("\x1b[1m");
    expect(Bun.stripANSI(colored)).toBe(reportText(report));
    expect(reportText(report)).not.toContain("\x1b");
  });
});

test("the verdict comes first: the headline, the reasons, each threshold", () => {
  expect(linesOf(failed).slice(0, 4)).toEqual([
    "Missed: 1 of 2 thresholds missed",
    "  The threshold errors<0.1% was missed.",
    expect.stringMatching(/^ {2}held {4}p99<500ms +\d+ ms$/),
    expect.stringMatching(/^ {2}MISSED {2}errors<0.1% +\d\.\d\d % {2}first missed at 3.00 s$/),
  ]);
});

test("the generator is blamed before everything else when it was the bottleneck", () => {
  const report = sampleReport({ isBottleneck: true, seconds: 7 });
  const lines = linesOf(report);
  expect(lines[0]).toStartWith("The generator was the bottleneck: these figures");
  expect(lines[2]).toStartWith("  Sends were late by up to 1 s");
  expect(lines).toContain("Not to be trusted: all 2 thresholds held");
  expect(lines.filter((line) => line.includes("Sends were late"))).toHaveLength(1);
  expect(reportText(report, { colors: true })).toStartWith("\x1b[31mThe generator was");
});

test("each way to end has its headline", () => {
  const headline = (
    exitCode: Report["verdict"]["exitCode"],
    thresholds = failed.verdict.thresholds,
  ) => linesOf({ ...failed, verdict: { ...failed.verdict, exitCode, thresholds } })[0];
  expect(headline(0, [])).toBe("Done: no thresholds were given");
  expect(headline(0, failed.verdict.thresholds.slice(0, 1))).toBe("Done: the threshold held");
  expect(headline(3)).toBe("Not reached: the target could not be reached");
  expect(headline(130)).toBe("Interrupted after 1,600 iterations: 1 of 2 thresholds missed");
});

test("response, service and wait stand beneath each other, in units that suit them", () => {
  const [titles, response, service, wait] = part(failed, "Times");
  expect(titles).toMatch(/^Times +count +p50 +p90 +p99 +p99.9 +max$/);
  expect(response).toMatch(/^ {2}response +1,5\d\d( +[\d.]+ ms){5}$/);
  expect(service).toMatch(/^ {2}service +1,5\d\d( +[\d.]+ ms){5}$/);
  expect(wait).toMatch(/^ {2}wait for connection +1,6\d\d +0 ms/);
  expect(linesOf(failed, { columns: 100 }).find((line) => line.startsWith("Times"))).toContain(
    "mean",
  );
  const column = (line: string, index: number): string => line.trim().split(/ {2,}/)[index]!;
  const { most } = failed.latencies.response.timeout!;
  expect(column(response!, 6)).toBe(`${most.toFixed(0)} ms`);
});

test("a closed loop says what its times hide, and an open loop does not", () => {
  const closed = reportText(sampleReport({ isClosedLoop: true, seconds: 1 }));
  expect(closed).toContain("these times hide\n  the waiting");
  expect(closed).not.toContain("wait for connection");
  expect(reportText(failed)).not.toContain("hide");
});

test("failures come by kind with the first example, and times by outcome", () => {
  expect(part(failed, "Failures")).toHaveLength(8);
  expect(part(failed, "Failures").join("\n")).toContain(
    "  16 reset, the first at 260 ms in iteration 99: read: 127.0.0.1:8080: the\n    connection was reset (ECONNRESET)",
  );
  const kinds = Object.keys(failed.latencies.response);
  expect(kinds.length).toBe(5);
  expect(part(failed, "Response by outcome")).toHaveLength(1 + kinds.length);
  const well = reportText(sampleReport({ seconds: 1 }));
  expect(well).not.toContain("Failures");
  expect(well).not.toContain("by outcome");
});

test("what was unfinished or unsent is shown with its ages", () => {
  const busy = sampleReport({ rate: 2000, connections: 8, withFailures: true, seconds: 2 });
  const ledger = part(busy, "Ledger").join("\n");
  expect(ledger).toMatch(/Unfinished iterations were sent .* to .* ms before the end\./);
  expect(ledger).toMatch(/Unsent iterations were due .* to .* s before the end\./);
});

test("text of the target cannot control the terminal", () => {
  const message = "\x1b]0;owned\x07 503\r\nfake: \u202eline\u2028";
  const example = { ...failed.failures[0]!.example!, message };
  const hostile: Report = {
    ...failed,
    plan: { ...failed.plan, target: "http://a/\x1b[2J" },
    failures: [{ outcome: "reset\x9b", count: 1, example }],
    steps: [{ ...failed.steps[0]!, name: "a\nb\x1b[1m" }],
    checks: [{ name: `${"long ".repeat(40)}\x07`, passed: 1, failed: 0 }],
  };
  const text = reportText(hostile);
  expect(text).not.toMatch(/[^\n\P{C}]/u);
  expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
});

test("a run that has sent nothing has a report", () => {
  const empty = sampleReport({ seconds: 0 });
  expect(reportText(empty)).toContain("Ledger");
  expect(reportText(empty)).not.toMatch(/NaN|Infinity|undefined/);
});

test("wrong options are refused", () => {
  expect(() => reportText(failed, { colours: true } as object)).toThrow('no option "colours"');
  expect(() => reportText(failed, { columns: 0 })).toThrow(RangeError);
  expect(() => reportText(failed, { colors: "yes" } as unknown as TextOptions)).toThrow(TypeError);
});
