/** Requests that an iteration makes side by side, over the one connection of its user. */

import { describe, expect, test } from "bun:test";
import { all } from "../../index.ts";
import { load } from "../../src/load/load.ts";
import { loadTarget } from "../support/load_target.ts";

const paths = ["/a", "/b", "/c"];

describe("requests side by side", () => {
  test.each([1, 4])(
    "each get their own answer, with %d at a time on a connection",
    async (pipeline) => {
      let most = 0;
      let open = 0;
      await using target = await loadTarget(async ({ path, socket }) => {
        most = Math.max(most, ++open);
        await socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n`);
        open--;
        return path;
      });
      const report = await load(
        { target: target.url, connections: 1, iterations: 20, pipeline },
        async (c) => {
          const answers = await all(paths.map((path) => () => c.http.get(path)));
          c.check(answers.map((answer) => answer.text()).join() === paths.join(), "own answers");
        },
      );
      expect(report.failures).toEqual([]);
      expect(report.iterations.outcomes).toEqual({ ok: 20 });
      expect(report.requests.outcomes).toEqual({ ok: 60 });
      expect(target.connections).toBe(1);
      expect(most).toBe(1);
    },
  );

  test("for a WebSocket open one, which both have", async () => {
    let opened = 0;
    await using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request, upgrading) => void upgrading.upgrade(request, { data: undefined }),
      websocket: {
        open: () => void opened++,
        message: (socket, message) => void socket.send(message),
      },
    });
    const report = await load(
      { target: `ws://127.0.0.1:${server.port}`, connections: 1, iterations: 3 },
      async (c) => {
        const [first, second] = await Promise.all([c.websocket("/a"), c.websocket("/a")]);
        c.check(first === second, "the same");
        await first.send("hello");
        c.check((await second.receive()) === "hello", "echoed");
      },
    );
    expect(report.failures).toEqual([]);
    expect(report.iterations.outcomes).toEqual({ ok: 3 });
    expect(opened).toBe(1);
  });

  test("go on when one of them has failed", async () => {
    await using target = await loadTarget(({ path }) =>
      path === "/a" ? { end: "close" } : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    const report = await load({ target: target.url, connections: 1, iterations: 5 }, async (c) => {
      const settled = await Promise.allSettled(paths.map((path) => c.http.get(path)));
      c.check(settled.map(({ status }) => status[0]).join("") === "rff", "one has failed");
    });
    expect(report.iterations.outcomes).toEqual({ ok: 5 });
    expect(report.requests.outcomes).toEqual({
      ok: 10,
      "early close": 1,
      "kept connection closed": 4,
    });
  });
});
