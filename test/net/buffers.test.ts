import { describe, expect, test } from "bun:test";
import { deadline } from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { readAll, readText } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { tlsPair } from "../support/tls_pair.ts";

describe("a buffer to read into", () => {
  test.each([
    ["none", undefined],
    ["text", "text"],
    ["a number", 16],
    ["an ArrayBuffer, which is no view", new ArrayBuffer(16)],
    ["an array", [1, 2, 3]],
  ])("%s", async (_name, buffer) => {
    await using pair = await socketPair();
    expectMistake(await mistakeIn(() => pair.client.read(buffer as never)), TypeError, /read/);
  });

  test.each([
    ["Uint8Array", new Uint8Array(0)],
    ["Float64Array", new Float64Array(0)],
    ["DataView", new DataView(new ArrayBuffer(4), 4)],
  ])("without room: %s", async (_name, buffer) => {
    await using pair = await socketPair();
    expectMistake(await mistakeIn(() => pair.client.read(buffer)), RangeError, /room/);
    expectMistake(
      thrownBy(() => pair.client.readSync(buffer)),
      RangeError,
      /room/,
    );
  });
});

test.each([
  ["nothing", undefined],
  ["null", null],
  ["a number", 5],
  ["an object", { length: 5 }],
  ["a mistake within an array", ["sent?", [new Uint8Array(2), 5]]],
])("write refuses %s, and sends nothing", async (_name, data) => {
  await using pair = await socketPair();
  const { client, server } = pair;
  expectMistake(await mistakeIn(() => client.write(data as never)), TypeError, /write/);
  expect(client.bytesWritten).toBe(0);
  await client.shutdown();
  expect(await readText(server)).toBe("");
});

const views: [name: string, viewOf: (buffer: ArrayBuffer) => ArrayBufferView][] = [
  ["Uint8Array", (buffer) => new Uint8Array(buffer)],
  ["Uint16Array", (buffer) => new Uint16Array(buffer)],
  ["DataView", (buffer) => new DataView(buffer, 2)],
];

test.each(views)("a detached buffer is refused: %s", async (_name, viewOf) => {
  await using pair = await socketPair();
  const { client } = pair;
  const buffer = new ArrayBuffer(8);
  const view = viewOf(buffer);
  buffer.transfer();
  expect(await mistakeIn(() => client.read(view))).toBeInstanceOf(TypeError);
  expect(await mistakeIn(() => client.write(view))).toBeInstanceOf(TypeError);
  expect(await mistakeIn(() => client.write(["a", view]))).toBeInstanceOf(TypeError);
  expect(await mistakeIn(() => client.write(buffer))).toBeInstanceOf(TypeError);
  expect(thrownBy(() => client.readSync(view))).toBeInstanceOf(TypeError);
  expect(thrownBy(() => client.writeSync(view))).toBeInstanceOf(TypeError);
  expect(client.bytesWritten).toBe(0);
});

test.each(views)("a buffer that is detached while a read waits: %s", async (_name, viewOf) => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const buffer = new ArrayBuffer(8);
  const reading = failureOf(server.read(viewOf(buffer)));
  const behind = server.next();
  buffer.transfer();
  await client.write("not lost");
  expectMistake(await reading, TypeError, /detached/);
  expect(await behind).toEqual(new TextEncoder().encode("not lost"));
});

test.each([false, true])(
  "a buffer that is detached while a write waits, in an array: %p",
  async (isList) => {
    await using pair = await socketPair();
    const { client, server } = pair;
    const source = new Uint8Array(64 * 1024 * 1024);
    const writing = failureOf(client.write(isList ? ["head", source, "tail"] : source));
    source.buffer.transfer();
    const { bytesWritten } = client;
    const behind = client.write("behind").then(() => client.shutdown());
    let received = 0;
    for await (const chunk of server) received += chunk.byteLength;
    const error = await writing;
    // A part of it may have gone out with the buffer before it.
    expect(error.bytesWritten).toBeGreaterThanOrEqual(bytesWritten);
    await behind;
    expect(received).toBe(error.bytesWritten! + 6);
  },
);

test("a buffer that shrinks while a read waits is filled as it is then", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const buffer = new ArrayBuffer(8, { maxByteLength: 8 });
  const reading = server.read(new Uint8Array(buffer));
  buffer.resize(3);
  await client.write("abcdef");
  expect(await reading).toBe(3);
  expect(new TextDecoder().decode(buffer.slice(0))).toBe("abc");
});

describe.each([
  ["TCP", socketPair],
  ["TLS 1.3", () => tlsPair()],
  ["TLS 1.2", () => tlsPair({ maxVersion: "TLSv1.2" })],
] as const)("over %s a part that changes its length while the write waits", (name, makePair) => {
  const head = new Uint8Array(12 * 1024 * 1024);
  const tail = new Uint8Array([7, 8, 9]);

  test.each([
    ["a growable SharedArrayBuffer", new SharedArrayBuffer(1000, { maxByteLength: 65_536 })],
    ["a view of one", new Uint8Array(new SharedArrayBuffer(1000, { maxByteLength: 65_536 }))],
    ["a resizable ArrayBuffer", new ArrayBuffer(1000, { maxByteLength: 65_536 })],
    ["a view of one", new Uint8Array(new ArrayBuffer(1000, { maxByteLength: 65_536 }))],
  ])("is what it was: %s grows", async (_kind, part) => {
    await using pair = await makePair();
    const { client, server } = pair;
    const writing = client.write([head, part, tail], deadline(20_000));
    const behind = client.write(part, deadline(20_000));
    const buffer = ArrayBuffer.isView(part) ? part.buffer : part;
    if (buffer instanceof SharedArrayBuffer) buffer.grow(65_536);
    else buffer.resize(65_536);
    const received = readAll(server);
    expect(await writing).toBe(head.byteLength + 1003);
    expect(await behind).toBe(1000);
    await client.shutdown();
    const bytes = await received;
    expect(bytes.byteLength).toBe(head.byteLength + 2003);
    expect(bytes.subarray(head.byteLength + 1000, -1000)).toEqual(Buffer.from(tail));
  });

  test.each([
    ["shrinks", 999],
    ["shrinks to nothing", 0],
  ])("ends it with EFAULT when it %s", async (_kind, length) => {
    await using pair = await makePair();
    const { client, server } = pair;
    const buffer = new ArrayBuffer(1000, { maxByteLength: 1000 });
    const writing = failureOf(client.write([head, buffer, tail], deadline(20_000)));
    const alone = failureOf(client.write(buffer, deadline(20_000)));
    const behind = client.write("behind").then(() => client.shutdown());
    buffer.resize(length);
    const chunks: Uint8Array[] = [];
    const ended = (async () => {
      for await (const chunk of server) chunks.push(chunk.slice());
    })();
    // Over TLS the end is not announced: the peer lacks a part of the first write.
    const ending = name === "TCP" ? ended : failureOf(ended);
    const error = await writing;
    expect(error).toMatchObject({ name: "SocketError", code: "EFAULT" });
    expect(await alone).toMatchObject({ code: "EFAULT", bytesWritten: 0 });
    await behind;
    if (name === "TCP") await ending;
    else expect(await ending).toMatchObject({ code: "ERR_TLS_TRUNCATED" });
    const bytes = Buffer.concat(chunks);
    expect(bytes.byteLength).toBeGreaterThanOrEqual(error.bytesWritten! + 6);
    expect(new TextDecoder().decode(bytes.subarray(-6))).toBe("behind");
  });
});

test("a text that waits arrives unchanged although others are written meanwhile", async () => {
  await using first = await socketPair();
  await using second = await socketPair();
  const head = new Uint8Array(12 * 1024 * 1024);
  const writes = [first.client.write(head), first.client.write("a".repeat(5000))];
  // A text for another connection, which leaves at once.
  await second.client.write("b".repeat(5000));
  writes.push(first.client.write("c".repeat(5000)));
  await second.client.write("d".repeat(5000));
  const received = readAll(first.server);
  await Promise.all(writes);
  await first.client.shutdown();
  const text = new TextDecoder().decode((await received).subarray(head.byteLength));
  expect(text).toBe("a".repeat(5000) + "c".repeat(5000));
});
