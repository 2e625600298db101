/** The client with WebSocket servers of other projects, plain and over TLS. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { block, connect, deadline, scope } from "../../index.ts";
import { openWebSocket, type WebSocketConnection } from "../../src/websocket/connection.ts";
import { WebSocketRefusedError } from "../../src/websocket/errors.ts";
import type { WebSocketOptions } from "../../src/websocket/opening.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { pollUntil } from "../support/poll.ts";
import { type WebSocketPeer, webSocketPeers } from "../support/websocket_peers.ts";

const ways = webSocketPeers.flatMap((peer) =>
  [false, true].map((isTls) => [`${peer.name}${isTls ? ", TLS" : ""}`, peer, isTls] as const),
);
const patience = 5000;

describe.each(ways)("%s", (_name, { isMissing, start, sendsFragments }, isTls) => {
  if (isMissing) {
    test.skip("is not installed", () => {});
    return;
  }
  let peer: WebSocketPeer;
  beforeAll(async () => {
    peer = await start(isTls ? certificates().p256 : undefined);
  }, 60_000);
  afterAll(() => peer[Symbol.asyncDispose]());

  async function open(options: Partial<WebSocketOptions> = {}): Promise<WebSocketConnection> {
    const { port } = peer;
    const tls = isTls ? { ca: certificates().root } : undefined;
    const socket = await connect({ host: "127.0.0.1", port, tls, deadline: deadline(patience) });
    const until = deadline(patience);
    return await openWebSocket(socket, { host: `127.0.0.1:${port}`, deadline: until, ...options });
  }

  async function echoOf(ws: WebSocketConnection, message: string | Uint8Array): Promise<unknown> {
    const sending = ws.send(message, deadline(patience));
    const received = await ws.receive(deadline(patience));
    await sending;
    return received;
  }

  test("text and bytes of every kind of length come back", async () => {
    await using ws = await open({ maxMessageBytes: 64 * 1024 * 1024 });
    for (const length of [0, 1, 125, 126, 1000, 1001, 65_535, 65_536, 300_000, 700_000]) {
      const bytes = new Uint8Array(randomBytes(length));
      const received = await echoOf(ws, bytes);
      expect([length, Buffer.compare(received as Uint8Array, bytes)]).toEqual([length, 0]);
      const text = "aé€😀\ufeff".repeat(Math.ceil(length / 12));
      expect((await echoOf(ws, text)) === text).toBe(true);
    }
  });

  test("fragments arrive as one message", async () => {
    await using ws = await open();
    await ws.sendFragments(["one ", "", "é", "\ud83d", "\ude00"]);
    expect(await ws.receive(deadline(patience))).toBe("one é😀");
    const parts = [new Uint8Array(70_000).fill(1), new Uint8Array(0), new Uint8Array(200).fill(2)];
    await ws.sendFragments(parts);
    const received = await ws.receive(deadline(patience));
    expect(Buffer.compare(received as Uint8Array, Buffer.concat(parts))).toBe(0);
  });

  test("pings are answered, both ways, also between fragments", async () => {
    await using ws = await open();
    await ws.ping("one", deadline(patience));
    await ws.ping(new Uint8Array([0x74, 0x77, 0x6f]), deadline(patience));
    await ws.ping("", deadline(patience));
    expect(await echoOf(ws, "pings")).toBe("one,two,");
    await ws.send("ping data");
    expect(await ws.receive(deadline(patience))).toBe("pong data");
    if (!sendsFragments) return;
    const long = "x".repeat(3000);
    expect(await echoOf(ws, long)).toBe(long);
    expect(await echoOf(ws, "between")).toBe("1");
  });

  test("messages of many fibers come back in each fiber's order", async () => {
    const connections = 8;
    await scope(async (own) => {
      for (let number = 0; number < connections; number++) {
        own.spawn(async () => {
          await using ws = await open();
          for (let count = 0; count < 50; count++) {
            const text = `${number}.${count} `.repeat(1 + ((count * 7) % 60));
            expect(await echoOf(ws, text)).toBe(text);
          }
        });
      }
    });
  });

  // Bun's server is in this process, whose loop stands still under the blocking driver.
  if (sendsFragments) {
    test("the blocking driver does the same", () => {
      const received = block(async () => {
        await using ws = await open();
        const texts: unknown[] = [];
        await ws.ping("blocked", deadline(patience));
        for (const text of ["one", "é".repeat(70_000), ""]) texts.push(await echoOf(ws, text));
        await ws.send("close 1000 done");
        texts.push(await ws.receive(deadline(patience)));
        return texts;
      });
      expect(received).toEqual(["one", "é".repeat(70_000), "", null]);
    });
  }

  test("the client closes, and the server reads its code and reason", async () => {
    const ws = await open();
    expect(await echoOf(ws, "open")).toBe("open");
    await ws.close(4321, "client's reason", deadline(patience));
    expect([ws.socket.closed, ws.closeCode]).toEqual([true, 4321]);
    await pollUntil("the server sees the close", () =>
      peer.closes().includes("4321 client's reason"),
    );
  });

  test("the server closes, and the client reads its code and reason", async () => {
    await using ws = await open();
    await ws.send("close 4567 reason");
    expect(await ws.receive(deadline(patience))).toBe(null);
    expect([ws.closeCode, ws.closeReason]).toEqual([4567, "reason"]);
    await ws.close(1000, "", deadline(patience));
    await pollUntil("the server sees the close", () =>
      peer.closes().some((text) => text.startsWith("4567")),
    );
  });

  test("a server that drops the connection is an early end", async () => {
    await using ws = await open();
    await ws.send("drop");
    const { code } = await failureOf(ws.receive(deadline(patience)));
    expect(code).toBe(isTls ? "ERR_TLS_TRUNCATED" : "ERR_UNEXPECTED_END");
    expect(ws.closeCode).toBe(1006);
  });

  test("a refusal has the server's status", async () => {
    const error = await failureOf(open({ path: "/elsewhere" }));
    expect(error).toBeInstanceOf(WebSocketRefusedError);
    expect((error as WebSocketRefusedError).status).toBeGreaterThanOrEqual(400);
  });

  test("a subprotocol is agreed on", async () => {
    await using ws = await open({ protocols: ["v2.echo", "v1.echo"] });
    // Bun's server takes the first one, the other one its own.
    expect(ws.protocol).toBe(sendsFragments ? "v1.echo" : "v2.echo");
    expect(await echoOf(ws, "agreed")).toBe("agreed");
  });
});
