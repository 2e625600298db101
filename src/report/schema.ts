/**
 * The shape of a report's JSON, as a JSON Schema (draft 2020-12). docs/load-report.schema.json is this object, and
 * readers of reports check against it. Further properties may come without a new version; readers pass over them.
 */

import { reportVersion } from "../load/report.ts";

/** The part of JSON Schema that this schema uses. */
export interface Schema {
  readonly $schema?: string;
  readonly $id?: string;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly title?: string;
  readonly description?: string;
  readonly type?: "object" | "array" | "string" | "number" | "integer" | "boolean";
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly const?: string | number;
  readonly enum?: readonly (string | number)[];
  readonly minimum?: number;
}

type Properties = Readonly<Record<string, Schema>>;

/** An object that has all of these properties and may have the optional ones. */
function object(description: string, required: Properties, optional: Properties = {}): Schema {
  return {
    description,
    type: "object",
    properties: { ...required, ...optional },
    required: Object.keys(required),
  };
}

function list(description: string, items: Schema): Schema {
  return { description, type: "array", items };
}

/** An object whose property names are not fixed. */
function map(description: string, additionalProperties: Schema): Schema {
  return { description, type: "object", additionalProperties };
}

function text(description: string): Schema {
  return { description, type: "string" };
}

function flag(description: string): Schema {
  return { description, type: "boolean" };
}

function oneOf(description: string, values: readonly (string | number)[]): Schema {
  return { description, enum: values };
}

/** A whole number from 0 on. */
function count(description: string): Schema {
  return { description, type: "integer", minimum: 0 };
}

function milliseconds(description: string): Schema {
  return { description: `${description} In milliseconds.`, type: "number", minimum: 0 };
}

function share(description: string): Schema {
  return { description, type: "number", minimum: 0 };
}

function histogram(description: string): Schema {
  return { description, $ref: "#/$defs/histogram" };
}

function histograms(description: string): Schema {
  return map(`${description} By outcome.`, { $ref: "#/$defs/histogram" });
}

function counts(description: string): Schema {
  return map(`${description} By outcome; those that have not come are left out.`, {
    type: "integer",
    minimum: 0,
  });
}

const ages = (description: string): Schema =>
  object(description, {
    count: count("How many there were."),
    least: milliseconds("The age of the youngest."),
    most: milliseconds("The age of the oldest."),
  });

const histogramShape = object("A histogram of times. Without values all numbers are 0.", {
  count: count("How many values it has."),
  least: milliseconds("The least value."),
  mean: milliseconds("The mean of all values."),
  most: milliseconds("The greatest value."),
  p50: milliseconds("The median: 50 percent of all values do not exceed it."),
  p75: milliseconds("75 percent of all values do not exceed it."),
  p90: milliseconds("90 percent of all values do not exceed it."),
  p95: milliseconds("95 percent of all values do not exceed it."),
  p99: milliseconds("99 percent of all values do not exceed it."),
  p999: milliseconds("99.9 percent of all values do not exceed it."),
  p9999: milliseconds("99.99 percent of all values do not exceed it."),
  hdr: text(
    "All counts in the compressed encoding of HdrHistogram, version 2, in base64. The values are nanoseconds from 1 to 3,600,000,000,000 with three significant digits.",
  ),
});

const plan = object("What the run was to do.", {
  target: text("Where the connections lead, such as `https://127.0.0.1:8443/item`."),
  shape: text("How the load was made over time, such as `closed loop` or `20000/s, Poisson`."),
  isOpenLoop: flag(
    "Whether iterations were due at times of their own, however fast the answers came.",
  ),
  connections: count("How many connections there were."),
  overload: oneOf("What happened in an open loop when every connection was busy.", [
    ...["queue", "grow", "drop"],
  ]),
  threads: count("How many threads made the load."),
  driver: oneOf("The driver of plait in these threads.", ["blocking", "attached"]),
  seed: count("The seed of the random numbers: the same seed, the same arrivals."),
  scenario: text("What each iteration did: a file, a function, or a request."),
});

const threshold = object(
  "A threshold, and how it was met.",
  {
    text: text("As it was given, such as `p99<50ms`."),
    held: flag("Whether it was met."),
    unit: oneOf("The unit of `value`.", ["ms", "%", "/s", ""]),
  },
  {
    value: {
      description:
        "The value at the end, or the worst one of all windows. Left out if there was nothing to judge.",
      type: "number",
    },
    missedAt: milliseconds(
      "When it was first missed, from the start of the run, if it is judged during the run.",
    ),
  },
);

const verdict = object("Whether the run was good, and whether it can be believed.", {
  exitCode: oneOf(
    "0: thresholds held. 1: thresholds missed. 3: the target could not be reached. 4: the generator was the bottleneck. 130: interrupted.",
    [0, 1, 3, 4, 130],
  ),
  reasons: list("A sentence each, the most important first.", { type: "string" }),
  thresholds: list("The thresholds in the order in which they were given.", threshold),
  generatorWasBottleneck: flag("Whether the generator, not the target, has limited the run."),
  generatorReasons: list("How this shows, in a sentence each.", { type: "string" }),
});

const iterations = object(
  "The iterations of the scenario. `due` is `sent`, `droppedBusy`, `droppedLate` and `unsent` together; `sent` is all outcomes and `unfinished` together.",
  {
    due: count(
      "How many were due. In a closed loop an iteration is due when a connection is free for it.",
    ),
    sent: count("How many were begun."),
    droppedBusy: count("Never begun, since every connection was busy."),
    droppedLate: count("Never begun, since the generator itself was too late."),
    unsent: count("Due, and still waiting for a connection at the end."),
    outcomes: counts("How those that were begun have ended: `ok` or a kind of failure."),
    unfinished: count("Under way at the end, and not ended within the grace period."),
  },
);

const requests = object(
  "The requests that the iterations have made. `sent` is all outcomes and `unfinished` together.",
  {
    sent: count("How many were sent."),
    outcomes: counts("How they have ended."),
    unfinished: count("Without a whole answer at the end."),
    bytesSent: count("Bytes sent on all connections; with TLS those within the records."),
    bytesReceived: count("Bytes received on all connections; with TLS those within the records."),
  },
);

const latencies = object("How long things took. What was unfinished is in none of these.", {
  response: histograms("From the time when an iteration was due to its end."),
  service: histograms("From the first byte that was sent to the end of an iteration."),
  wait: histogram("From the time when an iteration was due until it had a connection."),
  requests: histograms("From the sending of each request to the end of its answer."),
  connect: histogram("Connection attempts that succeeded, without name look-up and TLS."),
  handshake: histogram("TLS handshakes that succeeded."),
  lateness: histogram(
    "How late the generator itself was: from the time when an iteration was due and had a connection to its begin; in a closed loop, how late a timer of the same thread was.",
  ),
});

const failure = object(
  "A kind of failure.",
  {
    outcome: text("The kind, as in the outcomes."),
    count: count("How often it came."),
  },
  {
    example: object(
      "The first one.",
      {
        message: text("What the error said."),
        at: milliseconds("When it came, from the start of the run."),
        iteration: count("The number of the iteration."),
      },
      {
        code: text("The code of the error, such as `ECONNRESET`."),
        phase: text("The call that failed, such as `connect`, `handshake`, `write`, `read`."),
      },
    ),
  },
);

const interval = object("A part of the run. Further ones follow without a gap.", {
  start: milliseconds("From the start of the run."),
  milliseconds: milliseconds("Its length."),
  due: count("The iterations that were due in it."),
  sent: count("The iterations that were begun in it."),
  dropped: count("The iterations that were due in it and never begun."),
  outcomes: counts("The iterations that have ended in it."),
  requests: count("The requests that were answered in it, or have failed."),
  bytesReceived: count("Bytes received in it."),
  response: histogram("Response times of those that have ended in it, of all outcomes."),
  service: histogram("Service times of the same."),
  lateness: histogram("How late the generator was."),
  connections: count("Open connections at its end."),
  inFlight: count("Iterations under way at its end."),
  queued: count("Iterations that waited for a connection at its end."),
  threads: list("What each thread has used of a CPU; 1 is all of it.", { type: "number" }),
});

const thread = object("A thread that made load.", {
  thread: count("Its number, from 0 on."),
  sent: count("The iterations that it has begun."),
  cpuMilliseconds: milliseconds("CPU time that it has used during the run."),
  cpuShare: share("The same as a share of the time of the run; 1 is all of it."),
  lateness: histogram("How late this thread was."),
});

export const reportSchema: Schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  $id: `urn:plait:load-report:${reportVersion}`,
  title: "The report of a load test by plait",
  ...object(
    "All times are in milliseconds of a monotonic clock. Readers pass over properties that they do not know.",
    {
      format: { description: "Tells this file from others.", const: "plait load report" },
      version: {
        description: "Grows when a reader of older reports would misunderstand a newer one.",
        const: reportVersion,
      },
      plait: text("The version of plait."),
      startedAt: text(
        "When the run began, by the wall clock (ISO 8601). Nothing is computed from it.",
      ),
      machine: object("Where the generator ran.", {
        cpus: count("How many processors it could use."),
        cpu: text("Their model."),
        system: text("The operating system and its version."),
        bun: text("The version of Bun."),
      }),
      plan,
      verdict,
      sendingMilliseconds: milliseconds("From the start of the run until no more was sent."),
      milliseconds: milliseconds("From the start of the run until the last answer had come."),
      resolveMilliseconds: milliseconds("Looking up names, before the start of the run."),
      connectMilliseconds: milliseconds("Connecting all connections, before the start of the run."),
      iterations,
      requests,
      latencies,
      steps: list(
        "The steps of the scenario, in the order in which each was first taken.",
        object("A step.", {
          name: text("Its name."),
          outcomes: histograms("From its begin to its end."),
        }),
      ),
      checks: list(
        "The checks of the scenario.",
        object("A check.", {
          name: text("Its name."),
          passed: count("How often it held."),
          failed: count("How often it did not."),
        }),
      ),
      failures: list("The kinds of failure, each with an example.", failure),
      intervals: list("The run in parts, mostly of a second.", interval),
      threads: list("The threads that made the load.", thread),
    },
    {
      command: text("The command line, if there was one."),
      search: list(
        "The attempts of a search for the highest rate; the report is that of the best one.",
        object(
          "An attempt.",
          {
            rate: share("Iterations per second."),
            held: flag("Whether the run held its thresholds, and the generator kept up."),
          },
          { reason: text("Why it did not.") },
        ),
      ),
      unfinishedAges: ages(
        "How long ago the unfinished iterations were sent, at the end of the run.",
      ),
      unsentAges: ages("How long ago the unsent iterations were due, at the end of the run."),
    },
  ),
  $defs: { histogram: histogramShape },
};
