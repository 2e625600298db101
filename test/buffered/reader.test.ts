/** Lines, delimited and prefixed messages, blocks and numbers from a socket. */

import { describe, expect, test } from "bun:test";
import {
  BufferedReader,
  CancelledError,
  deadline,
  MessageTooLongError,
  now,
  spawn,
  TimeoutError,
  UnexpectedEndError,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { endingSubject, parked, readerSubject, text } from "../support/reader_subject.ts";
import { socketPair } from "../support/socket_pair.ts";
import { tlsPair } from "../support/tls_pair.ts";

const hasOpenssl = isInstalled("openssl");
// The first call makes them, which takes longer than a test may.
if (hasOpenssl) certificates();

describe("a delimiter that comes in parts", () => {
  const delimiters = ["\r\n", "--end--", "aab"];

  test.each(delimiters)("%j is found wherever it is cut", async (delimiter) => {
    for (let cut = 1; cut < delimiter.length; cut++) {
      await using it = await readerSubject(`aa${delimiter.slice(0, cut)}`);
      await it.reader.peek(2 + cut);
      const unit = it.reader.readUntil(delimiter);
      await parked();
      await it.peer.write(`${delimiter.slice(cut)}rest`);
      expect(text(await unit)).toBe("aa");
      expect(text(await it.reader.readExactly(4))).toBe("rest");
    }
  });
});

describe("a unit over the limit", () => {
  const calls = {
    readLine: (reader: BufferedReader) => reader.readLine(),
    readUntil: (reader: BufferedReader) => reader.readUntil("\n"),
    "readUntil of several bytes": (reader: BufferedReader) => reader.readUntil("\nrest"),
  };

  test.each(Object.entries(calls))("fails in %s, and consumes nothing", async (_, call) => {
    await using it = await readerSubject(`${"x".repeat(100)}\nrest\nlast\n`, { maxLength: 99 });
    for (let time = 0; time < 3; time++) {
      const failure = await failureOf(call(it.reader));
      expect(failure).toBeInstanceOf(MessageTooLongError);
      expect(failure).toMatchObject({ code: "EMSGSIZE", maxLength: 99 });
    }
    expect(await it.reader.discardUntil("\n")).toBe(101);
    expect(await it.reader.readLine()).toBe("rest");
  });

  test("is one of exactly the limit and a byte, in readUntil", async () => {
    await using it = await readerSubject("12345;123456;", { maxLength: 5 });
    expect(text(await it.reader.readUntil(";"))).toBe("12345");
    expect(await failureOf(it.reader.readUntil(";"))).toBeInstanceOf(MessageTooLongError);
  });

  test("is none while only the delimiter is missing", async () => {
    await using it = await readerSubject("12345--", { maxLength: 5 });
    await it.reader.peek(7);
    const unit = it.reader.readUntil("--;");
    await parked();
    await it.peer.write(";");
    expect(text(await unit)).toBe("12345");
  });

  test.each([
    [4, false, [255, 255, 255, 255]],
    [4, true, [0, 0, 0, 128]],
    [6, false, [255, 255, 255, 255, 255, 255]],
    [5, true, [5, 0, 0, 0, 1]],
  ])("is a prefix of %p bytes whose highest bits are set", async (size, littleEndian, prefix) => {
    await using it = await readerSubject(Uint8Array.from([...prefix, 1, 2, 3, 4, 5]));
    const failure = await failureOf(it.reader.readPrefixed(size, { littleEndian }));
    expect(failure).toBeInstanceOf(MessageTooLongError);
  });

  test("fails before its end has come", async () => {
    await using it = await readerSubject("x".repeat(100), { maxLength: 99 });
    expect(await failureOf(it.reader.readLine())).toBeInstanceOf(MessageTooLongError);
    expect(it.reader.buffered).toBe(100);
  });

  test("is left out without memory for it", async () => {
    await using it = await readerSubject("", { maxLength: 1000 });
    const block = new Uint8Array(1 << 20).fill(120);
    const writing = spawn(async () => {
      for (let count = 0; count < 64; count++) await it.peer.write(block);
      await it.peer.write("\r\nnext\r\n");
    });
    expect(await failureOf(it.reader.readLine())).toBeInstanceOf(MessageTooLongError);
    let most = 0;
    const watching = spawn(async () => {
      while (writing.state === "waiting" || writing.state === "running") {
        most = Math.max(most, it.reader.buffered);
        await new Promise(setImmediate);
      }
    });
    expect(await it.reader.discardUntil("\r\n")).toBe(64 * block.length + 2);
    await writing.join();
    await watching.join();
    expect(most).toBeLessThan(200_000);
    expect(await it.reader.readLine()).toBe("next");
  });

  test("of a prefix fails at the prefix, and a higher limit reads it", async () => {
    await using it = await readerSubject("\0\x05hello", { maxLength: 4 });
    for (let time = 0; time < 2; time++) {
      expect(await failureOf(it.reader.readPrefixed(2))).toBeInstanceOf(MessageTooLongError);
    }
    expect(text(await it.reader.readPrefixed(2, { maxLength: 5 }))).toBe("hello");
  });
});

describe("the end of the stream", () => {
  test("is null between units", async () => {
    await using it = await endingSubject("a\n");
    expect(await it.reader.readLine()).toBe("a");
    expect(await it.reader.readLine()).toBeNull();
    expect(await it.reader.readUntil(";")).toBeNull();
    expect(await it.reader.readPrefixed(4)).toBeNull();
    expect(await it.reader.next()).toBeNull();
    expect(await it.reader.read(new Uint8Array(4))).toBe(0);
    expect(await it.reader.discardUntil(";")).toBe(0);
    expect(await it.reader.discard(0)).toBeUndefined();
    expect(await it.reader.readExactly(0)).toEqual(new Uint8Array(0));
  });

  test("atEnd waits for a byte or the end, and consumes nothing", async () => {
    await using it = await readerSubject("ab");
    expect(await it.reader.atEnd()).toBe(false);
    expect(text(await it.reader.readExactly(2))).toBe("ab");
    expect(await failureOf(it.reader.atEnd(deadline(5)))).toBeInstanceOf(TimeoutError);
    const waiting = it.reader.atEnd();
    await parked();
    await it.peer.write("c");
    expect(await waiting).toBe(false);
    await it.peer.shutdown();
    expect(await it.reader.readUint8()).toBe(99);
    for (let time = 0; time < 2; time++) expect(await it.reader.atEnd()).toBe(true);
  });

  const calls: Record<string, (reader: BufferedReader) => Promise<unknown>> = {
    readLine: (reader) => reader.readLine(),
    readUntil: (reader) => reader.readUntil(";"),
    readExactly: (reader) => reader.readExactly(4),
    "readExactly of much": (reader) => reader.readExactly(1_000_000),
    readText: (reader) => reader.readText(4),
    readFull: (reader) => reader.readFull(new Uint8Array(4)),
    "readFull of much": (reader) => reader.readFull(new Uint8Array(100_000)),
    peek: (reader) => reader.peek(4),
    readPrefixed: (reader) => reader.readPrefixed(1),
    "readPrefixed in the prefix": (reader) => reader.readPrefixed(4),
    readUint32BE: (reader) => reader.readUint32BE(),
    discardUntil: (reader) => reader.discardUntil("abcd"),
  };

  test.each(Object.entries(calls))("in a unit fails with what has come: %s", async (_, call) => {
    await using it = await endingSubject("abc");
    for (let time = 0; time < 2; time++) {
      const failure = await failureOf(call(it.reader));
      expect(failure).toBeInstanceOf(UnexpectedEndError);
      expect((failure as UnexpectedEndError).code).toBe("ERR_UNEXPECTED_END");
      expect(text((failure as UnexpectedEndError).partial)).toBe("abc");
      // It is a copy.
      (failure as UnexpectedEndError).partial.fill(0);
    }
    expect(text(await it.reader.next())).toBe("abc");
    expect(await it.reader.next()).toBeNull();
  });

  test("fails numbers at once", async () => {
    await using it = await endingSubject("");
    expect(await failureOf(it.reader.readUint8())).toBeInstanceOf(UnexpectedEndError);
    expect(thrownBy(() => it.reader.tryReadExactly(1))).toBeInstanceOf(UnexpectedEndError);
  });
});

describe("a call that is given up", () => {
  const calls: Record<string, (reader: BufferedReader, until?: number) => Promise<unknown>> = {
    readLine: (reader, until) => reader.readLine(until),
    readUntil: (reader, until) => reader.readUntil("--", until),
    readExactly: (reader, until) => reader.readExactly(6, until),
    "readExactly of much": (reader, until) => reader.readExactly(100_000, until),
    readFull: (reader, until) => reader.readFull(new Uint8Array(6), until),
    "readFull of much": (reader, until) => reader.readFull(new Uint8Array(100_000), until),
    peek: (reader, until) => reader.peek(6, until),
    readPrefixed: (reader, until) => reader.readPrefixed(1, {}, until),
    readBigUint64LE: (reader, until) => reader.readBigUint64LE(until),
  };

  test.each(Object.entries(calls))("by its deadline leaves every byte: %s", async (_, call) => {
    await using it = await readerSubject("abcde");
    expect(await failureOf(call(it.reader, deadline(5)))).toBeInstanceOf(TimeoutError);
    await it.peer.write("f");
    expect(text(await it.reader.readExactly(6))).toBe("abcdef");
  });

  test.each(Object.entries(calls))("by its cancellation leaves every byte: %s", async (_, call) => {
    await using it = await readerSubject("abcde");
    const fiber = spawn(() => call(it.reader));
    await parked();
    fiber.cancel();
    expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
    await it.peer.write("f");
    expect(text(await it.reader.readExactly(6))).toBe("abcdef");
  });

  test("a deadline that has passed fails even when everything is buffered", async () => {
    await using it = await readerSubject("one\ntwo\n");
    await it.reader.readLine();
    expect(await failureOf(it.reader.readLine(now() - 1))).toBeInstanceOf(TimeoutError);
    expect(await it.reader.readLine()).toBe("two");
  });
});

describe("several fibers", () => {
  test("are served in their order, also when the first needs several receptions", async () => {
    await using it = await readerSubject("ab");
    const first = it.reader.readExactly(4);
    const second = it.reader.readLine();
    const third = it.reader.readLine();
    await parked();
    expect(it.reader.tryReadLine()).toBeUndefined();
    await it.peer.write("c");
    await parked();
    await it.peer.write("dline\nlast\n");
    expect([text(await first), await second, await third]).toEqual(["abcd", "line", "last"]);
  });

  test("a call does not overtake one that waits, though its bytes are there", async () => {
    await using it = await readerSubject("\x01b");
    await it.reader.peek(2);
    const first = it.reader.readExactly(4);
    const others = [it.reader.readExactly(1), it.reader.peek(1), it.reader.next()];
    expect(it.reader.tryReadExactly(1)).toBeUndefined();
    expect(it.reader.tryReadText(1)).toBeUndefined();
    expect(it.reader.tryReadPrefixed(1, { maxLength: 1000 })).toBeUndefined();
    await it.peer.write("cdef");
    expect(text(await first)).toBe("\x01bcd");
    expect((await Promise.all(others)).map(text)).toEqual(["e", "f", "f"]);
  });

  test("nothing gets in between two calls of a long queue", async () => {
    await using it = await readerSubject();
    const count = 3000;
    const order: number[] = [];
    const calls = Array.from({ length: count }, async () => {
      order.push(await it.reader.readUint16BE());
      // Of a call that comes later.
      if (order.length < count) expect(it.reader.tryReadExactly(2)).toBeUndefined();
    });
    await parked();
    const numbers = Array.from({ length: count + 1 }, (_, index) => [index >> 8, index & 255]);
    await it.peer.write(Uint8Array.from(numbers.flat()));
    await Promise.all(calls);
    expect(order).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(await it.reader.readUint16BE()).toBe(count);
  });

  test("one that gives up lets the next one go on", async () => {
    await using it = await readerSubject("ab");
    const first = it.reader.readExactly(4, deadline(5));
    const second = it.reader.readExactly(2);
    expect(await failureOf(first)).toBeInstanceOf(TimeoutError);
    expect(text(await second)).toBe("ab");
  });

  test("one that waits for its turn can give up", async () => {
    await using it = await readerSubject("ab");
    const first = it.reader.readExactly(4);
    expect(await failureOf(it.reader.readLine(deadline(5)))).toBeInstanceOf(TimeoutError);
    await it.peer.write("cd");
    expect(text(await first)).toBe("abcd");
  });
});

describe("a buffer that is detached or made shorter while a call waits", () => {
  type Make = (size: number) => [into: Uint8Array, take: () => void];
  const detached: Make = (size) => {
    const into = new Uint8Array(size);
    return [into, () => into.buffer.transfer()];
  };
  const shorter: Make = (size) => {
    const buffer = new ArrayBuffer(size, { maxByteLength: size });
    return [new Uint8Array(buffer), () => buffer.resize(1)];
  };

  test.each(Object.entries({ detached, shorter }))(
    "%s: read and readFull fail, and keep the bytes",
    async (_, make) => {
      const calls = [
        (reader: BufferedReader, into: Uint8Array) => reader.read(into),
        (reader: BufferedReader, into: Uint8Array) => reader.readFull(into),
      ];
      for (const call of calls) {
        for (const size of [3, 10_000]) {
          await using it = await readerSubject();
          const [into, take] = make(size);
          const failing = failureOf(call(it.reader, into));
          await parked();
          take();
          await it.peer.write("abc");
          const failure = await failing;
          expect(failure).toBeInstanceOf(TypeError);
          expect(failure.message).toContain("detached");
          expect(await it.reader.readText(3)).toBe("abc");
        }
      }
    },
  );

  test("in the queue of calls", async () => {
    await using it = await readerSubject();
    const first = it.reader.readExactly(1);
    const [into, take] = detached(10);
    const failing = failureOf(it.reader.readFull(into));
    take();
    await it.peer.write("abc");
    expect(text(await first)).toBe("a");
    expect(await failing).toBeInstanceOf(TypeError);
    expect(await it.reader.readText(2)).toBe("bc");
  });
});

describe("what is returned", () => {
  test("is the caller's own", async () => {
    await using it = await readerSubject("abcdefgh;ijkl");
    const first = await it.reader.readExactly(4);
    const second = await it.reader.readUntil(";");
    const third = await it.reader.next();
    first.fill(0);
    second!.fill(1);
    await it.peer.write("mnop");
    await it.reader.readExactly(4);
    expect(text(third)).toBe("ijkl");
  });

  test("shares no memory with the reader, nor with another unit", async () => {
    await using it = await readerSubject();
    const sent = new Uint8Array(1_000_000).map((_, index) => index % 251);
    const writing = spawn(() => it.peer.write(sent));
    const sizes = [0, 1, 4096, 4097, 16_384, 65_535, 65_536, 65_537, 200_000];
    const units: Uint8Array[] = [];
    for (let left = sent.length, call = 0; left > 0; call++) {
      const size = Math.min(sizes[call % sizes.length]!, left);
      units.push(await it.reader.readExactly(size));
      if (size < left) units.push((await it.reader.next())!);
      units.push(await it.reader.readExactly(it.reader.buffered));
      left = sent.length - Buffer.concat(units).length;
    }
    await writing.join();
    expect(Buffer.compare(Buffer.concat(units), sent)).toBe(0);
    expect(new Set(units.map((unit) => unit.buffer)).size).toBe(units.length);
  });

  test("a large unit has a buffer of its own size", async () => {
    const block = new Uint8Array(300_000).map((_, index) => index);
    await using it = await readerSubject("x");
    const writing = it.peer.write(block);
    await it.reader.readUint8();
    const whole = await it.reader.readExactly(block.length);
    await writing;
    expect(Buffer.compare(whole, block)).toBe(0);
    expect(it.reader.buffered).toBe(0);
  });

  test("peek leaves the bytes", async () => {
    await using it = await readerSubject("GET / HTTP/1.1\r\n");
    const none = await it.reader.peek(0);
    expect(none.length).toBe(0);
    none.buffer.transfer();
    expect(text(await it.reader.peek(3))).toBe("GET");
    expect(await it.reader.readLine()).toBe("GET / HTTP/1.1");
  });

  test("a line that comes in small pieces is found in linear time", async () => {
    const pieces = 40_000;
    const piece = new Uint8Array(100).fill(120);
    await using it = await readerSubject("", { maxLength: 5_000_000 });
    const writing = spawn(async () => {
      for (let count = 0; count < pieces; count++) {
        await it.peer.write(piece);
        await parked();
      }
      await it.peer.write("\r\n");
    });
    // With a search from the start for each piece this would read 80 GB.
    expect((await it.reader.readLine())?.length).toBe(pieces * piece.length);
    await writing.join();
  }, 20_000);
});

describe("mistakes", () => {
  test.each([0, Number.NaN, -1, 1.5, "8"])("a maxLength of %p", async (maxLength) => {
    await using pair = await socketPair();
    const make = () => new BufferedReader(pair.client, { maxLength: maxLength as number });
    expect(thrownBy(make)).toBeInstanceOf(
      typeof maxLength === "number" && maxLength !== 1.5 ? RangeError : TypeError,
    );
    const reader = new BufferedReader(pair.client);
    expect(
      await failureOf(reader.readPrefixed(1, { maxLength: maxLength as number })),
    ).toBeInstanceOf(typeof maxLength === "number" && maxLength !== 1.5 ? RangeError : TypeError);
  });

  test("an empty delimiter, a wrong count, an unknown option", async () => {
    await using it = await readerSubject("abc");
    expect(await failureOf(it.reader.readUntil(""))).toBeInstanceOf(RangeError);
    expect(await failureOf(it.reader.readUntil(new Uint8Array(0)))).toBeInstanceOf(RangeError);
    expect(await failureOf(it.reader.discardUntil(""))).toBeInstanceOf(RangeError);
    expect(await failureOf(it.reader.readUntil(10 as never))).toBeInstanceOf(TypeError);
    for (const count of [-1, Number.NaN, 1.5]) {
      expect(await failureOf(it.reader.readExactly(count))).toBeInstanceOf(Error);
      expect(await failureOf(it.reader.discard(count))).toBeInstanceOf(Error);
      expect(thrownBy(() => it.reader.tryReadExactly(count))).toBeInstanceOf(Error);
      expect(thrownBy(() => it.reader.tryReadText(count))).toBeInstanceOf(Error);
    }
    expect(await failureOf(it.reader.readPrefixed(7))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => it.reader.tryReadPrefixed(0))).toBeInstanceOf(RangeError);
    expect(await failureOf(it.reader.read(new Uint8Array(0)))).toBeInstanceOf(RangeError);
    expect(await failureOf(it.reader.read("x" as never))).toBeInstanceOf(TypeError);
    expect(
      thrownBy(() => new BufferedReader(it.client, { newline: "cr" as never })),
    ).toBeInstanceOf(TypeError);
    expect(thrownBy(() => new BufferedReader(it.client, { length: 3 } as never))).toBeInstanceOf(
      TypeError,
    );
    expect(thrownBy(() => new BufferedReader(it.client, { fatal: 1 } as never))).toBeInstanceOf(
      TypeError,
    );
    const wrong = { littleEndian: "no" } as never;
    expect(await failureOf(it.reader.readPrefixed(1, wrong))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => it.reader.tryReadPrefixed(1, wrong))).toBeInstanceOf(TypeError);
    for (const source of [undefined, null, {}, it.client.readable]) {
      expect(thrownBy(() => new BufferedReader(source as never))).toBeInstanceOf(TypeError);
    }
    expect(text(await it.reader.next())).toBe("abc");
  });
});

describe("the socket below", () => {
  test("what was buffered can be read after the socket was closed", async () => {
    await using it = await readerSubject("one\ntwo\npart");
    expect(await it.reader.readLine()).toBe("one");
    it.client.close();
    expect(await it.reader.readLine()).toBe("two");
    expect((await failureOf(it.reader.readLine())).code).toBe("ERR_SOCKET_CLOSED");
  });

  test("a reset fails the call that needs more", async () => {
    await using it = await readerSubject("one\npart");
    expect(await it.reader.readLine()).toBe("one");
    it.peer.reset();
    expect((await failureOf(it.reader.readLine())).code).toBe("ECONNRESET");
    expect(it.reader.buffered).toBe(4);
  });

  test("startTls is refused while bytes are buffered or a call waits", async () => {
    await using it = await readerSubject("one\ntwo\n");
    await it.reader.readLine();
    expect(await failureOf(it.reader.startTls())).toMatchObject({
      code: "EBUSY",
      syscall: "handshake",
    });
    await it.reader.readLine();
    const waiting = it.reader.readLine(deadline(20));
    await parked();
    expect((await failureOf(it.reader.startTls())).code).toBe("EBUSY");
    expect(await failureOf(waiting)).toBeInstanceOf(TimeoutError);
  });

  test.skipIf(!hasOpenssl)("over TLS", async () => {
    await using pair = await tlsPair();
    const reader = new BufferedReader(pair.client);
    const block = new Uint8Array(200_000).fill(7);
    const writing = spawn(async () => {
      await pair.server.write(["hello\r\n", block, "\r\nend\r\n"]);
      await pair.server.shutdown();
    });
    expect(await reader.readLine()).toBe("hello");
    expect(await reader.readExactly(block.length)).toEqual(block);
    expect(await Array.fromAsync(reader.lines())).toEqual(["", "end"]);
    await writing.join();
  });
});

describe("a delimiter of the caller", () => {
  test("may change after the call, also while that waits in line", async () => {
    await using it = await readerSubject();
    const delimiter = new Uint8Array([45, 45]);
    const first = it.reader.readExactly(1);
    const second = it.reader.discardUntil(delimiter);
    const third = it.reader.readUntil(delimiter);
    delimiter.fill(0);
    await it.peer.write("xab--cd--");
    await first;
    expect(await second).toBe(4);
    expect(await third).toEqual(new TextEncoder().encode("cd"));
  });

  test("counts as its bytes, against what a subclass says", async () => {
    class Liar extends Uint8Array<ArrayBuffer> {
      override get length(): number {
        return 5;
      }
      override slice(): Uint8Array<ArrayBuffer> {
        return new Uint8Array(3);
      }
    }
    await using it = await readerSubject("ab--cd--e");
    expect(await it.reader.readUntil(new Liar(new Uint8Array([45, 45]).buffer))).toEqual(
      new TextEncoder().encode("ab"),
    );
    expect(await it.reader.discardUntil(new Liar(new Uint8Array([45, 45]).buffer))).toBe(4);
    expect(await it.reader.readText(1)).toBe("e");
  });
});

test("a mistake is reported at once, also behind a call that waits", async () => {
  await using it = await readerSubject();
  const waiting = it.reader.readLine();
  const empty = new Uint8Array(0);
  expect((await failureOf(it.reader.discard(-1))).name).toBe("RangeError");
  expect((await failureOf(it.reader.discardUntil(""))).name).toBe("RangeError");
  expect((await failureOf(it.reader.read(empty))).name).toBe("RangeError");
  const notBytes = "text" as unknown as Uint8Array;
  expect((await failureOf(it.reader.read(notBytes))).name).toBe("TypeError");
  expect((await failureOf(it.reader.readFull(notBytes))).name).toBe("TypeError");
  await it.peer.write("a line\n");
  expect(await waiting).toBe("a line");
});
