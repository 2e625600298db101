/** Plain connections that become TLS. */

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { connect, deadline, listen, type Socket, spawn } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { readExactly, readText } from "../support/receiving.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { dialTls, echo, presenting } from "../support/tls_pair.ts";
import { opensslServer } from "../support/tls_servers.ts";

describe.skipIf(!isInstalled("openssl"))("startTls", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  test("after plain bytes", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      expect(new TextDecoder().decode(await readExactly(socket, 9))).toBe("STARTTLS\n");
      await socket.write("ready\n");
      await socket.startTls(presenting(made.p256), deadline(2000));
      expect(socket.secure).toBe(true);
      await echo(socket);
    });
    await using client = await connect({ host: "localhost", port: listener.port, family: 4 });
    await client.write("STARTTLS\n");
    expect(new TextDecoder().decode(await readExactly(client, 6))).toBe("ready\n");
    expect(client.secure).toBe(false);
    await client.startTls({ ca: made.root }, deadline(2000));
    expect(client.tls).toMatchObject({ verified: true, serverName: "localhost" });
    await client.write("secret");
    expect(new TextDecoder().decode(await readExactly(client, 6))).toBe("secret");
    expect(await failureOf(client.startTls({ ca: made.root }))).toMatchObject({
      code: "EISCONN",
    });
    expect(client.closed).toBe(false);
  });

  test("takes data that has arrived already for the peer's part of the handshake", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      expect(new TextDecoder().decode(await readExactly(socket, 9))).toBe("STARTTLS\n");
      await socket.startTls(presenting(made.p256));
      await echo(socket);
    });
    // Sends the line before the client's hello, so that both come in one segment.
    await using relay = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await using target = await connect({ host: "127.0.0.1", port: listener.port });
      const hello = await socket.next();
      await target.write(["STARTTLS\n", hello!]);
      const pass = async (from: Socket, to: Socket) => {
        for await (const chunk of from) await to.write(chunk);
        await to.shutdown();
      };
      await Promise.all([pass(socket, target), pass(target, socket)]);
    });
    await using client = await dialTls(relay.port);
    await client.write("secret");
    await client.shutdown();
    expect(await readText(client)).toBe("secret");
  });

  test("on the given side", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    await using server = await listener.accept();
    await Promise.all([
      client.startTls({ ...presenting(made.p256), side: "server" }),
      server.startTls({ ca: made.root, side: "client", serverName: "localhost" }),
    ]);
    expect(server.tls).toMatchObject({ verified: true });
  });

  test("lets calls during the handshake wait", async () => {
    using folder = new TemporaryFolder();
    const path = folder.file("data");
    writeFileSync(path, "from a file");
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await socket.startTls(presenting(made.p256));
      await echo(socket);
    });
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    const calls = [
      client.startTls({ ca: made.root }),
      client.write("from memory, "),
      client.sendFile(path),
      client.shutdown(),
      readText(client),
    ];
    expect(await Promise.all(calls)).toEqual([
      undefined,
      13,
      11,
      undefined,
      "from memory, from a file",
    ]);
    expect(await failureOf(client.startTls())).toMatchObject({ code: "EISCONN" });
  });

  test("sends nothing to a server that turns out to be the wrong one", async () => {
    await using server = await opensslServer(made.expired);
    await using client = await connect({ host: "127.0.0.1", port: server.port });
    const calls = [client.startTls({ ca: made.root }), client.write("a secret\n"), client.next()];
    const errors = await Promise.all(calls.map((call) => failureOf(call)));
    for (const error of errors) {
      expect(error).toMatchObject({ name: "TlsError", code: "CERT_HAS_EXPIRED" });
    }
    expect(errors[1]?.bytesWritten).toBe(0);
    await server.program.printed(/ERROR/);
    expect(server.program.output).not.toContain("a secret");
  });

  test("is refused while reads or writes wait; any other failure closes the socket", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    await using server = await listener.accept();
    const reader = spawn(() => client.next());
    expect(await failureOf(client.startTls({ ca: made.root }))).toMatchObject({ code: "EBUSY" });
    await server.write("plain");
    expect(new TextDecoder().decode((await reader.join())!)).toBe("plain");
    const late = await failureOf(client.startTls({ ca: made.root }, deadline(30)));
    expect(late).toMatchObject({ name: "TimeoutError", syscall: "handshake" });
    expect(client.closed).toBe(true);
  });
});
