import { beforeAll, describe, expect, test } from "bun:test";
import { deadline, type Socket, spawn, yieldNow } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, distinctLines, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { untilFull } from "../support/full_socket.ts";
import { pollUntil } from "../support/poll.ts";
import { socketPair } from "../support/socket_pair.ts";
import { tlsPair } from "../support/tls_pair.ts";

const mebibyte = 1024 * 1024;

const decoder = new TextDecoder();

/** Writes all and ends the stream. */
async function sendAll(socket: Socket, data: string | Uint8Array): Promise<void> {
  await socket.write(data);
  await socket.shutdown();
}

// OpenSSL's command takes seconds to make them.
beforeAll(() => void certificates(), 60_000);

describe.each([
  ["plain", socketPair],
  ["TLS", tlsPair],
] as const)("the readable stream, %s", (_, pairOf) => {
  test("is the body of a response", async () => {
    await using pair = await pairOf();
    const sent = sendAll(pair.client, '{"answer":42}');
    expect(await new Response(pair.server.readable).json()).toEqual({ answer: 42 });
    await sent;
    expect(pair.server.eof).toBe(true);
    // The writable stream is not in use: the socket stays open for the answer.
    expect(pair.server.closed).toBe(false);
    await sendAll(pair.server, "thanks");
    expect(await new Response(pair.client.readable).text()).toBe("thanks");
  });

  test("64 MiB arrive byte for byte", async () => {
    await using pair = await pairOf();
    const source = distinctBytes(64 * mebibyte);
    const sent = sendAll(pair.client, source);
    const hasher = new Bun.CryptoHasher("sha1");
    let bytes = 0;
    for await (const chunk of pair.server.readable) {
      hasher.update(chunk);
      bytes += chunk.length;
    }
    await sent;
    expect(bytes).toBe(source.length);
    expect(hasher.digest("hex")).toBe(hashOf(source));
    expect(pair.server.bytesRead).toBe(source.length);
  }, 30_000);

  test("a BYOB reader's buffer is received into", async () => {
    await using pair = await pairOf();
    const { client, server } = pair;
    const reader = server.readable.getReader({ mode: "byob" });
    const buffer = new ArrayBuffer(64);
    const reading = reader.read(new Uint8Array(buffer, 8, 16));
    // The stream has taken the memory over.
    expect(buffer.detached).toBe(true);
    await client.write("0123456789");
    const { value, done } = await reading;
    expect(done).toBe(false);
    expect(decoder.decode(value)).toBe("0123456789");
    expect(value!.byteOffset).toBe(8);
    expect(value!.buffer.byteLength).toBe(64);
    // A view that is too small leaves the rest to the next one.
    await client.write("abcdef");
    const first = await reader.read(new Uint8Array(value!.buffer, 0, 4));
    expect(decoder.decode(first.value)).toBe("abcd");
    const second = await reader.read(new Uint8Array(first.value!.buffer, 0, 4));
    expect(decoder.decode(second.value)).toBe("ef");
    const last = reader.read(new Uint8Array(second.value!.buffer));
    await client.shutdown();
    expect(await last).toMatchObject({ done: true, value: new Uint8Array(0) });
    await reader.closed;
  });
});

test("a BYOB reader with a minimum gets the units together", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = server.readable.getReader({ mode: "byob" });
  const read = (view: Uint8Array, min: number) =>
    (reader as ReadableStreamBYOBReader & { read: ReadAtLeast }).read(view, { min });
  const reading = read(new Uint8Array(10), 6);
  for (const part of ["ab", "cd", "ef"]) {
    const { bytesRead } = server;
    await client.write(part);
    await pollUntil("the part is read", () => server.bytesRead === bytesRead + 2);
  }
  expect(decoder.decode((await reading).value)).toBe("abcdef");
  // The end comes before the minimum: what has come is returned.
  const rest = read(new Uint8Array(10), 6);
  await sendAll(client, "gh");
  expect(decoder.decode((await rest).value)).toBe("gh");
});

type ReadAtLeast = (
  view: Uint8Array,
  options: { min: number },
) => Promise<{ value: Uint8Array | undefined; done: boolean }>;

test("a view of numbers is filled in whole numbers", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = server.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint32Array(4));
  const bytes = new Uint8Array(Uint32Array.of(1, 2).buffer);
  await client.write(bytes.subarray(0, 3));
  await pollUntil("a part of a number is read", () => server.bytesRead === 3);
  await client.write(bytes.subarray(3));
  expect(await reading).toEqual({ done: false, value: Uint32Array.of(1, 2) });
});

test("the chunks go through streams of the platform", async () => {
  await using pair = await socketPair();
  const source = distinctLines(300_000);
  const sent = sendAll(pair.client, Bun.gzipSync(source as Uint8Array<ArrayBuffer>));
  const lines = pair.server.readable
    .pipeThrough(new DecompressionStream("gzip"))
    .pipeThrough(new TextDecoderStream());
  let text = "";
  for await (const part of lines) text += part;
  await sent;
  expect(hashOf(new TextEncoder().encode(text))).toBe(hashOf(source));
});

test("a tee gives both branches everything", async () => {
  await using pair = await socketPair();
  const source = distinctBytes(2 * mebibyte);
  const sent = sendAll(pair.client, source);
  const [first, second] = pair.server.readable.tee();
  const [one, other] = await Promise.all([
    new Response(first).bytes(),
    new Response(second).bytes(),
  ]);
  await sent;
  expect(hashOf(one)).toBe(hashOf(source));
  expect(hashOf(other)).toBe(hashOf(source));
});

test("it is the same stream each time, and locked as streams are", async () => {
  await using pair = await socketPair();
  const { readable, writable } = pair.server;
  expect(pair.server.readable).toBe(readable);
  expect(pair.server.writable).toBe(writable);
  const reader = readable.getReader();
  expect(() => pair.server.readable.getReader()).toThrow(TypeError);
  reader.releaseLock();
  pair.server.readable.getReader().releaseLock();
});

test("nothing is received before a read asks for it", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = server.readable.getReader();
  const source = distinctBytes(64 * mebibyte);
  const writer = spawn(() => client.write(source));
  await untilFull(client);
  expect(server.bytesRead).toBe(0);
  const { value } = await reader.read();
  expect(value!.length).toBeGreaterThan(0);
  expect(server.bytesRead).toBe(value!.length);
  // Its answer comes over the same loop: what the stream did beside it has happened by now.
  await server.write("x");
  await client.next();
  expect(server.bytesRead).toBe(value!.length);
  client.reset();
  await failureOf(writer.join());
}, 15_000);

test("a cancelled read takes no byte, and the socket can still be read", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = server.readable.getReader();
  const reading = reader.read();
  const behind = server.next();
  await reader.cancel("enough");
  expect(await reading).toEqual({ done: true, value: undefined });
  await client.write("for the socket");
  expect(decoder.decode((await behind)!)).toBe("for the socket");
  expect(server.closed).toBe(false);
  await sendAll(client, "and more");
  expect(decoder.decode((await server.next())!)).toBe("and more");
});

test("a cancelled read into a buffer leaves the buffer as it is", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = server.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint8Array(8));
  await reader.cancel();
  expect(await reading).toMatchObject({ done: true });
  await client.write("later");
  const buffer = new Uint8Array(8);
  expect(await server.read(buffer)).toBe(5);
});

test("a lock that is released while a read waits loses no byte", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const first = server.readable.getReader();
  const reading = failureOf(first.read());
  first.releaseLock();
  expect(await reading).toBeInstanceOf(TypeError);
  const second = server.readable.getReader({ mode: "byob" });
  const next = second.read(new Uint8Array(3));
  await client.write("0123");
  expect(decoder.decode((await next).value)).toBe("012");
  expect(decoder.decode((await second.read(new Uint8Array(3))).value)).toBe("3");
  const third = failureOf(second.read(new Uint8Array(3)));
  await yieldNow();
  second.releaseLock();
  await third;
  const fourth = server.readable.getReader({ mode: "byob" }).read(new Uint8Array(5));
  await client.write("456");
  expect(decoder.decode((await fourth).value)).toBe("456");
});

test("reads of the socket and of the stream are served in their order", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const buffers = [new Uint8Array(2), new Uint8Array(2)];
  const order: string[] = [];
  const before = server.read(buffers[0]!).then(() => order.push("read"));
  const byob = server.readable.getReader({ mode: "byob" });
  // A new stream begins to read in a microtask.
  await yieldNow();
  const between = byob.read(new Uint8Array(2)).then(({ value }) => {
    order.push(`stream ${decoder.decode(value)}`);
  });
  const behind = server.read(buffers[1]!).then(() => order.push("read"));
  await client.write("aabbcc");
  await Promise.all([before, between, behind]);
  expect(order).toEqual(["read", "stream bb", "read"]);
  expect(buffers.map((buffer) => decoder.decode(buffer))).toEqual(["aa", "cc"]);
});

test("an error of a read is the stream's, the same object", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = server.readable.getReader();
  const reading = failureOf(reader.read());
  client.reset();
  const error = await reading;
  expect(error).toMatchObject({ name: "SocketError", code: "ECONNRESET", syscall: "read" });
  expect(await failureOf(reader.closed)).toBe(error);
  reader.releaseLock();
  expect(await failureOf(server.readable.getReader().read())).toBe(error);
});

test("a TLS stream that is cut off fails", async () => {
  await using pair = await tlsPair();
  const { client, server } = pair;
  const text = new Response(server.readable).text();
  await client.write("a part");
  client.reset();
  expect((await failureOf(text)).name).toMatch(/^(SocketError|TlsError)$/);
});

test.each([
  ["close", (socket: Socket) => socket.close()],
  ["reset", (socket: Socket) => socket.reset()],
])("%s of the socket ends a read that waits, and a stream that rests", async (_, end) => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = server.readable.getReader();
  const reading = failureOf(reader.read());
  const resting = client.readable.getReader();
  end(server);
  expect(await reading).toMatchObject({ code: "ERR_SOCKET_CLOSED", syscall: "read" });
  expect(await failureOf(reader.closed)).toBe(await reading);
  end(client);
  const closed = await failureOf(resting.closed);
  expect(closed).toMatchObject({ code: "ERR_SOCKET_CLOSED", syscall: "read" });
  expect(await failureOf(resting.read())).toBe(closed);
});

test("a socket that is closed when a read has just ended fails the stream", async () => {
  const outcomes = new Set<string>();
  // How many microtasks the read takes is the platform's business.
  for (let ticks = 0; ticks < 8; ticks++) {
    await using pair = await socketPair();
    const { client, server } = pair;
    await client.write("ab");
    const reader = server.readable.getReader({ mode: "byob" });
    await reader.read(new Uint8Array(1));
    const reading = reader.read(new Uint8Array(1)).then(
      ({ value }) => decoder.decode(value),
      ({ code }) => code,
    );
    for (let tick = 0; tick < ticks; tick++) await null;
    server.close();
    outcomes.add(await reading);
    expect(await failureOf(reader.closed)).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  }
  expect([...outcomes]).toContain("b");
}, 5000);

test("an end within a number fails the stream, which counts as ended", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = server.readable.getReader({ mode: "byob" });
  const reading = failureOf(reader.read(new Uint32Array(2)));
  await sendAll(client, "abc");
  // By the standard (ReadableByteStreamControllerClose).
  expect(await reading).toBeInstanceOf(TypeError);
  await server.writable.close();
  await pollUntil("the socket is closed", () => server.closed);
});

test("the stream of a closed socket fails when it is read", async () => {
  await using pair = await socketPair();
  const { client } = pair;
  client.close();
  expect(await failureOf(client.readable.getReader().read())).toMatchObject({
    code: "ERR_SOCKET_CLOSED",
  });
  const writer = client.writable.getWriter();
  expect(await failureOf(writer.write("x"))).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  await failureOf(writer.closed);
});

test("the cancellation of the fiber that reads does not end the stream", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = server.readable.getReader();
  let read: ReturnType<typeof reader.read> | undefined;
  const fiber = spawn(async () => {
    read = reader.read();
    await server.next();
  });
  fiber.cancel("not needed");
  await failureOf(fiber.join());
  await client.write("still here");
  expect(decoder.decode((await read!).value)).toBe("still here");
});

test("an aborted pipe cancels the stream and takes no byte", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const stop = new AbortController();
  const chunks: Uint8Array[] = [];
  const target = new WritableStream<Uint8Array>({ write: (chunk) => void chunks.push(chunk) });
  const piping = failureOf(server.readable.pipeTo(target, { signal: stop.signal }));
  await client.write("one");
  await pollUntil("the chunk arrives", () => chunks.length === 1);
  stop.abort(new Error("stopped"));
  expect((await piping).message).toBe("stopped");
  await client.write("two");
  expect(decoder.decode((await server.next(deadline(4000)))!)).toBe("two");
});
