/** Pings of the client: their pongs, and what comes beside them. */

import { expect, test } from "bun:test";
import {
  CancelledError,
  deadline,
  type Fiber,
  scope,
  spawn,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import { WebSocketClosedError, WebSocketError } from "../../src/websocket/errors.ts";
import { failureOf } from "../support/failure.ts";
import { closing, frame, handPair, opcodes } from "../support/hand_websocket.ts";
import { Random } from "../support/random.ts";

test("a ping is over when its pong has come, and messages before it are kept", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const pinging = ws.ping();
  const payload = await server.expect(opcodes.ping);
  await server.send(opcodes.text, "first");
  await server.send(opcodes.pong, "another");
  await server.send(opcodes.binary, "second");
  await server.send(opcodes.ping, "from the server");
  expect(await server.expect(opcodes.pong)).toBe("from the server");
  expect(Bun.peek.status(pinging)).toBe("pending");
  await server.send(opcodes.pong, payload);
  await server.send(opcodes.text, "third");
  await pinging;
  expect(await ws.receive()).toBe("first");
  expect(await ws.receive()).toEqual(new Uint8Array(Buffer.from("second")));
  expect(await ws.receive()).toBe("third");
});

test("pings of several fibers, beside calls that receive", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const random = new Random();
  const [fibers, pings, messages] = [5, 40, 200];
  await using _serving = spawn(async () => {
    let sent = 0;
    for (let answered = 0; answered < fibers * pings; answered++) {
      const { payload } = await server.read();
      while (sent < messages && random.below(2) === 0) await server.send(opcodes.text, `${sent++}`);
      await server.send(opcodes.pong, payload);
    }
    while (sent < messages) await server.send(opcodes.text, `${sent++}`);
  });
  await scope(async (own) => {
    for (let number = 0; number < fibers; number++) {
      own.spawn(async () => {
        for (let count = 0; count < pings; count++) {
          await ws.ping(number === 0 ? undefined : `${number} ${count}`, deadline(5000));
        }
      });
    }
    for (let count = 0; count < messages; count++) {
      expect([random.seed, await ws.receive(deadline(5000))]).toEqual([random.seed, `${count}`]);
      if (random.below(4) === 0) await yieldNow();
    }
  });
});

test("a ping keeps a copy of its data, for the comparison with the pong", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const data = Buffer.from("before");
  const pinging = ws.ping(data);
  data.fill("x");
  expect(await server.expect(opcodes.ping)).toBe("before");
  await server.send(opcodes.pong, "before");
  await pinging;
});

test("a ping leaves to a call beside it the messages that come", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const pinging = ws.ping("a");
  await server.expect(opcodes.ping);
  const receiving = [ws.receive(), ws.receive()];
  await server.send(opcodes.text, "one");
  expect(await receiving[0]).toBe("one");
  await server.send(opcodes.text, "two");
  expect(await receiving[1]).toBe("two");
  expect(Bun.peek.status(pinging)).toBe("pending");
  await server.send(opcodes.pong, "a");
  await pinging;
});

test("a ping reads no further than its pong", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const pinging = ws.ping("a");
  await server.expect(opcodes.ping);
  const message = frame(opcodes.text, "x".repeat(10_000));
  const messages = new Array<Uint8Array>(200).fill(message);
  await using sending = spawn(() => server.socket.write([frame(opcodes.pong, "a"), ...messages]));
  await pinging;
  expect(ws.socket.bytesRead).toBeLessThan(100_000);
  for (const { length } of messages) expect((await ws.receive())?.length).toBe(length - 4);
  await sending.join();
});

test("a ping goes on by itself when the call that has read for it ends", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  for (const ends of ["with a message", "at its deadline"]) {
    const receiving = ws.receive(ends === "with a message" ? undefined : deadline(20));
    const pinging = ws.ping("a");
    expect(await server.expect(opcodes.ping)).toBe("a");
    if (ends === "with a message") {
      await server.send(opcodes.text, "message");
      expect(await receiving).toBe("message");
    } else expect(await failureOf(receiving)).toBeInstanceOf(TimeoutError);
    await server.send(opcodes.pong, "a");
    await pinging;
  }
});

test("a pong ends the pings before its own", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const pinging = Promise.all([ws.ping("a"), ws.ping("b"), ws.ping("b")]);
  const last = ws.ping("b");
  for (const payload of ["a", "b", "b", "b"])
    expect(await server.expect(opcodes.ping)).toBe(payload);
  await server.send(opcodes.pong, "b");
  await server.send(opcodes.pong, "b");
  await pinging;
  expect(Bun.peek.status(last)).toBe("pending");
  await server.send(opcodes.pong, "b");
  await last;
});

test("a ping fails at its deadline and when its fiber is cancelled; nothing reads on for it", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  expect(await failureOf(ws.ping("late", deadline(20)))).toBeInstanceOf(TimeoutError);
  const fiber: Fiber<void> = spawn(() => ws.ping("cancelled"));
  await yieldNow();
  fiber.cancel();
  expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
  expect(ws.socket.isBusy).toBe(false);
  for (const payload of ["late", "cancelled"]) {
    expect(await server.expect(opcodes.ping)).toBe(payload);
    await server.send(opcodes.pong, payload);
  }
  await server.send(opcodes.text, "a");
  expect(await ws.receive()).toBe("a");
  const pinging = ws.ping("in time");
  await server.expect(opcodes.ping);
  await server.send(opcodes.pong, "in time");
  await pinging;
});

test("a ping fails when the server closes, or breaks the protocol", async () => {
  for (const [wire, kind] of [
    [frame(opcodes.close, closing(1001)), WebSocketClosedError],
    [frame(5, ""), WebSocketError],
  ] as const) {
    await using pair = await handPair();
    const { ws, server } = pair;
    const failing = Promise.all([failureOf(ws.ping()), failureOf(ws.ping())]);
    for (let read = 0; read < 2; read++) await server.expect(opcodes.ping);
    await server.socket.write(wire);
    for (const error of await failing) expect(error).toBeInstanceOf(kind);
  }
});

test("a ping fails when more messages come before its pong than are kept, and they are received", async () => {
  for (const [count, bytes] of [
    [1024, 10],
    [10, 100_000],
  ] as const) {
    await using pair = await handPair({ maxMessageBytes: 1_000_000 });
    const { ws, server } = pair;
    const failing = failureOf(ws.ping());
    const message = "x".repeat(bytes);
    await using sending = spawn(async () => {
      for (let sent = 0; sent < count + 1; sent++) await server.send(opcodes.text, message);
    });
    expect((await failing).code).toBe("ENOBUFS");
    expect((await failureOf(ws.ping())).code).toBe("ENOBUFS");
    for (let read = 0; read < count + 1; read++) expect((await ws.receive())?.length).toBe(bytes);
    await sending.join();
  }
});
