/** The options of a run, from a command line and from the options that a scenario's module exports. */

import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { readAccessLog } from "../load/data/access_log.ts";
import { readHar } from "../load/data/har.ts";
import { atSpeed, type Replay, skippedSentences } from "../load/data/replay.ts";
import type { LoadOptions } from "../load/options.ts";
import { listen } from "../net/listener.ts";
import type { TlsOptions } from "../tls/options.ts";
import type { LoadCommand } from "./arguments.ts";
import { ScenarioError } from "./faults.ts";
import { type BodySource, type ConnectTo, UsageError } from "./values.ts";

export interface PreparedOptions {
  readonly options: LoadOptions;
  /** What is to be said before the run. */
  readonly notes: readonly string[];
}

/** @throws {UsageError} {DataFileError} */
export async function optionsOfCommand(command: LoadCommand): Promise<PreparedOptions> {
  for (const address of command.sources) await checkSource(address);
  const module = command.scenario === undefined ? undefined : resolve(command.scenario);
  if (module !== undefined && !existsSync(module)) {
    throw new UsageError(`there is no scenario ${command.scenario}`);
  }
  const own = module === undefined ? {} : await scenarioOptions(module, command.scenario!);
  const replay = replayOf(command);
  const target = command.target ?? own.target ?? originOf(replay);
  if (target === undefined) {
    throw new UsageError(
      "a URL is missing: give it, or let the scenario export options with a target",
    );
  }
  const given: LoadOptions = { target, ...ownOptions(command, String(target)) };
  const options: LoadOptions = {
    ...withoutReplaced(own, command),
    ...definedOf(given),
    target,
    scenario: module,
    replay,
  };
  return { options, notes: replay === undefined ? [] : skippedSentences(replay) };
}

/** Refuses an address that is none of this machine: every connection from it would fail. */
async function checkSource(address: string): Promise<void> {
  try {
    await using _listener = await listen({ host: address, port: 0 }, () => undefined);
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== "EADDRNOTAVAIL") throw error;
    throw new UsageError(`--source: ${address} is no address of this machine`);
  }
}

/**
 * The export `options` of a scenario's module. The threads of the run load the module again.
 *
 * @param path as it was given
 */
async function scenarioOptions(module: string, path: string): Promise<Partial<LoadOptions>> {
  let exported: { readonly default?: unknown; readonly options?: unknown };
  try {
    exported = await import(module);
  } catch (error) {
    throw new ScenarioError(path, error);
  }
  const { default: scenario, options } = exported;
  if (typeof scenario !== "function") {
    throw new UsageError(`${path} has no scenario: its default export is no function`);
  }
  if (options === undefined) return {};
  if (typeof options !== "object" || options === null) {
    throw new UsageError(`the export "options" of ${path} is no object of options`);
  }
  return options as Partial<LoadOptions>;
}

/** What says when iterations begin. What the command says of it replaces all that the scenario does. */
const timing = ["rate", "stages", "connectionStages", "duration", "replay"] as const;

function withoutReplaced(own: Partial<LoadOptions>, command: LoadCommand): Partial<LoadOptions> {
  const kept = { ...own };
  const hasShape =
    command.rate !== undefined ||
    command.search !== undefined ||
    command.stages !== undefined ||
    command.connectionStages !== undefined;
  if (hasShape) for (const name of timing) delete kept[name];
  return kept;
}

function definedOf(options: LoadOptions): Partial<LoadOptions> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function ownOptions(command: LoadCommand, target: string): Omit<LoadOptions, "target"> {
  const { headers, har, accessLog } = command;
  const isReplay = har !== undefined || accessLog !== undefined;
  return {
    connections: command.connections,
    duration: command.duration,
    iterations: command.iterations,
    threads: command.threads ?? 1,
    rate: command.rate,
    arrivals: command.poisson ? "poisson" : undefined,
    stages: command.stages,
    connectionStages: command.connectionStages,
    overload: command.overload,
    maxConnections: command.maxConnections,
    catchUp: command.catchUp || undefined,
    gracePeriod: command.gracePeriod,
    seed: command.seed,
    method: isReplay || command.scenario !== undefined ? undefined : command.method,
    headers: headers.length === 0 ? undefined : headersOf(headers),
    body: bodyOf(command.body),
    expect: command.expect
      ?.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`))
      .join(),
    timeout: command.timeout,
    connectTimeout: command.connectTimeout,
    pipeline: command.pipeline,
    keepAlive: command.keepAlive ? undefined : false,
    redirects: command.redirects,
    cookies: command.cookies || undefined,
    decompress: command.decompress || undefined,
    data:
      command.data.length === 0
        ? undefined
        : Object.fromEntries(command.data.map(({ name, file, order }) => [name, { file, order }])),
    connectTo: connectToOf(command.connectTo, target),
    family: command.family,
    localAddresses: command.sources.length === 0 ? undefined : command.sources,
    driver: command.driver,
    tls: tlsOf(command),
    resume: command.tls.resume ? undefined : false,
    thresholds:
      command.thresholds.length === 0 ? undefined : command.thresholds.map(({ text }) => text),
  };
}

/** The values of a name that was given several times stand together. */
function headersOf(
  headers: readonly (readonly [name: string, value: string])[],
): Record<string, string[]> {
  const all: Record<string, string[]> = Object.create(null);
  for (const [name, value] of headers) {
    const known = Object.keys(all).find((each) => each.toLowerCase() === name.toLowerCase());
    all[known ?? name] = [...(all[known ?? name] ?? []), value];
  }
  return all;
}

function bodyOf(source: BodySource | undefined): string | Uint8Array | undefined {
  if (source === undefined || "text" in source) return source?.text;
  try {
    return readFileSync(source.file);
  } catch (error) {
    throw new UsageError(`--body: ${source.file} cannot be read: ${(error as Error).message}`);
  }
}

/** The first that is meant for the target. */
function connectToOf(all: readonly ConnectTo[], target: string): string | undefined {
  const url = URL.parse(target);
  const host = url?.hostname.replace(/^\[|\]$/g, "");
  const port = url?.port === "" ? (url.protocol === "https:" ? "443" : "80") : url?.port;
  const found = all.find(
    ({ from }) => from === undefined || (from.host === host && `${from.port}` === port),
  );
  if (found === undefined) return undefined;
  const { to } = found;
  if ("path" in to) return `unix:${to.path}`;
  return to.host.includes(":") ? `[${to.host}]:${to.port}` : `${to.host}:${to.port}`;
}

function tlsOf({ tls }: LoadCommand): TlsOptions | undefined {
  const options: TlsOptions = {
    serverName: tls.sni,
    ca: tls.ca,
    cert: tls.cert,
    key: tls.key,
    verifyPeer: tls.insecure ? false : undefined,
    minVersion: tls.min === undefined ? undefined : `TLSv${tls.min}`,
    maxVersion: tls.max === undefined ? undefined : `TLSv${tls.max}`,
  };
  return Object.values(options).some((value) => value !== undefined) ? options : undefined;
}

function replayOf({ har, accessLog, speed = 1 }: LoadCommand): Replay | undefined {
  if (har !== undefined) return atSpeed(readHar(har), speed);
  if (accessLog === undefined) return undefined;
  return atSpeed(readAccessLog(accessLog), speed);
}

/** A recording that knows its server needs no target. */
function originOf(replay: Replay | undefined): string | undefined {
  return replay?.requests[0]?.origin;
}
