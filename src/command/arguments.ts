/**
 * The command line of `plait load`: from its words to plain data. Nothing is opened or sent here. A line that is wrong
 * is a UsageError of one sentence.
 */

import type { Stage } from "../load/arrivals.ts";
import { milliseconds, parseStages, perSecond, wholeNumber } from "../load/durations.ts";
import { nearest } from "../load/nearest.ts";
import type { StatusRange } from "../load/statuses.ts";
import { mostThresholds, parseThreshold, type Threshold } from "../load/thresholds.ts";
import { Given } from "./given.ts";
import { compareOptions, loadOptions, mergeOptions, optionsOf } from "./options.ts";
import {
  type BodySource,
  type ConnectTo,
  type DataSource,
  type Endpoint,
  isScenario,
  parseBody,
  parseConnectTo,
  parseData,
  parseExpect,
  parseHeader,
  parseListenAddress,
  parseMethod,
  parsePositive,
  parseSearch,
  parseSource,
  parseSpeed,
  parseTarget,
  type SearchRange,
  UsageError,
} from "./values.ts";

export type Command = LoadCommand | CompareCommand | MergeCommand | HelpCommand | VersionCommand;

/** Which help is wanted. */
export type HelpTopic = "plait" | "load" | "compare" | "merge";

export interface HelpCommand {
  readonly kind: "help";
  readonly topic: HelpTopic;
}

export interface VersionCommand {
  readonly kind: "version";
}

export interface CompareCommand {
  readonly kind: "compare";
  /** The files of the reports: the first is what the others are compared with. */
  readonly files: readonly string[];
  /** As they were given: what they compare is the difference. */
  readonly thresholds: readonly string[];
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly color: boolean;
}

export interface MergeCommand {
  readonly kind: "merge";
  readonly files: readonly string[];
  readonly thresholds: readonly Threshold[];
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly color: boolean;
}

export interface TlsArguments {
  readonly sni: string | undefined;
  /** Paths of files in PEM. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly insecure: boolean;
  readonly min: "1.2" | "1.3" | undefined;
  readonly max: "1.2" | "1.3" | undefined;
  readonly resume: boolean;
}

/** What is undefined was not given: a scenario's own options or the defaults apply. Times are in milliseconds. */
export interface LoadCommand {
  readonly kind: "load";
  readonly target: string | undefined;
  /** The file of the scenario; without one the command makes requests itself. */
  readonly scenario: string | undefined;

  readonly connections: number | undefined;
  readonly duration: number | undefined;
  readonly iterations: number | undefined;
  readonly threads: number | undefined;
  /** Per second. */
  readonly rate: number | undefined;
  readonly poisson: boolean;
  /** Of rates per second. */
  readonly stages: readonly Stage[] | undefined;
  /** Of connections. */
  readonly connectionStages: readonly Stage[] | undefined;
  readonly search: SearchRange | undefined;
  readonly overload: "queue" | "grow" | "drop" | undefined;
  readonly maxConnections: number | undefined;
  readonly catchUp: boolean;
  readonly gracePeriod: number | undefined;
  readonly seed: number | undefined;

  /** `GET`, or `POST` with a body, unless it was given. */
  readonly method: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: BodySource | undefined;
  readonly expect: readonly StatusRange[] | undefined;
  readonly timeout: number | undefined;
  readonly connectTimeout: number | undefined;
  readonly pipeline: number | undefined;
  readonly keepAlive: boolean;
  readonly redirects: number | undefined;
  readonly cookies: boolean;
  readonly decompress: boolean;

  /** A recording to replay. */
  readonly har: string | undefined;
  readonly accessLog: string | undefined;
  /** Infinity is a closed loop. */
  readonly speed: number | undefined;
  readonly data: readonly DataSource[];

  readonly connectTo: readonly ConnectTo[];
  readonly family: 4 | 6 | undefined;
  readonly sources: readonly string[];
  readonly driver: "blocking" | "attached" | undefined;
  readonly tls: TlsArguments;

  readonly thresholds: readonly Threshold[];
  /** Paths of files; `-` is the standard output. */
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly hlog: string | undefined;
  readonly csv: string | undefined;
  readonly prometheus: Endpoint | undefined;
  readonly quiet: boolean;
  readonly color: boolean;
}

/**
 * Reads a command line, which is what stands behind `plait`.
 *
 * @param failureKinds the kinds of failures that a threshold may name; without it any
 * @throws {UsageError} for what is wrong
 */
export function parseCommand(words: readonly string[], failureKinds?: readonly string[]): Command {
  try {
    return parsedCommand(words, failureKinds);
  } catch (error) {
    // Values are checked by what a program calls too: its errors are those of arguments.
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new UsageError(error.message);
    }
    throw error;
  }
}

function parsedCommand(words: readonly string[], kinds: readonly string[] | undefined): Command {
  const [command, ...rest] = words;
  if (command === undefined || command === "help" || command === "--help" || command === "-h") {
    return { kind: "help", topic: "plait" };
  }
  if (command === "--version") return { kind: "version" };
  if (command !== "load") {
    const isTarget = command.includes("://") || isScenario(command);
    const hint = isTarget || nearest(command, ["load"]) !== undefined;
    const right = isTarget ? `plait load ${command}` : "plait load";
    const more = hint ? `: did you mean ${right}?` : ": plait --help lists all";
    throw new UsageError(`there is no command ${JSON.stringify(command)}${more}`);
  }
  if (rest[0] === "help") return { kind: "help", topic: "load" };
  if (rest[0] === "compare") return compareCommand(rest.slice(1));
  if (rest[0] === "merge") return mergeCommand(rest.slice(1), kinds);
  const near = /^[a-z]+$/.test(rest[0] ?? "") ? nearest(rest[0]!, ["compare", "merge"]) : undefined;
  if (near !== undefined) {
    throw new UsageError(`there is no command ${rest[0]}: did you mean plait load ${near}?`);
  }
  return loadCommand(rest, kinds);
}

function compareCommand(words: readonly string[]): Command {
  const given = new Given(words, optionsOf(compareOptions), "plait load compare");
  const general = generalCommand(given, "compare");
  if (general !== undefined) return general;
  if (given.positionals.length < 2) {
    throw new UsageError("plait load compare takes two reports or more: a.json b.json");
  }
  return {
    kind: "compare",
    files: given.positionals,
    thresholds: checkedCount(given.all("threshold")),
    ...outputs(given),
  };
}

function mergeCommand(words: readonly string[], kinds: readonly string[] | undefined): Command {
  const given = new Given(words, optionsOf(mergeOptions), "plait load merge");
  const general = generalCommand(given, "merge");
  if (general !== undefined) return general;
  if (given.positionals.length < 2) {
    throw new UsageError("plait load merge takes two reports or more: a.json b.json");
  }
  const thresholds = checkedCount(given.all("threshold")).map((text) =>
    parseThreshold(text, kinds),
  );
  return { kind: "merge", files: given.positionals, thresholds, ...outputs(given) };
}

function loadCommand(words: readonly string[], kinds: readonly string[] | undefined): Command {
  const given = new Given(words, optionsOf(loadOptions), "plait load");
  const general = generalCommand(given, "load");
  if (general !== undefined) return general;
  const { target, scenario } = subjectOf(given);
  checkTogether(given, target, scenario);
  const number = (name: string): number | undefined => given.read(name, parsePositive);
  const time = (name: string): number | undefined => given.read(name, milliseconds);
  const body = given.read("body", parseBody);
  return {
    kind: "load",
    target,
    scenario,
    connections: number("connections"),
    duration: given.read("duration", longerThanNothing),
    iterations: number("iterations"),
    threads: number("threads"),
    rate: given.read("rate", moreThanNothing),
    poisson: given.has("poisson"),
    stages: given.read("stages", (text) => parseStages(text)),
    connectionStages: given.read("connection-stages", (text) => parseStages(text, "connections")),
    search: given.read("search", parseSearch),
    overload: given.choice("overload", ["queue", "grow", "drop"]),
    maxConnections: number("max-connections"),
    catchUp: given.has("catch-up"),
    gracePeriod: time("grace-period"),
    seed: given.read("seed", wholeNumber),
    method: given.read("method", parseMethod) ?? (body === undefined ? "GET" : "POST"),
    headers: given.all("header").map(parseHeader),
    body,
    expect: given.read("expect", parseExpect),
    timeout: given.read("timeout", longerThanNothing),
    connectTimeout: given.read("connect-timeout", longerThanNothing),
    pipeline: number("pipeline"),
    keepAlive: !given.has("no-keep-alive"),
    redirects: number("redirects"),
    cookies: given.has("cookies"),
    decompress: given.has("decompress"),
    har: given.text("har"),
    accessLog: given.text("access-log"),
    speed: given.read("speed", parseSpeed),
    data: dataOf(given),
    connectTo: given.all("connect-to").map(parseConnectTo),
    family: given.has("ipv4") ? 4 : given.has("ipv6") ? 6 : undefined,
    sources: given.all("source").flatMap(parseSource),
    driver: given.choice("driver", ["blocking", "attached"]),
    tls: tlsOf(given),
    thresholds: checkedCount(given.all("threshold")).map((text) => parseThreshold(text, kinds)),
    ...outputs(given),
    prometheus: given.read("prometheus", parseListenAddress),
    quiet: given.has("quiet"),
  };
}

function generalCommand(given: Given, topic: HelpTopic): HelpCommand | VersionCommand | undefined {
  if (given.has("help")) return { kind: "help", topic };
  return given.has("version") ? { kind: "version" } : undefined;
}

interface Outputs {
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly hlog: string | undefined;
  readonly csv: string | undefined;
  readonly color: boolean;
}

function outputs(given: Given): Outputs {
  const names = ["json", "html", "hlog", "csv"] as const;
  const files = new Map<string, string>();
  for (const name of names) {
    const file = given.text(name);
    if (file === undefined) continue;
    const other = files.get(file);
    if (other !== undefined) {
      const where = file === "-" ? "the standard output" : file;
      throw new UsageError(`--${other} and --${name} both write to ${where}`);
    }
    files.set(file, name);
  }
  const [json, html, hlog, csv] = names.map((name) => given.text(name));
  return { json, html, hlog, csv, color: !given.has("no-color") };
}

function tlsOf(given: Given): TlsArguments {
  const min = given.choice("tls-min", ["1.2", "1.3"]);
  const max = given.choice("tls-max", ["1.2", "1.3"]);
  if (min === "1.3" && max === "1.2") {
    throw new UsageError("--tls-min 1.3 and --tls-max 1.2 leave no version");
  }
  return {
    sni: given.text("sni"),
    ca: given.text("ca"),
    cert: given.text("cert"),
    key: given.text("key"),
    insecure: given.has("insecure"),
    min,
    max,
    resume: !given.has("no-resume"),
  };
}

function dataOf(given: Given): DataSource[] {
  const data = given.all("data").map(parseData);
  const names = new Set<string>();
  for (const { name } of data) {
    if (names.has(name)) throw new UsageError(`--data ${name} was given twice`);
    names.add(name);
  }
  return data;
}

function longerThanNothing(text: string, what: string): number {
  const ms = milliseconds(text, what);
  if (ms === 0) throw new UsageError(`${what} is longer than 0`);
  return ms;
}

function moreThanNothing(text: string, what: string): number {
  const rate = perSecond(text, what);
  if (rate === 0) throw new UsageError(`${what} is above 0`);
  return rate;
}

function checkedCount(texts: readonly string[]): readonly string[] {
  if (texts.length <= mostThresholds) return texts;
  throw new UsageError(`thresholds are up to ${mostThresholds}, not ${texts.length}`);
}

/** The target and the scenario. */
function subjectOf(given: Given): {
  readonly target: string | undefined;
  readonly scenario: string | undefined;
} {
  const scenarios = given.positionals.filter(isScenario);
  const targets = given.positionals.filter((each) => !isScenario(each)).map(parseTarget);
  for (const [what, found] of [["scenario", scenarios] as const, ["target", targets] as const]) {
    if (found.length > 1) throw new UsageError(`there is one ${what}, not ${found.join(" and ")}`);
  }
  const [target] = targets;
  const [scenario] = scenarios;
  if (target === undefined && scenario === undefined && !given.has("har")) {
    throw new UsageError(
      "a URL or a scenario is missing, such as plait load http://127.0.0.1:8080/ or plait load scenario.ts",
    );
  }
  const isHttp = target === undefined || /^https?:/i.test(target);
  if (scenario === undefined && !isHttp) {
    const scheme = target.slice(0, target.indexOf(":") + 1);
    throw new UsageError(
      `${scheme} needs a scenario: requests of the command are for http: and https:`,
    );
  }
  return { target, scenario };
}

/** Groups of options: at most one of each group is given. */
const exclusive: readonly (readonly string[])[] = [
  ["rate", "stages", "connection-stages", "search", "har", "access-log"],
  ["duration", "stages", "connection-stages"],
  ["iterations", "search"],
  ["connections", "connection-stages"],
  ["har", "method"],
  ["har", "body"],
  ["har", "pipeline"],
  ["access-log", "method"],
  ["access-log", "body"],
  ["access-log", "pipeline"],
  ["no-keep-alive", "pipeline"],
  ["insecure", "ca"],
  ["ipv4", "ipv6"],
];

/** Options that need another one. With a scenario its own options may have it. */
const needs: readonly (readonly [name: string, others: readonly string[]])[] = [
  ["poisson", ["rate", "stages", "search"]],
  ["overload", ["rate", "stages", "search", "har", "access-log"]],
  ["catch-up", ["rate", "stages", "search", "har", "access-log"]],
  ["search", ["threshold"]],
];
const alwaysNeeds: typeof needs = [
  ["speed", ["har", "access-log"]],
  ["cert", ["key"]],
  ["key", ["cert"]],
];

/** What a scenario says itself, and what only a scenario reads. */
const ofRequests = ["method", "body", "pipeline", "har", "access-log"];
const ofTls = ["sni", "ca", "cert", "key", "insecure", "tls-min", "tls-max", "no-resume"];

function checkTogether(
  given: Given,
  target: string | undefined,
  scenario: string | undefined,
): void {
  for (const group of exclusive) {
    const [one, other] = group.filter((name) => given.has(name));
    if (one !== undefined && other !== undefined) {
      throw new UsageError(`--${one} and --${other} contradict each other: give one of them`);
    }
  }
  const needed = scenario === undefined ? [...needs, ...alwaysNeeds] : alwaysNeeds;
  for (const [name, others] of needed) {
    if (given.has(name) && !others.some((other) => given.has(other))) {
      throw new UsageError(`--${name} needs ${others.map((other) => `--${other}`).join(" or ")}`);
    }
  }
  if (given.has("max-connections") && given.text("overload") !== "grow") {
    throw new UsageError("--max-connections needs --overload grow");
  }
  if (given.text("speed") === "max") {
    for (const name of ["overload", "catch-up"]) {
      if (given.has(name)) throw new UsageError(`--${name} has no meaning with --speed max`);
    }
  }
  if (scenario === undefined) {
    if (given.has("data")) throw new UsageError("--data needs a scenario, which reads the rows");
  } else {
    for (const name of ofRequests) {
      if (given.has(name)) {
        throw new UsageError(`--${name} has no meaning with a scenario, which makes the requests`);
      }
    }
  }
  if (target !== undefined) checkTls(given, target);
  if (given.has("access-log") && target === undefined) {
    throw new UsageError("--access-log needs a URL: a log does not say which server it is of");
  }
}

function checkTls(given: Given, target: string): void {
  const scheme = target.slice(0, target.indexOf(":") + 1).toLowerCase();
  if (scheme === "https:" || scheme === "tls:") return;
  for (const name of ofTls) {
    if (given.has(name)) throw new UsageError(`--${name} has no meaning with ${scheme}`);
  }
}
