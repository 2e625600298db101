/** plait/net with `node:net` of Node and of Bun, from both sides. */

import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import net from "../../src/node/net.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { closed, listening, received } from "../support/net_pair.ts";
import { netClient, netServer, runtimes } from "../support/net_peer.ts";

const host = "127.0.0.1";
const large = distinctBytes(50_000_000);
const hash = hashOf(large);

describe.each(runtimes)("$name", ({ isMissing, program }) => {
  describe.skipIf(isMissing)("as the peer", () => {
    test("its server gets and sends 50 MB byte for byte", async () => {
      await using server = await netServer(program(), "socket.pipe(socket);", "{}");
      const client = net.connect(server.port, host);
      client.end(large);
      expect(hashOf(await received(client))).toBe(hash);
      expect(client.bytesRead).toBe(large.length);
      expect(client.bytesWritten).toBe(large.length);
    }, 30_000);

    test("its client gets and sends 50 MB byte for byte", async () => {
      const came = Promise.withResolvers<string>();
      const { server, port } = await listening({ allowHalfOpen: true }, async (socket) => {
        socket.end(large);
        came.resolve(hashOf(await received(socket)));
      });
      await using client = await netClient(
        program(),
        port,
        `
          const sum = createHash("sha1");
          const chunks = [];
          socket.on("data", (chunk) => { sum.update(chunk); chunks.push(chunk); });
          socket.on("end", () => { console.log("sum " + sum.digest("hex")); });
          socket.allowHalfOpen = true;
          socket.on("end", () => socket.end(Buffer.concat(chunks)));
        `,
      );
      const [, sum] = await client.printed(/sum (\w+)/, 20_000);
      expect(sum).toBe(hash);
      expect(await came.promise).toBe(hash);
      await server[Symbol.asyncDispose]();
    }, 30_000);

    test("its server answers a half open client", async () => {
      await using server = await netServer(
        program(),
        `
          let text = "";
          socket.on("data", (chunk) => (text += chunk));
          socket.on("end", () => setTimeout(() => socket.end("you said " + text), 10));
        `,
        "{ allowHalfOpen: true }",
      );
      const client = net.connect({ port: server.port, host });
      client.end("this");
      expect((await received(client)).toString()).toBe("you said this");
    });

    test("its server resets", async () => {
      await using server = await netServer(
        program(),
        "socket.on('data', () => socket.resetAndDestroy());",
      );
      const client = net.connect(server.port, host);
      client.write("x");
      const [error] = await once(client, "error");
      expect(error).toMatchObject({ code: "ECONNRESET", syscall: "read" });
    });

    test("its client is reset", async () => {
      const { server, port } = await listening({}, (socket) => {
        socket.on("data", () => socket.resetAndDestroy());
      });
      await using client = await netClient(program(), port, "socket.write('x');");
      await client.printed(/error ECONNRESET/);
      await server[Symbol.asyncDispose]();
    });

    test("a slow reader slows the writer down", async () => {
      await using server = await netServer(
        program(),
        `
          let count = 0;
          socket.pause();
          setTimeout(() => {
            socket.on("data", (chunk) => (count += chunk.length));
            socket.resume();
            socket.on("end", () => console.log("count " + count));
          }, 300);
        `,
      );
      const client = net.connect(server.port, host);
      client.resume();
      const end = closed(client);
      let drains = 0;
      client.on("drain", () => drains++);
      const chunk = new Uint8Array(1_000_000);
      for (let sent = 0; sent < 20; sent++) {
        if (!client.write(chunk)) await once(client, "drain");
      }
      client.end();
      await server.program.printed(/count 20000000/);
      expect(drains).toBeGreaterThan(0);
      await end;
    });
  });
});
