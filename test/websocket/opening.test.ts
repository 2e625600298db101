/** The opening handshake: what is sent, and which answers open a WebSocket. */

import { describe, expect, test } from "bun:test";
import { deadline, TimeoutError, UnexpectedEndError } from "../../index.ts";
import { BadAnswerError } from "../../src/http/bad_answer.ts";
import { openWebSocket, type WebSocketConnection } from "../../src/websocket/connection.ts";
import { WebSocketRefusedError } from "../../src/websocket/errors.ts";
import { acceptOf, type WebSocketOptions } from "../../src/websocket/opening.ts";
import { failureOf } from "../support/failure.ts";
import { frame, HandServer, handPair, opcodes } from "../support/hand_websocket.ts";
import { socketPair } from "../support/socket_pair.ts";

const host = "127.0.0.1:8080";

interface Handshake {
  readonly server: HandServer;
  readonly opening: Promise<WebSocketConnection>;
}

/** Begins a handshake, which a function answers. */
async function handshake(
  options: Partial<WebSocketOptions>,
  answer: (handshake: Handshake) => Promise<void>,
): Promise<void> {
  await using pair = await socketPair();
  const server = new HandServer(pair.server);
  const opening = openWebSocket(pair.client, { host, ...options });
  opening.catch(() => {});
  await server.readRequest();
  await answer({ server, opening });
}

const block = (lines: readonly string[]): string => `${lines.join("\r\n")}\r\n\r\n`;

test("the answer to the key of RFC 6455, section 1.3", () => {
  expect(acceptOf("dGhlIHNhbXBsZSBub25jZQ==")).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

test("the request has what RFC 6455 wants, and what the caller adds", async () => {
  const keys: string[] = [];
  const options = {
    path: "/chat?room=1",
    protocols: ["v2.chat", "v1.chat"],
    headers: { Origin: "http://example.com", Cookie: ["a=b", "c=d"], "X-Count": 3 },
  };
  for (let round = 0; round < 2; round++) {
    await handshake(options, async ({ server }) => {
      const key = server.field("Sec-WebSocket-Key")!;
      keys.push(key);
      expect(Buffer.from(key, "base64")).toHaveLength(16);
      expect(server.request).toEqual([
        "GET /chat?room=1 HTTP/1.1",
        `Host: ${host}`,
        "Upgrade: websocket",
        "Connection: Upgrade",
        `Sec-WebSocket-Key: ${key}`,
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: v2.chat, v1.chat",
        "Origin: http://example.com",
        "Cookie: a=b",
        "Cookie: c=d",
        "X-Count: 3",
      ]);
    });
  }
  expect(keys[0]).not.toBe(keys[1]);
});

const protocols = ["v2.chat", "v1.chat"];
const right: [name: string, change: (lines: string[]) => string[], protocol: string][] = [
  ["as it is", (lines) => lines, ""],
  [
    "in other letters",
    (lines) => lines.map((line) => line.replace("Upgrade: websocket", "UPGRADE: WebSocket")),
    "",
  ],
  [
    "with other options of Connection",
    (lines) => lines.map((line) => line.replace(": Upgrade", ": keep-alive, UPGRADE")),
    "",
  ],
  ["with two of Connection", (lines) => [...lines, "Connection: keep-alive"], ""],
  ["with a subprotocol", (lines) => [...lines, "Sec-WebSocket-Protocol: v1.chat"], "v1.chat"],
  [
    "behind an interim answer",
    (lines) => ["HTTP/1.1 103 Early Hints", "Link: </a>", "", ...lines],
    "",
  ],
];

test.each(right)("a right answer %s", async (_name, change, protocol) => {
  for (const portion of [1, 1000]) {
    await handshake({ protocols }, async ({ server, opening }) => {
      const bytes = Buffer.from(block(change([...server.answer, "X-Answer: yes"])));
      for (let at = 0; at < bytes.length; at += portion) {
        await server.socket.write(bytes.subarray(at, at + portion));
      }
      const ws = await opening;
      expect([ws.protocol, ws.answer.status, ws.answer.header("x-answer")]).toEqual([
        protocol,
        101,
        "yes",
      ]);
      await ws.send("open");
      expect(await server.expect(opcodes.text)).toBe("open");
    });
  }
});

const without = (name: string) => (lines: string[]) =>
  lines.filter((line) => !line.startsWith(name));
const also =
  (...more: string[]) =>
  (lines: string[]) => [...lines, ...more];
const wrong: [reason: string, change: (lines: string[]) => string[], offers?: string[]][] = [
  ["its Upgrade is not websocket", without("Upgrade")],
  [
    "its Upgrade is not websocket",
    (lines) => lines.map((line) => line.replace(": websocket", ": h2c")),
  ],
  ["its Upgrade is not websocket", also("Upgrade: websocket")],
  ["its Connection has no Upgrade", without("Connection")],
  [
    "its Connection has no Upgrade",
    (lines) => lines.map((line) => line.replace(": Upgrade", ": Upgrades")),
  ],
  ["does not answer the key", without("Sec-WebSocket-Accept")],
  [
    "does not answer the key",
    (lines) => lines.map((line) => line.replace(/Accept: ./, "Accept: ")),
  ],
  ["does not answer the key", (lines) => [...lines, lines[3]!]],
  [
    "does not answer the key",
    (lines) =>
      lines.map((line) =>
        line.replace(/(Accept: )(.*)/, (_all, name, value) => name + value.toLowerCase()),
      ),
  ],
  ["an extension that was not offered", also("Sec-WebSocket-Extensions: permessage-deflate")],
  ["an extension that was not offered", also("Sec-WebSocket-Extensions:")],
  ["a subprotocol that was not offered", also("Sec-WebSocket-Protocol: v1.chat")],
  ["a subprotocol that was not offered", also("Sec-WebSocket-Protocol: V1.chat"), protocols],
  [
    "a subprotocol that was not offered",
    also("Sec-WebSocket-Protocol: v1.chat, v2.chat"),
    protocols,
  ],
  [
    "a subprotocol that was not offered",
    also("Sec-WebSocket-Protocol: v1.chat", "Sec-WebSocket-Protocol: v1.chat"),
    protocols,
  ],
  ["status 101 has a body", also("Content-Length: 0")],
  ["status 101 has a body", also("Transfer-Encoding: chunked")],
  [
    "HTTP/1.0 has no status 101",
    (lines) => lines.map((line) => line.replace("HTTP/1.1", "HTTP/1.0")),
  ],
  [
    "too many interim answers",
    (lines) => [...Array(101).fill("HTTP/1.1 100 Continue\r\n"), ...lines],
  ],
  ["does not begin with HTTP/1.", () => ["SSH-2.0-x"]],
  ["the name of a field", also("Sec-WebSocket-Accept : x")],
  ["longer than 65536 bytes", also(`X: ${"y".repeat(70_000)}`)],
];

test.each(wrong)("a wrong answer: %s: %p", async (reason, change, offers = []) => {
  await handshake({ protocols: offers }, async ({ server, opening }) => {
    server.socket.write(block(change(server.answer))).catch(() => {});
    const error = await failureOf(opening);
    expect(error).toBeInstanceOf(BadAnswerError);
    expect(error.message).toContain(reason);
    await server.expectEnd();
  });
});

test.each([200, 302, 400, 401, 403, 404, 426, 500, 503])(
  "the status %p is a refusal",
  async (status) => {
    await handshake({}, async ({ server, opening }) => {
      const fields = ["Content-Length: 5", "Location: /there", "Upgrade: websocket"];
      await server.socket.write(`${block([`HTTP/1.1 ${status} No`, ...fields])}hello`);
      const error = await failureOf(opening);
      expect(error).toBeInstanceOf(WebSocketRefusedError);
      expect(error.message).toContain(`${status}`);
      const { status: found, answer } = error as WebSocketRefusedError;
      expect([found, answer.header("location")]).toEqual([status, "/there"]);
      await server.expectEnd();
    });
  },
);

test("frames may follow the answer at once", async () => {
  const behind = Buffer.concat([
    frame(opcodes.text, "one"),
    frame(opcodes.ping, "p"),
    frame(opcodes.binary, new Uint8Array(100_000)),
    frame(opcodes.text, "two").subarray(0, 3),
  ]);
  await using pair = await handPair({ behind });
  const { ws, server } = pair;
  expect(await ws.receive()).toBe("one");
  expect(await ws.receive()).toEqual(new Uint8Array(100_000));
  expect(await server.expect(opcodes.pong)).toBe("p");
  await server.socket.write(frame(opcodes.text, "two").subarray(3));
  expect(await ws.receive()).toBe("two");
});

describe("a handshake that does not come to an end", () => {
  test("fails wherever the stream ends within the answer", async () => {
    // A right answer has 129 bytes.
    for (let bytes = 0; bytes < 129; bytes += 4) {
      await handshake({}, async ({ server, opening }) => {
        await server.socket.write(block(server.answer).slice(0, bytes));
        await server.socket.shutdown();
        const error = await failureOf(opening);
        expect(error).toBeInstanceOf(UnexpectedEndError);
        expect((error as UnexpectedEndError).partial).toHaveLength(bytes);
      });
    }
  });

  test("fails at its deadline, and closes the socket", async () => {
    await handshake({ deadline: deadline(20) }, async ({ server, opening }) => {
      await server.socket.write("HTTP/1.1 101");
      expect(await failureOf(opening)).toBeInstanceOf(TimeoutError);
      await server.expectEnd();
    });
  });
});

const mistakes: [options: object, message: string][] = [
  [{ hots: "a" }, 'has no option "hots"'],
  [{ host: "" }, "host is"],
  [{ host: "a b" }, "host is"],
  [{ host: "a\r\nX: y" }, "host is"],
  [{ host: "user@a" }, "host is"],
  [{ host: 5 }, "host is"],
  [{ path: "chat" }, "no path of HTTP"],
  [{ path: "*" }, "path begins with /"],
  [{ path: "/a b" }, "no path of HTTP"],
  [{ path: "/\r\nX: y" }, "no path of HTTP"],
  [{ path: 5 }, "path is a string"],
  [{ headers: { "X\r\n": "y" } }, "no name of a header"],
  [{ headers: { X: "y\r\nZ: z" } }, "control character"],
  [{ headers: { hOST: "y" } }, "writes the header hOST itself"],
  [{ headers: { "Sec-WebSocket-Extensions": "permessage-deflate" } }, "itself"],
  [{ headers: { "Content-Length": 5 } }, "itself"],
  [{ headers: "X" }, "headers is an object"],
  [{ protocols: "chat" }, "protocols is an array"],
  [{ protocols: ["a b"] }, "no name of a subprotocol"],
  [{ protocols: [""] }, "no name of a subprotocol"],
  [{ protocols: ["a", "a"] }, "offered twice"],
  [{ maxMessageBytes: 0 }, "maxMessageBytes"],
  [{ maxMessageBytes: 2 ** 31 }, "maxMessageBytes"],
  [{ maxMessageBytes: "1" }, "maxMessageBytes"],
  [{ deadline: 1 }, "a deadline is"],
];

test.each(mistakes)(
  "a caller's mistake sends nothing, and leaves the socket open: %p",
  async (options, message) => {
    await using pair = await socketPair();
    const error = await failureOf(
      openWebSocket(pair.client, { host, ...options } as WebSocketOptions),
    );
    expect(error.message).toContain(message);
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    expect([pair.client.closed, pair.client.bytesWritten]).toEqual([false, 0]);
  },
);

test("what is no socket is a mistake", async () => {
  expect(await failureOf(openWebSocket({} as never, { host }))).toBeInstanceOf(TypeError);
});
