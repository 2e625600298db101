// How late an open loop sends, as the report says, and as a capture of the packets shows it: `bun bench/load/lateness.ts
// [rate]`. It needs tcpdump and the right to capture. The capture knows no start, so its least lateness counts as that of
// the report.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Histogram } from "../../src/load/histogram.ts";
import { load } from "../../src/load/load.ts";
import { pollUntil } from "../../test/support/poll.ts";
import { printTable } from "../harness/table.ts";
import { startServer } from "./nginx.ts";

const rate = Number(process.argv[2] ?? 20_000);
const seconds = 5;

/** The times of all requests by their number, in milliseconds, from a capture (pcap-savefile(5), nanoseconds). */
function sendTimes(path: string): Map<number, number> {
  const bytes = readFileSync(path);
  const times = new Map<number, number>();
  for (let at = 24; at + 16 <= bytes.length; ) {
    const ms = bytes.readUInt32LE(at) * 1000 + bytes.readUInt32LE(at + 4) / 1e6;
    const length = bytes.readUInt32LE(at + 8);
    const text = bytes.toString("latin1", at + 16, at + 16 + length);
    const number = /GET \/file\?(\d+) /.exec(text)?.[1];
    // A packet of the loopback interface is captured once in each direction.
    if (number !== undefined && !times.has(Number(number))) times.set(Number(number), ms);
    at += 16 + length;
  }
  return times;
}

function row(title: string, percentile: (percent: number) => number): string[] {
  const percents = [50, 90, 99, 99.9, 100];
  return [title, ...percents.map((percent) => `${(1000 * percentile(percent)).toFixed(0)} us`)];
}

const folder = mkdtempSync(join(tmpdir(), "plait-bench-"));
const server = await startServer(1);
const { port } = new URL(server.plain);
const file = join(folder, "packets.pcap");
const tcpdump = Bun.spawn(
  [
    ...[
      "tcpdump",
      "-i",
      "lo",
      "-s",
      "200",
      "-B",
      "65536",
      "--time-stamp-precision=nano",
      "-w",
      file,
    ],
    ...[`dst port ${port} and tcp[tcpflags] & tcp-push != 0`],
  ],
  { stderr: "pipe" },
);
let said = "";
void (async () => {
  for await (const chunk of tcpdump.stderr) said += new TextDecoder().decode(chunk);
})();
await pollUntil("tcpdump listens", () => said.includes("listening on"));
const report = await load({
  ...{ target: server.plain, rate, duration: `${seconds}s`, connections: 256, seed: 1 },
  scenario: new URL("numbered.ts", import.meta.url),
});
tcpdump.kill("SIGINT");
await tcpdump.exited;
const times = sendTimes(file);
rmSync(folder, { recursive: true });
await server[Symbol.asyncDispose]();

const { lateness, wait } = report.latencies;
const sent = [...times].map(([number, ms]) => ms - (number * 1000) / rate);
const offset = sent.reduce((least, ms) => Math.min(least, ms), Number.POSITIVE_INFINITY);
const captured = sent.map((ms) => ms - offset + lateness.least).sort((left, right) => left - right);
const capturedPercentile = (percent: number): number =>
  captured[Math.max(Math.ceil((percent / 100) * captured.length), 1) - 1]!;

console.log(
  `${rate}/s for ${seconds} s: ${report.iterations.sent} sent, ${times.size} captured, ${report.iterations.droppedLate} dropped late`,
);
printTable(
  ["lateness", "p50", "p90", "p99", "p99.9", "max"],
  [
    row("as reported", (percent) => (lateness as Histogram).percentile(percent)),
    row("with the wait for a connection", (percent) => wait.percentile(percent)),
    row("as captured", capturedPercentile),
  ],
);
process.exit(0);
