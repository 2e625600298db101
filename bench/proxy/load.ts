// The client and the server on both sides of the proxies. Prints the server's port. For each line of stdin, the
// number of a flow and a proxy's port, it runs the flow through that proxy, and prints the bytes that arrived.

import { BufferedReader, connect, listen } from "../../index.ts";
import { type Flow, flows } from "./flows.ts";

const ANSWER_BYTES = 8;

const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
  const reader = new BufferedReader(socket);
  const { isAnswered, unitBytes, units } = flows[await reader.readUint8()]!;
  if (isAnswered) {
    const unit = new Uint8Array(unitBytes);
    for (let count = 0; count < units; count++) {
      await reader.readFull(unit);
      await socket.write(unit);
    }
    return;
  }
  const buffer = new Uint8Array(1 << 20);
  let bytes = 0n;
  for (let count: number; (count = await reader.read(buffer)) > 0; ) bytes += BigInt(count);
  await socket.write(BigUint64Array.of(bytes));
});

async function run(flow: Flow, port: number): Promise<number> {
  await using socket = await connect({ host: "127.0.0.1", port });
  const reader = new BufferedReader(socket);
  await socket.write(Uint8Array.of(flows.indexOf(flow)));
  const unit = new Uint8Array(flow.unitBytes);
  for (let count = 0; count < flow.units; count++) {
    await socket.write(unit);
    if (flow.isAnswered) await reader.readFull(unit);
  }
  if (flow.isAnswered) return flow.units * flow.unitBytes;
  await socket.shutdown();
  const answer = await reader.readExactly(ANSWER_BYTES);
  return Number(new BigUint64Array(answer.buffer)[0]);
}

console.log(listener.port);
for await (const line of console) {
  const [flow, port] = line.split(" ").map(Number);
  console.log(await run(flows[flow!]!, port!));
}
await listener.close({ cancel: "the benchmark ends" });
