import { describe, expect, test } from "bun:test";
import { type Socket, spawn } from "../../index.ts";
import { distinctBytes } from "../support/distinct_bytes.ts";
import { readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { tlsPair } from "../support/tls_pair.ts";

const room = 16;

/** The data that has come, as text; null at the end, undefined when there is none. */
function tryText(socket: Socket): string | null | undefined {
  const buffer = new Uint8Array(room);
  const count = socket.tryRead(buffer);
  if (count === undefined) return undefined;
  return count === 0 ? null : new TextDecoder().decode(buffer.subarray(0, count));
}

describe.each([
  ["TCP", () => socketPair()],
  ["TLS 1.3", () => tlsPair()],
  ["TLS 1.2", () => tlsPair({ maxVersion: "TLSv1.2" })],
] as const)("over %s tryRead", (_name, makePair) => {
  test("returns data that has come, before any poll has reported it", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    // Both sockets have waited before, and so are known to be empty.
    await client.write("a");
    await readExactly(server, 1);
    await server.write("b");
    await readExactly(client, 1);
    expect(tryText(server)).toBeUndefined();
    // A write that does not wait returns without a turn of the scheduler.
    void client.write("hello");
    expect(tryText(server)).toBe("hello");
    expect(tryText(server)).toBeUndefined();
    expect(server.bytesRead).toBe(6);
  });

  test("returns 0 at the end of the stream, every time", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    void client.write("last");
    void client.shutdown();
    expect(tryText(server)).toBe("last");
    expect(tryText(server)).toBeNull();
    expect(tryText(server)).toBeNull();
    expect(server.eof).toBe(true);
  });

  test("throws when the connection was reset", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    client.reset();
    expect(() => tryText(server)).toThrow(expect.objectContaining({ code: "ECONNRESET" }));
  });

  test("takes no data from a reader that waits", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    const buffer = new Uint8Array(room);
    const reading = server.read(buffer);
    void client.write("its own");
    expect(tryText(server)).toBeUndefined();
    expect(await reading).toBe(7);
    expect(tryText(server)).toBeUndefined();
  });

  test("does not disturb reads that wait afterwards", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    expect(tryText(server)).toBeUndefined();
    const source = distinctBytes(1_000_000);
    const reader = spawn(() => readExactly(server, source.byteLength));
    await client.write(source);
    expect(Buffer.from(await reader.join()).equals(source)).toBe(true);
    expect(tryText(server)).toBeUndefined();
  });

  test("can be repeated until all is read, beyond a turn's budget", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    const source = distinctBytes(10_000);
    void client.write(source);
    const received: number[] = [];
    const buffer = new Uint8Array(1);
    while (server.tryRead(buffer) === 1) received.push(buffer[0]!);
    expect(Buffer.from(received).equals(source)).toBe(true);
  });
});

test("tryRead works in a cancelled fiber, since it does not wait", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  await client.write("x");
  const fiber = spawn(async () => {
    try {
      await client.read(new Uint8Array(1));
    } finally {
      expect(tryText(server)).toBe("x");
    }
  });
  fiber.cancel();
  await fiber.join().catch(() => {});
  expect(fiber.state).toBe("cancelled");
});

test("tryRead refuses a buffer without room, and a closed socket", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  expect(() => server.tryRead(new Uint8Array(0))).toThrow(RangeError);
  // biome-ignore lint/suspicious/noExplicitAny: that it is refused is what the test is about
  expect(() => server.tryRead("text" as any)).toThrow(TypeError);
  client.close();
  expect(() => client.tryRead(new Uint8Array(1))).toThrow(
    expect.objectContaining({ code: "ERR_SOCKET_CLOSED", syscall: "read" }),
  );
});
