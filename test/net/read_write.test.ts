import { describe, expect, test } from "bun:test";
import { deadline, type Socket, sleep, spawn, type WriteData } from "../../index.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { drain, readExactly, readText } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";

function sharedBytes(): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(3);
  new Uint8Array(buffer).set([1, 2, 3]);
  return buffer;
}

const memory = new Uint8Array([9, 1, 2, 3, 4, 5, 6, 7, 8, 9]).buffer;
const big = "€".repeat(100_000);

/** Data to write, and the bytes that must arrive. */
const kinds: [name: string, data: WriteData, expected: Uint8Array | number[]][] = [
  ["text", "grüße €😀", new TextEncoder().encode("grüße €😀")],
  ["a lone surrogate", "\ud800", [0xef, 0xbf, 0xbd]],
  ["text with a NUL", "a\0b", [97, 0, 98]],
  ["long text", big, new TextEncoder().encode(big)],
  ["Uint8Array", new Uint8Array([1, 2, 3]), [1, 2, 3]],
  ["Uint8Array in the middle of its buffer", new Uint8Array(memory, 2, 3), [2, 3, 4]],
  ["Uint8ClampedArray", new Uint8ClampedArray([300, 2]), [255, 2]],
  ["Int8Array", new Int8Array([-1, 2]), [255, 2]],
  ["Uint16Array", new Uint16Array([0x0102]), [2, 1]],
  ["Int16Array in the middle of its buffer", new Int16Array(memory, 2, 2), [2, 3, 4, 5]],
  ["Uint32Array", new Uint32Array([0x01020304]), [4, 3, 2, 1]],
  ["Int32Array", new Int32Array([-2]), [254, 255, 255, 255]],
  ["Float32Array", new Float32Array([1]), [0, 0, 128, 63]],
  ["Float64Array", new Float64Array([1]), [0, 0, 0, 0, 0, 0, 240, 63]],
  ["BigInt64Array", new BigInt64Array([-1n]), Array<number>(8).fill(255)],
  ["BigUint64Array", new BigUint64Array([1n]), [1, 0, 0, 0, 0, 0, 0, 0]],
  ["Buffer", Buffer.from("pool"), [112, 111, 111, 108]],
  ["DataView", new DataView(memory, 1, 2), [1, 2]],
  ["ArrayBuffer", memory.slice(0, 3), [9, 1, 2]],
  ["SharedArrayBuffer", sharedBytes(), [1, 2, 3]],
  ["a view of a SharedArrayBuffer", new Uint8Array(sharedBytes(), 1), [2, 3]],
  ["an array", ["a", new Uint8Array([1]), memory.slice(0, 1)], [97, 1, 9]],
  ["nested arrays", [["a", ["b", [["c"]]], []], "d", new Uint8Array(0)], [97, 98, 99, 100]],
  ["nothing, as text", "", []],
  ["nothing, as a view", new Uint8Array(0), []],
  ["nothing, as an array", [[], [""]], []],
];

describe("write sends", () => {
  test.each(kinds)("%s", async (_name, data, expected) => {
    await using pair = await socketPair();
    const { client, server } = pair;
    const bytes = new Uint8Array(expected);
    const sending = client.write(data);
    const received = await readExactly(server, bytes.byteLength);
    expect(await sending).toBe(bytes.byteLength);
    expect(Buffer.from(received).equals(bytes)).toBe(true);
    expect(client.bytesWritten).toBe(bytes.byteLength);
    expect(server.bytesRead).toBe(bytes.byteLength);
    // No more data follows.
    await client.shutdown();
    expect(await server.read(new Uint8Array(1))).toBe(0);
  });
});

test("a write of 3000 buffers, more than one system call takes", async () => {
  await using pair = await socketPair();
  const parts = Array.from({ length: 3000 }, (_, index) => `part ${index};`);
  const sending = pair.client.write(parts);
  const expected = parts.join("");
  const received = await readExactly(pair.server, expected.length);
  expect(new TextDecoder().decode(received)).toBe(expected);
  expect(await sending).toBe(expected.length);
});

test("a write of 3000 large buffers, which has to wait", async () => {
  await using pair = await socketPair();
  const source = distinctBytes(3000 * 8192);
  const parts = Array.from({ length: 3000 }, (_, index) =>
    source.subarray(index * 8192, (index + 1) * 8192),
  );
  const received = drain(pair.server);
  expect(await pair.client.write(parts)).toBe(source.byteLength);
  await pair.client.shutdown();
  expect(await received).toEqual({ bytes: source.byteLength, hash: hashOf(source) });
});

test("twenty fibers' writes never interleave, and keep their order", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const size = 300_000;
  const received = readInRuns(server, 40 * size);
  const order: number[] = [];
  const fibers = Array.from({ length: 20 }, (_, index) =>
    spawn(async () => {
      for (const round of [0, 20]) {
        const letter = index + round;
        // One buffer and several, alternately.
        const whole = new Uint8Array(size).fill(letter);
        const data = index % 2 === 0 ? whole : [whole.subarray(0, 1000), [whole.subarray(1000)]];
        expect(await client.write(data)).toBe(size);
        order.push(letter);
      }
    }),
  );
  const runs = await received;
  for (const fiber of fibers) await fiber.join();
  expect(runs.map(({ length }) => length)).toEqual(Array(40).fill(size));
  // The first writes were called in the order of the fibers.
  expect(runs.slice(0, 20).map(({ byte }) => byte)).toEqual([...Array(20).keys()]);
  expect(runs.map(({ byte }) => byte)).toEqual(order);
});

/** Receives so many bytes, and returns the runs of equal ones. */
async function readInRuns(socket: Socket, total: number) {
  const runs: { byte: number; length: number }[] = [];
  const buffer = new Uint8Array(65_536);
  for (let left = total; left > 0; ) {
    const count = await socket.read(buffer);
    left -= count;
    for (const byte of buffer.subarray(0, count)) {
      const last = runs.at(-1);
      if (last?.byte === byte) last.length++;
      else runs.push({ byte, length: 1 });
    }
  }
  return runs;
}

test("a shutdown waits for the writes before it", async () => {
  await using pair = await socketPair();
  const source = distinctBytes(24 * 1024 * 1024);
  const writing = [pair.client.write(source), pair.client.write("the end")];
  const ending = pair.client.shutdown();
  const { bytes } = await drain(pair.server);
  await Promise.all([...writing, ending]);
  expect(bytes).toBe(source.byteLength + 7);
});

test("reads of several fibers are served in their order", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const order: string[] = [];
  const readers = Array.from({ length: 10 }, (_, index) =>
    spawn(async () => {
      const buffer = new Uint8Array(1);
      const count = await server.read(buffer);
      expect(count).toBe(1);
      order.push(`${index}${String.fromCharCode(buffer[0]!)}`);
    }),
  );
  expect(readers.map(({ state }) => state)).toEqual(Array(10).fill("waiting"));
  await client.write("abcdefghij");
  for (const reader of readers) await reader.join();
  expect(order).toEqual([..."abcdefghij"].map((letter, index) => `${index}${letter}`));
});

test("a read returns what is there, at least one byte", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const buffer = new Uint8Array(100);
  const reading = server.read(buffer);
  await client.write("abc");
  expect(await reading).toBe(3);
  await client.write("defg");
  expect(await server.read(buffer.subarray(0, 1))).toBe(1);
  expect(await server.read(new DataView(buffer.buffer, 50, 2))).toBe(2);
  const words = new Uint16Array(4);
  expect(await server.read(words)).toBe(1);
  expect(String.fromCharCode(...buffer.subarray(50, 52))).toBe("ef");
  expect(words[0]).toBe("g".charCodeAt(0));
  expect(server.bytesRead).toBe(7);
});

test("next returns chunks of its own, of at most 64 KiB", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const source = distinctBytes(1024 * 1024);
  const writing = client.write(source).then(() => client.shutdown());
  const chunks: Uint8Array[] = [];
  for (let chunk: Uint8Array | null; (chunk = await server.next()) !== null; ) {
    expect(chunk.byteLength).toBeGreaterThan(0);
    expect(chunk.byteLength).toBeLessThanOrEqual(65_536);
    chunks.push(chunk);
  }
  await writing;
  expect(hashOf(Buffer.concat(chunks))).toBe(hashOf(source));
  expect(await server.next()).toBeNull();
});

test("leaving a for await early does not close the socket", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  await client.write("first");
  for await (const chunk of server) {
    expect(new TextDecoder().decode(chunk)).toBe("first");
    break;
  }
  await client.write("second");
  await client.shutdown();
  expect(await readText(server)).toBe("second");
  for await (const _ of server) throw new Error("the stream has ended");
});

test("after the end of the stream every read returns it", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  await client.write("last words");
  await client.shutdown();
  expect(server.eof).toBe(false);
  expect(await readText(server)).toBe("last words");
  expect(server.eof).toBe(true);
  const buffer = new Uint8Array(8).fill(7);
  for (let turn = 0; turn < 3; turn++) {
    expect(await server.read(buffer)).toBe(0);
    expect(await server.next()).toBeNull();
  }
  expect(buffer).toEqual(new Uint8Array(8).fill(7));
  expect(server.bytesRead).toBe(10);
});

test("the end of the stream ends every read that waits", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const readers = [server.read(new Uint8Array(1)), server.next(), server.read(new Uint8Array(1))];
  await client.shutdown();
  expect(await Promise.all(readers)).toEqual([0, null, 0]);
});

test.each(["client", "server"] as const)(
  "a half close by the %s leaves the other way open",
  async (who) => {
    await using pair = await socketPair();
    const [first, second] =
      who === "client" ? [pair.client, pair.server] : [pair.server, pair.client];
    await first.write("question");
    await first.shutdown();
    expect(await readText(second)).toBe("question");
    expect(second.eof).toBe(true);
    const answer = distinctBytes(3 * 1024 * 1024);
    const writing = second.write(answer).then(() => second.shutdown());
    expect(await drain(first)).toEqual({ bytes: answer.byteLength, hash: hashOf(answer) });
    await writing;
    // To end a stream again does nothing.
    await first.shutdown();
  },
);

test("both directions work at the same time", async () => {
  await using pair = await socketPair();
  const source = distinctBytes(16 * 1024 * 1024);
  const sends = async (socket: Socket) => {
    await socket.write(source);
    await socket.shutdown();
  };
  const { client, server } = pair;
  const [up, down] = await Promise.all([
    drain(server),
    drain(client),
    sends(client),
    sends(server),
  ]);
  expect(up).toEqual({ bytes: source.byteLength, hash: hashOf(source) });
  expect(down).toEqual(up);
  expect([client.bytesRead, client.bytesWritten]).toEqual([source.byteLength, source.byteLength]);
});

test("a deadline ends a read, and loses no data", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  for (const read of [server.read(new Uint8Array(10), deadline(15)), server.next(deadline(15))]) {
    const error = await failureOf(read);
    expect(error).toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT", syscall: "read" });
    expect(error).toMatchObject({ address: "127.0.0.1", port: client.localPort });
  }
  await client.write("in the end");
  await client.shutdown();
  expect(await readText(server)).toBe("in the end");
});

test("a fiber that always has data does not starve the others", async () => {
  await using busy = await socketPair();
  await using quiet = await socketPair();
  await using _writer = spawn(async () => {
    const chunk = new Uint8Array(65_536);
    for (;;) await busy.client.write(chunk);
  });
  await using _reader = spawn(async () => {
    const one = new Uint8Array(1);
    for (;;) await busy.server.read(one);
  });
  // Other connections, sleeps and Bun's own timers all get their turn.
  for (let turn = 0; turn < 20; turn++) {
    await quiet.client.write("ping");
    expect(await readExactly(quiet.server, 4)).toHaveLength(4);
    await sleep(1);
    await Bun.sleep(1);
  }
  expect(busy.server.bytesRead).toBeGreaterThan(1000);
});
