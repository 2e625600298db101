/** What a client sends: its frames as they are on the wire, and their order. */

import { describe, expect, spyOn, test } from "bun:test";
import { deadline, scope, spawn, TimeoutError, yieldNow } from "../../index.ts";
import { core } from "../../src/core/native.ts";
import { WebSocketClosedError } from "../../src/websocket/errors.ts";
import type { Fragments } from "../../src/websocket/outgoing.ts";
import { failureOf } from "../support/failure.ts";
import { closing, handPair, opcodes } from "../support/hand_websocket.ts";
import { Random } from "../support/random.ts";

/** More than the kernels on the way take from a sender whose peer does not read. */
const longBytes = 12_000_000;

describe("masking", () => {
  test("the core masks as RFC 6455, section 5.7, shows", () => {
    const masked = new Uint8Array(5);
    core.mask(masked, new TextEncoder().encode("Hello"), 5, 0x3d21_fa37);
    expect([...masked]).toEqual([0x7f, 0x9f, 0x4d, 0x51, 0x58]);
  });

  test("a frame on the wire is the one of RFC 6455, section 5.7", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    // With random bytes that are the RFC's key, once the keys that were made before are used up.
    const key = [0x37, 0xfa, 0x21, 0x3d];
    const random = spyOn(crypto, "getRandomValues").mockImplementation((array) => {
      const bytes = array as unknown as Uint32Array;
      new Uint8Array(bytes.buffer).forEach((_, at, all) => {
        all[at] = key[at % 4]!;
      });
      return array;
    });
    try {
      for (let sent = 0; sent <= 1024 && random.mock.calls.length === 0; sent++) {
        await ws.send("Hello");
        const wanted = new Uint8Array([0x81, 0x85, ...key, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        if (random.mock.calls.length === 0) await server.read();
        else expect(await server.readRaw(wanted.length)).toEqual(wanted);
      }
      expect(random).toHaveBeenCalledTimes(1);
    } finally {
      random.mockRestore();
      // The keys of the rest of the test are random again.
      for (let sent = 0; sent < 1024; sent++) await ws.send("");
    }
  });

  test("every frame has a key of its own", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const keys = new Set<string>();
    const count = 3000;
    const sending = (async () => {
      for (let sent = 0; sent < count; sent++) await ws.send("Hello");
    })();
    for (let read = 0; read < count; read++) {
      const { isMasked, key } = await server.read();
      expect(isMasked).toBe(true);
      keys.add(Buffer.from(key).toString("hex"));
    }
    await sending;
    // Of 2^32 keys, two among 3,000 are alike in one run of a thousand, and more than two never.
    expect(keys.size).toBeGreaterThanOrEqual(count - 2);
  });
});

describe.each([false, true])("over TLS: %p", (isTls) => {
  test("every length has the shortest header, and arrives whole", async () => {
    await using pair = await handPair({ isTls });
    const { ws, server } = pair;
    const random = new Random(6455);
    const lengths = [0, 1, 4, 5, 63, 64, 65, 125, 126, 127, 21_845, 21_846, 65_535, 65_536, 65_537];
    for (const length of [...lengths, 131_071, 200_003]) {
      const bytes = Uint8Array.from({ length }, () => random.below(256));
      // A view that does not begin at a multiple of four.
      const view = new Uint8Array(length + 3).subarray(3);
      view.set(bytes);
      const text = "aé€😀".repeat(length).slice(0, length).toWellFormed();
      for (const [opcode, message] of [
        [opcodes.binary, view],
        [opcodes.text, text],
      ] as const) {
        const [sent, read] = await Promise.all([ws.send(message), server.read()]);
        const payload = Buffer.from(message);
        expect([read.opcode, read.isFinal, read.isMasked]).toEqual([opcode, true, true]);
        expect(Buffer.compare(read.payload, payload)).toBe(0);
        const extended = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8;
        expect(read.headerBytes).toBe(2 + extended + 4);
        expect(sent).toBe(read.headerBytes + payload.length);
        // What the caller has given is as it was.
        expect(Buffer.compare(view, bytes)).toBe(0);
      }
    }
  });

  test("frames of many fibers come whole, each in its order, though the server reads slowly", async () => {
    await using pair = await handPair({ isTls });
    const { ws, server } = pair;
    const [fibers, messages] = [6, 16];
    const random = new Random(7);
    const lengths = Array.from({ length: fibers * messages }, () => {
      const kinds = [random.below(200), random.below(70_000), 66_000 + random.below(150_000)];
      return random.pick(kinds);
    });
    await scope(async (own) => {
      for (let number = 0; number < fibers; number++) {
        own.spawn(async () => {
          for (let count = 0; count < messages; count++) {
            const filling = `${number}.${count};`;
            const length = lengths[number * messages + count]!;
            const bytes = Buffer.alloc(filling.length + length, filling);
            await (count % 3 === 0 ? ws.send(bytes.toString()) : ws.send(bytes));
          }
        });
      }
      const next = new Array<number>(fibers).fill(0);
      for (let read = 0; read < fibers * messages; read++) {
        const { payload } = await server.read();
        const text = Buffer.from(payload).toString();
        const [number, count] = text.slice(0, text.indexOf(";")).split(".").map(Number);
        expect(count).toBe(next[number!]!++);
        const filling = `${number}.${count};`;
        const whole = Buffer.alloc(filling.length + lengths[number! * messages + count!]!, filling);
        expect(Buffer.compare(payload, whole)).toBe(0);
      }
    });
  });
});

describe("fragments", () => {
  async function* each<T>(parts: readonly T[]): AsyncGenerator<T> {
    for (const part of parts) {
      await yieldNow();
      yield part;
    }
  }
  const bytes = (...parts: string[]): Uint8Array[] => parts.map((part) => Buffer.from(part));
  const shapes: [name: string, parts: () => Fragments, frames: [number, boolean, string][]][] = [
    ["one text", () => ["a"], [[1, true, "a"]]],
    [
      "three texts",
      () => ["a", "", "c"],
      [
        [1, false, "a"],
        [0, false, ""],
        [0, true, "c"],
      ],
    ],
    [
      "bytes of a Set",
      () => new Set(bytes("a", "b")),
      [
        [2, false, "a"],
        [0, true, "b"],
      ],
    ],
    [
      "texts that come",
      () => each(["a", "b"]),
      [
        [1, false, "a"],
        [0, false, "b"],
        [0, true, ""],
      ],
    ],
    [
      "bytes that come",
      () => each(bytes("a")),
      [
        [2, false, "a"],
        [0, true, ""],
      ],
    ],
    [
      "a character in two texts",
      () => ["a\ud83d", "\ude00b"],
      [
        [1, false, "a"],
        [0, true, "😀b"],
      ],
    ],
    [
      "a half at the end",
      () => ["a", "\ud83d"],
      [
        [1, false, "a"],
        [0, true, "\ufffd"],
      ],
    ],
    [
      "a half that comes",
      () => each(["\ud83d"]),
      [
        [1, false, ""],
        [0, true, "\ufffd"],
      ],
    ],
  ];

  test.each(shapes)("of %s", async (_name, parts, frames) => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const sent = await ws.sendFragments(parts());
    let total = 0;
    for (const wanted of frames) {
      const { opcode, isFinal, payload, headerBytes } = await server.read();
      expect([opcode, isFinal, Buffer.from(payload).toString()]).toEqual(wanted);
      total += headerBytes + payload.length;
    }
    expect(sent).toBe(total);
  });

  test("let pings between them, but no other message", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const { promise: goOn, resolve } = Promise.withResolvers<void>();
    const message = (async function* () {
      yield "a";
      await goOn;
      yield "b";
    })();
    await using sending = spawn(() => ws.sendFragments(message));
    expect(await server.expect(opcodes.text)).toBe("a");
    await using others = spawn(async () => {
      await Promise.all([ws.send("other"), ws.sendFragments(["last", "one"])]);
    });
    const pinging = ws.ping("between");
    await server.send(opcodes.ping, "p");
    const between = [await server.read(), await server.read()];
    expect(between.map((read) => read.opcode)).toEqual([opcodes.ping, opcodes.pong]);
    await server.send(opcodes.pong, "between");
    await pinging;
    resolve();
    await sending.join();
    await others.join();
    const texts: [number, string][] = [];
    for (let read = 0; read < 5; read++) {
      const { opcode, payload } = await server.read();
      texts.push([opcode, Buffer.from(payload).toString()]);
    }
    expect(texts).toEqual([
      [0, "b"],
      [0, ""],
      [1, "other"],
      [1, "last"],
      [0, "one"],
    ]);
  });

  test("without a part, and of what is no iterable, are mistakes", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    for (const parts of [[], each([]), "text", Buffer.from("bytes"), null, 5, {}, [1], [null]]) {
      expect(await failureOf(ws.sendFragments(parts as never))).toBeInstanceOf(TypeError);
    }
    await ws.send("still open");
    expect(await server.expect(opcodes.text)).toBe("still open");
  });

  test("that are broken off end every later message, and the connection can still be closed", async () => {
    const failing = function* () {
      yield "a";
      yield "b";
      throw new Error("out of parts");
    };
    const mixed = ["a", "b", new Uint8Array(1)] as string[];
    for (const [parts, reason] of [
      [failing(), "out of parts"],
      [mixed, "all strings, or all bytes"],
    ] as const) {
      await using pair = await handPair();
      const { ws, server } = pair;
      expect((await failureOf(ws.sendFragments(parts))).message).toContain(reason);
      for (const later of [ws.send("x"), ws.sendFragments(["x"])]) {
        const error = await failureOf(later);
        expect([error.code, error.message]).toEqual([
          "ERR_WEBSOCKET_CUT",
          expect.stringContaining("in part"),
        ]);
      }
      const end = ws.close();
      expect(await server.expect(opcodes.text)).toBe("a");
      while ((await server.read()).opcode !== opcodes.close);
      await server.send(opcodes.close, closing(1000));
      server.socket.close();
      await end;
    }
  });
});

describe("a server that does not read", () => {
  test("suspends the sender, until its deadline; a frame in part ends every later one", async () => {
    for (const isTls of [false, true]) {
      await using pair = await handPair({ isTls });
      const { ws } = pair;
      const large = new Uint8Array(longBytes);
      const error = await failureOf(ws.send(large, deadline(100)));
      expect(error).toBeInstanceOf(TimeoutError);
      expect(error.bytesWritten).toBeGreaterThan(0);
      for (const later of [ws.send("x"), ws.sendFragments(["x"]), ws.ping()]) {
        expect((await failureOf(later)).code).toBe("ERR_WEBSOCKET_CUT");
      }
      const before = ws.socket.bytesWritten;
      expect((await failureOf(ws.close())).code).toBe("ERR_WEBSOCKET_CUT");
      expect([ws.socket.closed, ws.socket.bytesWritten]).toEqual([true, before]);
    }
  });

  test("makes a message fail that nothing was sent of, and later ones are sent", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const large = new Uint8Array(longBytes);
    const sending = ws.send(large);
    const error = await failureOf(ws.send("late", deadline(20)));
    expect([error.code, error.bytesWritten]).toEqual(["ETIMEDOUT", 0]);
    const last = ws.send("last");
    expect((await server.read()).payload).toHaveLength(large.length);
    expect(await server.expect(opcodes.text)).toBe("last");
    await Promise.all([sending, last]);
  });

  test("a text that waits is as it was when it was given", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const sends = [ws.send(new Uint8Array(longBytes)), ws.send("first"), ws.send("second")];
    await using other = await handPair();
    await other.ws.send("third, in the same memory");
    await server.read();
    expect([await server.expect(opcodes.text), await server.expect(opcodes.text)]).toEqual([
      "first",
      "second",
    ]);
    await Promise.all(sends);
  });

  test("but sends pings takes no memory: the latest ping is answered", async () => {
    await using pair = await handPair();
    const { ws, server } = pair;
    const sending = ws.send(new Uint8Array(longBytes));
    const receiving = ws.receive();
    for (let ping = 0; ping < 5000; ping++) await server.send(opcodes.ping, `${ping}`);
    await server.send(opcodes.text, "end of pings");
    expect(await receiving).toBe("end of pings");
    expect((await server.read()).payload).toHaveLength(longBytes);
    await sending;
    const pongs = [await server.expect(opcodes.pong), await server.expect(opcodes.pong)];
    expect(pongs).toEqual(["0", "4999"]);
    await ws.send("last");
    expect(await server.expect(opcodes.text)).toBe("last");
  });
});

test("a buffer that shrinks while it is sent fails, and is not read beyond its end", async () => {
  await using pair = await handPair();
  const buffer = new ArrayBuffer(longBytes, { maxByteLength: longBytes });
  const sending = failureOf(pair.ws.send(new Uint8Array(buffer)));
  buffer.resize(10);
  for (let read = 0; read < longBytes; ) {
    const count = await Promise.race([pair.server.socket.read(new Uint8Array(1 << 20)), sending]);
    if (typeof count !== "number") break;
    read += count;
  }
  expect((await sending).code).toBe("EFAULT");
});

test("what is no message is a mistake, and sends nothing", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const detached = new Uint8Array(8);
  detached.buffer.transfer();
  for (const message of [5, null, undefined, {}, ["a"], detached]) {
    expect(await failureOf(ws.send(message as never))).toBeInstanceOf(TypeError);
  }
  expect(await failureOf(ws.send("x", 5))).toBeInstanceOf(RangeError);
  expect(await failureOf(ws.ping(new Uint8Array(126)))).toBeInstanceOf(RangeError);
  expect(await failureOf(ws.ping("é".repeat(63)))).toBeInstanceOf(RangeError);
  const buffer = new Uint8Array([1, 2, 3, 4]).buffer;
  await ws.send(buffer);
  await ws.send(new DataView(buffer, 1, 2));
  expect((await server.read()).payload).toEqual(new Uint8Array([1, 2, 3, 4]));
  expect((await server.read()).payload).toEqual(new Uint8Array([2, 3]));
});

test("nothing is sent when a side has closed", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  await server.send(opcodes.close, closing(4000, "enough"));
  expect(await ws.receive()).toBe(null);
  for (const later of [ws.send("x"), ws.sendFragments(["x"]), ws.ping()]) {
    const error = await failureOf(later);
    expect(error).toBeInstanceOf(WebSocketClosedError);
    expect(error.message).toContain("4000 enough");
    expect((error as WebSocketClosedError).closeCode).toBe(4000);
  }
  expect(await server.expectClose()).toEqual([4000, ""]);
});
