import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { connect, deadline, listen, now, spawn } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { DescriptorPair } from "../support/foreign_descriptors.ts";
import { timesOpen } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { drain, readAll, readText } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { tlsPair } from "../support/tls_pair.ts";

const mebibyte = 1024 * 1024;

/** A folder with one file of these contents. */
function folderWith(
  contents: string | Uint8Array,
): TemporaryFolder & { readonly contents: string } {
  const folder = new TemporaryFolder();
  const path = folder.file("contents");
  writeFileSync(path, contents);
  return Object.assign(folder, { contents: path });
}

// OpenSSL's command takes seconds to make them.
beforeAll(() => void certificates(), 60_000);

test("a file by its path, whole", async () => {
  using folder = folderWith("all of it");
  await using pair = await socketPair();
  const { client, server } = pair;
  expect(await client.sendFile(folder.contents)).toBe(9);
  expect(timesOpen(folder.contents)).toBe(0);
  expect(client.bytesWritten).toBe(9);
  await client.shutdown();
  expect(await readText(server)).toBe("all of it");
});

test("a file by its descriptor, which stays open and keeps its position", async () => {
  using folder = folderWith("0123456789");
  await using pair = await socketPair();
  const { client, server } = pair;
  const fd = openSync(folder.contents, "r");
  try {
    const three = Buffer.alloc(3);
    readSync(fd, three, 0, 3, null);
    expect(await client.sendFile(fd, { length: 5 })).toBe(5);
    readSync(fd, three, 0, 3, null);
    expect(three.toString()).toBe("345");
    await client.shutdown();
    expect(await readText(server)).toBe("01234");
  } finally {
    closeSync(fd);
  }
});

test.each([
  ["from an offset on", { offset: 4 }, "456789"],
  ["a part from the middle", { offset: 3, length: 4 }, "3456"],
  ["nothing", { length: 0 }, ""],
  ["beyond its end", { offset: 8, length: 100 }, "89"],
  ["from its end on", { offset: 10 }, ""],
  ["from beyond its end on", { offset: 1000 }, ""],
  ["from beyond its end on, so many bytes", { offset: 1000, length: 5 }, ""],
  ["all of it and more", { length: 1e12 }, "0123456789"],
])("a part of a file: %s", async (_name, options, expected) => {
  using folder = folderWith("0123456789");
  await using pair = await socketPair();
  const { client, server } = pair;
  expect(await client.sendFile(folder.contents, options)).toBe(expected.length);
  // The next write comes right behind it.
  await client.write("!");
  await client.shutdown();
  expect(await readText(server)).toBe(`${expected}!`);
});

test("an empty file", async () => {
  using folder = folderWith("");
  await using pair = await socketPair();
  expect(await pair.client.sendFile(folder.contents)).toBe(0);
});

test("files and writes go out in the order of the calls", async () => {
  const body = distinctBytes(8 * mebibyte);
  using folder = folderWith(body);
  await using pair = await socketPair();
  const { client, server } = pair;
  const calls = [
    client.write("head"),
    client.sendFile(folder.contents),
    client.write(["tail"]),
    client.sendFile(folder.contents, { length: 1000 }),
    client.shutdown(),
  ];
  const received = await readAll(server);
  await Promise.all(calls);
  const expected = Buffer.concat([
    Buffer.from("head"),
    body,
    Buffer.from("tail"),
    body.subarray(0, 1000),
  ]);
  expect(received.byteLength).toBe(expected.byteLength);
  expect(hashOf(received)).toBe(hashOf(expected));
});

test.each([
  ["TCP", socketPair],
  ["TLS 1.3", () => tlsPair()],
  ["TLS 1.2", () => tlsPair({ maxVersion: "TLSv1.2" })],
] as const)(
  "over %s what cannot be opened or read is an error, and the socket goes on",
  async (_name, makePair) => {
    using folder = folderWith("contents");
    await using pair = await makePair();
    const { client, server } = pair;
    const missing = await failureOf(client.sendFile(folder.file("missing")));
    expect(missing).toMatchObject({ name: "SocketError", code: "ENOENT" });
    expect(missing.message).toContain("missing");

    const inner = folder.file("folder");
    mkdirSync(inner);
    const directory = await failureOf(client.sendFile(inner));
    expect(directory).toMatchObject({ name: "SocketError", code: "EISDIR", bytesWritten: 0 });

    const badDescriptor = await failureOf(client.sendFile(999_999));
    expect(badDescriptor).toMatchObject({ name: "SocketError", code: "EBADF" });

    const writable = openSync(folder.contents, "a");
    try {
      expect(await failureOf(client.sendFile(writable))).toMatchObject({ code: "EBADF" });
    } finally {
      closeSync(writable);
    }
    expect(timesOpen(inner)).toBe(0);

    expect(client.bytesWritten).toBe(0);
    await client.sendFile(folder.contents);
    await client.shutdown();
    expect(await readText(server)).toBe("contents");
  },
);

const isLinux = process.platform === "linux";
if (!isLinux) console.warn("skipped: only Linux has files in /proc, which sendfile(2) refuses");

describe.skipIf(!isLinux).each([
  ["TCP", socketPair],
  ["TLS 1.3", () => tlsPair()],
] as const)("over %s a file that sendfile(2) refuses", (_name, makePair) => {
  // A file whose size is 0 although it has contents.
  const path = "/proc/self/limits";
  const contents = isLinux ? readFileSync(path, "latin1") : "";

  test.each([
    ["whole", {}, contents],
    ["from an offset on", { offset: 100 }, contents.slice(100)],
    ["a part", { offset: 5, length: 70 }, contents.slice(5, 75)],
    ["beyond its end", { offset: 10, length: 1e6 }, contents.slice(10)],
    ["from beyond its end on", { offset: 1e6 }, ""],
  ])("is read: %s", async (_part, options, expected) => {
    await using pair = await makePair();
    const { client, server } = pair;
    expect(await client.sendFile(path, options)).toBe(expected.length);
    expect(timesOpen(path)).toBe(0);
    await client.write("!");
    await client.shutdown();
    expect(await readText(server)).toBe(`${expected}!`);
  });

  test("ends before its length, and close ends the stream behind it", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    expect(await client.sendFile(path, { length: 1e6 })).toBe(contents.length);
    client.close();
    expect(await readText(server)).toBe(contents);
  });

  test("is sent in the order of the calls", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    const head = "h".repeat(8 * mebibyte);
    const calls = [
      client.write(head),
      client.sendFile(path),
      client.write("between"),
      client.sendFile(path),
      client.write("tail"),
      client.shutdown(),
    ];
    const received = await readText(server);
    await Promise.all(calls);
    expect(received.slice(head.length)).toBe(`${contents}between${contents}tail`);
  });

  test("does not stop the writes behind it when it cannot be read", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    const head = "h".repeat(8 * mebibyte);
    const calls = [client.write(head), client.write("tail")];
    const failure = failureOf(client.sendFile("/proc"));
    calls.push(client.write("!"));
    const end = client.shutdown();
    const received = await readText(server);
    await Promise.all([...calls, end]);
    expect(received.slice(head.length)).toBe("tail!");
    expect(await failure).toMatchObject({ code: "EISDIR", syscall: "sendfile", bytesWritten: 0 });
  });
});

test("a pipe is refused", async () => {
  await using pair = await socketPair();
  using pipe = DescriptorPair.pipe();
  const error = await failureOf(pair.client.sendFile(pipe.first));
  expect(error.name).toBe("SocketError");
  expect(["ESPIPE", "EINVAL"]).toContain(error.code!);
});

test("a file of 100 MiB is sent whole", async () => {
  const contents = distinctBytes(100 * mebibyte);
  using folder = folderWith(contents);
  await using pair = await socketPair();
  const { client, server } = pair;
  const received = drain(server);
  const end = deadline(15_000);
  expect(await client.sendFile(folder.contents, { deadline: end })).toBe(contents.byteLength);
  await client.shutdown();
  expect(await received).toEqual({ bytes: contents.byteLength, hash: hashOf(contents) });
}, 20_000);

test("a peer that does not read suspends it; a deadline ends it with the exact number of bytes", async () => {
  const contents = distinctBytes(32 * mebibyte);
  using folder = folderWith(contents);
  await using pair = await socketPair();
  const { client, server } = pair;
  const end = deadline(100);
  const error = await failureOf(client.sendFile(folder.contents, { deadline: end }));
  expect(now()).toBeGreaterThanOrEqual(end);
  expect(error).toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT", syscall: "sendfile" });
  const { bytesWritten } = error;
  expect(bytesWritten).toBeGreaterThan(0);
  expect(bytesWritten).toBeLessThan(contents.byteLength);
  expect(bytesWritten).toBe(client.bytesWritten);
  expect(timesOpen(folder.contents)).toBe(0);
  // The rest can be sent later, when the peer reads.
  const received = drain(server);
  const rest = await client.sendFile(folder.contents, { offset: bytesWritten! });
  expect(rest).toBe(contents.byteLength - bytesWritten!);
  await client.shutdown();
  expect(await received).toEqual({ bytes: contents.byteLength, hash: hashOf(contents) });
});

test.skipIf(process.platform !== "linux")(
  "its fiber can be cancelled, and its file is closed",
  async () => {
    using folder = folderWith(distinctBytes(32 * mebibyte));
    await using pair = await socketPair();
    const { client } = pair;
    const fiber = spawn(() => client.sendFile(folder.contents));
    await pollUntil("the kernel takes no more", () => client.bytesWritten > 100_000);
    expect(timesOpen(folder.contents)).toBe(1);
    fiber.cancel("enough");
    const error = await failureOf(fiber.join());
    expect(error).toMatchObject({ name: "CancelledError", bytesWritten: client.bytesWritten });
    expect(timesOpen(folder.contents)).toBe(0);
  },
);

test("a reset ends it", async () => {
  using folder = folderWith(distinctBytes(32 * mebibyte));
  await using pair = await socketPair();
  const { client, server } = pair;
  const sending = failureOf(client.sendFile(folder.contents));
  await pollUntil("the kernel takes no more", () => client.bytesWritten > 100_000);
  server.reset();
  const error = await sending;
  expect(["ECONNRESET", "EPIPE"]).toContain(error.code!);
  expect(error).toMatchObject({ name: "SocketError", bytesWritten: client.bytesWritten });
});

test("a peer that is gone does not end the process by SIGPIPE", async () => {
  const { stdout, stderr, exitCode } = await runProgram(`
    const place = { path: process.cwd() + "/socket" };
    const listener = await listen(place);
    const client = await connect(place);
    const server = await listener.accept();
    // Bun sets the signal's default action when its last listener goes.
    process.once("SIGPIPE", () => {}).removeAllListeners("SIGPIPE");
    server.reset();
    const error = await client.sendFile(import.meta.path).catch((error) => error);
    console.log(error.code);
    process.exit(0);
  `);
  expect([stdout, stderr, exitCode]).toEqual(["EPIPE", "", 0]);
});

test("a file goes over a Unix socket as well", async () => {
  const contents = distinctBytes(4 * mebibyte);
  using folder = folderWith(contents);
  const path = folder.file("socket");
  await using _listener = await listen({ path }, (socket) => socket.sendFile(folder.contents));
  await using client = await connect({ path });
  expect(await drain(client)).toEqual({ bytes: contents.byteLength, hash: hashOf(contents) });
});
