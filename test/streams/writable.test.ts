import { beforeAll, describe, expect, test } from "bun:test";
import { deadline, type Socket } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { untilFull } from "../support/full_socket.ts";
import { pollUntil } from "../support/poll.ts";
import { drain, readText } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { tlsPair } from "../support/tls_pair.ts";

const mebibyte = 1024 * 1024;

/** Begins a write that waits for a peer that does not read. */
async function fill(
  socket: Socket,
): Promise<{ writer: WritableStreamDefaultWriter; write: Promise<unknown> }> {
  const writer = socket.writable.getWriter();
  writer.closed.catch(() => {});
  writer.ready.catch(() => {});
  const write = failureOf(writer.write(distinctBytes(64 * mebibyte)));
  await untilFull(socket);
  return { writer, write };
}

// OpenSSL's command takes seconds to make them.
beforeAll(() => void certificates(), 60_000);

describe.each([
  ["plain", socketPair],
  ["TLS", tlsPair],
] as const)("the writable stream, %s", (_, pairOf) => {
  test("takes what write takes, and its close is a half close", async () => {
    await using pair = await pairOf();
    const { client, server } = pair;
    const writer = client.writable.getWriter();
    await writer.write("text, ");
    await writer.write(new TextEncoder().encode("bytes, "));
    await writer.write(["a ", ["list"]]);
    await writer.close();
    expect(await readText(server)).toBe("text, bytes, a list");
    expect(await failureOf(client.write("more"))).toMatchObject({ code: "EPIPE" });
    expect(client.closed).toBe(false);
    await server.write("answer");
    await server.shutdown();
    expect(await readText(client)).toBe("answer");
  });

  test("a peer that does not read holds a pipe back", async () => {
    await using pair = await pairOf();
    const { client, server } = pair;
    const part = distinctBytes(mebibyte);
    const parts = 64;
    let made = 0;
    const source = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (made === parts) controller.close();
          else {
            made++;
            controller.enqueue(part);
          }
        },
      },
      { highWaterMark: 0 },
    );
    const piping = source.pipeTo(client.writable);
    await untilFull(client);
    // What the kernel has taken, and the chunk that waits.
    expect(made).toBeLessThanOrEqual(Math.ceil(client.bytesWritten / part.length) + 1);
    expect(made).toBeLessThan(parts);
    const received = await drain(server);
    await piping;
    const whole = new Bun.CryptoHasher("sha1");
    for (let index = 0; index < parts; index++) whole.update(part);
    expect(received).toEqual({ bytes: parts * part.length, hash: whole.digest("hex") });
  }, 30_000);
});

test("an echo by a pipe from a socket to itself", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const echoing = server.readable.pipeTo(server.writable);
  const source = distinctBytes(8 * mebibyte);
  const sent = client.write(source).then(() => client.shutdown());
  const received = await drain(client);
  await Promise.all([sent, echoing]);
  expect(received).toEqual({ bytes: source.length, hash: hashOf(source) });
  // Both of its streams have ended.
  expect(server.closed).toBe(true);
}, 15_000);

test("abort resets the connection, and both streams fail", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reader = client.readable.getReader();
  const writer = client.writable.getWriter();
  await writer.write("a part");
  const reason = new Error("broken");
  const closed = failureOf(writer.closed);
  await writer.abort(reason);
  expect(await closed).toBe(reason);
  expect(client.closed).toBe(true);
  expect(await failureOf(reader.read())).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  expect(await failureOf(drain(server))).toMatchObject({ code: "ECONNRESET" });
});

test("abort does not wait for a write that waits", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const { writer, write } = await fill(client);
  const reason = new Error("broken");
  await writer.abort(reason);
  expect(client.closed).toBe(true);
  expect(await write).toMatchObject({ code: "ERR_SOCKET_CLOSED", syscall: "write" });
  expect(await failureOf(drain(server))).toMatchObject({ code: "ECONNRESET" });
}, 15_000);

test("a source that fails resets the connection: the peer does not take a part for all", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const failure = new Error("the source is broken");
  let isFirst = true;
  const source = new ReadableStream<string>({
    pull(controller) {
      if (isFirst) controller.enqueue("a part");
      else controller.error(failure);
      isFirst = false;
    },
  });
  expect(await failureOf(source.pipeTo(client.writable))).toBe(failure);
  expect(await failureOf(drain(server))).toMatchObject({ code: "ECONNRESET" });
});

test("an error of a write is the stream's, the same object", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const { writer, write } = await fill(client);
  server.reset();
  const error = await write;
  expect(error).toMatchObject({ name: "SocketError", syscall: "write" });
  expect((error as { bytesWritten: number }).bytesWritten).toBe(client.bytesWritten);
  expect(await failureOf(writer.closed)).toBe(error as Error);
  expect(await failureOf(writer.write("x"))).toBe(error as Error);
}, 15_000);

test("a chunk that write does not take is an error of the stream alone", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const writer = client.writable.getWriter();
  const closed = failureOf(writer.closed);
  const error = await failureOf(writer.write(42 as never));
  expect(error).toBeInstanceOf(TypeError);
  expect(await closed).toBe(error);
  await client.write("by the socket");
  await client.shutdown();
  expect(await readText(server)).toBe("by the socket");
});

test("close of the socket ends a write that waits, with the number of bytes", async () => {
  await using pair = await socketPair();
  const { client } = pair;
  const { writer, write } = await fill(client);
  client.close();
  const error = await write;
  expect(error).toMatchObject({ code: "ERR_SOCKET_CLOSED", bytesWritten: client.bytesWritten });
  expect(await failureOf(writer.closed)).toBe(error as Error);
}, 15_000);

test("close of the socket fails a stream that rests", async () => {
  await using pair = await socketPair();
  const { client } = pair;
  const closed = failureOf(client.writable.getWriter().closed);
  client.close();
  expect(await closed).toMatchObject({ code: "ERR_SOCKET_CLOSED", syscall: "write" });
});

test("a socket that is closed when a write has just ended fails the stream", async () => {
  const outcomes = new Set<string>();
  // How many microtasks the write takes is the platform's business.
  for (let ticks = 0; ticks < 8; ticks++) {
    await using pair = await socketPair();
    const { client } = pair;
    const writer = client.writable.getWriter();
    const writing = writer.write("x").then(
      () => "written",
      ({ code }) => code,
    );
    for (let tick = 0; tick < ticks; tick++) await null;
    client.close();
    outcomes.add(await writing);
    expect(await failureOf(writer.closed)).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  }
  expect([...outcomes]).toContain("written");
}, 5000);

test("an aborted pipe to a peer that does not read ends when the socket is reset", async () => {
  await using pair = await socketPair();
  const { client } = pair;
  const stop = new AbortController();
  const source = new ReadableStream<Uint8Array>(
    { pull: (controller) => controller.enqueue(distinctBytes(mebibyte)) },
    { highWaterMark: 0 },
  );
  const piping = failureOf(source.pipeTo(client.writable, { signal: stop.signal }));
  await untilFull(client);
  stop.abort(new Error("stopped"));
  // By the standard ("shutdown with an action") the pipe waits for the chunk that is being written.
  client.reset();
  expect((await piping).message).toBe("stopped");
}, 15_000);

describe("when both streams have ended", () => {
  test("the socket is closed", async () => {
    await using pair = await socketPair();
    const { client, server } = pair;
    await client.writable.close();
    expect(client.closed).toBe(false);
    const text = new Response(client.readable).text();
    await server.write("bye");
    await server.shutdown();
    expect(await text).toBe("bye");
    await pollUntil("the socket is closed", () => client.closed);
    expect(await readText(server)).toBe("");
  });

  test("a cancelled readable stream counts as ended", async () => {
    await using pair = await socketPair();
    const { client, server } = pair;
    await client.readable.cancel();
    await client.writable.getWriter().close();
    await pollUntil("the socket is closed", () => client.closed);
    expect(await readText(server)).toBe("");
  });

  test("the socket is reset if the writable one has failed", async () => {
    await using pair = await socketPair();
    const { client, server } = pair;
    await server.shutdown();
    expect(await new Response(client.readable).text()).toBe("");
    const writer = client.writable.getWriter();
    writer.closed.catch(() => {});
    await writer.write("a part");
    await failureOf(writer.write(42 as never));
    await pollUntil("the socket is reset", () => client.closed);
    expect(await failureOf(drain(server))).toMatchObject({ code: "ECONNRESET" });
  });

  test("a socket stays open when only one of its streams was used", async () => {
    await using pair = await socketPair();
    const { client, server } = pair;
    await client.writable.close();
    await server.write("x");
    expect(await client.next(deadline(4000))).toEqual(new Uint8Array([0x78]));
    expect(client.closed).toBe(false);
  });
});
