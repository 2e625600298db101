/**
 * What a run tells, in the text format of Prometheus (version 0.0.4). Counters and histograms count from the start of
 * the run, in seconds and bytes, as Prometheus wants it.
 */

import type { Histogram } from "../load/histogram.ts";
import type { Progress } from "../load/progress.ts";
import type { Counts, Outcome } from "../load/report.ts";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];
type Series = readonly [labels: Labels, histogram: Histogram];

/** The upper bounds of the histograms in milliseconds: 1, 2.5 and 5 of each power of ten, from 100 us to 50 s. */
const bounds: readonly number[] = [0.1, 1, 10, 100, 1000, 10_000].flatMap((power) => [
  ...[power, 2.5 * power, 5 * power],
]);

/** The text for all metrics. Each has a line that says what it counts. */
export function prometheusText(progress: Progress): string {
  const { plan, interval, totals, elapsed, wantedRate, generatorReasons } = progress;
  const { iterations, requests, latencies, steps, checks } = totals;
  const text = new Exposition();
  text.gauge("info", "The plan of the run, as labels.", [
    [{ target: plan.target, shape: plan.shape, scenario: plan.scenario }, 1],
  ]);
  text.gauge("elapsed_seconds", "Time since the start of the run.", [[{}, elapsed / 1000]]);
  text.counter("iterations_due", "Iterations that were due.", [[{}, iterations.due]]);
  text.counter("iterations_sent", "Iterations that were begun.", [[{}, iterations.sent]]);
  text.counter("iterations_dropped", "Iterations that were due and never begun.", [
    [{ reason: "busy" }, iterations.droppedBusy],
    [{ reason: "late" }, iterations.droppedLate],
  ]);
  text.counter("iterations", "Iterations that have ended.", byOutcome(iterations.outcomes));
  text.counter("requests_sent", "Requests that were sent.", [[{}, requests.sent]]);
  text.counter("requests", "Requests that have ended.", byOutcome(requests.outcomes));
  text.counter("sent_bytes", "Bytes sent on all connections.", [[{}, requests.bytesSent]]);
  text.counter("received_bytes", "Bytes received on all connections.", [
    [{}, requests.bytesReceived],
  ]);
  text.counter("checks", "Checks of the scenario.", [
    ...checks.map(({ name, passed }): Sample => [{ check: name, result: "passed" }, passed]),
    ...checks.map(({ name, failed }): Sample => [{ check: name, result: "failed" }, failed]),
  ]);
  text.gauge("connections", "Open connections.", [[{}, interval.connections]]);
  text.gauge("in_flight", "Iterations under way.", [[{}, interval.inFlight]]);
  text.gauge("queued", "Iterations that wait for a connection.", [[{}, interval.queued]]);
  text.gauge(
    "wanted_rate",
    "Iterations per second that are wanted now; absent in a closed loop.",
    wantedRate === undefined ? [] : [[{}, wantedRate]],
  );
  text.gauge(
    "thread_cpu_ratio",
    "What each thread has used of a CPU in the last interval.",
    interval.threads.map((share, thread) => [{ thread: String(thread) }, share]),
  );
  text.gauge("generator_is_bottleneck", "1 if the generator limits the run, not the target.", [
    [{}, generatorReasons.length > 0 ? 1 : 0],
  ]);
  text.histogram(
    "response_seconds",
    "From when an iteration was due to its end.",
    seriesOf(latencies.response),
  );
  text.histogram(
    "service_seconds",
    "From the first byte sent to the end of an iteration.",
    seriesOf(latencies.service),
  );
  text.histogram("wait_seconds", "From when an iteration was due until it had a connection.", [
    [{}, latencies.wait],
  ]);
  text.histogram(
    "request_seconds",
    "From the sending of a request to the end of its answer.",
    seriesOf(latencies.requests),
  );
  text.histogram(
    "step_seconds",
    "Steps of the scenario, from begin to end.",
    steps.flatMap(({ name, outcomes }) => seriesOf(outcomes, { step: name })),
  );
  text.histogram("connect_seconds", "Connection attempts that succeeded.", [
    [{}, latencies.connect],
  ]);
  text.histogram("handshake_seconds", "TLS handshakes that succeeded.", [
    [{}, latencies.handshake],
  ]);
  text.histogram("lateness_seconds", "How late the generator itself was.", [
    [{}, latencies.lateness],
  ]);
  return text.toString();
}

function byOutcome(counts: Counts): Sample[] {
  return Object.entries(counts).map(([outcome, count]) => [{ outcome }, count]);
}

function seriesOf(
  histograms: Readonly<Record<Outcome, Histogram>>,
  further: Labels = {},
): Series[] {
  const entries = Object.entries(histograms);
  return entries.map(([outcome, histogram]) => [{ ...further, outcome }, histogram]);
}

/** Lines of the format. Every name begins with `plait_load_`. */
class Exposition {
  readonly #lines: string[] = [];

  gauge(name: string, help: string, samples: readonly Sample[]): void {
    this.#metric(`plait_load_${name}`, "gauge", help, samples);
  }

  counter(name: string, help: string, samples: readonly Sample[]): void {
    this.#metric(`plait_load_${name}_total`, "counter", help, samples);
  }

  histogram(name: string, help: string, all: readonly Series[]): void {
    const full = `plait_load_${name}`;
    this.#head(full, "histogram", help, all.length);
    for (const [labels, histogram] of all) {
      const counts = histogram.countsUpTo(bounds);
      for (const [index, bound] of bounds.entries()) {
        const le = String(bound / 1000);
        this.#sample(`${full}_bucket`, { ...labels, le }, counts[index]!);
      }
      this.#sample(`${full}_bucket`, { ...labels, le: "+Inf" }, histogram.count);
      this.#sample(`${full}_sum`, labels, histogram.total / 1000);
      this.#sample(`${full}_count`, labels, histogram.count);
    }
  }

  toString(): string {
    return this.#lines.map((line) => `${line}\n`).join("");
  }

  #metric(name: string, type: string, help: string, samples: readonly Sample[]): void {
    this.#head(name, type, help, samples.length);
    for (const [labels, value] of samples) this.#sample(name, labels, value);
  }

  /** A metric without samples is left out. */
  #head(name: string, type: string, help: string, samples: number): void {
    if (samples > 0) this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }

  #sample(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
    const list = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    this.#lines.push(`${name}${list} ${value}`);
  }
}

/** The text of a label, with what its quotes and the end of the line mean. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
