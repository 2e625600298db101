import { expect, test } from "bun:test";
import { deadline, spawn } from "../../index.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { untilFull } from "../support/full_socket.ts";
import { drain, readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";

const mebibyte = 1024 * 1024;

/** The forms of data in which a write can go out. */
const ways: [name: string, data: (source: Uint8Array) => Uint8Array | Uint8Array[]][] = [
  ["one buffer", (source) => source],
  [
    "many buffers",
    (source) =>
      Array.from({ length: source.byteLength / 16_384 }, (_, index) =>
        source.subarray(index * 16_384, (index + 1) * 16_384),
      ),
  ],
];

test.each(ways)(
  "a write of 64 MiB to a peer that does not read suspends the writer: %s",
  async (_, data) => {
    await using pair = await socketPair();
    const { client, server } = pair;
    const source = distinctBytes(64 * mebibyte);
    const parts = data(source);
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    const writer = spawn(() => client.write(parts, deadline(60_000)));
    const taken = await untilFull(client);
    expect(writer.state).toBe("waiting");
    expect(taken).toBeLessThan(source.byteLength);
    // plait keeps no memory for it beside the source.
    expect(process.memoryUsage.rss() - before).toBeLessThan(8 * mebibyte);
    const received = drain(server);
    expect(await writer.join()).toBe(source.byteLength);
    await client.shutdown();
    expect(await received).toEqual({ bytes: source.byteLength, hash: hashOf(source) });
  },
);

test.each(ways)(
  "a deadline ends such a write with the exact number of bytes: %s",
  async (_, data) => {
    await using pair = await socketPair();
    const { client, server } = pair;
    const source = distinctBytes(64 * mebibyte);
    const error = await failureOf(client.write(data(source), deadline(150)));
    expect(error).toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT", syscall: "write" });
    const { bytesWritten } = error;
    expect(bytesWritten).toBeGreaterThan(0);
    expect(bytesWritten).toBeLessThan(source.byteLength);
    expect(bytesWritten).toBe(client.bytesWritten);
    // The stream ends at the byte that the writer was told.
    const received = drain(server);
    await client.shutdown();
    expect(await received).toEqual({
      bytes: bytesWritten!,
      hash: hashOf(source.subarray(0, bytesWritten)),
    });
  },
);

test("after a deadline the next write goes on where the stream is", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const source = new Uint8Array(32 * mebibyte).fill(1);
  const late = failureOf(client.write(source, deadline(100)));
  const patient = client.write(new Uint8Array(1000).fill(2));
  const { bytesWritten } = await late;
  const received = await readExactly(server, bytesWritten! + 1000);
  expect(await patient).toBe(1000);
  expect(received.indexOf(2)).toBe(bytesWritten!);
  expect(received.subarray(bytesWritten).every((byte) => byte === 2)).toBe(true);
});

test("a cancelled write reports how much was taken, and the next one goes on", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const source = distinctBytes(64 * mebibyte);
  const writer = spawn(() => client.write(source));
  const behind = spawn(() => client.write("behind"));
  const taken = await untilFull(client);
  const reason = new Error("enough");
  writer.cancel(reason);
  const error = await failureOf(writer.join());
  expect(error).toMatchObject({ name: "CancelledError", bytesWritten: taken, cause: reason });
  const received = await readExactly(server, taken + 6);
  expect(await behind.join()).toBe(6);
  expect(hashOf(received.subarray(0, taken))).toBe(hashOf(source.subarray(0, taken)));
  expect(new TextDecoder().decode(received.subarray(taken))).toBe("behind");
});

test("a slow reader gets everything, in its own time", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const source = distinctBytes(12 * mebibyte);
  const writer = spawn(async () => {
    await client.write(source);
    await client.shutdown();
  });
  const hasher = new Bun.CryptoHasher("sha1");
  const buffer = new Uint8Array(mebibyte);
  let bytes = 0;
  for (let count: number; (count = await server.read(buffer)) > 0; ) {
    hasher.update(buffer.subarray(0, count));
    bytes += count;
    await Bun.sleep(1);
  }
  await writer.join();
  expect(bytes).toBe(source.byteLength);
  expect(hasher.digest("hex")).toBe(hashOf(source));
});

test("a write of 256 MiB arrives whole", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const source = distinctBytes(256 * mebibyte);
  const received = drain(server);
  expect(await client.write(source, deadline(20_000))).toBe(source.byteLength);
  await client.shutdown();
  expect(await received).toEqual({ bytes: source.byteLength, hash: hashOf(source) });
  expect(client.bytesWritten).toBe(source.byteLength);
  expect(server.bytesRead).toBe(source.byteLength);
}, 25_000);
