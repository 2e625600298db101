/** Requests with `Expect: 100-continue`. */

import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, TimeoutError } from "../../index.ts";
import { AnswerReader } from "../../src/http/answer_reader.ts";
import { bodyOf } from "../../src/http/body.ts";
import { sendExpecting } from "../../src/http/expect.ts";
import { after, never } from "../../src/values/deadlines.ts";
import { failureOf } from "../support/failure.ts";
import { HttpStream } from "../support/http_stream.ts";
import { isInstalled } from "../support/installed_program.ts";
import { startNginx } from "../support/nginx.ts";
import { type SocketPair, socketPair } from "../support/socket_pair.ts";

const body = bodyOf({ body: "hello" })!;
const head = (path = "/"): Uint8Array =>
  new TextEncoder().encode(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`,
  );

describe("node:http", () => {
  test("invites the body, or refuses it", async () => {
    const invited: string[] = [];
    const server = createServer();
    server.on("checkContinue", async (request, response) => {
      if (request.url === "/refuse") {
        response.writeHead(417).end("no");
        return;
      }
      response.writeContinue();
      let text = "";
      for await (const part of request) text += part;
      invited.push(text);
      response.end(`got ${text}`);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    try {
      const { port } = server.address() as AddressInfo;
      using socket = await connect({ host: "127.0.0.1", port });
      const reader = new AnswerReader(socket);
      for (let count = 0; count < 2; count++) {
        expect(await sendExpecting(socket, reader, head(), body, after(5000))).toBe(true);
        const answer = await reader.read("body", false, 1000, after(5000));
        expect([answer.status, answer.text()]).toEqual([200, "got hello"]);
      }
      expect(await sendExpecting(socket, reader, head("/refuse"), body, after(5000))).toBe(false);
      const refusal = await reader.read("body", false, 1000, after(5000));
      expect([refusal.status, refusal.text()]).toEqual([417, "no"]);
      expect(invited).toEqual(["hello", "hello"]);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

test.if(isInstalled("nginx"))(
  "nginx refuses a body that is too large before it comes",
  async () => {
    await using nginx = await startNginx({ file: "x" });
    using socket = await connect({ host: "127.0.0.1", port: nginx.port });
    const reader = new AnswerReader(socket);
    const large = bodyOf({ body: new Uint8Array(2 << 20) })!;
    const text = `POST /file HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 << 20}\r\nExpect: 100-continue\r\n\r\n`;
    const bytes = new TextEncoder().encode(text);
    expect(await sendExpecting(socket, reader, bytes, large, after(5000))).toBe(false);
    expect((await reader.read("head", false, 0, after(5000))).status).toBe(413);
  },
);

describe("a server of the test's", () => {
  /** Plays a server which gets the head and sends this, and then reads the body, if one comes. */
  async function play(
    pair: SocketPair,
    before: string,
    behind: string,
    milliseconds?: number,
    portion = 100_000,
  ): Promise<[isSent: boolean, status: number, text: string]> {
    const stream = new HttpStream(pair.server);
    const serving = (async () => {
      await stream.head();
      for (let start = 0; start < before.length; start += portion) {
        await pair.server.write(before.slice(start, start + portion));
      }
      if (behind === "") return;
      await stream.body(5);
      await pair.server.write(behind);
    })();
    const { client } = pair;
    const reader = new AnswerReader(client);
    const isSent = await sendExpecting(client, reader, head(), body, after(5000), milliseconds);
    const answer = await reader.read("body", false, 1000, after(5000));
    await serving;
    return [isSent, answer.status, answer.text()];
  }

  const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  const invitation = "HTTP/1.1 100 Continue\r\n\r\n";

  test.each([1, 7, 100_000])("sends interim answers in portions of %p bytes", async (portion) => {
    await using pair = await socketPair();
    const before = hints + invitation;
    expect(await play(pair, before, hints + ok, 5000, portion)).toEqual([true, 200, "ok"]);
  });

  test.each([1, 7, 100_000])(
    "sends the final answer at once, %p bytes at a time",
    async (portion) => {
      await using pair = await socketPair();
      expect(await play(pair, hints + ok, "", 5000, portion)).toEqual([false, 200, "ok"]);
    },
  );

  test("does not know the expectation: the body follows after a short wait", async () => {
    for (const before of ["", hints, hints.slice(0, 20)]) {
      await using pair = await socketPair();
      const behind = before === hints.slice(0, 20) ? hints.slice(20) + ok : ok;
      expect(await play(pair, before, behind, 20)).toEqual([true, 200, "ok"]);
    }
  });

  test("invites late, when the body was sent already", async () => {
    await using pair = await socketPair();
    expect(await play(pair, "", invitation + ok, 20)).toEqual([true, 200, "ok"]);
  });

  test("never invites, and the wait is longer than the deadline", async () => {
    await using pair = await socketPair();
    const reader = new AnswerReader(pair.client);
    for (const wait of [5000, Number.POSITIVE_INFINITY]) {
      const sending = sendExpecting(pair.client, reader, head(), body, after(20), wait);
      expect(await failureOf(sending)).toBeInstanceOf(TimeoutError);
    }
    expect(pair.client.bytesWritten).toBe(2 * head().length);
  });

  test("sends what is no HTTP, or ends", async () => {
    for (const [text, kind] of [
      ["nonsense", "BadAnswerError"],
      ["", "UnexpectedEndError"],
    ] as const) {
      await using pair = await socketPair();
      const reader = new AnswerReader(pair.client);
      const sending = failureOf(sendExpecting(pair.client, reader, head(), body, never));
      if (text !== "") await pair.server.write(text);
      await pair.server.shutdown();
      expect((await sending).name).toBe(kind);
    }
  });
});
