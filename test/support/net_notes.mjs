/** What the scenarios of net_scenarios.mjs and net_corners.mjs share: notes of events, and servers. */

import { once } from "node:events";

/** Notes of each end. The two ends run at the same time, so each has a list of its own. */
export class Notes {
  /** @type {Record<string, string[]>} */
  lists = {};

  add(who, ...words) {
    this.lists[who] ??= [];
    this.lists[who].push(words.map(shown).join(" "));
  }

  /** Notes the events of a socket or a server. */
  watch(who, emitter, names) {
    for (const name of names) {
      emitter.on(name, (...args) => this.add(who, name, ...args.map(shownArgument)));
    }
    return emitter;
  }
}

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return shownError(value);
  return JSON.stringify(value) ?? String(value);
}

function shownArgument(value) {
  if (Buffer.isBuffer(value)) return `<${value.toString("latin1")}>`;
  if (value === undefined || value === null || typeof value !== "object") return String(value);
  return value instanceof Error ? shownError(value) : "";
}

/** Ports differ from run to run. */
function shownError(error) {
  const { name, code, syscall, address, message } = error;
  const port = error.port === undefined ? "" : "port";
  const text = `${message}`.replaceAll(/:\d{4,5}\b/g, ":port").replaceAll(/\/\S*\.sock/g, "path");
  const place = `${address}`.replaceAll(/\/\S*\.sock/g, "path");
  return `[${name} ${code} ${syscall} ${place} ${port} ${error.errno ?? ""} ${text}]`;
}

export const ofSocket = [
  ...["lookup", "connect", "ready", "data", "end", "finish", "drain", "timeout", "error", "close"],
  ...["connectionAttempt", "connectionAttemptFailed"],
].filter((name) => !name.startsWith("connectionAttempt"));
export const ofServer = ["listening", "connection", "drop", "error", "close"];

/** A server on loopback. */
export async function serve(net, options, listener) {
  const server = net.createServer(options, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

export const host = "127.0.0.1";

export function closed(emitter) {
  return new Promise((resolve) => emitter.once("close", resolve));
}

export async function stop(server) {
  server.close();
  await closed(server);
}

/** A port where nothing listens. */
export async function deadPort(net) {
  const server = await serve(net, {}, () => {});
  const { port } = server.address();
  await stop(server);
  return port;
}

export function states(socket) {
  const { connecting, pending, readyState, destroyed, readable, writable } = socket;
  return { connecting, pending, readyState, destroyed, readable, writable };
}
