/** A comparison of reports as one HTML file: what has changed, and the curves of all runs over each other. */

import {
  type Comparison,
  failuresOf,
  type NamedReport,
  type QuantityComparison,
  type QuantityUnit,
} from "./compare.ts";
import { changeText, explanation, noiseText, signed, valueText } from "./comparison_text.ts";
import { chartFigure, documentText, type Section, table } from "./document.ts";
import { shownCount, shownTime } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import type { Axis, Chart, Line, PageData } from "./page/data.ts";
import { merged, pageData } from "./page_data.ts";
import { quantileAxis, quantileLine } from "./percentile_curve.ts";

/** The page of a comparison. The reports are in it as JSON. */
export function comparisonHtml(comparison: Comparison): string {
  const { runs } = comparison;
  const names = runs.map(({ name }) => name).join(", ");
  const sections: Section[] = [
    { anchor: "changes", title: "Changes", content: changes(comparison) },
    { anchor: "latency", title: "Latency", content: latency() },
    { anchor: "rate", title: "Rate and failures", content: rate(comparison) },
    { anchor: "runs", title: "Runs", content: plans(comparison) },
  ];
  return documentText({
    title: `${names} · plait load compare`,
    head: head(comparison),
    sections,
    data: comparisonData(runs),
    reports: runs.map(({ report }) => JSON.stringify(report)),
  });
}

function head({ runs, warnings, thresholds, exitCode, quantities }: Comparison): Markup {
  const [first, ...others] = runs.map(({ name }) => name);
  const clear = quantities.flatMap(({ name, changes }) =>
    changes.flatMap((change, index) =>
      change?.verdict === "better" || change?.verdict === "worse"
        ? [html`<li><b>${name}</b> is ${change.verdict} in ${others[index]}</li>`]
        : [],
    ),
  );
  const [kind, words] =
    thresholds.length === 0
      ? ["quiet", clear.length === 0 ? "No change beyond the noise" : "Changes beyond the noise"]
      : exitCode === 0
        ? ["good", "All thresholds held"]
        : ["bad", "Thresholds missed"];
  return html`
<div class="title"><h1>${others.join(", ")} against ${first}</h1><p>Each run is compared with ${first}.</p></div>
${
  warnings.length === 0
    ? undefined
    : html`<div class="verdict warning"><h2><span class="badge" aria-hidden="true"></span>These runs are not alike</h2>
<ul>${warnings.map((warning) => html`<li>${warning}</li>`)}</ul></div>`
}
<div class="verdict ${kind!}"><h2>${kind === "quiet" ? undefined : html`<span class="badge" aria-hidden="true"></span>`}${words}</h2>
${clear.length === 0 ? undefined : html`<ul>${clear}</ul>`}</div>
${thresholds.length === 0 ? undefined : thresholdTable(thresholds)}`;
}

function thresholdTable(thresholds: Comparison["thresholds"]): Markup {
  const rows = thresholds.map(
    ({ text, run, held, value, unit, isWithinNoise }) => html`<tr>
<td><span class="mark ${held ? "good" : "bad"}">${held ? "held" : "missed"}</span></td>
<th scope="row"><code>${text}</code></th><td>${run}</td>
<td class="number">${value === undefined ? "nothing to compare" : `${signed(value)} ${unit}`}</td>
<td>${isWithinNoise ? "within the noise" : undefined}</td></tr>`,
  );
  return table(["", "Threshold", "Run", "#Change", ""], rows, "Thresholds on changes");
}

function changes({ runs, quantities }: Comparison): Markup {
  const tables = runs.slice(1).map(({ name }, index) => {
    const rows = quantities.map((quantity) => changeRow(quantity, index));
    const titles = ["", `#${runs[0]!.name}`, `#${name}`, "#Change", "#Noise (95 %)", ""];
    return table(titles, rows, `${name} against ${runs[0]!.name}`);
  });
  return html`${tables}<p class="note">${explanation}</p>`;
}

function changeRow({ name, unit, values, changes }: QuantityComparison, index: number): Markup {
  const change = changes[index];
  const verdicts = {
    better: html`<span class="mark good">better</span>`,
    worse: html`<span class="mark bad">worse</span>`,
    same: html`within the noise`,
    unknown: html`noise unknown`,
  };
  const verdict = change === undefined ? html`nothing to compare` : verdicts[change.verdict];
  return html`<tr><th scope="row">${name}</th>
<td class="number">${shown(values[0], unit)}</td>
<td class="number">${shown(values[index + 1], unit)}</td>
<td class="number">${changeText(change, unit)}</td>
<td class="number">${noiseText(change, unit)}</td>
<td>${verdict}</td></tr>`;
}

function shown(value: number | undefined, unit: QuantityUnit): string {
  return valueText(value, unit).replace(" us", " µs");
}

function latency(): Markup {
  return html`${chartFigure("curve", "tall")}${chartFigure("latency")}`;
}

function rate({ runs }: Comparison): Markup {
  const kinds = failuresOf(runs);
  const rows = kinds.map(
    ([kind, counts]) =>
      html`<tr><th scope="row">${kind}</th>${counts.map((count) => html`<td class="number">${shownCount(count)}</td>`)}</tr>`,
  );
  const titles = ["Kind", ...runs.map(({ name }) => `#${name}`)];
  return html`<div class="pair">${chartFigure("rate")}${chartFigure("failures")}</div>
${kinds.length === 0 ? html`<p class="none">No iteration of any run failed.</p>` : table(titles, rows, "Failures by kind")}`;
}

function plans({ runs }: Comparison): Markup {
  const facts: [name: string, read: (run: NamedReport) => string][] = [
    ["Target", ({ report }) => report.plan.target],
    ["Shape", ({ report }) => report.plan.shape],
    ["Connections", ({ report }) => shownCount(report.plan.connections)],
    ["Scenario", ({ report }) => report.plan.scenario],
    ["Threads", ({ report }) => `${report.plan.threads}, ${report.plan.driver} driver`],
    ["Seed", ({ report }) => String(report.plan.seed)],
    ["Started at", ({ report }) => report.startedAt],
    ["Sent for", ({ report }) => shownTime(report.sendingMilliseconds)],
    ["Iterations", ({ report }) => shownCount(report.iterations.sent)],
    ["Late, p99", ({ report }) => shownTime(report.latencies.lateness.percentile(99))],
    ["Machine", ({ report }) => `${report.machine.cpus} × ${report.machine.cpu}`],
    ["System", ({ report }) => report.machine.system],
    ["Versions", ({ report }) => `plait ${report.plait}, Bun ${report.machine.bun}`],
    ["Command", ({ report }) => report.command ?? "-"],
  ];
  const rows = facts.map(([name, read]) => {
    const values = runs.map(read);
    const isOther = new Set(values).size > 1;
    const cells = values.map(
      (value) => html`<td class="fact">${isOther ? html`<b>${value}</b>` : value}</td>`,
    );
    return html`<tr><th scope="row">${name}</th>${cells}</tr>`;
  });
  return table(
    ["", ...runs.map(({ name }) => name)],
    rows,
    "Plans and machines; what differs is bold",
  );
}

// What the charts show.

function comparisonData(runs: readonly NamedReport[]): PageData {
  const pages = runs.map(({ report }) => pageData(report));
  const places = [...new Set(pages.flatMap((page) => page.axes.time!.places))];
  places.sort((one, other) => one - other);
  const time: Axis = { kind: "time", places };
  const overTime = (label: string, views: readonly ViewOf[], isLogarithmic = false): Chart => ({
    axis: "time",
    label,
    logarithmic: isLogarithmic,
    views: views.map(([name, unit, chart, view, line]) => ({
      ...{ name, unit },
      lines: pages.map((page, index): Line => {
        const own = page.charts[chart]!.views[view]!.lines.find((each) => each.name === line)!;
        const values = new Map(page.axes.time!.places.map((place, at) => [place, own.values[at]!]));
        return {
          ...{ name: runs[index]!.name, colour: `series-${index}`, connected: true },
          values: places.map((place) => values.get(place) ?? null),
        };
      }),
    })),
  });
  const latencies = ["p50", "p90", "p99", "max"].map(
    (line): ViewOf => [line, "ms", "latency", 0, line],
  );
  const curve = curveOf(runs);
  return {
    axes: { time, quantile: curve.axis },
    charts: {
      curve: curve.chart,
      latency: overTime("Response over time", latencies, true),
      rate: overTime("Rate over time", [["Sent", "/s", "rate", 0, "Sent"]]),
      failures: overTime("Failures over time", [["Failed", "/s", "rate", 0, "Failed"]]),
    },
    heatMaps: {},
  };
}

/** A view, and where the charts of a report have its line. */
type ViewOf = readonly [
  name: string,
  unit: "ms" | "/s",
  chart: "rate" | "latency",
  view: number,
  line: string,
];

function curveOf(runs: readonly NamedReport[]): { axis: Axis; chart: Chart } {
  const all = runs.map(({ name, report: { latencies } }) => ({
    name,
    Response: merged(latencies.response),
    Service: merged(latencies.service),
    Wait: latencies.wait,
  }));
  const most = Math.max(
    ...all.map(({ Response, Service, Wait }) =>
      Math.max(Response.count, Service.count, Wait.count),
    ),
  );
  const places = quantileAxis(most);
  const views = (["Response", "Service", "Wait"] as const).map((view) => ({
    name: view,
    unit: "ms" as const,
    lines: all.map((run, index): Line => {
      const values = quantileLine(run[view], places);
      return { name: run.name, colour: `series-${index}`, values };
    }),
  }));
  return {
    axis: { kind: "percentile", places },
    chart: { axis: "quantile", label: "Latency by percentile", views, logarithmic: true },
  };
}
