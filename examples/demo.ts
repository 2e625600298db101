/** An echo server and 64 client fibers in one process. */

import { connect, deadline, type Fiber, listen, now, type Socket, sleep, spawn } from "plait";

const usage = `Usage: bun demo.ts [seconds]

An echo server and 64 clients exchange messages of random sizes for 3 seconds, or as long as given.
Each client compares every byte that comes back.`;

if (process.argv.includes("--help")) {
  console.log(usage);
  process.exit();
}
const seconds = Number(process.argv[2] ?? 3);
const clients = 64;
const largestMessage = 4096;

/** Random bytes. Each client's messages begin at a place of its own. */
const pattern = crypto.getRandomValues(new Uint8Array(65_536));

interface Tally {
  requests: number;
  bytes: number;
  mismatches: number;
  latencies: number[];
}

async function echo(socket: Socket): Promise<void> {
  const buffer = new Uint8Array(16_384);
  for (let count: number; (count = await socket.read(buffer)) > 0; ) {
    await socket.write(buffer.subarray(0, count));
  }
}

async function client(port: number, index: number, end: number, tally: Tally): Promise<void> {
  await using socket = await connect({ host: "127.0.0.1", port, deadline: deadline(5000) });
  const answer = new Uint8Array(largestMessage);
  for (let turn = 0; now() < end; turn++) {
    const start = (index * 977 + turn * 131) % (pattern.length - largestMessage);
    const message = pattern.subarray(start, start + 1 + ((turn * 257) % largestMessage));
    const sentAt = now();
    await socket.write(message, deadline(5000));
    for (let received = 0; received < message.length; ) {
      const count = await socket.read(answer.subarray(received), deadline(5000));
      if (count === 0) throw new Error("the server has closed the connection");
      received += count;
    }
    tally.latencies.push(now() - sentAt);
    tally.requests++;
    tally.bytes += message.length;
    if (!Buffer.from(answer.buffer, 0, message.length).equals(message)) tally.mismatches++;
  }
}

async function showProgress(start: number, end: number, tally: Tally): Promise<void> {
  while (now() < end) {
    await sleep(100);
    const elapsed = (now() - start) / 1000;
    const rate = Math.round(tally.requests / elapsed);
    const line = `${elapsed.toFixed(1)} s  ${count(tally.requests)} requests  ${count(rate)}/s`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
    else if (Math.round(elapsed * 10) % 10 === 0) process.stderr.write(`${line}\n`);
  }
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function percentile(sorted: readonly number[], share: number): string {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return `${(value * 1000).toFixed(0)} us`;
}

const listener = await listen({ host: "127.0.0.1", port: 0 }, echo);
const { address, port } = listener;
console.log(`plait: ${clients} clients and an echo server at ${address} port ${port}`);

const tally: Tally = { requests: 0, bytes: 0, mismatches: 0, latencies: [] };
const start = now();
const end = start + seconds * 1000;
const fibers: Fiber<void>[] = [spawn(() => showProgress(start, end, tally), { name: "progress" })];
for (let index = 0; index < clients; index++) {
  fibers.push(spawn(() => client(port, index, end, tally), { name: `client ${index}` }));
}
for (const fiber of fibers) await fiber.join();
const elapsed = (now() - start) / 1000;
await listener.close();

const sorted = tally.latencies.sort((left, right) => left - right);
const rows: [string, string][] = [
  ["requests", count(tally.requests)],
  ["requests/s", count(Math.round(tally.requests / elapsed))],
  ["latency p50", percentile(sorted, 0.5)],
  ["latency p90", percentile(sorted, 0.9)],
  ["latency p99", percentile(sorted, 0.99)],
  ["latency max", percentile(sorted, 1)],
  ["bytes each way", count(tally.bytes)],
  ["came back as sent", tally.mismatches === 0 ? "every byte" : `${tally.mismatches} did NOT`],
];
for (const [name, value] of rows) console.log(`${name.padEnd(18)} ${value.padStart(14)}`);
process.exitCode = tally.mismatches === 0 && tally.requests > 0 ? 0 : 1;
