import { expect, test } from "bun:test";
import {
  connect,
  deadline,
  type Listener,
  listen,
  now,
  type Socket,
  spawn,
  stats,
  waitReadable,
  waitWritable,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { readText } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";

/** Every call that takes a deadline, in a situation in which it could succeed at once. */
type Calls = Record<string, (deadline: number) => Promise<unknown>>;

function callsWithDeadline(socket: Socket, listener: Listener): Calls {
  return {
    read: (deadline) => socket.read(new Uint8Array(8), deadline),
    next: (deadline) => socket.next(deadline),
    write: (deadline) => socket.write("text", deadline),
    "write of several": (deadline) => socket.write(["a", "b"], deadline),
    sendFile: (deadline) => socket.sendFile(import.meta.path, { deadline }),
    shutdown: (deadline) => socket.shutdown(deadline),
    accept: (deadline) => listener.accept(deadline),
    connect: (deadline) => connect({ host: "127.0.0.1", port: listener.port, deadline }),
    waitReadable: (deadline) => waitReadable(0, deadline),
    waitWritable: (deadline) => waitWritable(2, deadline),
    readSync: async (deadline) => socket.readSync(new Uint8Array(8), deadline),
    writeSync: async (deadline) => socket.writeSync("text", deadline),
  };
}

test.each([Number.NaN, -1, Number.NEGATIVE_INFINITY])(
  "a deadline of %p is refused",
  async (wrong) => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    await using pair = await socketPair();
    const { client, server } = pair;
    await server.write("unread");
    const { sockets } = await quietStats();
    for (const [name, call] of Object.entries(callsWithDeadline(client, listener))) {
      expectMistake(await mistakeIn(() => call(wrong)), RangeError, /deadline/);
      const text = await mistakeIn(() => call("soon" as never));
      expect([name, text.name]).toEqual([name, "TypeError"]);
    }
    expectMistake(
      await mistakeIn(() => listener.close({ deadline: wrong })),
      RangeError,
      /deadline/,
    );
    expectMistake(
      thrownBy(() => deadline(wrong)),
      RangeError,
      /deadline/,
    );
    expectMistake(
      thrownBy(() => spawn(() => {}, { deadline: wrong })),
      RangeError,
      /deadline/,
    );
    expect(client).toMatchObject({ bytesWritten: 0, bytesRead: 0 });
    expect(listener.closed).toBe(false);
    expect(stats().sockets).toBe(sockets);
  },
);

test.each([0, 0.001, 1, 50_000])(
  "with a deadline that has passed %p ms ago, a call does nothing",
  async (ago) => {
    const passed = now() - ago;
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    await using waiting = await connect({ host: "127.0.0.1", port: listener.port });
    await using pair = await socketPair();
    const { client, server } = pair;
    await server.write("unread");
    const { sockets, waiters } = await quietStats();
    for (const [name, call] of Object.entries(callsWithDeadline(client, listener))) {
      const error = await mistakeIn(() => call(passed));
      expect([name, error.name, error.code]).toEqual([name, "TimeoutError", "ETIMEDOUT"]);
    }
    expect(client).toMatchObject({ bytesWritten: 0, bytesRead: 0 });
    expect(stats()).toMatchObject({ sockets, waiters });
    // The refused calls have used nothing up: each still succeeds.
    await using accepted = await listener.accept(deadline(2000));
    expect(accepted.remotePort).toBe(waiting.localPort!);
    expect(new TextDecoder().decode((await client.next(deadline(2000)))!)).toBe("unread");
    await client.write("only this");
    await client.shutdown();
    expect(await readText(server)).toBe("only this");
  },
);

test("every call on a closed socket fails with ERR_SOCKET_CLOSED", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  await using pair = await socketPair();
  const { client } = pair;
  client.close();
  await using open = await connect({ host: "127.0.0.1", port: listener.port });
  const {
    accept,
    connect: _connect,
    waitReadable: _r,
    waitWritable: _w,
    ...calls
  } = callsWithDeadline(client, listener);
  for (const [name, call] of Object.entries(calls)) {
    const error = await mistakeIn(() => call(0));
    expect([name, error.name, error.code]).toEqual([name, "SocketError", "ERR_SOCKET_CLOSED"]);
  }
  expect(await failureOf(readText(client))).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  for (const call of [
    () => client.setNoDelay(),
    () => client.setKeepAlive(),
    () => client.setLinger(1),
  ]) {
    expect(thrownBy(call)).toMatchObject({ name: "SocketError", code: "ERR_SOCKET_CLOSED" });
  }
  await listener.close();
  expect(await mistakeIn(() => accept!(0))).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  expect(open.connected).toBe(true);
});

test("a duration in place of a deadline is refused, and the error names the deadline to use", async () => {
  if (now() < 70_000) {
    console.log("not tested: this machine has just started, and its clock is near its zero");
    return;
  }
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  await using pair = await socketPair();
  for (const call of Object.values(callsWithDeadline(pair.client, listener))) {
    expectMistake(await mistakeIn(() => call(5000)), RangeError, /deadline\(5000\) is in 5000 ms/);
  }
});
