// The echo servers.

import { join } from "node:path";
import { BENCH_FOLDER, nativeProgram } from "../harness/paths.ts";
import { type ServerKind, selectServers } from "../harness/servers.ts";

function script(file: string, ...rest: string[]): string[] {
  return [process.execPath, join(BENCH_FOLDER, "echo", file), ...rest];
}

export const YARDSTICK = "epoll-server";
export const BUN_LISTEN = "bun-listen";

const usual: ServerKind[] = [
  {
    name: YARDSTICK,
    title: "C epoll loop",
    command: [nativeProgram("epoll-server")],
    isYardstick: true,
  },
  { name: BUN_LISTEN, title: "Bun.listen", command: script("bun-listen.ts") },
  { name: "node-net", title: "node:net on Bun", command: script("node-net.ts") },
  { name: "plait-attached", title: "plait attached", command: script("plait-attached.ts") },
  { name: "plait-blocking", title: "plait blocking", command: script("plait-blocking.ts") },
];

/** Measured only when they are named. */
const further: ServerKind[] = [
  // The yardstick under another name: its ratio to itself shows the error of a ratio.
  {
    name: "epoll-server-again",
    title: "C epoll loop again",
    command: [nativeProgram("epoll-server")],
  },
  { name: "plait-net", title: "plait/net", command: script("plait-net.ts") },
  {
    name: "plait-attached-read",
    title: "plait attached, read()",
    command: script("plait-attached.ts", "read"),
  },
  {
    name: "plait-blocking-read",
    title: "plait blocking, read()",
    command: script("plait-blocking.ts", "read"),
  },
];

export function selectedEchoServers(names: string[] | "all"): ServerKind[] {
  return selectServers(usual, further, names);
}
