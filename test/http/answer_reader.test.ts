/** Reading answers: what is an answer, what is none, and where it ends, however it is cut into portions. */

import { describe, expect, test } from "bun:test";
import { MessageTooLongError, UnexpectedEndError, yieldNow } from "../../index.ts";
import type { Answer, Keep } from "../../src/http/answer.ts";
import { AnswerReader, mostHeadBytes } from "../../src/http/answer_reader.ts";
import { BadAnswerError } from "../../src/http/bad_answer.ts";
import { never } from "../../src/values/deadlines.ts";
import { type Failure, failureOf } from "../support/failure.ts";
import { pollUntil } from "../support/poll.ts";
import { type SocketPair, socketPair } from "../support/socket_pair.ts";

const encoder = new TextEncoder();

interface Reading {
  readonly keep?: Keep;
  readonly isToHead?: boolean;
  readonly mostBody?: number;
  /** Bytes of a portion. */
  readonly portion?: number;
  /** How many answers are read. */
  readonly count?: number;
}

/** Sends text in portions, ends the stream, and reads answers. */
async function answersOf(text: string, reading: Reading = {}): Promise<Answer[]> {
  const { keep = "body", isToHead = false, mostBody = 1 << 20, count = 1 } = reading;
  await using pair = await socketPair();
  const bytes = encoder.encode(text);
  const { portion = bytes.length } = reading;
  const sending = (async () => {
    for (let start = 0; start < bytes.length; start += portion) {
      await pair.server.write(bytes.subarray(start, start + portion));
      await yieldNow();
    }
    await pair.server.shutdown();
  })();
  const reader = new AnswerReader(pair.client);
  const answers: Answer[] = [];
  try {
    for (let index = 0; index < count; index++) {
      answers.push(await reader.read(keep, isToHead, mostBody, never));
    }
  } finally {
    pair.client.reset();
    await sending.catch(() => {});
  }
  return answers;
}

const lines = (...text: string[]): string => `${text.join("\r\n")}\r\n\r\n`;
const ok = "HTTP/1.1 200 OK";
const shapes: [name: string, text: string, body: string, keepsAlive: boolean][] = [
  ["a length", `${lines(ok, "Content-Length: 5")}hello`, "hello", true],
  ["a length in other letters", `${lines(ok, "cOnTeNt-lEnGtH:5")}hello`, "hello", true],
  ["spaces around a value", `${lines(ok, "Content-Length: \t 5 \t")}hello`, "hello", true],
  [
    "a length with zeros",
    `${lines(ok, "Content-Length: 000000000000000000005")}hello`,
    "hello",
    true,
  ],
  ["no bytes", lines(ok, "Content-Length: 0"), "", true],
  ["the end of the stream", `${lines(ok)}hello`, "hello", false],
  ["the end of the stream at once", lines(ok), "", false],
  [
    "chunks",
    `${lines(ok, "Transfer-Encoding: chunked")}3\r\nhel\r\n002\r\nlo\r\n0\r\n\r\n`,
    "hello",
    true,
  ],
  [
    "chunks with extensions and trailers",
    `${lines(ok, "transfer-encoding: Chunked")}5;a=b;c="d e"\r\nhello\r\n0;last\r\nA: b\r\nC:\r\n\r\n`,
    "hello",
    true,
  ],
  [
    "chunks with zeros before lengths, and blanks before extensions",
    `${lines(ok, "Transfer-Encoding: chunked")}00000000000000005 \t; a = b\r\nhello\r\n0 ;c\r\n\r\n`,
    "hello",
    true,
  ],
  [
    "a length in capitals",
    `${lines(ok, "Transfer-Encoding: chunked")}0A\r\n0123456789\r\n0\r\n\r\n`,
    "0123456789",
    true,
  ],
  ["HTTP/1.0", `${lines("HTTP/1.0 200 OK", "Content-Length: 5")}hello`, "hello", false],
  [
    "HTTP/1.0 that is kept",
    `${lines("HTTP/1.0 200", "Connection: Keep-Alive", "Content-Length: 2")}hi`,
    "hi",
    true,
  ],
  ["Connection: close", `${lines(ok, "Content-Length: 2", "Connection: x, Close")}hi`, "hi", false],
  ["no reason", `${lines("HTTP/1.1 200 ", "Content-Length: 2")}hi`, "hi", true],
  [
    "interim answers",
    `${lines("HTTP/1.1 100 Continue")}${lines("HTTP/1.1 103 Early Hints", "Link: </a>")}${lines(ok, "Content-Length: 2")}hi`,
    "hi",
    true,
  ],
  ["status 204 with a length", lines("HTTP/1.1 204 No Content", "Content-Length: 7"), "", true],
  ["status 304 with a length", lines("HTTP/1.1 304 Not Modified", "Content-Length: 7"), "", true],
];

describe.each([1, 2, 3, 7, 100_000])("in portions of %p bytes", (portion) => {
  test.each(shapes)("an answer framed by %s", async (_name, text, body, keepsAlive) => {
    const [answer] = await answersOf(text, { portion });
    expect(answer!.text()).toBe(body);
    expect(answer!.bodyLength).toBe(body.length);
    expect(answer!.keepsAlive).toBe(keepsAlive);
    for (const keep of ["status", "head"] as const) {
      const [less] = await answersOf(text, { portion, keep });
      expect([less!.status, less!.bodyLength]).toEqual([answer!.status, body.length]);
      expect(less!.text()).toBe("");
    }
  });

  test("answers follow each other", async () => {
    const text = shapes.filter(([, , , keeps]) => keeps).map(([, text]) => text);
    const count = text.length;
    const answers = await answersOf(text.join(""), { portion, count });
    const bodies = shapes.filter(([, , , keeps]) => keeps).map(([, , body]) => body);
    expect(answers.map((answer) => answer.text())).toEqual(bodies);
  });
});

const chunked = lines(ok, "Transfer-Encoding: chunked");
const wrong: [reason: string, text: string][] = [
  ["only HTTP/1.1 is spoken", "\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"],
  ["does not begin with HTTP/1.", "SSH-2.0-x"],
  ["does not begin with HTTP/1.", "HTTQ"],
  ["does not begin with HTTP/1.", lines("HTTP/2 200")],
  ["none of HTTP/1.1 or HTTP/1.0", lines("HTTP/1.2 200 OK")],
  ["none of HTTP/1.1 or HTTP/1.0", lines("HTTP/1.1 20")],
  ["no number of three digits", lines("HTTP/1.1 2x0 OK")],
  ["status line is malformed", lines("HTTP/1.1 2000 OK")],
  ["status line is malformed", lines("HTTP/1.1 099 OK")],
  ["status line is malformed", lines("HTTP/1.1\t200 OK")],
  ["without CR", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
  ["without CR", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"],
  ["without CR", "\n"],
  ["control character 0xd", lines("HTTP/1.1 200 O\rK")],
  ["control character 0x0", lines(ok, "A: b\0c")],
  ["control character 0x7f", lines(ok, "A: \x7f")],
  ["control character 0xd", lines(ok, "A: b\rContent-Length: 5")],
  ["folded over two lines", lines(ok, "A: b", " c")],
  ["folded over two lines", lines(ok, "\tContent-Length: 5")],
  ["the name of a field", lines(ok, "Content-Length : 5")],
  ["the name of a field", lines(ok, ": 5")],
  ["the name of a field", lines(ok, "Content Length: 5")],
  ["the name of a field", lines(ok, "nothing")],
  ["two of Content-Length", lines(ok, "Content-Length: 5", "Content-Length: 6")],
  ["two of Content-Length", lines(ok, "Content-Length: 5", "content-length: 5")],
  ["no decimal number", lines(ok, "Content-Length: 5, 5")],
  ["no decimal number", lines(ok, "Content-Length: +5")],
  ["no decimal number", lines(ok, "Content-Length: -1")],
  ["no decimal number", lines(ok, "Content-Length: 0x5")],
  ["no number below 10^15", lines(ok, "Content-Length:")],
  ["no number below 10^15", lines(ok, "Content-Length: 1000000000000000")],
  ["both Transfer-Encoding and", lines(ok, "Content-Length: 5", "Transfer-Encoding: chunked")],
  ["both Transfer-Encoding and", lines(ok, "Transfer-Encoding: chunked", "Content-Length: 5")],
  [
    "two of Transfer-Encoding",
    lines(ok, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
  ],
  ["another one than chunked", lines(ok, "Transfer-Encoding: gzip, chunked")],
  ["another one than chunked", lines(ok, "Transfer-Encoding: identity")],
  ["another one than chunked", lines(ok, "Transfer-Encoding: xchunked")],
  ["HTTP/1.0 has no", lines("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")],
  ["changes the protocol", lines("HTTP/1.1 101 Switching Protocols", "Upgrade: x")],
  ["too many interim answers", lines("HTTP/1.1 100 Continue").repeat(101)],
  ["no hexadecimal number", `${chunked}x\r\n`],
  ["no hexadecimal number", `${chunked}0x5\r\nhello\r\n`],
  ["no hexadecimal number", `${chunked} 5\r\nhello\r\n`],
  ["no hexadecimal number", `${chunked}5 \r\nhello\r\n`],
  ["no hexadecimal number", `${chunked}5 5\r\nhello\r\n`],
  ["no hexadecimal number", `${chunked}-5\r\nhello\r\n`],
  ["no hexadecimal number", `${chunked}5\nhello\r\n`],
  ["no hexadecimal number", `${chunked};a=b\r\n`],
  ["has no length", `${chunked}\r\n`],
  ["too many digits", `${chunked}1000000000005\r\n`],
  ["longer than its length", `${chunked}4\r\nhello\r\n0\r\n\r\n`],
  ["is without LF", `${chunked}5\rhello\r\n`],
  ["extension has a control character", `${chunked}5;a\nb\r\nhello\r\n`],
  ["the name of a trailer", `${chunked}0\r\n Content-Length: 5\r\n\r\n`],
  ["a trailer has a control character", `${chunked}0\r\nA: \0\r\n\r\n`],
  ["a trailer has no colon", `${chunked}0\r\nA\r\n\r\n`],
  ["extensions and trailers are too long", `${chunked}0\r\n${"A: b\r\n".repeat(20_000)}\r\n`],
];

test.each(wrong)("bad HTTP: %s: %j", async (reason, text) => {
  for (const portion of [1, 100_000]) {
    if (text.length > 10_000 && portion === 1) continue;
    const error = await failureOf(answersOf(text, { portion }));
    expect(error).toBeInstanceOf(BadAnswerError);
    expect(error.message).toContain(reason);
  }
});

test("a head has a limit, also if its line never ends", async () => {
  for (const line of [`A: ${"b".repeat(100)}\r\n`, "b"]) {
    const text = `${ok}\r\n${line.repeat(mostHeadBytes / line.length + 1)}`;
    expect((await failureOf(answersOf(text))).message).toContain("longer than 65536 bytes");
  }
});

describe("a connection that ends", () => {
  test("before an answer is told from one that ends within it", async () => {
    const before = await failureOf(answersOf(""));
    expect(before).toBeInstanceOf(UnexpectedEndError);
    expect((before as UnexpectedEndError).partial).toHaveLength(0);
    const between = await failureOf(answersOf(shapes[0]![1], { count: 2 }));
    expect((between as UnexpectedEndError).partial).toHaveLength(0);
  });

  test.each(shapes.filter(([, , , keepsAlive]) => keepsAlive))(
    "within an answer framed by %s is an error at every byte",
    async (_name, text) => {
      for (let length = 1; length < text.length; length++) {
        const error = await failureOf(answersOf(text.slice(0, length)));
        expect(error).toBeInstanceOf(UnexpectedEndError);
      }
    },
  );
});

test("hasBegun tells an end before the answer from one within it, and behind an interim one", async () => {
  for (const [text, hasBegun] of [
    ["", false],
    ["H", true],
    [lines("HTTP/1.1 103 Early Hints"), true],
    [`${lines(ok, "Content-Length: 5")}hell`, true],
    [lines(ok, "Content-Length: 5"), true],
  ] as const) {
    for (const keep of ["status", "body"] as const) {
      await using pair = await socketPair();
      const reader = new AnswerReader(pair.client);
      const reading = failureOf(reader.read(keep, false, 100, never));
      if (text !== "") await pair.server.write(text);
      await pair.server.shutdown();
      expect(await reading).toBeInstanceOf(UnexpectedEndError);
      expect([text, reader.hasBegun]).toEqual([text, hasBegun]);
    }
  }
});

describe("a connection on which no answer is expected", () => {
  const text = `${lines(ok, "Content-Length: 2")}hi`;

  /** A connection behind its first answer. */
  async function idle(): Promise<[SocketPair, AnswerReader]> {
    const pair = await socketPair();
    const reader = new AnswerReader(pair.client);
    await pair.server.write(text);
    await reader.read("body", false, 100, never);
    return [pair, reader];
  }

  test("is open, also for the next answer", async () => {
    const [pair, reader] = await idle();
    await using _ = pair;
    for (let count = 0; count < 3; count++) expect(reader.idleState()).toBe("open");
    const reading = reader.read("body", false, 100, never);
    await pair.server.write(text);
    expect((await reading).text()).toBe("hi");
  });

  test("has ended", async () => {
    const [pair, reader] = await idle();
    await using _ = pair;
    await pair.server.shutdown();
    await pollUntil("the end has come", () => reader.idleState() === "ended");
    expect(reader.idleState()).toBe("ended");
  });

  test("has bytes that were not asked for, which came late or with the answer", async () => {
    const [pair, reader] = await idle();
    await using _ = pair;
    await pair.server.write("x");
    await pollUntil("a byte has come", () => reader.idleState() === "unasked");
    expect([reader.idleState(), reader.hasUnread]).toEqual(["unasked", true]);
    await using other = await socketPair();
    const behind = new AnswerReader(other.client);
    await other.server.write(text + text);
    await behind.read("body", false, 100, never);
    expect(behind.idleState()).toBe("unasked");
  });

  test("was reset", async () => {
    const [pair, reader] = await idle();
    pair.server.reset();
    await using _ = pair;
    const failing = (): string => {
      try {
        return reader.idleState();
      } catch (error) {
        return (error as Failure).code ?? "";
      }
    };
    await pollUntil("the reset has come", () => failing() !== "open");
    expect(["ECONNRESET", "ended"]).toContain(failing());
  });
});

test("an answer to HEAD has no body", async () => {
  const text = `${lines(ok, "Content-Length: 500")}${lines(ok, "Transfer-Encoding: chunked")}`;
  const answers = await answersOf(text, { isToHead: true, count: 2 });
  expect(answers.map((answer) => answer.bodyLength)).toEqual([0, 0]);
});

test("the fields of a head", async () => {
  const text = lines(
    ok,
    "Set-Cookie: a=b",
    "A:b",
    "set-cookie:  c = d ",
    "Content-Length: 0",
    "E:",
  );
  const [answer] = await answersOf(text);
  expect(answer!.headers("SET-COOKIE")).toEqual(["a=b", "c = d"]);
  expect(answer!.header("set-cookie")).toBe("a=b, c = d");
  expect([answer!.header("a"), answer!.header("e"), answer!.header("f")]).toEqual([
    "b",
    "",
    undefined,
  ]);
});

test("only spaces and tabs around a value do not count", async () => {
  // In Latin-1 the last byte of "\u00e0" in UTF-8 is a space of Unicode.
  const text = lines(ok, "A: \t \u00e0 \t", "B: \u00a0x", "Content-Length: 0");
  const [answer] = await answersOf(text);
  const utf8 = (value: string): string => Buffer.from(value, "latin1").toString();
  expect(utf8(answer!.header("a")!)).toBe("\u00e0");
  expect(utf8(answer!.header("b")!)).toBe("\u00a0x");
});

describe("trailers", () => {
  const text = `${lines(ok, "Transfer-Encoding: chunked", "A: head")}3\r\nabc\r\n1;x\r\nd\r\n0;y\r\nA:  b \r\nset-Cookie: c\r\na:d\r\nE:\r\n\r\n`;

  test.each([1, 2, 5, 100_000])(
    "are fields of their own, in portions of %p bytes",
    async (portion) => {
      for (const answer of await answersOf(text.repeat(2), { portion, count: 2 })) {
        expect(answer.text()).toBe("abcd");
        expect(answer.bodyLength).toBe(4);
        expect(Object.fromEntries(answer.trailers)).toEqual({
          a: ["b", "d"],
          "set-cookie": ["c"],
          e: [""],
        });
        expect(answer.headers("a")).toEqual(["head"]);
        expect(answer.header("set-cookie")).toBeUndefined();
      }
    },
  );

  test("are kept with the body alone", async () => {
    for (const keep of ["status", "head"] as const) {
      for (const answer of await answersOf(text.repeat(2), { keep, count: 2 })) {
        expect([answer.bodyLength, answer.trailers.size]).toEqual([4, 0]);
      }
    }
    const [none] = await answersOf(`${lines(ok, "Content-Length: 3")}a:b`);
    expect(none!.trailers.size).toBe(0);
  });
});

describe("a large body", () => {
  const length = 3_000_000;
  const body = "0123456789".repeat(length / 10);
  const framed: [string, string][] = [
    ["a length", `${lines(ok, `Content-Length: ${length}`)}${body}`],
    [
      "chunks",
      `${chunked}${`2710\r\n${body.slice(0, 10_000)}\r\n`.repeat(length / 10_000)}0\r\n\r\n`,
    ],
    ["the end of the stream", `${lines(ok)}${body}`],
  ];

  test.each(framed)("framed by %s is kept whole, or counted", async (_name, text) => {
    const [answer] = await answersOf(text, { mostBody: length });
    expect(answer!.text() === body).toBe(true);
    const [counted] = await answersOf(text, { keep: "head" });
    expect(counted!.bodyLength).toBe(length);
  });

  test.each(framed)("framed by %s is refused above the limit", async (_name, text) => {
    const error = await failureOf(answersOf(text, { mostBody: length - 1 }));
    expect(error).toBeInstanceOf(MessageTooLongError);
  });
});
