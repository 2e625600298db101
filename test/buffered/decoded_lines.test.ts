/** Short lines, which a reader decodes many at a time: other calls in between must not notice. */

import { describe, expect, test } from "bun:test";
import {
  BufferedReader,
  deadline,
  type Newline,
  TimeoutError,
  UnexpectedEndError,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { Random } from "../support/random.ts";
import { endingSubject, parked, readerSubject, text } from "../support/reader_subject.ts";
import { socketPair } from "../support/socket_pair.ts";

/** Lines of 9 bytes and a newline: each tells where it stands. */
function numbered(count: number, name = "line"): string {
  return `${Array.from({ length: count }, (_, index) => `${name} ${index}`.padEnd(9)).join("\n")}\n`;
}

describe("between two lines", () => {
  const sent = numbered(300);
  /** Each call consumes so many bytes. */
  const calls: Record<string, readonly [number, (reader: BufferedReader) => Promise<unknown>]> = {
    "readExactly(1)": [1, (reader) => reader.readExactly(1)],
    "readExactly of a line": [10, (reader) => reader.readExactly(10)],
    "readText of three lines": [30, (reader) => reader.readText(30)],
    "discard(11)": [11, (reader) => reader.discard(11)],
    "readUntil of a space": [5, (reader) => reader.readUntil(" ")],
    "discardUntil of a newline": [10, (reader) => reader.discardUntil("\n")],
    readUint32BE: [4, (reader) => reader.readUint32BE()],
    "read of a part": [7, (reader) => reader.read(new Uint8Array(7))],
    "readFull of more than is decoded": [1900, (reader) => reader.readFull(new Uint8Array(1900))],
    peek: [0, (reader) => reader.peek(25)],
    "a call that is given up": [0, (reader) => failureOf(reader.readExactly(10_000, deadline(1)))],
  };

  test.each(Object.entries(calls))("%s", async (_, [consumed, call]) => {
    await using it = await readerSubject(sent);
    let rest = sent;
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 5; count++) {
        expect(await it.reader.readLine()).toBe(rest.slice(0, rest.indexOf("\n")));
        rest = rest.slice(rest.indexOf("\n") + 1);
      }
      if (rest.length < consumed) break;
      await call(it.reader);
      rest = rest.slice(consumed);
      expect(it.reader.buffered).toBe(rest.length);
    }
    expect(it.reader.tryReadLine()).toBe(rest.slice(0, rest.indexOf("\n")));
  });

  test("readLines", async () => {
    await using it = await endingSubject(sent);
    const lines = [
      await it.reader.readLine(),
      await it.reader.readLine(),
      it.reader.tryReadLine()!,
    ];
    lines.push(...(await it.reader.readLines())!);
    expect(`${lines.join("\n")}\n`).toBe(sent);
    expect(await it.reader.readLine()).toBeNull();
  });

  test("a readFull that fails, and so puts more back than it has taken from the buffer", async () => {
    await using it = await readerSubject(sent);
    for (let count = 0; count < 5; count++) await it.reader.readLine();
    // It receives in the memory of the caller.
    const filling = it.reader.readFull(new Uint8Array(100_000), deadline(20));
    const failing = failureOf(filling);
    await parked();
    const more = numbered(50, "more");
    await it.peer.write(more);
    expect(await failing).toBeInstanceOf(TimeoutError);
    let rest = sent.slice(50) + more;
    for (let count = 0; count < 50; count++) {
      expect(await it.reader.readText(10)).toBe(rest.slice(0, 10));
      rest = rest.slice(10);
    }
    while (rest.length > 0) {
      expect(await it.reader.readLine()).toBe(rest.slice(0, 9));
      rest = rest.slice(10);
    }
  });
});

describe("fatal", () => {
  const invalid = Buffer.concat([
    Buffer.from(numbered(50)),
    // A byte that becomes one character, as those of ASCII do.
    new Uint8Array([0x41, 0xff, 0x41, 10]),
    Buffer.from(numbered(50)),
  ]);

  test("refuses one byte among many lines, in readLine", async () => {
    await using it = await readerSubject(invalid, { fatal: true });
    for (let count = 0; count < 50; count++) {
      expect(await it.reader.readLine()).toBe(`line ${count}`.padEnd(9));
    }
    for (let time = 0; time < 2; time++) {
      expect(await failureOf(it.reader.readLine())).toBeInstanceOf(TypeError);
      expect(thrownBy(() => it.reader.tryReadLine())).toBeInstanceOf(TypeError);
    }
    expect(await it.reader.discardUntil("\n")).toBe(4);
    expect(await it.reader.readLine()).toBe("line 0   ");
  });

  test("returns all lines before it at once, in readLines", async () => {
    await using it = await readerSubject(invalid, { fatal: true });
    expect((await it.reader.readLines())?.length).toBe(50);
    for (let time = 0; time < 2; time++) {
      expect(await failureOf(it.reader.readLines())).toBeInstanceOf(TypeError);
    }
    expect(await it.reader.discardUntil("\n")).toBe(4);
    expect((await it.reader.readLines())?.length).toBe(50);
  });
});

/** Text whose sequences are cut, and too long, and stand at the ends of lines. */
function awkwardLine(random: Random): Uint8Array {
  const parts = [
    "a",
    "plain text, as most lines have it",
    "é",
    "€",
    "\u{1f600}",
    "\ufeff",
    "\ufffd",
    "\0",
  ].map((part) => new TextEncoder().encode(part));
  const bytes: number[] = [];
  for (let count = random.below(6); count > 0; count--) {
    const part = random.pick(parts);
    bytes.push(...part.subarray(0, random.below(4) === 0 ? random.below(4) : part.length));
    if (random.below(10) === 0) bytes.push(random.pick([0x80, 0xc0, 0xed, 0xf8, 0xff, 13]));
  }
  return Uint8Array.from(bytes);
}

test("lines are what TextDecoder makes of each, in every call and with every newline", async () => {
  const random = new Random();
  for (let round = 0; round < 40; round++) {
    const fatal = random.below(2) === 0;
    const newline = random.pick<Newline>(["lf", "crlf", "any"]);
    const end = newline === "crlf" ? "\r\n" : "\n";
    const isPlain = random.below(2) === 0;
    const lines = Array.from({ length: 400 }, () =>
      isPlain && random.below(40) > 0 ? Buffer.from("0123456") : awkwardLine(random),
    );
    const sent = Buffer.concat(lines.flatMap((line) => [line, Buffer.from(end)]));
    await using pair = await socketPair();
    const reader = new BufferedReader(pair.client, { fatal, newline });
    const writing = pair.server.write(sent).then(() => pair.server.shutdown());
    for (let index = 0; index < lines.length; ) {
      const read = await readSome(reader, random);
      const isInvalid = read === undefined;
      for (const line of read ?? [undefined]) {
        const bytes = lines[index++]!;
        const hasCr = newline === "any" && bytes.at(-1) === 13;
        const whole = hasCr ? bytes.subarray(0, -1) : bytes;
        expect([random.seed, index, line]).toEqual([random.seed, index, decoded(whole, fatal)]);
      }
      if (isInvalid) await reader.discardUntil(end);
    }
    expect(await reader.readLine()).toBeNull();
    await writing;
  }
}, 20_000);

/** What TextDecoder makes of it; undefined for an error. */
function decoded(bytes: Uint8Array, fatal: boolean): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The lines of one call; undefined if the first is not valid. */
async function readSome(reader: BufferedReader, random: Random): Promise<string[] | undefined> {
  try {
    switch (random.below(5)) {
      case 0:
        return (await reader.readLines())!;
      case 1:
        return [(await reader.lines().next()).value!];
      default:
        return [reader.tryReadLine() ?? (await reader.readLine())!];
    }
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    return undefined;
  }
}

test.each([4094, 4095, 4096, 4097, 16_382, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537])(
  "lines about a limit of %p bytes",
  async (maxLength) => {
    for (const end of ["\n", "\r\n"]) {
      const line = "x".repeat(maxLength);
      const sent = `${numbered(40)}${line}${end}${line}${end}y${line}${end}tail${end}`;
      for (const many of [false, true]) {
        await using it = await readerSubject("", { maxLength });
        const writing = it.peer.write(sent).then(() => it.peer.shutdown());
        const lines: string[] = [];
        const next = async (): Promise<string[] | null> => {
          if (many) return await it.reader.readLines();
          const one = await it.reader.readLine();
          return one === null ? null : [one];
        };
        while (lines.length < 42) lines.push(...(await next())!);
        expect(lines.slice(40)).toEqual([line, line]);
        for (let time = 0; time < 2; time++) {
          expect(await failureOf(next())).toMatchObject({ code: "EMSGSIZE", maxLength });
        }
        expect(await it.reader.discardUntil("\n")).toBe(maxLength + 1 + end.length);
        expect(await next()).toEqual(["tail"]);
        expect(await next()).toBeNull();
        await writing;
      }
    }
  },
);

test("a low limit holds for a line among many short ones", async () => {
  const sent = `${numbered(20)}${"x".repeat(21)}\n${numbered(60)}`;
  await using it = await readerSubject(sent, { maxLength: 20 });
  for (let count = 0; count < 20; count++) await it.reader.readLine();
  for (let time = 0; time < 2; time++) {
    expect(await failureOf(it.reader.readLine())).toMatchObject({
      code: "EMSGSIZE",
      maxLength: 20,
    });
    expect(await failureOf(it.reader.readLines())).toMatchObject({ code: "EMSGSIZE" });
  }
  expect(await it.reader.discardUntil("\n")).toBe(22);
  expect(await it.reader.readLine()).toBe("line 0   ");
});

test("the end within a line, behind many", async () => {
  await using it = await endingSubject(`${numbered(100)}part`);
  for (let count = 0; count < 100; count++) await it.reader.readLine();
  for (let time = 0; time < 2; time++) {
    const failure = await failureOf(it.reader.readLine());
    expect(failure).toBeInstanceOf(UnexpectedEndError);
    expect(text((failure as unknown as UnexpectedEndError).partial)).toBe("part");
  }
});
