/** resolve: addresses of hosts, without a connection. */

import { describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import {
  block,
  CancelledError,
  connect,
  deadline,
  dump,
  listen,
  now,
  resolve,
  sleep,
  spawn,
  stats,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { expectMistake, type MistakeKind, mistakeIn } from "../support/mistakes.ts";
import { WorkerProgram } from "../support/worker_program.ts";

/** No name server is asked for a name with an empty label. */
const impossible = "no..such.host";

test("a literal is its own address", async () => {
  for (const literal of ["127.0.0.1", "::1", "2001:DB8::1", "fe80::1%no-such-zone"]) {
    expect(await resolve(literal)).toEqual([literal]);
  }
  expect(await resolve("127.0.0.1", { family: 4 })).toEqual(["127.0.0.1"]);
  expect(await resolve("::1", { family: 6 })).toEqual(["::1"]);
});

test("localhost is this machine, in every spelling", async () => {
  for (const name of ["localhost", "localhost.", "LocalHost"]) {
    expect(await resolve(name)).toEqual(["::1", "127.0.0.1"]);
  }
  expect(await resolve("localhost", { family: 4 })).toEqual(["127.0.0.1"]);
  expect(await resolve("localhost", { family: 6 })).toEqual(["::1"]);
});

test("names below localhost are this machine without a look-up", async () => {
  const { waiters } = stats();
  for (const name of ["a.localhost", "A.B.LocalHost", "x-1.localhost.", "_a.localhost"]) {
    const resolved = resolve(name);
    // A look-up would have a waiter. A known address has only a wait for the next turn, without a
    // name.
    expect(dump()).not.toContain("getaddrinfo");
    expect(await resolved).toEqual(["::1", "127.0.0.1"]);
    expect(await resolve(name, { family: 4 })).toEqual(["127.0.0.1"]);
    expect(await resolve(name, { family: 6 })).toEqual(["::1"]);
  }
  for (const name of ["notlocalhost.", "localhost.invalid", "a..localhost", ".localhost"]) {
    const looked = new AbortController();
    const failure = failureOf(resolve(name, { signal: looked.signal }));
    expect(stats().waiters).toBe(waiters + 1);
    looked.abort();
    expect(await failure).toMatchObject({ code: "ECANCELED" });
  }
});

test("a connection to a name below localhost goes to this machine", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const target = { host: "api.LOCALHOST.", port: listener.port, deadline: deadline(5000) };
  for (const family of [undefined, 4] as const) {
    await using socket = await connect({ ...target, family });
    expect(socket.remoteAddress).toBe("127.0.0.1");
  }
  const error = await failureOf(connect({ ...target, family: 6 }));
  expect(error).toMatchObject({ address: "::1" });
});

test("a name of this machine is looked up, and each address is there once", async () => {
  const addresses = await resolve(hostname());
  expect(addresses.length).toBeGreaterThan(0);
  expect(new Set(addresses).size).toBe(addresses.length);
  const ipv4 = await resolve(hostname(), { family: 4 });
  for (const address of ipv4) expect(address).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
  expect(addresses).toEqual(expect.arrayContaining(ipv4));
});

test("the error of a name without addresses has the call and the name", async () => {
  const error = await failureOf(resolve(impossible));
  expect(error).toMatchObject({
    name: "SocketError",
    code: "ENOTFOUND",
    syscall: "getaddrinfo",
    address: impossible,
  });
});

test("works under the blocking driver and in a Worker", async () => {
  expect(block(() => resolve(hostname(), { family: 4 }))).toEqual(
    await resolve(hostname(), { family: 4 }),
  );
  await using worker = new WorkerProgram(`post(await resolve(${JSON.stringify(hostname())}));`);
  expect(await worker.message()).toEqual(await resolve(hostname()));
});

test("a signal ends a look-up, before and after its start", async () => {
  const reason = new Error("not needed");
  const { waiters } = stats();
  const aborted = failureOf(resolve(impossible, { signal: AbortSignal.abort(reason) }));
  expect(stats().waiters).toBe(waiters);
  expect(await aborted).toMatchObject({ code: "ECANCELED", syscall: "getaddrinfo", cause: reason });

  const controller = new AbortController();
  const failure = failureOf(resolve(impossible, { signal: controller.signal }));
  expect(stats().waiters).toBe(waiters + 1);
  controller.abort(reason);
  const error = await failure;
  expect(error).toBeInstanceOf(CancelledError);
  expect(error.cause).toBe(reason);
});

test("a cancelled fiber looks nothing up", async () => {
  const fiber = spawn(async () => {
    await sleep(60_000).catch(() => undefined);
    return await failureOf(resolve("127.0.0.1"));
  });
  fiber.cancel("no more");
  expect(await fiber.join()).toMatchObject({ name: "CancelledError", cause: "no more" });
});

test("a cancelled fiber that listens at a name does not wait for its address", async () => {
  const fiber = spawn(async () => {
    await sleep(60_000).catch(() => undefined);
    return await failureOf(listen({ host: impossible, port: 0 }));
  });
  fiber.cancel("no more");
  expect(await fiber.join()).toMatchObject({ name: "CancelledError", cause: "no more" });
});

test("a deadline that has passed fails at once", async () => {
  const { waiters } = stats();
  const late = failureOf(resolve(impossible, { deadline: now() - 1 }));
  expect(stats().waiters).toBe(waiters);
  expect(await late).toMatchObject({ name: "TimeoutError", syscall: "getaddrinfo" });
  expect(await resolve("localhost", { deadline: deadline(5000) })).toHaveLength(2);
});

test("an answer without a look-up draws on the turn's budget", async () => {
  let others = 0;
  const fiber = spawn(async () => {
    for (;;) {
      await sleep(0);
      others++;
    }
  });
  for (let count = 0; count < 5000; count++) await resolve("127.0.0.1");
  expect(others).toBeGreaterThan(0);
  fiber.cancel();
  await failureOf(fiber.join());
});

describe("a mistake is reported before anything happens", () => {
  const cases: [string, unknown[], MistakeKind, RegExp][] = [
    ["no host", [], TypeError, /host/],
    ["an empty host", [""], TypeError, /host/],
    ["a host that is no text", [4], TypeError, /host/],
    ["a host with a port", ["example.org:80"], TypeError, /example\.org:80/],
    ["half an address", ["127.0.0"], TypeError, /127\.0\.0/],
    ["an address in the old way", ["0177.0.0.1"], TypeError, /neither/],
    ["an address of hexadecimal parts", ["0x7f.1"], TypeError, /neither/],
    ["an address that is one number", ["0X7F000001"], TypeError, /neither/],
    ["a literal of the other family", ["127.0.0.1", { family: 6 }], TypeError, /IPv6/],
    ["a zone of IPv4", ["127.0.0.1%lo", { family: 6 }], TypeError, /IPv6|neither/],
    ["another family", ["localhost", { family: 5 }], RangeError, /family/],
    ["an unknown option", ["localhost", { timeout: 5 }], TypeError, /timeout/],
    ["options that are not an object", ["localhost", 4], TypeError, /options/],
    ["a negative deadline", ["localhost", { deadline: -1 }], RangeError, /deadline/],
    ["a signal that is not an AbortSignal", ["localhost", { signal: {} }], TypeError, /signal/],
  ];
  test.each(cases)("%s", async (_name, given, kind, about) => {
    const call = resolve as (...given: unknown[]) => Promise<string[]>;
    expectMistake(await mistakeIn(() => call(...given)), kind, about);
  });
});
