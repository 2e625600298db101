/** What a BufferedWriter collects, sends, and does after an error. */

import { describe, expect, test } from "bun:test";
import {
  BufferedReader,
  BufferedWriter,
  type BufferedWriterOptions,
  CancelledError,
  deadline,
  now,
  type Socket,
  sleep,
  spawn,
  TimeoutError,
  type WriteData,
  yieldNow,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { Random } from "../support/random.ts";
import { type SocketPair, socketPair } from "../support/socket_pair.ts";

interface Subject extends SocketPair {
  readonly writer: BufferedWriter;
  /** Reads what the peer receives. */
  readonly reader: BufferedReader;
}

async function subject(options?: BufferedWriterOptions): Promise<Subject> {
  const pair = await socketPair();
  return Object.assign(pair, {
    writer: new BufferedWriter(pair.client, options),
    reader: new BufferedReader(pair.server, { maxLength: 1 << 20 }),
  });
}

async function allOf(socket: Socket): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(socket));
}

describe("collecting", () => {
  test("sends nothing before flush, and then everything at once", async () => {
    await using it = await subject();
    expect(it.writer.write("one ")).toBeUndefined();
    expect(it.writer.write(new Uint8Array([50, 32]))).toBeUndefined();
    expect(it.writer.write(["three ", ["four"]])).toBeUndefined();
    expect(it.writer.buffered).toBe(16);
    expect(it.client.bytesWritten).toBe(0);
    await it.writer.flush();
    expect(it.writer.buffered).toBe(0);
    expect(new TextDecoder().decode((await it.server.next())!)).toBe("one 2 three four");
  });

  test("copies: the data may change after the call", async () => {
    await using it = await subject();
    const data = new Uint8Array([1, 2, 3]);
    it.writer.write(data);
    data.fill(9);
    await it.writer.flush();
    expect(await it.reader.readExactly(3)).toEqual(new Uint8Array([1, 2, 3]));
  });

  test("sends what is buffered when there is no more room", async () => {
    await using it = await subject({ size: 16 });
    it.writer.write("0123456789");
    await it.writer.write("abcdefghij");
    expect(it.client.bytesWritten).toBe(10);
    expect(it.writer.buffered).toBe(10);
    await it.writer.write("0123456789abcdefgh");
    expect(it.client.bytesWritten).toBe(38);
  });

  test("fits to the last byte, behind any number of bytes", async () => {
    const writes: readonly [expected: number[], write: (writer: BufferedWriter) => unknown][] = [
      [[1], (writer) => writer.writeUint8(1)],
      [[0, 1], (writer) => writer.writeUint16BE(1)],
      [[0, 0, 0, 1], (writer) => writer.writeUint32BE(1)],
      [[0, 0, 0, 0, 0, 0, 0, 1], (writer) => writer.writeBigUint64BE(1n)],
      [[172, 2], (writer) => writer.writeVarint(300)],
      [[0xe2, 0x82, 0xac], (writer) => writer.write("\u20ac")],
      [[4, 5, 6, 7], (writer) => writer.write(Uint8Array.of(4, 5, 6, 7))],
      [[0, 1, 5], (writer) => writer.writePrefixed(2, Uint8Array.of(5))],
    ];
    await using it = await subject({ size: 16 });
    for (const [expected, write] of writes) {
      for (let before = 0; before <= 16; before++) {
        const head = new Uint8Array(before).fill(7);
        await it.writer.write(head);
        await write(it.writer);
        await it.writer.writeUint8(9);
        await it.writer.flush();
        const received = await it.reader.readExactly(before + expected.length + 1);
        expect([...received]).toEqual([...head, ...expected, 9]);
      }
    }
  });

  test("is held back by a peer that does not read, whatever the call", async () => {
    await using it = await subject({ size: 16 });
    const jam = new Uint8Array(32 << 20);
    const jammed = it.client.write(jam);
    const fill = new Uint8Array(15);
    const calls = [
      (): unknown => it.writer.write("ab"),
      (): unknown => it.writer.write(["ab", "c", "d"]),
      (): unknown => it.writer.writePrefixed(2, "c"),
      (): unknown => it.writer.writeUint16BE(1),
      (): unknown => it.writer.writeVarint(1),
    ];
    const sent: unknown[] = [];
    for (const call of calls) {
      sent.push(it.writer.write(fill.subarray(it.writer.buffered)), call());
      expect(sent.at(-1)).toBeInstanceOf(Promise);
    }
    const received = spawn(() => it.reader.discard(jam.length));
    await jammed;
    await received.join();
    await Promise.all(sent);
  });

  test("a buffer that is being sent belongs to no other writer", async () => {
    await using first = await subject();
    await using second = await subject();
    // The peer reads nothing: what follows waits.
    const jam = new Uint8Array(32 << 20);
    const jammed = first.client.write(jam);
    first.writer.write("a".repeat(10_000));
    const flushed = first.writer.flush();
    for (let time = 0; time < 20; time++) {
      second.writer.write("b".repeat(10_000));
      await second.writer.flush();
      await second.reader.discard(10_000);
    }
    await first.reader.discard(jam.length);
    await Promise.all([jammed, flushed]);
    expect(await first.reader.readText(10_000)).toBe("a".repeat(10_000));
  });

  test("flush with nothing buffered sends nothing", async () => {
    await using it = await subject();
    await it.writer.flush();
    it.writer.write("");
    it.writer.write([]);
    it.writer.write(new Uint8Array(0));
    await it.writer.flush();
    expect(it.client.bytesWritten).toBe(0);
  });

  test("random data arrives as it was written", async () => {
    const random = new Random();
    for (let game = 0; game < 8; game++) {
      await using it = await subject({ size: random.pick([16, 100, 1000, 16_384]) });
      const received = spawn(() => allOf(it.server));
      const expected: Uint8Array[] = [];
      const part = (): string | Uint8Array<ArrayBuffer> => {
        const length = random.pick([0, 1, 15, 16, 17, 99, 500, 20_000, 200_000]);
        if (random.below(2) === 0) return new Uint8Array(length).fill(random.below(256));
        return random.pick(["x", "é", "\u{1f600}", "\ud800"]).repeat(random.below(length + 1));
      };
      for (let count = 0; count < 100; count++) {
        const parts = Array.from({ length: random.below(4) }, part);
        for (const each of parts) expected.push(new Uint8Array(Buffer.from(each as string)));
        const data: WriteData = parts.length === 1 ? parts[0]! : parts;
        const sent = it.writer.write(data);
        // Not always: several sends may be under way.
        if (random.below(3) > 0) await sent;
        if (random.below(10) === 0) await it.writer.flush();
      }
      await it.writer.flush();
      await it.client.shutdown();
      expect(Buffer.compare(await received.join(), Buffer.concat(expected))).toBe(0);
    }
  }, 60_000);
});

describe("numbers", () => {
  const values: [method: string, value: number | bigint][] = [
    ["Uint8", 255],
    ["Int8", -128],
    ["Uint16BE", 65_535],
    ["Uint16LE", 513],
    ["Int16BE", -2],
    ["Int16LE", -32_768],
    ["Uint32BE", 4_294_967_295],
    ["Uint32LE", 16_909_060],
    ["Int32BE", -2_147_483_648],
    ["Int32LE", -3],
    ["BigUint64BE", 2n ** 64n - 1n],
    ["BigUint64LE", 72_623_859_790_382_856n],
    ["BigInt64BE", -(2n ** 63n)],
    ["BigInt64LE", -5n],
    ["Float32BE", 1.5],
    ["Float32LE", -0.25],
    ["Float64BE", Math.PI],
    ["Float64LE", Number.NEGATIVE_INFINITY],
    ["Varint", 0],
    ["Varint", 300],
    ["Varint", Number.MAX_SAFE_INTEGER],
  ];

  test.each(values)("%s of %p is what a DataView and the reader have", async (method, value) => {
    await using it = await subject();
    it.writer[`write${method}` as "writeUint8"](value as number);
    const size = it.writer.buffered;
    await it.writer.flush();
    if (method !== "Varint") {
      const view = new DataView(new ArrayBuffer(size));
      const name = `set${method.replace(/[BL]E$/, "")}` as "setUint16";
      view[name](0, value as number, method.endsWith("LE"));
      expect(await it.reader.peek(size)).toEqual(new Uint8Array(view.buffer));
    }
    expect<unknown>(await it.reader[`read${method}` as "readUint8"]()).toBe(value);
    expect(it.reader.buffered).toBe(0);
  });

  test.each([
    ["Uint8", 256],
    ["Uint8", -1],
    ["Int16BE", 32_768],
    ["Uint32LE", 2 ** 32],
    ["BigUint64BE", -1n],
    ["BigInt64LE", 2n ** 63n],
    ["Varint", -1],
    ["Varint", 2 ** 53],
  ])("%s of %p is out of range", async (method, value) => {
    await using it = await subject();
    const write = (): unknown => it.writer[`write${method}` as "writeUint8"](value as number);
    expect(thrownBy(write)).toBeInstanceOf(RangeError);
    expect(it.writer.buffered).toBe(0);
  });

  test.each([
    ["Uint8", 1.5],
    ["Uint8", "1"],
    ["Uint16BE", Number.NaN],
    ["BigUint64BE", 1],
    ["Float32BE", 1n],
    ["Varint", 0.5],
  ])("%s of %p is of the wrong type", async (method, value) => {
    await using it = await subject();
    const write = (): unknown => it.writer[`write${method}` as "writeUint8"](value as number);
    expect(thrownBy(write)).toBeInstanceOf(TypeError);
  });

  test("a prefix of each size and order", async () => {
    await using it = await subject();
    for (let size = 1; size <= 6; size++) {
      for (const littleEndian of [false, true]) {
        it.writer.writePrefixed(size, "é".repeat(size), { littleEndian });
      }
    }
    it.writer.writePrefixed(4, new Uint8Array(100_000));
    await it.writer.flush();
    for (let size = 1; size <= 6; size++) {
      for (const littleEndian of [false, true]) {
        const message = await it.reader.readPrefixed(size, { littleEndian });
        expect(new TextDecoder().decode(message!)).toBe("é".repeat(size));
      }
    }
    expect((await it.reader.readPrefixed(4))?.length).toBe(100_000);
  });

  test("a prefix that is too small for the data", async () => {
    await using it = await subject();
    const write = (): unknown => it.writer.writePrefixed(1, new Uint8Array(256));
    expect(thrownBy(write)).toBeInstanceOf(RangeError);
    expect(it.writer.buffered).toBe(0);
  });
});

describe("errors", () => {
  test("stay: every later call throws the same one", async () => {
    await using it = await subject();
    it.client.close();
    it.writer.write("lost");
    const first = await failureOf(it.writer.flush());
    expect(first.code).toBe("ERR_SOCKET_CLOSED");
    expect(await failureOf(it.writer.flush())).toBe(first);
    expect(thrownBy(() => it.writer.write("more"))).toBe(first);
    expect(thrownBy(() => it.writer.writeUint8(1))).toBe(first);
    expect(thrownBy(() => it.writer.writePrefixed(1, "x"))).toBe(first);
  });

  test("of a send without an await come with the next call, and are no unhandled rejection", async () => {
    await using it = await subject({ size: 16 });
    it.server.reset();
    while ((await it.client.next().catch(() => null)) !== null);
    it.writer.write("0123456789");
    it.writer.write("0123456789");
    await null;
    expect(["ECONNRESET", "EPIPE"]).toContain((await failureOf(it.writer.flush())).code!);
  });

  test("a deadline of a flush that a slow peer holds up stays too", async () => {
    await using it = await subject();
    const block = new Uint8Array(64 << 20);
    const first = await failureOf(it.writer.write(block, deadline(10))!);
    expect(first).toBeInstanceOf(TimeoutError);
    expect(await failureOf(it.writer.flush())).toBe(first);
  });

  test("what follows a send that fails is not sent, and flush fails too", async () => {
    await using it = await subject();
    const first = failureOf(it.writer.write(new Uint8Array(64 << 20).fill(1), deadline(20))!);
    const second = failureOf(it.writer.write(new Uint8Array(1 << 20).fill(2))!);
    it.writer.write("tail");
    const flushed = failureOf(it.writer.flush());
    const failure = await first;
    expect(failure).toBeInstanceOf(TimeoutError);
    expect(await second).toBe(failure);
    expect(await flushed).toBe(failure);
    const sent = it.client.bytesWritten;
    it.client.close();
    const received = await allOf(it.server);
    expect(received.length).toBe(sent);
    expect(received.every((byte) => byte === 1)).toBe(true);
  });

  test("a send that waits for another one obeys its own deadline and cancellation", async () => {
    for (const isCancelled of [false, true]) {
      await using it = await subject();
      const first = it.writer.write(new Uint8Array(32 << 20))!;
      const fiber = spawn(async () => {
        await it.writer.write(new Uint8Array(1 << 20), isCancelled ? undefined : deadline(5));
      });
      await yieldNow();
      if (isCancelled) fiber.cancel();
      const failure = await failureOf(fiber.join());
      expect(failure).toBeInstanceOf(isCancelled ? CancelledError : TimeoutError);
      expect(failure).toMatchObject({ syscall: "write", address: "127.0.0.1" });
      expect(thrownBy(() => it.writer.write("x"))).toBe(failure);
      // The one that is under way goes on.
      await it.reader.discard(32 << 20);
      await first;
    }
  });

  test("flush waits for a send that is under way, until its own deadline", async () => {
    await using it = await subject();
    const block = new Uint8Array(32 << 20);
    const sending = it.writer.write(block)!;
    expect(await failureOf(it.writer.flush(deadline(5)))).toBeInstanceOf(TimeoutError);
    const flushed = it.writer.flush();
    await it.reader.discard(block.length);
    await flushed;
    await sending;
    it.writer.write("on");
    await it.writer.flush();
    expect(await it.reader.readText(2)).toBe("on");
  });

  test.each([0, 15, Number.NaN, "16", 2 ** 31])("a size of %p", async (size) => {
    await using pair = await socketPair();
    expect(
      thrownBy(() => new BufferedWriter(pair.client, { size: size as number })),
    ).toBeInstanceOf(Error);
  });

  test("data of another kind", async () => {
    await using it = await subject();
    expect(thrownBy(() => it.writer.write(5 as never))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => it.writer.write(["one", [{}]] as never))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => new BufferedWriter(it.client, { highWater: 3 } as never))).toBeInstanceOf(
      TypeError,
    );
    const wrong = { littleEndian: 1 } as never;
    expect(thrownBy(() => it.writer.writePrefixed(2, "text", wrong))).toBeInstanceOf(TypeError);
    for (const target of [undefined, null, {}, it.client.writable]) {
      expect(thrownBy(() => new BufferedWriter(target as never))).toBeInstanceOf(TypeError);
    }
    expect(it.writer.buffered).toBe(0);
  });

  test("a buffer that is detached", async () => {
    await using it = await subject();
    const data = new Uint8Array(5);
    data.buffer.transfer();
    expect(thrownBy(() => it.writer.write(data))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => it.writer.write(["one", [data]]))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => it.writer.writePrefixed(1, data))).toBeInstanceOf(TypeError);
    expect(it.writer.buffered).toBe(0);
    it.writer.write("on");
    await it.writer.flush();
    expect(await it.reader.readText(2)).toBe("on");
  });
});

describe("a send that is refused before it begins", () => {
  const refusals: readonly [string, number, string][] = [
    ["a deadline that has passed", now() - 1, "TimeoutError"],
    ["a deadline that is none", Number.NaN, "RangeError"],
  ];
  test.each(refusals)("%s changes nothing", async (_, until, name) => {
    await using it = await subject({ size: 16 });
    it.writer.write("0123456789");
    expect((await failureOf(it.writer.flush(until))).name).toBe(name);
    expect(thrownBy(() => it.writer.write("abcdefgh", until)).name).toBe(name);
    expect(thrownBy(() => it.writer.write(new Uint8Array(100), until)).name).toBe(name);
    expect(thrownBy(() => it.writer.writeBigUint64BE(1n, until)).name).toBe(name);
    expect(thrownBy(() => it.writer.write(["ab", "cdefgh"], until)).name).toBe(name);
    expect(thrownBy(() => it.writer.writePrefixed(1, "x".repeat(100), {}, until)).name).toBe(name);
    expect(it.writer.buffered).toBe(10);
    await it.writer.write("!");
    await it.writer.flush();
    expect(await it.reader.readText(11)).toBe("0123456789!");
  });

  test("so does the cancellation of its fiber", async () => {
    await using it = await subject({ size: 16 });
    it.writer.write("0123456789");
    const fiber = spawn(async () => {
      await sleep(0);
      await it.writer.flush();
    });
    fiber.cancel();
    await failureOf(fiber.join());
    const late = spawn(async () => {
      await failureOf(sleep(60_000));
      await it.writer.flush();
    });
    late.cancel();
    expect(await failureOf(late.join())).toMatchObject({ code: "ECANCELED" });
    expect(it.writer.buffered).toBe(10);
    await it.writer.flush();
    expect(await it.reader.readText(10)).toBe("0123456789");
  });
});
