/** The attached driver beside Bun's own I/O and timers, in one thread. */

import { expect, test } from "bun:test";
import { connect, deadline, listen, sleep, spawn } from "../../index.ts";

test("Bun's servers answer while plait's traffic never stops", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const chunk of socket) await socket.write(chunk);
  });
  using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("bun") });
  let echoes = 0;
  const client = spawn(async () => {
    await using socket = await connect({ host: "127.0.0.1", port: listener.port });
    const buffer = new Uint8Array(16);
    for (;;) {
      await socket.write("ping");
      await socket.read(buffer, deadline(5000));
      echoes++;
    }
  });
  const before = echoes;
  for (let count = 0; count < 200; count++) {
    expect(await (await fetch(server.url)).text()).toBe("bun");
  }
  expect(echoes).toBeGreaterThan(before + 100);
  await client[Symbol.asyncDispose]();
}, 20_000);

test("a handler of Bun's may wait for one of plait's servers in every request", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const chunk of socket) await socket.write(chunk);
  });
  await using backend = await connect({ host: "127.0.0.1", port: listener.port });
  let turn = Promise.resolve();
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      const answer = turn.then(async () => {
        await backend.write(pathname);
        return new TextDecoder().decode((await backend.next(deadline(5000))) ?? undefined);
      });
      turn = answer.then(() => {});
      return answer.then((text) => new Response(text));
    },
  });
  const paths = Array.from({ length: 200 }, (_, index) => `/request/${index}`);
  const answers = await Promise.all(
    paths.map(async (path) => (await fetch(new URL(path, server.url))).text()),
  );
  expect(answers).toEqual(paths);
}, 20_000);

test("Bun's timers and plait's sleeps go on side by side", async () => {
  const order: string[] = [];
  await Promise.all([
    (async () => {
      for (let count = 0; count < 5; count++) {
        await Bun.sleep(10);
        order.push("Bun");
      }
    })(),
    (async () => {
      for (let count = 0; count < 5; count++) {
        await sleep(10);
        order.push("plait");
      }
    })(),
  ]);
  expect(order.filter((name) => name === "Bun")).toHaveLength(5);
  // Neither waits for the other to be done.
  expect(order.indexOf("plait")).toBeLessThan(order.lastIndexOf("Bun"));
  expect(order.indexOf("Bun")).toBeLessThan(order.lastIndexOf("plait"));
}, 10_000);
