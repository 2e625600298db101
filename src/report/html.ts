/** A report as one HTML file, which needs no network and no other file. */

import type { Histogram } from "../load/histogram.ts";
import type { Ages, Counts, Report, ThresholdReport, Verdict } from "../load/report.ts";
import { chartFigure, documentText, heatMapFigure, type Section, table } from "./document.ts";
import {
  shownBytes,
  shownCount,
  shownPercent,
  shownRate,
  shownShare,
  shownTime,
} from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { merged, pageData, sum } from "./page_data.ts";

/**
 * The page of a report, as one HTML document. The report is in it as JSON, so that `compare` and `merge` read the page as well.
 * It is below 300 KB and the JSON.
 */
export function htmlReport(report: Report): string {
  const { plan } = report;
  return documentText({
    title: `${plan.target} · plait load`,
    head: head(report),
    sections: sections(report),
    data: pageData(report),
    reports: [JSON.stringify(report)],
  });
}

function sections(report: Report): Section[] {
  const { steps, checks } = report;
  const all: (Section | undefined)[] = [
    { anchor: "rate", title: "Rate", content: chartFigure("rate", "tall") },
    { anchor: "latency", title: "Latency", content: latency(report) },
    { anchor: "failures", title: "Failures", content: failures(report) },
    steps.length > 0 ? { anchor: "steps", title: "Steps", content: stepTable(report) } : undefined,
    checks.length > 0
      ? { anchor: "checks", title: "Checks", content: checkTable(report) }
      : undefined,
    { anchor: "connections", title: "Connections", content: connections(report) },
    { anchor: "ledger", title: "Ledger", content: ledger(report) },
    { anchor: "generator", title: "Generator", content: generator(report) },
    { anchor: "run", title: "Run", content: run(report) },
  ];
  return all.filter((section) => section !== undefined);
}

/** A time with a unit that suits. Only long ones have minutes. */
function timeText(milliseconds: number): string {
  if (milliseconds < 119_500) return shownTime(milliseconds).replace(" us", " µs");
  const seconds = Math.round(milliseconds / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}

// The head: the verdict, the thresholds and the most important numbers.

const headlines = {
  0: ["good", "Complete"],
  1: ["bad", "Thresholds missed"],
  3: ["bad", "Target not reached"],
  4: ["warning", "The generator was the bottleneck"],
  130: ["warning", "Interrupted"],
} as const;

function headline({ exitCode, thresholds }: Verdict): readonly [kind: string, words: string] {
  if (exitCode === 0 && thresholds.length > 0) return ["good", "All thresholds held"];
  return headlines[exitCode];
}

function head(report: Report): Markup {
  const { verdict, plan } = report;
  const [kind, words] = headline(verdict);
  return html`
<div class="title">
<h1>${plan.target}</h1>
<p>${plan.shape} · ${shownCount(plan.connections)} ${plan.connections === 1 ? "connection" : "connections"} ·
${timeText(report.milliseconds)} · <time datetime="${report.startedAt}">${wallTime(report.startedAt)}</time></p>
</div>
${verdict.generatorWasBottleneck ? blame(verdict) : undefined}
${
  // The blame says it already.
  verdict.exitCode === 4 && verdict.generatorWasBottleneck
    ? undefined
    : html`<div class="verdict ${kind}">
<h2><span class="badge" aria-hidden="true"></span>${words}</h2>${list(verdict.reasons)}</div>`
}
${verdict.thresholds.length > 0 ? thresholdTable(verdict.thresholds) : undefined}
${tiles(report)}`;
}

function blame({ exitCode, reasons, generatorReasons }: Verdict): Markup {
  const others =
    exitCode === 4 ? reasons.filter((reason) => !generatorReasons.includes(reason)) : [];
  return html`<div class="verdict warning">
<h2><span class="badge" aria-hidden="true"></span>The generator was the bottleneck</h2>
<p>These numbers are those of the generator, not of the target. Use more threads or machines, or a lower rate.</p>
${list([...generatorReasons, ...others])}</div>`;
}

function list(sentences: readonly string[]): Markup | undefined {
  if (sentences.length === 0) return undefined;
  return html`<ul>${sentences.map((sentence) => html`<li>${sentence}</li>`)}</ul>`;
}

/** Without the fraction of a second. */
function wallTime(iso: string): string {
  return iso.replace("T", " ").replace(/\.\d+/, "").replace("Z", " UTC");
}

function thresholdTable(thresholds: readonly ThresholdReport[]): Markup {
  const rows = thresholds.map(
    ({ text, held, value, unit, missedAt }) => html`<tr>
<td><span class="mark ${held ? "good" : "bad"}">${held ? "held" : "missed"}</span></td>
<th scope="row"><code>${text}</code></th>
<td class="number">${value === undefined ? "-" : valueText(value, unit)}</td>
<td class="number">${missedAt === undefined ? undefined : timeText(missedAt)}</td></tr>`,
  );
  return table(["", "Threshold", "#Value", "#First missed at"], rows, "Thresholds");
}

function valueText(value: number, unit: ThresholdReport["unit"]): string {
  if (unit === "ms") return timeText(value);
  if (unit === "%") return shownPercent(value);
  return unit === "/s" ? shownRate(value) : String(value);
}

function tiles(report: Report): Markup {
  const { iterations, requests, plan, sendingMilliseconds, milliseconds } = report;
  const response = merged(report.latencies.response);
  const perSecond = (count: number, time: number): number => (time > 0 ? (count / time) * 1000 : 0);
  const wanted = perSecond(iterations.due, sendingMilliseconds);
  const failed = sum(Object.values(iterations.outcomes)) - (iterations.outcomes.ok ?? 0);
  const ended = sum(Object.values(iterations.outcomes));
  const { unfinished } = iterations;
  const late = report.latencies.lateness;
  const all: [name: string, value: string, note: string, kind?: string | undefined][] = [
    [
      "Rate",
      shownRate(perSecond(iterations.sent, sendingMilliseconds)),
      plan.isOpenLoop ? `of ${shownRate(wanted)} wanted` : "closed loop",
    ],
    ["Median", latencyText(response, 50), "response"],
    ["p99", latencyText(response, 99), "response"],
    ["p99.9", latencyText(response, 99.9), "response"],
    ["Maximum", response.count === 0 ? "-" : timeText(response.most), "response"],
    [
      "Failed",
      shownShare(failed, ended),
      unfinished > 0
        ? `${shownCount(unfinished)} unfinished`
        : `${shownCount(failed)} of ${shownCount(ended)}`,
      failed > 0 ? "bad" : undefined,
    ],
    [
      "Received",
      `${shownBytes(perSecond(requests.bytesReceived, milliseconds))}/s`,
      `${shownCount(requests.sent)} requests`,
    ],
    [
      "Lateness",
      latencyText(late, 99),
      "of sends, p99",
      report.verdict.generatorWasBottleneck ? "warning" : undefined,
    ],
  ];
  const items = all.map(
    ([name, value, note, kind = ""]) =>
      html`<div class="tile ${kind}"><dt>${name}</dt><dd>${value}<small>${note}</small></dd></div>`,
  );
  return html`<dl class="tiles">${items}</dl>`;
}

function latencyText(histogram: Histogram, percent: number): string {
  return histogram.count === 0 ? "-" : timeText(histogram.percentile(percent));
}

// Latencies.

function latency(report: Report): Markup {
  const { response, service, wait, requests } = report.latencies;
  const rows: [name: string, histogram: Histogram, isPart?: boolean][] = [
    ["Response", merged(response)],
    ...byOutcome(response),
    ["Service", merged(service)],
    ...byOutcome(service),
    ["Wait for a connection", wait],
    ["Requests", merged(requests)],
    ...byOutcome(requests),
  ];
  return html`
<p class="lead"><b>Response</b> counts from the time when an iteration was due, <b>service</b> from its first byte sent.
What lies between them is the wait for a connection and the lateness of the generator.</p>
${chartFigure("curve", "tall")}
<div class="pair">${chartFigure("latency")}${heatMapFigure("latency")}</div>
${histogramTable(rows, "Latencies")}`;
}

/** A row for each outcome, if there are several. */
function byOutcome(
  histograms: Readonly<Record<string, Histogram>>,
): [name: string, histogram: Histogram, isPart: boolean][] {
  const present = Object.entries(histograms).filter(([, { count }]) => count > 0);
  return present.length < 2
    ? []
    : present.map(([outcome, histogram]) => [outcome, histogram, true]);
}

const columns = [50, 90, 99, 99.9, 99.99] as const;

function histogramTable(
  rows: readonly [name: string, histogram: Histogram, isPart?: boolean][],
  caption: string,
): Markup {
  const lines = rows.map(
    ([name, histogram, isPart = false]) => html`<tr${isPart ? html` class="part"` : undefined}>
<th scope="row">${name}</th><td class="number">${shownCount(histogram.count)}</td>${histogramCells(histogram)}</tr>`,
  );
  const percentiles = columns.map((percent) => `#p${percent}`);
  return table(["", "#Count", "#Least", "#Mean", ...percentiles, "#Max"], lines, caption);
}

function histogramCells(histogram: Histogram): Markup[] {
  const { count, least, mean, most } = histogram;
  const values = [least, mean, ...columns.map((percent) => histogram.percentile(percent)), most];
  return values.map(
    (value) => html`<td class="number">${count === 0 ? "-" : timeText(value)}</td>`,
  );
}

// Failures, steps and checks.

function failures(report: Report): Markup {
  const { failures, iterations, unfinishedAges, unsentAges } = report;
  const ages = [
    ageSentence(
      unfinishedAges,
      "was under way at the end, since",
      "were under way at the end, since",
    ),
    ageSentence(
      unsentAges,
      "still waited for a connection, since",
      "still waited for a connection, since",
    ),
  ];
  const notes = html`${ages}`;
  if (failures.length === 0) {
    const words = iterations.sent === 0 ? "No iteration was sent." : "No iteration failed.";
    return html`<p class="none">${words}</p>${notes}`;
  }
  const rows = failures.map(({ outcome, count, example }) => {
    const facts =
      example === undefined
        ? undefined
        : [
            example.code === undefined ? undefined : html`<code>${example.code}</code>`,
            example.phase === undefined ? undefined : html`<span>in ${example.phase}</span>`,
            html`<span>after ${timeText(example.at)}</span>`,
            html`<span>iteration ${shownCount(example.iteration)}</span>`,
          ];
    return html`<tr><th scope="row">${outcome}</th><td class="number">${shownCount(count)}</td>
<td class="number">${shownShare(count, iterations.sent)}</td>
<td class="example">${example?.message ?? "-"}<small>${facts}</small></td></tr>`;
  });
  return html`${chartFigure("failures")}
${table(["Kind", "#Count", "#Share", "The first one"], rows, "Failures by kind")}${notes}`;
}

function ageSentence(ages: Ages | undefined, one: string, several: string): Markup | undefined {
  if (ages === undefined || ages.count === 0) return undefined;
  const { count, least, most } = ages;
  const span = least === most ? timeText(most) : `${timeText(least)} to ${timeText(most)}`;
  const noun = count === 1 ? `iteration ${one}` : `iterations ${several}`;
  return html`<p class="note">${shownCount(count)} ${noun} ${span}.</p>`;
}

function stepTable({ steps }: Report): Markup {
  const rows = steps.flatMap(
    ({ name, outcomes }): [name: string, histogram: Histogram, isPart?: boolean][] => {
      return [[name, merged(outcomes)], ...byOutcome(outcomes)];
    },
  );
  return histogramTable(rows, "Steps, from begin to end");
}

function checkTable({ checks }: Report): Markup {
  const rows = checks.map(({ name, passed, failed }) => {
    const share = passed + failed === 0 ? 0 : passed / (passed + failed);
    return html`<tr><th scope="row">${name}</th>
<td class="number">${shownCount(passed)}</td><td class="number">${shownCount(failed)}</td>
<td>${meter(share, failed > 0 ? "bad" : "good")}${shownPercent(share * 100)}</td></tr>`;
  });
  return table(["Check", "#Passed", "#Failed", "Share passed"], rows, "Checks");
}

function meter(share: number, kind: string): Markup {
  const width = (Math.min(share, 1) * 100).toFixed(2);
  return html`<span class="meter ${kind}" aria-hidden="true"><span style="width: ${width}%"></span></span>`;
}

// Connections, the ledger, the generator.

function connections(report: Report): Markup {
  const { connect, handshake } = report.latencies;
  const rows: [string, Histogram][] = [["Connect", connect]];
  if (handshake.count > 0) rows.push(["TLS handshake", handshake]);
  return html`<p class="lead">Before the clock started, looking up names took <b>${timeText(report.resolveMilliseconds)}</b>, and
connecting took <b>${timeText(report.connectMilliseconds)}</b>.</p>
${chartFigure("pool")}
${histogramTable(rows, "Connections that were made")}`;
}

function ledger(report: Report): Markup {
  const { iterations, requests } = report;
  const { due, sent, droppedBusy, droppedLate, unsent } = iterations;
  return html`<div class="pair">
${equation("Due", due, [
  ["sent", sent, "good"],
  ["dropped, since every connection was busy", droppedBusy, "warning"],
  ["dropped, since the generator was late", droppedLate, "warning"],
  ["unsent at the end", unsent, "quiet"],
])}
${equation("Sent", sent, outcomeParts(iterations.outcomes, iterations.unfinished))}
${equation("Requests", requests.sent, outcomeParts(requests.outcomes, requests.unfinished))}
<div class="equation"><h3>Bytes</h3><table><tbody>
<tr><th scope="row">sent</th><td class="number">${shownBytes(requests.bytesSent)}</td></tr>
<tr><th scope="row">received</th><td class="number">${shownBytes(requests.bytesReceived)}</td></tr>
</tbody></table></div>
</div>`;
}

type Term = [name: string, count: number, kind: string];

function outcomeParts(outcomes: Counts, unfinished: number): Term[] {
  const failed = Object.entries(outcomes).filter(([outcome]) => outcome !== "ok");
  return [
    ["ok", outcomes.ok ?? 0, "good"],
    ...failed.map(([outcome, count]): Term => [outcome, count, "bad"]),
    ["unfinished", unfinished, "quiet"],
  ];
}

/** A total and its parts, with a bar of their shares. */
function equation(name: string, total: number, terms: readonly Term[]): Markup {
  const added = sum(terms.map(([, count]) => count));
  const share = (count: number): string => ((count / Math.max(total, 1)) * 100).toFixed(3);
  const bar = terms
    .filter(([, count]) => count > 0)
    .map(
      ([, count, kind]) => html`<span class="${kind}" style="flex-grow: ${share(count)}"></span>`,
    );
  const rows = terms.map(
    ([term, count], index) =>
      html`<tr><th scope="row"><span class="sign">${index === 0 ? "=" : "+"}</span> ${term}</th>
<td class="number">${shownCount(count)}</td></tr>`,
  );
  const fault =
    added === total
      ? undefined
      : html`<p class="note bad">The parts are ${shownCount(added)}: this report does not add up.</p>`;
  return html`<div class="equation"><h3>${name} <b>${shownCount(total)}</b></h3>
<div class="shares" aria-hidden="true">${bar}</div>
<table><tbody>${rows}</tbody></table>${fault}</div>`;
}

function generator(report: Report): Markup {
  const { threads, latencies } = report;
  const rows = threads.map(({ thread, sent, cpuMilliseconds, cpuShare, lateness }) => {
    return html`<tr><th scope="row">Thread ${thread}</th><td class="number">${shownCount(sent)}</td>
<td>${meter(cpuShare, cpuShare > 0.9 ? "bad" : "good")}${shownPercent(cpuShare * 100)}</td>
<td class="number">${timeText(cpuMilliseconds)}</td>
${[50, 99, 99.9].map((percent) => html`<td class="number">${latencyText(lateness, percent)}</td>`)}
<td class="number">${lateness.count === 0 ? "-" : timeText(lateness.most)}</td></tr>`;
  });
  const late = latencies.lateness;
  const lead = html`<p class="lead">Of all sends, half were late by at most <b>${latencyText(late, 50)}</b>, and 99 % by at most
<b>${latencyText(late, 99)}</b>. A generator that is late or has no CPU left measures itself.</p>`;
  return html`${late.count === 0 ? undefined : lead}
<div class="pair">${chartFigure("cpu")}${chartFigure("lateness")}</div>
${table(
  ["", "#Sent", "CPU", "#CPU time", "#Late, p50", "#p99", "#p99.9", "#Max"],
  rows,
  "Threads of the generator",
)}`;
}

function run(report: Report): Markup {
  const { plan, machine, command } = report;
  const facts: [name: string, value: string][] = [
    ["Target", plan.target],
    ["Shape", `${plan.shape} (${plan.isOpenLoop ? "open" : "closed"} loop)`],
    ["Connections", shownCount(plan.connections)],
    ...(plan.isOpenLoop ? [["When all are busy", plan.overload] as [string, string]] : []),
    ["Scenario", plan.scenario],
    ["Threads", `${plan.threads}, ${plan.driver} driver`],
    ["Seed", String(plan.seed)],
    ["Sending lasted", timeText(report.sendingMilliseconds)],
    ["The run lasted", timeText(report.milliseconds)],
    ["Started at", wallTime(report.startedAt)],
    ["Machine", `${machine.cpus} × ${machine.cpu}`],
    ["System", machine.system],
    ["Versions", `plait ${report.plait}, Bun ${machine.bun}`],
  ];
  const items = facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`);
  return html`${command === undefined ? undefined : html`<div class="command"><pre tabindex="0" aria-label="The command"><code>${command}</code></pre><button type="button" class="copy" hidden>Copy</button></div>`}
<dl class="facts">${items}</dl>
<p><button type="button" class="download" hidden>Download the report as JSON</button></p>`;
}
