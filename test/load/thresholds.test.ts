/** Thresholds: what is read from a text, and what is refused with which sentence. */

import { describe, expect, test } from "bun:test";
import { Histogram } from "../../src/load/histogram.ts";
import { type Measures, seriesNames, total } from "../../src/load/measures.ts";
import { nearest } from "../../src/load/nearest.ts";
import { holds, judgedValue, parseThreshold, shownValue } from "../../src/load/thresholds.ts";
import { histogramOf, madeUpMeasures } from "./support/measures.ts";

/** The sentence of an error, with its class. */
function mistakeOf(text: string, kinds?: readonly string[]): string {
  try {
    parseThreshold(text, kinds);
  } catch (error) {
    const { name, message } = error as Error;
    return `${name}: ${message}`;
  }
  throw new Error(`${text} was taken`);
}

/** 100 iterations in 10 seconds, of 1 to 100 ms, that made 200 requests. */
const measures: Measures = madeUpMeasures({
  milliseconds: 10_000,
  due: 120,
  sent: 110,
  dropped: 6,
  unsent: 4,
  unfinished: 10,
  outcomes: { ok: 90, timeout: 4, "connect refused": 2, "connect timeout": 1, "tls X": 3 },
  requests: 200,
  requestOutcomes: { ok: 190, "status 4xx": 6, "status 5xx": 4 },
  times: Object.fromEntries(
    seriesNames.map((name, index) => [
      name,
      histogramOf(Array.from({ length: 100 }, (_, each) => (each + 1) * 10 ** index)),
    ]),
  ),
  steps: { "log in": { ok: histogramOf([10, 20, 30]), reset: histogramOf([40]) } },
  checks: {
    found: { passed: 99, failed: 1 },
    "a<b (twice)": { passed: 1, failed: 1 },
    never: { passed: 0, failed: 0 },
  },
});

describe("what is measured", () => {
  test.each<[string, number, string]>([
    ["p99<50ms", 99, "ms"],
    ["p50<50ms", 50, "ms"],
    ["p99.9<50ms", 100, "ms"],
    ["mean<50ms", 50.5, "ms"],
    ["min<50ms", 1, "ms"],
    ["max<50ms", 100, "ms"],
    ["response.p99.9<1s", 100, "ms"],
    ["service.p50<=5ms", 500, "ms"],
    ["wait.max<10ms", 10_000, "ms"],
    ["lateness.p99<1ms", 99_000, "ms"],
    ["connect.p95<1s", 950_000, "ms"],
    ["errors<0.1%", 10, "%"],
    ["errors<10", 10, ""],
    ["failures(timeout)<5", 4, ""],
    ["failures(connect)<5%", 3, "%"],
    ["failures(connect refused)<5", 2, ""],
    ["failures(tls)<5", 3, ""],
    ["failures(reset)<5", 0, ""],
    ["status(5xx)<1%", 2, "%"],
    ["status(4xx)<1", 6, ""],
    ["status(2xx)<1", 0, ""],
    ["rate>1000", 10, "/s"],
    ["rate>600/m", 10, "/s"],
    ["requests.rate>1k", 20, "/s"],
    ["requests.count>=100", 200, ""],
    ["requests.p50<1h", 3_600_000, "ms"],
    ["count>=100k", 100, ""],
    ["dropped<1%", 5, "%"],
    ["dropped<=6", 6, ""],
    ["unsent<1", 4, ""],
    ["unfinished<1%", (100 * 10) / 110, "%"],
    ["check(found)>99%", 99, "%"],
    ["check(a<b (twice))>99%", 50, "%"],
    ["check>99.9%", (100 * 100) / 102, "%"],
    ["step(log in).p95<200ms", 40, "ms"],
    ["step(log in).max<200ms", 40, "ms"],
    ["step(log in).errors<1%", 25, "%"],
    ["step(log in).failures(reset)<2", 1, ""],
    ["step(log in).count>3", 4, ""],
    ["step(log in).rate>3", 0.4, "/s"],
  ])("%p", (text, value, unit) => {
    const threshold = parseThreshold(text);
    expect(threshold.text).toBe(text);
    expect(threshold.unit).toBe(unit as "ms");
    const judged = judgedValue(threshold, measures)!;
    expect(Math.abs(judged - value)).toBeLessThanOrEqual(value * 0.001);
  });

  test.each<[string, string]>([
    ["check(fuond)>99%", 'there was no check "fuond"; did you mean "found"?'],
    ["check(never)>99%", 'the check "never" has no value'],
    ["step(login).p95<1s", 'there was no step "login"; did you mean "log in"?'],
    ["step(other).errors<1", 'there was no step "other"'],
    ["step(other).rate>1", 'there was no step "other"'],
    ["step(other).count<1k", 'there was no step "other"'],
  ])("%p has nothing to judge, and says why", (text, absence) => {
    const threshold = parseThreshold(text);
    expect(judgedValue(threshold, measures)).toBeUndefined();
    expect(threshold.absence(measures)).toBe(absence);
  });

  test.each([
    "p99<50ms",
    "wait.max<1s",
    "errors<10",
    "errors<1%",
    "failures(reset)<1",
    "status(5xx)<1",
    "dropped<1%",
    "unsent<1",
    "unfinished<1",
    "check>99%",
    "check(found)>99%",
    "step(log in).p95<1s",
  ])("%p has nothing to judge in a run in which nothing has ended", (text) => {
    const empty = madeUpMeasures({});
    expect(total(empty.outcomes)).toBe(0);
    expect(judgedValue(parseThreshold(text), empty)).toBeUndefined();
  });

  test("a rate and a count of all are 0 in such a run", () => {
    expect(judgedValue(parseThreshold("rate>1"), madeUpMeasures({}))).toBe(0);
    expect(judgedValue(parseThreshold("count>=1"), madeUpMeasures({}))).toBe(0);
  });
});

describe("what is compared", () => {
  test.each<[string, number, boolean]>([
    ["p99<50ms", 49.9, true],
    ["p99<50ms", 50, false],
    ["p99<=50ms", 50, true],
    ["rate>100", 100, false],
    ["rate>=100", 100, true],
    ["rate > 2k", 2001, true],
    ["errors<0.1%", 0.09, true],
    ["errors<0.1%", 0.1, false],
    ["max < 1m30s", 89_999, true],
    ["p50<250us", 0.26, false],
  ])("%p with %p", (text, value, held) => {
    expect(holds(parseThreshold(text), value)).toBe(held);
  });

  test.each<[string, number | undefined, number | undefined]>([
    ["p99<50ms", undefined, undefined],
    ["p99<50ms over 10s", 10_000, undefined],
    ["p99<50ms abort", undefined, 0],
    ["p99<50ms abort after 5s", undefined, 5000],
    ["p99<50ms over 10s abort", 10_000, 0],
    [" errors < 1%  over 1m30s  abort after 500ms ", 90_000, 500],
    ["check(over 9 abort)>99% over 2s", 2000, undefined],
    ["count>=100 over 1s abort", 1000, 0],
  ])("the window and the abort of %p", (text, window, abortAfter) => {
    const threshold = parseThreshold(text);
    expect(threshold.window).toBe(window);
    expect(threshold.abortAfter).toBe(abortAfter);
  });

  test("values are shown with their units", () => {
    expect(shownValue(73.21, "ms")).toBe("73.2 ms");
    expect(shownValue(0.123456, "%")).toBe("0.1235%");
    expect(shownValue(1020.4, "/s")).toBe("1020/s");
    expect(shownValue(7, "")).toBe("7");
  });
});

describe("what is refused", () => {
  const examples =
    "examples are p99<50ms, errors<0.1%, rate>1000, check(found)>99%, step(login).p95<200ms over 10s";
  test.each([
    ["", `TypeError: "" is no threshold: ${examples}`],
    ["p99", `TypeError: "p99" is no threshold: ${examples}`],
    ["p99=50ms", `TypeError: "p99=50ms" is no threshold: ${examples}`],
    ["p99==50ms", `TypeError: "p99==50ms" is no threshold: ${examples}`],
    ["p99<50ms over", `TypeError: "p99<50ms over" is no threshold: ${examples}`],
    ["p99<50ms sometimes", `TypeError: "p99<50ms sometimes" is no threshold: ${examples}`],
    ["p99<50", 'TypeError: the limit of "p99<50" has no unit in "50": write 50s or 50ms'],
    ["avg<50ms", 'TypeError: "avg<50ms": nothing is measured as avg: did you mean mean?'],
    ["median<50ms", 'TypeError: "median<50ms": nothing is measured as median: did you mean p50?'],
    ["P99<50ms", 'TypeError: "P99<50ms": nothing is measured as P99: did you mean p99?'],
    ["p(99)<50ms", 'TypeError: "p(99)<50ms": nothing is measured as p(99): did you mean p99?'],
    [
      "responce.p99<50ms",
      'TypeError: "responce.p99<50ms": nothing is measured as responce.p99: did you mean response.p99?',
    ],
    [
      "service.avg<5ms",
      'TypeError: "service.avg<5ms": nothing is measured as service.avg: did you mean service.mean?',
    ],
    ["erors<1%", 'TypeError: "erors<1%": nothing is measured as erors: did you mean errors?'],
    [
      "errors()<1%",
      'TypeError: "errors()<1%": nothing is measured as errors(): did you mean errors?',
    ],
    ["__proto__<1%", `TypeError: "__proto__<1%" is no threshold: ${examples}`],
    ["toString<1%", `TypeError: "toString<1%": nothing is measured as toString: ${examples}`],
    [
      "failure(timeout)<1",
      'TypeError: "failure(timeout)<1": nothing is measured as failure(timeout): did you mean failures(timeout)?',
    ],
    [
      "failures<1",
      'TypeError: "failures<1": nothing is measured as failures: did you mean failures(timeout)?',
    ],
    [
      "step(login)<1s",
      'TypeError: "step(login)<1s": say what of the step, such as step(login).p95',
    ],
    [
      "step(login).eror<1",
      'TypeError: "step(login).eror<1": nothing is measured as step(login).eror: did you mean step(login).errors?',
    ],
    [
      "status(500)<1",
      'TypeError: "status(500)<1": a class of statuses is 2xx, 3xx, 4xx or 5xx, not "500"',
    ],
    ["p0<1s", 'RangeError: "p0<1s": a percentile is above 0 and up to 100'],
    ["p101<1s", 'RangeError: "p101<1s": a percentile is above 0 and up to 100'],
    ["errors<0", 'RangeError: "errors<0" never holds: nothing is below 0'],
    ["check>100%", 'RangeError: "check>100%" never holds: nothing is above 100%'],
    ["errors<101%", 'RangeError: the limit of "errors<101%" is up to 100%, not "101%"'],
    ["check>99", 'TypeError: the limit of "check>99" is a share such as 99%, not "99"'],
    [
      "count>5%",
      'TypeError: the limit of "count>5%" is a whole number such as 10000 or 10k, not "5%"',
    ],
    [
      "rate>5ms",
      'TypeError: the limit of "rate>5ms" is a rate such as 20000, 20k or 100/m, not "5ms"',
    ],
    [
      "p99<1s over 10",
      'TypeError: the window of "p99<1s over 10" has no unit in "10": write 10s or 10ms',
    ],
    ["p99<1s over 0s", 'RangeError: the window of "p99<1s over 0s" is longer than 0'],
    [
      "unsent<1 over 5s",
      'TypeError: "unsent<1 over 5s": over has no meaning for what the end decides',
    ],
    [
      "unfinished<1 abort",
      'TypeError: "unfinished<1 abort": abort has no meaning for what the end decides',
    ],
    [
      "count>=100 abort",
      'TypeError: "count>=100 abort": abort has no meaning for a count that still grows',
    ],
  ])("%p", (text, sentence) => {
    expect(mistakeOf(text)).toBe(sentence);
  });

  test("a kind of failure that does not exist, if the kinds are given", () => {
    const kinds = ["connect refused", "connect timeout", "reset", "timeout", "tls"];
    expect(mistakeOf("failures(timout)<1", kinds)).toBe(
      'TypeError: "failures(timout)<1": there is no failure "timout": did you mean "timeout"?',
    );
    expect(mistakeOf("failures(mystery)<1", kinds)).toBe(
      'TypeError: "failures(mystery)<1": there is no failure "mystery": the kinds are ' +
        "connect refused, connect timeout, reset, timeout, tls",
    );
    for (const right of ["connect", "connect refused", "tls", "tls CERT_HAS_EXPIRED", "reset"]) {
      expect(parseThreshold(`failures(${right})<1`, kinds).limit).toBe(1);
    }
  });

  test("a long text, soon", () => {
    const started = performance.now();
    for (const piece of ["(", "p99", " ", "a(b).", "<", "<1", ").a(b)<", "over 1s "]) {
      for (const start of ["check(", "a<1", "step(a).b("]) {
        const text = start + piece.repeat(20_000);
        expect(() => parseThreshold(text.slice(0, 999))).toThrow(TypeError);
        expect(() => parseThreshold(text)).toThrow(TypeError);
      }
    }
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

test("the nearest name is one of few edits, or the only one that begins so", () => {
  const names = ["connections", "duration", "threads", "rate"];
  expect(nearest("conections", names)).toBe("connections");
  expect(nearest("Duration", names)).toBe("duration");
  expect(nearest("raet", names)).toBe("rate");
  expect(nearest("conn", names)).toBe("connections");
  expect(nearest("xyz", names)).toBeUndefined();
  expect(nearest("", names)).toBeUndefined();
});

test("a histogram of made-up times has them", () => {
  expect(histogramOf([1, 2, 3])).toBeInstanceOf(Histogram);
  expect(histogramOf([1, 2, 3]).mean).toBeCloseTo(2, 9);
});
