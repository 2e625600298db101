/** Lines of text from a socket. */

import { describe, expect, test } from "bun:test";
import {
  deadline,
  MessageTooLongError,
  type Newline,
  TimeoutError,
  UnexpectedEndError,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { Random } from "../support/random.ts";
import { endingSubject, parked, readerSubject, text } from "../support/reader_subject.ts";

/** The lines of one text, by what ends a line. */
const linesByNewline = [
  ["lf", ["one\r", "two", "", "three\rfour"]],
  ["crlf", ["one", "two\n\nthree\rfour\n"]],
  ["any", ["one", "two", "", "three\rfour"]],
] as const;

function endingWith(newline: Newline): ReturnType<typeof endingSubject> {
  const end = newline === "crlf" ? "\r\n" : "";
  return endingSubject(`one\r\ntwo\n\nthree\rfour\n${end}`, { newline });
}

test.each(linesByNewline)("with the newline %s", async (newline, expected) => {
  await using it = await endingWith(newline);
  expect(await Array.fromAsync(it.reader.lines())).toEqual([...expected]);
  expect(await it.reader.readLine()).toBeNull();
});

test("CR and LF that come apart", async () => {
  await using it = await readerSubject("one\r");
  await it.reader.peek(4);
  const line = it.reader.readLine();
  await parked();
  await it.peer.write("\ntwo\n");
  expect(await line).toBe("one");
  expect(await it.reader.readLine()).toBe("two");
});

test("what a buffer held before is not found again", async () => {
  await using it = await readerSubject("", { maxLength: 100_000, newline: "lf" });
  const receive = async (bytes: Uint8Array): Promise<void> => {
    const writing = it.peer.write(bytes);
    await it.reader.peek(bytes.length);
    await writing;
  };
  // The buffer is that of 64 KiB, and its last bytes are of the newlines.
  await receive(new Uint8Array(65_536).fill(10));
  await it.reader.discard(65_536);
  await receive(new Uint8Array(63_000).fill(120));
  const line = it.reader.readLine();
  await parked();
  await it.peer.write("\n");
  expect((await line)?.length).toBe(63_000);
});

test("the LF of before does not end a line behind a new CR", async () => {
  await using it = await readerSubject("", { maxLength: 100_000, newline: "crlf" });
  const receive = async (data: string): Promise<void> => {
    const writing = it.peer.write(data);
    await it.reader.peek(data.length);
    await writing;
  };
  await receive("\r\n".repeat(32_768));
  await it.reader.discard(65_536);
  await receive(`${"x".repeat(63_000)}\r`);
  const line = it.reader.readLine();
  await parked();
  await it.peer.write("y\r\n");
  expect(await line).toBe(`${"x".repeat(63_000)}\ry`);
});

test("newlines behind many lines, from before, are not found again", async () => {
  // The last of the batches that are decoded together ends where the unread bytes end.
  const count = 1 + 32 * 15;
  for (const end of ["\n", "\r\n"]) {
    for (const isMany of [false, true]) {
      await using it = await readerSubject("", { newline: end === "\n" ? "lf" : "crlf" });
      const writing = it.peer.write(end.repeat(32_768));
      await it.reader.discard(32_768 * end.length);
      await writing;
      await it.peer.write(`${"x".repeat(20)}${end}`.repeat(count));
      const lines: string[] = [];
      while (lines.length < count) {
        if (isMany) lines.push(...(await it.reader.readLines())!);
        else lines.push((await it.reader.readLine())!);
      }
      expect(lines).toEqual(Array<string>(count).fill("x".repeat(20)));
      expect(it.reader.tryReadLine()).toBeUndefined();
      expect(it.reader.buffered).toBe(0);
      await it.peer.write(`last${end}`);
      expect(await it.reader.readLine()).toBe("last");
    }
  }
});

test("a line of exactly the limit, with either newline", async () => {
  await using it = await readerSubject("12345\r\n12345\n12345\r", { maxLength: 5 });
  expect(await it.reader.readLine()).toBe("12345");
  expect(await it.reader.readLine()).toBe("12345");
  const third = it.reader.readLine();
  await parked();
  await it.peer.write("\n");
  expect(await third).toBe("12345");
});

test("tryReadLine returns what is buffered, and receives nothing", async () => {
  await using it = await readerSubject("one\ntwo\nthr");
  expect(it.reader.tryReadLine()).toBeUndefined();
  expect(await it.reader.readLine()).toBe("one");
  expect(it.reader.tryReadLine()).toBe("two");
  expect(it.reader.tryReadLine()).toBeUndefined();
  await it.peer.write("ee\n");
  await it.peer.shutdown();
  expect(await it.reader.readLine()).toBe("three");
  expect(await it.reader.readLine()).toBeNull();
  expect(it.reader.tryReadLine()).toBeNull();
});

test("invalid UTF-8 becomes what TextDecoder makes of it", async () => {
  const random = new Random();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const interesting = [0x41, 0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf4, 0xf5];
  for (let round = 0; round < 40; round++) {
    const lines = Array.from({ length: 50 }, () =>
      Uint8Array.from({ length: random.below(40) }, () => {
        const byte = random.below(2) === 0 ? random.pick(interesting) : random.below(256);
        return byte === 10 ? 32 : byte;
      }),
    );
    const sent = Buffer.concat(lines.flatMap((line) => [line, new Uint8Array([10])]));
    await using it = await endingSubject(sent, { newline: "lf" });
    const expected = lines.map((line) => decoder.decode(line));
    expect([random.seed, await Array.fromAsync(it.reader.lines())]).toEqual([
      random.seed,
      expected,
    ]);
  }
});

test("fatal refuses invalid UTF-8, and consumes nothing", async () => {
  await using it = await readerSubject(new Uint8Array([0x41, 0xff, 10]), { fatal: true });
  for (let time = 0; time < 2; time++) {
    const failure = await failureOf(it.reader.readLine());
    expect(failure).toBeInstanceOf(TypeError);
    expect(failure.code).toBe("ERR_ENCODING_INVALID_ENCODED_DATA");
  }
  expect(await it.reader.readExactly(3)).toEqual(new Uint8Array([0x41, 0xff, 10]));
});

test("a byte order mark is part of the line", async () => {
  for (const fatal of [true, false]) {
    await using it = await readerSubject("\ufeffone\n", { fatal });
    expect(await it.reader.readLine()).toBe("\ufeffone");
  }
});

test("a CR that was consumed does not belong to the line", async () => {
  await using it = await readerSubject("ab\r\ncd\n");
  expect(text(await it.reader.readExactly(3))).toBe("ab\r");
  expect(await it.reader.readLine()).toBe("");
  expect(await it.reader.readLine()).toBe("cd");
});

test("CR LF that comes in two parts", async () => {
  await using it = await readerSubject("one\r", { newline: "crlf" });
  await it.reader.peek(4);
  const line = it.reader.readLine();
  await parked();
  await it.peer.write("\n");
  expect(await line).toBe("one");
});

describe("readLines", () => {
  test.each(linesByNewline)("with the newline %s", async (newline, expected) => {
    await using it = await endingWith(newline);
    expect(await it.reader.readLines()).toEqual([...expected]);
    expect(await it.reader.readLines()).toBeNull();
  });

  test("leaves the part of a line that has come, and waits for a whole one", async () => {
    await using it = await readerSubject("one\ntwo\nthr");
    expect(await it.reader.readLines()).toEqual(["one", "two"]);
    expect(it.reader.buffered).toBe(3);
    const lines = it.reader.readLines();
    await parked();
    await it.peer.write("ee\nfour");
    expect(await lines).toEqual(["three"]);
    await it.peer.shutdown();
    const failure = await failureOf(it.reader.readLines());
    expect(failure).toBeInstanceOf(UnexpectedEndError);
    expect(text((failure as unknown as UnexpectedEndError).partial)).toBe("four");
  });

  test("returns what precedes a line over the limit, which then fails and stays", async () => {
    await using it = await readerSubject(`12345\r\n1234\n123456\n1\n`, { maxLength: 5 });
    const lines: string[] = [];
    while (lines.length < 2) lines.push(...(await it.reader.readLines())!);
    expect(lines).toEqual(["12345", "1234"]);
    for (let time = 0; time < 2; time++) {
      expect(await failureOf(it.reader.readLines())).toBeInstanceOf(MessageTooLongError);
    }
    expect(await it.reader.discardUntil("\n")).toBe(7);
    expect(await it.reader.readLines()).toEqual(["1"]);
  });

  test("returns 16 KiB at most, or one line", async () => {
    const sent = `${"x".repeat(99)}\n`.repeat(600) + `${"y".repeat(30_000)}\n`.repeat(2);
    await using it = await endingSubject(sent);
    const sizes: number[] = [];
    let received = "";
    for (let lines = await it.reader.readLines(); lines; lines = await it.reader.readLines()) {
      const text = `${lines.join("\n")}\n`;
      received += text;
      if (lines.length > 1) sizes.push(text.length);
    }
    expect(received).toBe(sent);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(16_384);
    expect(Math.max(...sizes)).toBeGreaterThan(16_000);
  });

  test("fatal returns the lines before an invalid one", async () => {
    const sent = Buffer.concat([Buffer.from("é\ntwo\n"), new Uint8Array([0xff, 10])]);
    await using it = await readerSubject(sent, { fatal: true });
    expect(await it.reader.readLines()).toEqual(["é", "two"]);
    expect(await failureOf(it.reader.readLines())).toBeInstanceOf(TypeError);
    expect(it.reader.buffered).toBe(2);
  });

  test("consumes nothing when it is given up", async () => {
    await using it = await readerSubject("par");
    expect(await failureOf(it.reader.readLines(deadline(5)))).toBeInstanceOf(TimeoutError);
    await it.peer.write("t\n");
    expect(await it.reader.readLines()).toEqual(["part"]);
  });
});
