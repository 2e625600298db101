/** What a client receives: messages, however they are cut, control frames between them, and the end. */

import { describe, expect, test } from "bun:test";
import {
  CancelledError,
  deadline,
  scope,
  spawn,
  TimeoutError,
  UnexpectedEndError,
  yieldNow,
} from "../../index.ts";
import { blocked } from "../../src/net/lane.ts";
import { WebSocketError } from "../../src/websocket/errors.ts";
import { ReceiveBuffer } from "../../src/websocket/receive_buffer.ts";
import { failureOf } from "../support/failure.ts";
import { closing, frame, handPair, opcodes } from "../support/hand_websocket.ts";
import { Random } from "../support/random.ts";
import { isSoak } from "../support/soak.ts";
import { socketPair } from "../support/socket_pair.ts";

/** What a server sends, and what a client makes of it. */
class Script {
  readonly #random: Random;
  readonly #wire: Uint8Array[] = [];
  readonly messages: (string | Uint8Array)[] = [];
  readonly pings: string[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  get wire(): Uint8Array {
    return Buffer.concat(this.#wire);
  }

  /** A message in random fragments, with control frames between them. */
  addMessage(): void {
    const random = this.#random;
    const isText = random.below(2) === 0;
    const text = this.#text();
    const bytes = Buffer.from(text);
    this.messages.push(isText ? text : new Uint8Array(bytes));
    const cuts = Array.from({ length: random.pick([0, 0, 1, 2, 7]) }, () =>
      random.below(bytes.length + 1),
    ).sort((one, other) => one - other);
    let opcode: number = isText ? opcodes.text : opcodes.binary;
    let start = 0;
    for (const cut of [...cuts, bytes.length]) {
      this.#addControl();
      const isFinal = cut === bytes.length && this.#random.below(8) > 0;
      this.#wire.push(frame(opcode, bytes.subarray(start, cut), isFinal));
      opcode = opcodes.continuation;
      start = cut;
      if (isFinal) return;
    }
    this.#wire.push(frame(opcode, "", true));
  }

  #text(): string {
    const random = this.#random;
    const length = random.pick([0, 1, 5, 120, 126, 130, 4000, 33_000, 70_000, 140_000]);
    const characters = random.pick([["a"], ["é"], ["a", "é", "€", "😀", "\ufeff", "\ufffd"]]);
    let text = "";
    for (let count = random.below(length + 1); count > 0; count--) text += random.pick(characters);
    return text;
  }

  #addControl(): void {
    while (this.#random.below(3) === 0) {
      const payload = "p".repeat(this.#random.below(126));
      if (this.#random.below(3) === 0) this.#wire.push(frame(opcodes.pong, payload));
      else {
        this.pings.push(payload);
        this.#wire.push(frame(opcodes.ping, payload));
      }
    }
  }
}

test("random messages in random fragments, frames and portions are those of the model", async () => {
  const rounds = isSoak ? 400 : 12;
  for (let round = 0; round < rounds; round++) {
    const random = new Random();
    const script = new Script(random);
    for (let count = 0; count < 12; count++) script.addMessage();
    const { wire } = script;
    await using pair = await handPair({ isTls: round % 5 === 4 });
    const { ws, server } = pair;
    await using sending = spawn(async () => {
      const most = random.pick([200, 5000, 40_000, 1_000_000]);
      for (let at = 0; at < wire.length; ) {
        const end = at + 1 + random.below(most);
        await server.socket.write(wire.subarray(at, end));
        at = end;
        if (random.below(2) === 0) await yieldNow();
      }
    });
    const pongs: string[] = [];
    await using answering = spawn(async () => {
      for (;;) {
        const { opcode, payload } = await server.read();
        if (opcode === opcodes.close) return;
        pongs.push(Buffer.from(payload).toString());
      }
    });
    for (const [index, message] of script.messages.entries()) {
      const received = await ws.receive(deadline(5000));
      const isSame =
        typeof message === "string"
          ? received === message
          : received instanceof Uint8Array && Buffer.compare(received, message) === 0;
      if (!isSame)
        throw new Error(`seed ${random.seed}: message ${index} of round ${round} differs`);
    }
    await sending.join();
    const end = ws.close();
    await answering.join();
    await server.send(opcodes.close, closing(1000));
    server.socket.close();
    await end;
    // A ping that comes while a pong waits may be answered by the pong to a later one.
    let at = 0;
    for (const pong of pongs) {
      at = script.pings.indexOf(pong, at) + 1;
      expect([random.seed, at > 0]).toEqual([random.seed, true]);
    }
    expect(pongs.at(-1)).toBe(script.pings.at(-1));
  }
});

test("messages that come a byte at a time", async () => {
  const random = new Random(1);
  await using pair = await handPair();
  const { ws, server } = pair;
  const wire = Buffer.concat([
    frame(opcodes.text, "a€b"),
    frame(opcodes.text, "", false),
    frame(opcodes.ping, "between"),
    frame(opcodes.continuation, Buffer.from("€").subarray(0, 1), false),
    frame(opcodes.pong, "unasked"),
    frame(opcodes.continuation, Buffer.from("€").subarray(1)),
    frame(opcodes.binary, new Uint8Array(300).fill(7)),
    frame(opcodes.binary, ""),
    frame(opcodes.close, closing(1001, "é")),
  ]);
  await using _sending = spawn(async () => {
    for (const byte of wire) {
      await server.socket.write(new Uint8Array([byte]));
      for (let pause = random.below(3); pause > 0; pause--) await yieldNow();
    }
  });
  const received = [];
  for await (const message of ws) received.push(message);
  expect(received).toEqual(["a€b", "€", new Uint8Array(300).fill(7), new Uint8Array(0)]);
  expect([ws.closeCode, ws.closeReason]).toEqual([1001, "é"]);
  expect(await server.expect(opcodes.pong)).toBe("between");
  expect(await server.expectClose()).toEqual([1001, ""]);
  expect([await ws.receive(), await ws.receive()]).toEqual([null, null]);
});

describe("the limit of a message", () => {
  test.each([100, 126, 70_000])("of %p bytes is for all its fragments", async (maxMessageBytes) => {
    const whole = "x".repeat(maxMessageBytes);
    for (const isExceeded of [false, true]) {
      await using pair = await handPair({ maxMessageBytes });
      const { ws, server } = pair;
      const first = whole.slice(0, 50);
      const rest = whole.slice(50);
      await server.send(opcodes.text, whole);
      await server.send(opcodes.text, first, false);
      await server.send(opcodes.continuation, isExceeded ? `${rest}y` : rest);
      expect(await ws.receive()).toBe(whole);
      if (!isExceeded) {
        expect(await ws.receive()).toBe(whole);
        continue;
      }
      const error = await failureOf(ws.receive());
      expect(error).toBeInstanceOf(WebSocketError);
      expect((error as WebSocketError).closeCode).toBe(1009);
      expect((await server.expectClose())[0]).toBe(1009);
    }
  });

  test("refuses a length before anything of it comes", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    await server.socket.write(Buffer.from("827f0000000001000001", "hex"));
    const error = await failureOf(ws.receive());
    expect(error.message).toContain("longer than 16777216 bytes: 1009");
  });

  test("a buffer grows by what has come, not by what a length promises", async () => {
    await using pair = await socketPair();
    const buffer = new ReceiveBuffer();
    const sent = 500_000;
    await using _sending = spawn(() => pair.server.write(new Uint8Array(sent)));
    while (buffer.end < sent) {
      const before = buffer.bytes.length;
      if (buffer.receive(pair.client, true, 2 ** 31) === blocked) await yieldNow();
      expect(buffer.bytes.length).toBeLessThanOrEqual(Math.max(4 * before, 32_768));
    }
    expect(buffer.bytes.length).toBeLessThanOrEqual(4 * sent);
  });
});

describe("the end of the stream", () => {
  test.each([
    ["between messages", frame(opcodes.text, "a"), 0],
    ["within a header", Buffer.concat([frame(opcodes.text, "a"), Buffer.from([0x81])]), 1],
    [
      "within a frame",
      Buffer.concat([frame(opcodes.text, "a"), frame(opcodes.text, "bcd").subarray(0, 4)]),
      2,
    ],
    [
      "between fragments",
      Buffer.concat([frame(opcodes.text, "a"), frame(opcodes.text, "bcd", false)]),
      3,
    ],
  ] as const)("%s is an error", async (_where, wire, partial) => {
    await using pair = await handPair();
    const { ws, server } = pair;
    await server.socket.write(wire);
    await server.socket.shutdown();
    expect(await ws.receive()).toBe("a");
    for (let call = 0; call < 2; call++) {
      const error = await failureOf(ws.receive());
      expect(error).toBeInstanceOf(UnexpectedEndError);
      expect((error as UnexpectedEndError).partial).toHaveLength(partial);
    }
    expect([ws.closeCode, ws.socket.closed]).toEqual([1006, false]);
    expect(await failureOf(ws.ping())).toBeInstanceOf(UnexpectedEndError);
    expect(await failureOf(ws.close())).toBeInstanceOf(UnexpectedEndError);
    expect(ws.socket.closed).toBe(true);
  });

  test("by a reset is an error of the socket", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const failing = failureOf(ws.receive());
    await yieldNow();
    server.socket.reset();
    expect((await failing).code).toBe("ECONNRESET");
    expect(ws.closeCode).toBe(1006);
  });
});

describe("a deadline and a cancellation", () => {
  test("take nothing: the next call goes on within the message", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const wire = Buffer.concat([
      frame(opcodes.text, "ab", false),
      frame(opcodes.continuation, "cd"),
    ]);
    for (let cut = 0; cut < wire.length; cut++) {
      await server.socket.write(wire.subarray(0, cut));
      if (cut % 2 === 0) {
        expect(await failureOf(ws.receive(deadline(2)))).toBeInstanceOf(TimeoutError);
      } else {
        const fiber = spawn(() => ws.receive());
        await yieldNow();
        fiber.cancel();
        expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
      }
      await server.socket.write(wire.subarray(cut));
      expect(await ws.receive()).toBe("abcd");
    }
  });

  test("that are over fail before anything is read", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    await server.send(opcodes.text, "a");
    const past = deadline(0);
    for (const call of [
      ws.receive(past),
      ws.send("x", past),
      ws.ping("x", past),
      ws.sendFragments(["x"], past),
    ]) {
      expect(await failureOf(call)).toBeInstanceOf(TimeoutError);
    }
    expect(await ws.receive()).toBe("a");
    await ws.send("y");
    expect(await server.expect(opcodes.text)).toBe("y");
  });
});

test("several fibers that receive are served in order", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const received: unknown[] = [];
  await scope(async (own) => {
    for (let number = 0; number < 5; number++) {
      own.spawn(async () => {
        received[number] = await ws.receive();
      });
    }
    for (let number = 0; number < 5; number++) await server.send(opcodes.text, `${number}`);
  });
  expect(received).toEqual(["0", "1", "2", "3", "4"]);
});

test("a connection that waits for a message holds no buffer", async () => {
  const count = 100;
  const stack = new AsyncDisposableStack();
  await using _all = stack;
  const pairs = [];
  for (let made = 0; made < count; made++) pairs.push(stack.use(await handPair()));
  const before = process.memoryUsage().arrayBuffers;
  const receiving = pairs.map(({ ws }) => ws.receive());
  for (let round = 0; round < 3; round++) {
    for (const { server } of pairs) await server.send(opcodes.text, "a".repeat(100));
    for (const [index, { ws }] of pairs.entries()) {
      expect(await receiving[index]!).toHaveLength(100);
      receiving[index] = ws.receive();
    }
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 32_768);
  for (const { server } of pairs) await server.send(opcodes.text, "last");
  expect(new Set(await Promise.all(receiving))).toEqual(new Set(["last"]));
});

test("connections that receive at the same time have memory of their own", async () => {
  const random = new Random();
  const stack = new AsyncDisposableStack();
  await using _all = stack;
  const parts = 7;
  const bytes = 700;
  const connections = [];
  for (let number = 0; number < 10; number++) {
    const { ws, server } = stack.use(await handPair());
    connections.push({ ws, server, text: `${number}`.repeat(bytes) });
  }
  for (let round = 0; round < 20; round++) {
    const receiving = connections.map(({ ws }) => ws.receive());
    for (let part = 0; part < parts; part++) {
      for (const { server, text } of connections) {
        if (random.below(4) === 0) await yieldNow();
        const wire = frame(opcodes.text, text);
        const end = part === parts - 1 ? wire.length : 100 * (part + 1);
        await server.socket.write(wire.subarray(100 * part, end));
      }
    }
    const texts = connections.map(({ text }) => text);
    expect(await Promise.all(receiving)).toEqual(texts);
  }
});
