/** WebSocket servers of other projects: Bun's, in this process, and that of `ws`, run by Node. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import type { Issued } from "./certificate_authority.ts";
import { installedProgram, isInstalled } from "./installed_program.ts";
import { RunningProgram } from "./running_program.ts";

/**
 * A server that sends each message back, but for these texts:
 *
 *     close CODE REASON    it closes
 *     ping DATA            it pings, and sends "pong DATA" when the pong has come
 *     pings                it sends what it was pinged with so far, joined by ","
 *     between              it sends how many pongs answered pings between its fragments
 *     drop                 it ends the connection without a Close frame
 */
export interface WebSocketPeer extends AsyncDisposable {
  readonly port: number;
  /** The codes and reasons of the connections that have ended. */
  readonly closes: () => readonly string[];
}

interface Peer {
  readonly name: string;
  readonly isMissing: boolean;
  /** Whether it answers in fragments. */
  readonly sendsFragments: boolean;
  readonly start: (certificate?: Issued) => Promise<WebSocketPeer>;
}

export const webSocketPeers: readonly Peer[] = [
  { name: "Bun", isMissing: false, sendsFragments: false, start: startBun },
  { name: "ws on Node", isMissing: !isInstalled("node"), sendsFragments: true, start: startWs },
];

async function startBun(certificate?: Issued): Promise<WebSocketPeer> {
  const closes: string[] = [];
  const server = Bun.serve<{ pings: string[] }>({
    hostname: "127.0.0.1",
    port: 0,
    ...(certificate && {
      tls: { cert: readFileSync(certificate.chain), key: readFileSync(certificate.key) },
    }),
    fetch(request, own) {
      if (new URL(request.url).pathname !== "/")
        return new Response("no such thing", { status: 404 });
      return own.upgrade(request, { data: { pings: [] } })
        ? undefined
        : new Response(null, { status: 400 });
    },
    websocket: {
      maxPayloadLength: 64 * 1024 * 1024,
      message(ws, message) {
        const [word, first = "", rest = ""] = typeof message === "string" ? message.split(" ") : [];
        if (word === "close") ws.close(Number(first), rest);
        else if (word === "ping") ws.ping(first);
        else if (word === "pings") ws.send(ws.data.pings.join(","));
        else if (word === "drop") ws.terminate();
        else ws.send(message);
      },
      ping: (ws, data) => void ws.data.pings.push(data.toString()),
      pong: (ws, data) => void ws.send(`pong ${data}`),
      close: (_ws, code, reason) => void closes.push(`${code} ${reason}`.trim()),
    },
  });
  return {
    port: server.port!,
    closes: () => closes,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

/** It sends messages of more than 1,000 bytes back in fragments. */
async function startWs(certificate?: Issued): Promise<WebSocketPeer> {
  const secure = certificate && { cert: certificate.chain, key: certificate.key };
  const program = `
    const { WebSocketServer } = require(${JSON.stringify(join(root, "node_modules", "ws"))});
    const { readFileSync } = require("node:fs");
    const secure = ${JSON.stringify(secure ?? null)};
    const server = secure
      ? require("node:https").createServer({ cert: readFileSync(secure.cert), key: readFileSync(secure.key) })
      : require("node:http").createServer();
    const sockets = new WebSocketServer({ server, path: "/", maxPayload: 64 * 1024 * 1024,
      handleProtocols: (offered) => offered.has("v1.echo") ? "v1.echo" : false });
    sockets.on("connection", (ws) => {
      const pings = [];
      let between = 0;
      ws.on("error", (error) => console.log("error " + error.message));
      ws.on("ping", (data) => pings.push(data.toString()));
      ws.on("pong", (data) => String(data) === "between" ? between++ : ws.send("pong " + data));
      ws.on("close", (code, reason) => console.log("closed " + (code + " " + reason).trim() + "."));
      ws.on("message", (data, isBinary) => {
        const [word, first = "", rest = ""] = isBinary ? [] : data.toString().split(" ");
        if (word === "close") ws.close(Number(first), rest);
        else if (word === "ping") ws.ping(first);
        else if (word === "pings") ws.send(pings.join(","));
        else if (word === "between") ws.send(String(between));
        else if (word === "drop") ws.terminate();
        else if (data.length <= 1000) ws.send(data, { binary: isBinary });
        else {
          const third = Math.floor(data.length / 3);
          ws.send(data.subarray(0, third), { binary: isBinary, fin: false });
          ws.ping("between");
          ws.send(data.subarray(third, third), { binary: isBinary, fin: false });
          ws.send(data.subarray(third), { binary: isBinary, fin: true });
        }
      });
    });
    server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port + "."));
  `;
  const running = await RunningProgram.start(
    [installedProgram("node"), "-e", program],
    /port \d+\./,
  );
  const [, port] = await running.printed(/port (\d+)\./);
  return {
    port: Number(port),
    closes: () => [...running.output.matchAll(/closed (.*)\.$/gm)].map(([, text]) => text!),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}
