import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import {
  block,
  type ConnectOptions,
  connect,
  type ListenOptions,
  listen,
  type ResolveOptions,
  race,
  resolve,
  type ScopeOptions,
  Socket,
  type SpawnOptions,
  scope,
  spawn,
  stats,
} from "../../index.ts";
import { thrownBy } from "../support/failure.ts";
import { expectMistake, type MistakeKind, mistakeIn } from "../support/mistakes.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { socketPair } from "../support/socket_pair.ts";

/** All options of a call, each undefined. */
type NotGiven<Options> = { [Name in keyof Required<Options>]: undefined };

test("an option that is undefined counts as not given", async () => {
  const unsaid = {
    host: undefined,
    path: undefined,
    tls: undefined,
  };
  const listening: Omit<NotGiven<ListenOptions>, "port"> = {
    ...unsaid,
    fd: undefined,
    backlog: undefined,
    reusePort: undefined,
    maxConnections: undefined,
    maxHandshakes: undefined,
    onError: undefined,
  };
  await using listener = await listen({ ...listening, port: 0 });
  const connecting: Omit<NotGiven<ConnectOptions>, "port"> = {
    ...unsaid,
    deadline: undefined,
    signal: undefined,
    localAddress: undefined,
    family: undefined,
    noDelay: undefined,
    keepAlive: undefined,
    linger: undefined,
  };
  using socket = await connect({ ...connecting, port: listener.port });
  socket.setKeepAlive({ idle: undefined, interval: undefined, count: undefined });
  const limits: NotGiven<ScopeOptions & SpawnOptions> = {
    name: undefined,
    signal: undefined,
    deadline: undefined,
  };
  expect(await spawn(() => 1, limits).join()).toBe(1);
  expect(await scope(() => 2, limits)).toBe(2);
  expect(await race([() => 3], { ...limits, discard: undefined })).toBe(3);
  expect(
    await resolve("127.0.0.1", {
      deadline: undefined,
      signal: undefined,
      family: undefined,
    } satisfies NotGiven<ResolveOptions>),
  ).toEqual(["127.0.0.1"]);
  const file = { offset: undefined, length: undefined, deadline: undefined };
  expect(await socket.sendFile(import.meta.path, file)).toBeGreaterThan(1000);
  await listener.close({ deadline: undefined, cancel: undefined });
});

type Mistake<Options> = [name: string, options: Options, kind: MistakeKind, about: RegExp];

const connectMistakes: Mistake<ConnectOptions>[] = [
  ["no options", undefined as never, TypeError, /options/],
  ["null", null as never, TypeError, /options/],
  ["no target", {}, TypeError, /port/],
  ["a host without a port", { host: "127.0.0.1" }, TypeError, /port/],
  ["a negative port", { port: -1 }, RangeError, /port.*-1/],
  ["a port over 65535", { port: 65_536 }, RangeError, /port.*65536/],
  ["a fraction of a port", { port: 80.5 }, TypeError, /port.*80\.5/],
  ["NaN for a port", { port: Number.NaN }, TypeError, /port.*NaN/],
  ["text for a port", { port: "80" as never }, TypeError, /port.*80/],
  ["an unknown option", { port: 80, timeout: 5 } as never, TypeError, /connect.*"timeout"/],
  ["a misspelt option", { port: 80, deadLine: 5 } as never, TypeError, /"deadLine"/],
  ["an empty host", { host: "", port: 80 }, TypeError, /host/],
  ["a number for a host", { host: 5 as never, port: 80 }, TypeError, /host/],
  ["an IPv4 address out of range", { host: "256.1.1.1", port: 80 }, TypeError, /256\.1\.1\.1/],
  ["a part of an IPv4 address", { host: "127.1", port: 80 }, TypeError, /127\.1/],
  ["a broken IPv6 address", { host: "::1::", port: 80 }, TypeError, /::1::/],
  ["an address in brackets", { host: "[::1]", port: 80 }, TypeError, /\[::1\]/],
  ["a host with its port", { host: "localhost:80", port: 80 }, TypeError, /localhost:80/],
  ["a URL", { host: "http://localhost/", port: 80 }, TypeError, /http/],
  ["a host with a space", { host: "local host", port: 80 }, TypeError, /local host/],
  ["a host with a NUL", { host: "local\0host", port: 80 }, TypeError, /address/],
  ["a host that is too long", { host: "a".repeat(256), port: 80 }, TypeError, /name/],
  ["an unknown family", { port: 80, family: 5 as never }, RangeError, /family/],
  ["a host of another family", { host: "::1", port: 80, family: 4 }, TypeError, /::1.*IPv4/],
  ["a name to connect from", { port: 80, localAddress: "localhost" }, TypeError, /localAddress/],
  ["a list to connect from", { port: 80, localAddress: ["::1"] as never }, TypeError, /local/],
  ["a symbol to connect from", { port: 80, localAddress: Symbol() as never }, TypeError, /local/],
  ["a path and a port", { path: "/tmp/x", port: 80 }, TypeError, /path/],
  ["a path and a host", { path: "/tmp/x", host: "localhost" }, TypeError, /path/],
  ["a path and a family", { path: "/tmp/x", family: 4 }, TypeError, /family/],
  ["a path and where from", { path: "/tmp/x", localAddress: "::1" }, TypeError, /localAddress/],
  ["an empty path", { path: "" }, TypeError, /path/],
  ["a path with a NUL in it", { path: "/tmp/a\0b" }, TypeError, /path/],
  ["a path that is too long", { path: `/${"x".repeat(107)}` }, RangeError, /path.*107/],
  ["a negative linger", { port: 80, linger: -1 }, RangeError, /linger/],
  [
    "a signal that is not an AbortSignal",
    { port: 80, signal: {} as never },
    TypeError,
    /AbortSignal/,
  ],
];

test.each(connectMistakes)("connect refuses %s", async (_name, options, kind, about) => {
  const { sockets, waiters } = await quietStats();
  expectMistake(await mistakeIn(() => connect(options)), kind, about);
  expect(stats()).toMatchObject({ sockets, waiters });
});

test("connect refuses options of keepAlive before it connects", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const target = { host: "127.0.0.1", port: listener.port };
  const { connected } = stats();
  const negative = await mistakeIn(() => connect({ ...target, keepAlive: { idle: -1 } }));
  expectMistake(negative, RangeError, /idle/);
  const keepAlive = { delay: 5 } as never;
  expectMistake(await mistakeIn(() => connect({ ...target, keepAlive })), TypeError, /"delay"/);
  expect(stats().connected).toBe(connected);
});

const listenMistakes: Mistake<ListenOptions>[] = [
  ["no options", undefined as never, TypeError, /options/],
  ["no place", {}, TypeError, /port, path and fd/],
  ["two places", { port: 0, path: "/tmp/x" }, TypeError, /port, path and fd/],
  ["a host without a port", { host: "127.0.0.1", path: "/tmp/x" }, TypeError, /host/],
  ["a negative port", { port: -1 }, RangeError, /port.*-1/],
  ["a port over 65535", { port: 65_536 }, RangeError, /port.*65536/],
  ["text for a port", { port: "0" as never }, TypeError, /port/],
  ["an unknown option", { port: 0, reuseport: true } as never, TypeError, /listen.*"reuseport"/],
  ["an empty host", { host: "", port: 0 }, TypeError, /host/],
  ["an address out of range", { host: "1.2.3.256", port: 0 }, TypeError, /1\.2\.3\.256/],
  ["a host with its port", { host: "localhost:80", port: 0 }, TypeError, /localhost:80/],
  ["an empty path", { path: "" }, TypeError, /path/],
  ["a path that is too long", { path: `/${"x".repeat(107)}` }, RangeError, /path.*107/],
  ["a path that is shared", { path: "/tmp/x", reusePort: true }, TypeError, /reusePort/],
  ["a negative descriptor", { fd: -1 }, RangeError, /descriptor/],
  ["text for a descriptor", { fd: "3" as never }, TypeError, /descriptor/],
  ["no backlog", { port: 0, backlog: 0 }, RangeError, /backlog/],
  ["NaN for a backlog", { port: 0, backlog: Number.NaN }, TypeError, /backlog/],
  ["no connections at all", { port: 0, maxConnections: 0 }, RangeError, /maxConnections/],
  ["half a connection", { port: 0, maxConnections: 1.5 }, TypeError, /maxConnections/],
  ["no handshakes at all", { port: 0, maxHandshakes: 0 }, RangeError, /maxHandshakes/],
  ["half a handshake", { port: 0, maxHandshakes: 0.5 }, TypeError, /maxHandshakes/],
  ["an onError that is not a function", { port: 0, onError: 5 as never }, TypeError, /onError/],
];

test.each(listenMistakes)("listen refuses %s", async (_name, options, kind, about) => {
  const { sockets } = await quietStats();
  expectMistake(await mistakeIn(() => listen(options)), kind, about);
  expect(stats().sockets).toBe(sockets);
});

test("other calls refuse unknown options", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  await using pair = await socketPair();
  const { client } = pair;
  const { fibers } = stats();
  const unknown = { now: true } as never;
  expectMistake(await mistakeIn(() => listen({ port: 0 }, 5 as never)), TypeError, /function/);
  expectMistake(await mistakeIn(() => listener.close(unknown)), TypeError, /close.*"now"/);
  expectMistake(await mistakeIn(() => listener.close(null as never)), TypeError, /options/);
  expect(listener.closed).toBe(false);
  expectMistake(await mistakeIn(() => client.sendFile("x", unknown)), TypeError, /sendFile.*"now"/);
  expectMistake(await mistakeIn(() => client.sendFile({} as never)), TypeError, /path/);
  expectMistake(
    thrownBy(() => spawn(() => {}, unknown)),
    TypeError,
    /spawn.*"now"/,
  );
  expectMistake(
    thrownBy(() => spawn(5 as never)),
    TypeError,
    /function/,
  );
  expectMistake(
    thrownBy(() => spawn(() => {}, { signal: 5 as never })),
    TypeError,
    /AbortSignal/,
  );
  expectMistake(
    thrownBy(() => block(5 as never)),
    TypeError,
    /function/,
  );
  expectMistake(
    thrownBy(() => client.setKeepAlive(unknown)),
    TypeError,
    /"now"/,
  );
  expectMistake(
    thrownBy(() => client.setKeepAlive({ idle: -1 })),
    RangeError,
    /idle/,
  );
  expectMistake(
    thrownBy(() => client.setKeepAlive({ count: 128 })),
    RangeError,
    /count/,
  );
  expectMistake(
    thrownBy(() => client.setLinger(-1)),
    RangeError,
    /seconds/,
  );
  expectMistake(
    thrownBy(() => client.setLinger(Number.NaN)),
    TypeError,
    /seconds/,
  );
  expect(stats().fibers).toBe(fibers);
});

const sendFileMistakes: [string, object, MistakeKind, RegExp][] = [
  ["a negative offset", { offset: -1 }, RangeError, /offset/],
  ["a fraction for an offset", { offset: 0.5 }, TypeError, /offset/],
  ["a negative length", { length: -1 }, RangeError, /length/],
  ["NaN for a length", { length: Number.NaN }, TypeError, /length/],
];

test.each(sendFileMistakes)("sendFile refuses %s", async (_name, options, kind, about) => {
  await using pair = await socketPair();
  const mistake = await mistakeIn(() => pair.client.sendFile(import.meta.path, options));
  expectMistake(mistake, kind, about);
  expect(pair.client.bytesWritten).toBe(0);
});

test("Socket.fromFd takes only connected stream sockets, and leaves others open", async () => {
  const { sockets } = await quietStats();
  expectMistake(
    thrownBy(() => Socket.fromFd(-1)),
    RangeError,
    /descriptor/,
  );
  expectMistake(
    thrownBy(() => Socket.fromFd(1.5)),
    TypeError,
    /descriptor/,
  );
  expect(thrownBy(() => Socket.fromFd(999_999))).toMatchObject({ code: "EBADF" });
  const file = openSync(import.meta.path, "r");
  try {
    expect(thrownBy(() => Socket.fromFd(file))).toMatchObject({ code: "ENOTSOCK" });
  } finally {
    closeSync(file);
  }
  expect(stats().sockets).toBe(sockets);
});

test.skipIf(process.platform !== "linux")("Socket.fromFd takes no socket without a peer", () => {
  using raw = new RawSocket();
  raw.bind();
  expect(thrownBy(() => Socket.fromFd(raw.fd))).toMatchObject({
    name: "SocketError",
    code: "ENOTCONN",
  });
});
