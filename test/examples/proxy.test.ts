/** The proxy of the examples, between other programs. */

import { describe, expect, test } from "bun:test";
import { connect, deadline, type Handler, listen } from "../../index.ts";
import { startExample } from "../support/examples.ts";
import { failureOf } from "../support/failure.ts";
import { freePort } from "../support/free_port.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { runCommand } from "../support/run_command.ts";
import { RunningProgram } from "../support/running_program.ts";

/** A server, and the proxy in front of it. */
async function startProxy(handler: Handler) {
  const server = await listen({ host: "127.0.0.1", port: 0 }, handler);
  const proxy = await startExample("proxy.ts", "127.0.0.1", server.port);
  return {
    server,
    port: proxy.port,
    program: proxy.program,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/**
 * A server that answers when the request has ended: so the end must pass while the way back stays
 * open.
 */
const countsLate: Handler = async (socket) => {
  let count = 0;
  for await (const chunk of socket) count += chunk.byteLength;
  await socket.write(`${count} bytes\n`);
};

describe.skipIf(!isInstalled("socat"))("the proxy, with socat", () => {
  const socat = () => installedProgram("socat");

  test("the end of a request passes, and the late answer comes back", async () => {
    await using proxy = await startProxy(countsLate);
    const client = [socat(), "-t", "8", "-", `TCP:127.0.0.1:${proxy.port}`];
    const { text } = await runCommand(client, "x".repeat(1_000_000));
    expect(text).toBe("1000000 bytes\n");
  }, 15_000);

  test("socat as the server echoes through the proxy", async () => {
    const port = await freePort();
    const address = `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr`;
    const server = [socat(), "-dd", "-t", "8", address, "EXEC:cat"];
    await using _server = await RunningProgram.start(server, /listening/);
    await using proxy = await startExample("proxy.ts", "127.0.0.1", port);
    const client = [socat(), "-t", "8", "-", `TCP:127.0.0.1:${proxy.port}`];
    expect((await runCommand(client, "there and back\n")).text).toBe("there and back\n");
  }, 15_000);
});

describe.skipIf(!isInstalled("nc"))("the proxy, with netcat", () => {
  test("the end of a request passes, and the late answer comes back", async () => {
    await using proxy = await startProxy(countsLate);
    const nc = installedProgram("nc");
    const halfClose = Bun.spawnSync([nc, "-h"]).stderr.includes("-N") ? ["-N"] : ["-q", "8"];
    const { text } = await runCommand([nc, ...halfClose, "127.0.0.1", `${proxy.port}`], "hello\n");
    expect(text).toBe("6 bytes\n");
  }, 15_000);
});

test("a server's end passes while the client goes on", async () => {
  let rest = "";
  const { promise: heard, resolve: hear } = Promise.withResolvers<void>();
  await using proxy = await startProxy(async (socket) => {
    await socket.write("no more from here\n");
    await socket.shutdown();
    for await (const chunk of socket) rest += new TextDecoder().decode(chunk);
    hear();
  });
  const until = deadline(8000);
  await using client = await connect({ host: "127.0.0.1", port: proxy.port, deadline: until });
  let answer = "";
  for (let chunk: Uint8Array | null; (chunk = await client.next(until)) !== null; ) {
    answer += new TextDecoder().decode(chunk);
  }
  expect(answer).toBe("no more from here\n");
  await client.write("but from here\n", until);
  await client.shutdown(until);
  await heard;
  expect(rest).toBe("but from here\n");
}, 15_000);

test("a reset on one side resets the other one", async () => {
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();
  await using proxy = await startProxy(async (socket) => {
    await socket.write("ready");
    fail(await failureOf(socket.next(deadline(8000))));
  });
  const until = deadline(8000);
  await using client = await connect({ host: "127.0.0.1", port: proxy.port, deadline: until });
  await client.next(until);
  client.reset();
  expect(await failed).toMatchObject({ code: "ECONNRESET" });
  await proxy.program.printed(/ECONNRESET/);

  await using resetting = await startProxy((socket) => socket.reset());
  await using other = await connect({ host: "127.0.0.1", port: resetting.port, deadline: until });
  expect(await failureOf(other.next(until))).toMatchObject({ code: "ECONNRESET" });
}, 15_000);

test("a client is reset at once when the server cannot be reached", async () => {
  await using proxy = await startExample("proxy.ts", "127.0.0.1", await freePort());
  const until = deadline(8000);
  // The reset may come before the client knows that it is connected.
  const visit = async (): Promise<void> => {
    await using client = await connect({ host: "127.0.0.1", port: proxy.port, deadline: until });
    await client.next(until);
  };
  expect(await failureOf(visit())).toMatchObject({ code: "ECONNRESET" });
  await proxy.program.printed(/ECONNREFUSED/);
}, 15_000);
