/** Computes the lines and the heat map of a report's page. Their sizes are bounded, however long the run was. */

import { Histogram } from "../load/histogram.ts";
import type { PackedHistogram } from "../load/packed_histogram.ts";
import type { Interval, Outcome, Report } from "../load/report.ts";
import type { Axis, Chart, HeatMap, Line, PageData, View } from "./page/data.ts";
import { quantileAxis, quantileLine } from "./percentile_curve.ts";

/** A line over time has at most so many points. Intervals of longer runs are put together. */
const mostPoints = 400;
const mostColumns = 200;
const mostRows = 48;
/** Kinds of failures and threads with a line each. The others share one. */
const mostLines = 8;

/** The percentiles over time. */
const percentiles = [50, 90, 99, 99.9] as const;

const heatMaps = ["response", "service"] as const;
type HeatMapName = (typeof heatMaps)[number];

export function pageData(report: Report): PageData {
  const timeline = new Timeline(report);
  const curve = percentileCurve(report);
  return {
    axes: { time: timeline.axis(), quantile: curve.axis },
    charts: { ...timeline.charts(), curve: curve.chart },
    heatMaps: timeline.heatMaps(),
  };
}

/** All outcomes together. */
export function merged(histograms: Readonly<Record<Outcome, Histogram>>): Histogram {
  return mergedAll(Object.values(histograms));
}

function mergedAll(histograms: readonly Histogram[]): Histogram {
  const all = new Histogram();
  for (const histogram of histograms) all.merge(histogram);
  return all;
}

function percentileCurve(report: Report): { axis: Axis; chart: Chart } {
  const { response, service, wait, requests } = report.latencies;
  const named: [name: string, colour: string, histogram: Histogram, hidden?: boolean][] = [
    ["Response", "response", merged(response)],
    ["Service", "service", merged(service)],
    ["Wait for a connection", "wait", wait],
    ["Requests", "requests", merged(requests), true],
  ];
  const present = named.filter(([, , { count }]) => count > 0);
  const places = quantileAxis(Math.max(...present.map(([, , { count }]) => count), 1));
  const lines = present.map(([name, colour, histogram, hidden = false]): Line => {
    // Response and service are the same where no iteration waited.
    const wide = colour === "response";
    return { name, colour, values: quantileLine(histogram, places), hidden, wide };
  });
  return {
    axis: { kind: "percentile", places },
    chart: {
      axis: "quantile",
      label: "Latency by percentile",
      views: [{ name: "All", unit: "ms", lines }],
      logarithmic: true,
    },
  };
}

/** Numbers over time, one for each point. */
class Timeline {
  readonly #isOpenLoop: boolean;
  readonly #kinds: readonly Outcome[];
  readonly #threads: number;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #values = new Map<string, (number | null)[]>();
  readonly #edges: readonly number[];
  readonly #columns: number[] = [];
  readonly #cells: Record<HeatMapName, number[][]> = { response: [], service: [] };

  constructor(report: Report) {
    const { intervals } = report;
    this.#isOpenLoop = report.plan.isOpenLoop;
    this.#kinds = failureKinds(report);
    this.#threads = Math.max(...intervals.map(({ threads }) => threads.length), 0);
    this.#edges = rowEdges(intervals);
    const size = Math.ceil(intervals.length / mostPoints);
    // A column of the heat map is one point or several.
    const groups = Math.ceil(intervals.length / Math.max(size, 1));
    const perColumn = Math.max(Math.ceil(groups / mostColumns), 1);
    for (let group = 0; group < groups; group++) {
      const part = intervals.slice(group * size, (group + 1) * size);
      if (group % perColumn === 0) this.#beginColumn(part[0]!.start);
      this.#addPoint(part);
    }
    for (const name of heatMaps) this.#cells[name] = this.#cells[name].map(trimmed);
    if (this.#ends.length > 0) this.#columns.push(this.#ends.at(-1)!);
  }

  axis(): Axis {
    const places = this.#starts.map((start, index) =>
      secondsOf((start + this.#ends[index]!) * 500),
    );
    return { kind: "time", places, starts: this.#starts, ends: this.#ends };
  }

  charts(): Record<string, Chart> {
    const chart = (label: string, views: View[], logarithmic = false): Chart => {
      return { axis: "time", label, views, logarithmic };
    };
    const iterations = [
      this.#line("sent", "Sent", "response"),
      this.#line("ok", "Ended well", "good"),
      this.#line("failed", "Failed", "bad"),
      ...(this.#isOpenLoop
        ? [
            this.#line("dropped", "Dropped", "warning"),
            // The last line is drawn above the others.
            this.#line("due", "Wanted", "ink", { dashed: true }),
          ]
        : []),
    ];
    return {
      rate: chart("Rate over time", [
        { name: "Iterations", unit: "/s", lines: iterations },
        { name: "Requests", unit: "/s", lines: [this.#line("requests", "Requests", "response")] },
        {
          name: "Received",
          unit: "B/s",
          lines: [this.#line("bytes", "Bytes received", "service", { filled: true })],
        },
      ]),
      latency: chart(
        "Latency over time",
        [this.#percentileView("response", "Response"), this.#percentileView("service", "Service")],
        true,
      ),
      failures: chart("Failures over time", [
        { name: "Failures", unit: "/s", lines: this.#failureLines() },
      ]),
      pool: chart("Connections over time", [
        {
          name: "Connections",
          unit: "",
          lines: [
            this.#line("connections", "Open connections", "response"),
            this.#line("inFlight", "Under way", "service", { filled: true }),
            ...(this.#isOpenLoop ? [this.#line("queued", "Waiting", "warning")] : []),
          ],
        },
      ]),
      cpu: chart("CPU of the threads", [
        { name: "CPU", unit: "share", lines: this.#threadLines() },
      ]),
      lateness: chart(
        "Lateness of the generator",
        [this.#percentileView("lateness", "Lateness")],
        true,
      ),
    };
  }

  heatMaps(): Record<string, HeatMap> {
    if (this.#edges.length === 0) return {};
    return {
      latency: {
        label: "Iterations by latency and time",
        times: this.#columns,
        edges: this.#edges,
        views: [
          { name: "Response", columns: this.#cells.response },
          { name: "Service", columns: this.#cells.service },
        ],
      },
    };
  }

  #line(
    key: string,
    name: string,
    colour: string,
    style: Pick<Line, "dashed" | "filled" | "hidden"> = {},
  ): Line {
    return { name, colour, values: this.#values.get(key) ?? [], ...style };
  }

  #percentileView(key: string, name: string): View {
    const lines = percentiles.map((percent, index) =>
      this.#line(`${key} ${percent}`, `p${percent}`, `percentile-${index}`),
    );
    return { name, unit: "ms", lines: [...lines, this.#line(`${key} max`, "max", "percentile-4")] };
  }

  #failureLines(): Line[] {
    return this.#kinds.map((kind, index) =>
      this.#line(`failure ${kind}`, kind, `series-${index % mostLines}`),
    );
  }

  #threadLines(): Line[] {
    if (this.#threads > mostLines) {
      return [
        this.#line("cpu most", "The busiest", "series-1"),
        this.#line("cpu mean", "Mean", "series-0"),
      ];
    }
    return Array.from({ length: this.#threads }, (_, thread) =>
      this.#line(`cpu ${thread}`, `Thread ${thread}`, `series-${thread}`),
    );
  }

  #push(key: string, value: number | null): void {
    const values = this.#values.get(key);
    const stored = value === null ? null : rounded(value);
    if (values === undefined) this.#values.set(key, [stored]);
    else values.push(stored);
  }

  /** Adds a point that stands for consecutive intervals. */
  #addPoint(part: readonly Interval[]): void {
    const last = part.at(-1)!;
    const milliseconds = sum(part.map((interval) => interval.milliseconds));
    const perSecond = (count: number): number =>
      (milliseconds > 0 ? count / milliseconds : 0) * 1000;
    this.#starts.push(secondsOf(part[0]!.start));
    this.#ends.push(secondsOf(last.start + last.milliseconds));
    const total = (key: "due" | "sent" | "dropped" | "requests" | "bytesReceived"): number =>
      perSecond(sum(part.map((interval) => interval[key])));
    for (const key of ["due", "sent", "dropped", "requests"] as const) this.#push(key, total(key));
    this.#push("bytes", total("bytesReceived"));
    const ended = (kind: Outcome): number => sum(part.map(({ outcomes }) => outcomes[kind] ?? 0));
    const all = sum(part.flatMap(({ outcomes }) => Object.values(outcomes)));
    this.#push("ok", perSecond(ended("ok")));
    this.#push("failed", perSecond(all - ended("ok")));
    let others = all - ended("ok");
    for (const kind of this.#kinds) {
      const count = kind === otherKinds ? others : ended(kind);
      others -= count;
      this.#push(`failure ${kind}`, perSecond(count));
    }
    for (const key of ["connections", "inFlight", "queued"] as const) this.#push(key, last[key]);
    this.#addThreads(part, milliseconds);
    for (const name of ["response", "service", "lateness"] as const) {
      const packed = part.map((interval) => interval[name]);
      const histograms = name === "lateness" && packed.length === 1 ? [] : packed.map(unpack);
      this.#addPercentiles(name, packed, histograms);
      if (name !== "lateness") for (const each of histograms) this.#addToColumn(name, each);
    }
  }

  #addThreads(part: readonly Interval[], milliseconds: number): void {
    const shares = Array.from({ length: this.#threads }, (_, thread) => {
      const used = part.map((interval) => (interval.threads[thread] ?? 0) * interval.milliseconds);
      return milliseconds > 0 ? sum(used) / milliseconds : 0;
    });
    shares.forEach((share, thread) => {
      this.#push(`cpu ${thread}`, share);
    });
    this.#push("cpu most", Math.max(...shares, 0));
    this.#push("cpu mean", sum(shares) / Math.max(shares.length, 1));
  }

  #addPercentiles(
    key: string,
    packed: readonly PackedHistogram[],
    histograms: readonly Histogram[],
  ): void {
    const { count, p50, p90, p99, p999, most } =
      packed.length === 1 ? packed[0]!.numbers : mergedAll(histograms).numbers();
    [p50, p90, p99, p999].forEach((value, index) => {
      this.#push(`${key} ${percentiles[index]}`, count === 0 ? null : value);
    });
    this.#push(`${key} max`, count === 0 ? null : most);
  }

  #beginColumn(start: number): void {
    this.#columns.push(secondsOf(start));
    for (const name of heatMaps) this.#cells[name].push(this.#edges.slice(1).map(() => 0));
  }

  #addToColumn(name: HeatMapName, histogram: Histogram): void {
    const counts = this.#cells[name].at(-1)!;
    for (const [nanoseconds, count] of histogram.buckets()) {
      counts[rowOf(nanoseconds / 1e6, this.#edges)]! += count;
    }
  }
}

function unpack(packed: PackedHistogram): Histogram {
  return packed.unpack();
}

/** A column as page/data.ts has it. */
function trimmed(counts: readonly number[]): number[] {
  const first = Math.max(
    counts.findIndex((count) => count > 0),
    0,
  );
  const last = counts.findLastIndex((count) => count > 0);
  return [first, ...counts.slice(first, last + 1)];
}

const otherKinds = "other kinds";

/** The kinds of failures of the intervals, the most frequent first. */
function failureKinds({ intervals }: Report): readonly Outcome[] {
  const counts = new Map<Outcome, number>();
  for (const { outcomes } of intervals) {
    for (const [kind, count] of Object.entries(outcomes)) {
      if (kind !== "ok" && count > 0) counts.set(kind, (counts.get(kind) ?? 0) + count);
    }
  }
  const kinds = [...counts].sort(([, one], [, other]) => other - one).map(([kind]) => kind);
  return kinds.length <= mostLines ? kinds : [...kinds.slice(0, mostLines - 1), otherKinds];
}

/** The edges of the rows, evenly spaced on a logarithmic axis. None if there is nothing to show. */
function rowEdges(intervals: readonly Interval[]): readonly number[] {
  const numbers = intervals.flatMap(({ response, service }) => [response.numbers, service.numbers]);
  const present = numbers.filter(({ count }) => count > 0);
  if (present.length === 0) return [];
  // A microsecond is the least of interest.
  const least = Math.max(Math.min(...present.map((each) => each.least)), 0.001);
  const most = Math.max(...present.map((each) => each.most), least * 1.2);
  const step = Math.max((most / least) ** (1 / mostRows), 1.05);
  const rows = Math.ceil(Math.log(most / least) / Math.log(step) - 1e-6);
  return Array.from({ length: rows + 1 }, (_, row) => Number((least * step ** row).toPrecision(5)));
}

function rowOf(milliseconds: number, edges: readonly number[]): number {
  const step = Math.log(edges.at(-1)! / edges[0]!) / (edges.length - 1);
  const row = Math.floor(Math.log(Math.max(milliseconds, edges[0]!) / edges[0]!) / step);
  return Math.min(Math.max(row, 0), edges.length - 2);
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Four digits are more than a reader sees, and keep the page small. Counts stay as they are. */
function rounded(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(4));
}

/** To a millisecond. */
function secondsOf(milliseconds: number): number {
  return Math.round(milliseconds) / 1000;
}
