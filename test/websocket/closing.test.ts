/** The closing handshake, from both sides. */

import { describe, expect, test } from "bun:test";
import {
  CancelledError,
  deadline,
  spawn,
  TimeoutError,
  UnexpectedEndError,
  yieldNow,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { closing, frame, handPair, opcodes } from "../support/hand_websocket.ts";

describe("close", () => {
  test.each([
    [[], 1000, ""],
    [[1001], 1001, ""],
    [[4999, "é".repeat(61)], 4999, "é".repeat(61)],
  ] as [[number?, string?], number, string][])(
    "%p sends a Close frame, and waits for the server's and for the end of the stream",
    async (values, code, reason) => {
      await using pair = await handPair();
      const { ws, server } = pair;
      const end = ws.close(...values);
      expect(await server.expectClose()).toEqual([code, reason]);
      await server.send(opcodes.text, "still under way");
      await server.send(opcodes.ping, "not answered");
      await yieldNow();
      expect([Bun.peek.status(end), ws.closeCode]).toEqual(["pending", undefined]);
      await server.send(opcodes.close, closing(4321, "well"));
      await server.socket.write("what follows the Close frame does not count");
      expect([Bun.peek.status(end), ws.socket.closed]).toEqual(["pending", false]);
      await server.socket.shutdown();
      await end;
      expect([ws.socket.closed, ws.closeCode, ws.closeReason]).toEqual([true, 4321, "well"]);
      await server.expectEnd();
      expect([await ws.receive(), await ws.receive()]).toEqual(["still under way", null]);
      expect((await failureOf(ws.send("x"))).code).toBe("ERR_WEBSOCKET_CLOSED");
      await ws.close(3000);
    },
  );

  test("waits for the end of the stream no longer than a second, or than its deadline", async () => {
    for (const [until, most] of [
      [undefined, 1800],
      [30, 800],
    ] as const) {
      await using pair = await handPair();
      const { ws, server } = pair;
      await server.send(opcodes.close, closing(1000));
      const started = performance.now();
      await ws.close(1000, "", until && deadline(until));
      const passed = performance.now() - started;
      expect(passed).toBeGreaterThan((until ?? 1000) - 5);
      expect(passed).toBeLessThan(most);
      expect(ws.socket.closed).toBe(true);
    }
  });

  test("ends at its deadline, when cancelled, and with the stream; the socket is closed then", async () => {
    await using late = await handPair();
    expect(await failureOf(late.ws.close(1000, "", deadline(20)))).toBeInstanceOf(TimeoutError);
    expect([late.ws.socket.closed, late.ws.closeCode]).toEqual([true, 1006]);

    await using past = await handPair();
    expect(await failureOf(past.ws.close(1000, "", deadline(0)))).toBeInstanceOf(TimeoutError);
    expect(past.ws.socket.closed).toBe(true);

    await using cancelled = await handPair();
    const fiber = spawn(() => cancelled.ws.close());
    await cancelled.server.expectClose();
    fiber.cancel();
    expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
    expect(cancelled.ws.socket.closed).toBe(true);

    await using ended = await handPair();
    const end = failureOf(ended.ws.close());
    await ended.server.expectClose();
    ended.server.socket.close();
    expect(await end).toBeInstanceOf(UnexpectedEndError);
    expect([ended.ws.socket.closed, ended.ws.closeCode]).toEqual([true, 1006]);
  });

  test("leaves messages to a fiber that receives, and ends its loop", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    await using receiver = spawn(async () => {
      const received: unknown[] = [];
      for await (const message of ws) received.push(message);
      return received;
    });
    await yieldNow();
    const end = ws.close();
    await server.expectClose();
    await server.send(opcodes.text, "one");
    await server.send(opcodes.text, "two");
    await server.send(opcodes.close, "");
    expect(await receiver.join()).toEqual(["one", "two"]);
    server.socket.close();
    await end;
    expect(ws.closeCode).toBe(1005);
  });

  test("throws messages away above the limits that are kept", async () => {
    for (const [count, bytes, kept] of [
      [1100, 10, 1024],
      [40, 100_000, 10],
    ] as const) {
      await using pair = await handPair({ maxMessageBytes: 1_000_000 });
      const { ws, server } = pair;
      const end = ws.close();
      await server.expectClose();
      for (let sent = 0; sent < count; sent++) await server.send(opcodes.text, "x".repeat(bytes));
      await server.send(opcodes.close, closing(1000));
      server.socket.close();
      await end;
      let received = 0;
      while ((await ws.receive()) !== null) received++;
      expect(received).toBe(kept);
    }
  });

  test("by several fibers sends one Close frame", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const ends = [ws.close(4001), ws.close(4002), ws.close(4003)];
    expect(await server.expectClose()).toEqual([4001, ""]);
    await server.send(opcodes.close, closing(4001));
    server.socket.close();
    await Promise.all(ends);
    await ws.close();
  });

  test("waits for what is being sent, and lets nothing follow", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const sending = ws.send(new Uint8Array(8_000_000));
    const end = ws.close();
    expect((await failureOf(ws.send("x"))).code).toBe("ERR_WEBSOCKET_CLOSED");
    expect((await server.read()).payload).toHaveLength(8_000_000);
    await sending;
    expect(await server.expectClose()).toEqual([1000, ""]);
    await server.send(opcodes.close, closing(1000));
    server.socket.close();
    await end;
  });

  test("has no other codes and reasons than may be sent", async () => {
    await using pair = await handPair();
    const { ws } = pair;
    const before = ws.socket.bytesWritten;
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 1000.5, "1000", null]) {
      const error = await failureOf(ws.close(code as number));
      expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    }
    expect(await failureOf(ws.close(1000, "é".repeat(62)))).toBeInstanceOf(RangeError);
    expect(await failureOf(ws.close(1000, 5 as never))).toBeInstanceOf(TypeError);
    expect(await failureOf(ws.close(1000, "", 5))).toBeInstanceOf(RangeError);
    expect([ws.socket.closed, ws.socket.bytesWritten]).toEqual([false, before]);
  });
});

describe("a server that closes", () => {
  test.each([
    [closing(1000, "done"), 1000, "done", [1000, ""]],
    [closing(3000), 3000, "", [3000, ""]],
    [closing(1012), 1012, "", [1012, ""]],
    [new Uint8Array(0), 1005, "", [undefined, ""]],
  ] as const)("with %p is answered in kind", async (payload, code, reason, answer) => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const receiving = ws.receive();
    await server.send(opcodes.close, payload);
    expect(await receiving).toBe(null);
    expect([ws.closeCode, ws.closeReason]).toEqual([code, reason]);
    expect(await server.expectClose()).toEqual([...answer] as [number, string]);
    expect(ws.socket.closed).toBe(false);
    server.socket.close();
    await ws.close();
    expect(ws.socket.closed).toBe(true);
  });

  test("while the client closes is answered by the client's own frame alone", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    await server.send(opcodes.close, closing(4001, "server"));
    const end = ws.close(4002, "client");
    expect(await server.expectClose()).toEqual([4002, "client"]);
    await server.socket.shutdown();
    await end;
    await server.expectEnd();
    expect([ws.closeCode, ws.closeReason]).toEqual([4001, "server"]);
  });

  test("and goes on sending: nothing of it is received", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    await server.socket.write(
      Buffer.concat([frame(opcodes.close, closing(1000)), frame(opcodes.text, "too late")]),
    );
    expect([await ws.receive(), await ws.receive()]).toEqual([null, null]);
    await server.expectClose();
    server.socket.close();
    await ws.close();
  });
});

test("disposal does the closing handshake, and does not throw", async () => {
  for (const answers of [true, false]) {
    await using pair = await handPair();
    const { server } = pair;
    const used = (async () => {
      await using ws = pair.ws;
      await ws.send("hello");
    })();
    await server.expect(opcodes.text);
    expect(await server.expectClose()).toEqual([1000, ""]);
    if (answers) await server.send(opcodes.close, closing(1000));
    server.socket.close();
    await used;
    expect(pair.ws.socket.closed).toBe(true);
  }
});

test("a socket that its owner closes fails every call, and nothing is left of them", async () => {
  await using pair = await handPair();
  const { ws } = pair;
  const calls = [ws.receive(), ws.ping(), ws.send(new Uint8Array(12_000_000))].map(failureOf);
  await yieldNow();
  ws.socket.close();
  for (const error of await Promise.all(calls)) expect(error.code).toBe("ERR_SOCKET_CLOSED");
  for (const call of [ws.receive(), ws.send("x"), ws.ping()]) {
    expect((await failureOf(call)).code).toMatch(/^ERR_(SOCKET_CLOSED|WEBSOCKET_CUT)$/);
  }
  await ws.close();
});
