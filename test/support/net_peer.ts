/** Programs with `node:net` of another runtime, as peers of plait/net. */

import { installedProgram, isInstalled } from "./installed_program.ts";
import { RunningProgram } from "./running_program.ts";

interface Runtime {
  readonly name: string;
  readonly isMissing: boolean;
  readonly program: () => string;
}

/** The runtimes that have a net of their own. */
export const runtimes: readonly Runtime[] = [
  { name: "Node", isMissing: !isInstalled("node"), program: () => installedProgram("node") },
  { name: "Bun", isMissing: false, program: () => process.execPath },
];

/** A server that runs `source` for each `socket`. `net` and `tls` are there. */
export async function netServer(
  program: string,
  source: string,
  options = "{}",
): Promise<{ readonly port: number; readonly program: RunningProgram } & AsyncDisposable> {
  const text = `
    const net = require("node:net");
    const tls = require("node:tls");
    const { readFileSync } = require("node:fs");
    const server = net.createServer(${options}, (socket) => {
      socket.on("error", (error) => console.log("error " + error.code));
      ${source}
    });
    server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));
  `;
  const running = await RunningProgram.start([program, "-e", text], /port \d+\n/);
  const [, port] = await running.printed(/port (\d+)\n/);
  return {
    port: Number(port),
    program: running,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

/** A client that runs `source` with its `socket`, which is connected to the port. */
export async function netClient(program: string, port: number, source: string) {
  const text = `
    const net = require("node:net");
    const tls = require("node:tls");
    const { createHash } = require("node:crypto");
    const { readFileSync } = require("node:fs");
    const socket = net.connect(${port}, "127.0.0.1", () => console.log("connected"));
    socket.on("error", (error) => console.log("error " + error.code));
    ${source}
  `;
  return await RunningProgram.start([program, "-e", text], /connected|error/);
}
