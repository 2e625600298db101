/** The connection pool of the examples. */

import { expect, test } from "bun:test";
import { type Lease, Pool } from "../../examples/pool.ts";
import {
  deadline,
  type Listener,
  listen,
  now,
  park,
  type Socket,
  scope,
  sleep,
} from "../../index.ts";
import { exampleCommand } from "../support/examples.ts";
import { failureOf } from "../support/failure.ts";
import { freePort } from "../support/free_port.ts";
import { pollUntil } from "../support/poll.ts";
import { runCommand } from "../support/run_command.ts";

/** An echo server, with a list of all its connections. */
class EchoServer implements AsyncDisposable {
  readonly sockets: Socket[] = [];
  /** The largest number that were open at a time. */
  most = 0;
  readonly #listener: Listener;

  private constructor(listener: Listener) {
    this.#listener = listener;
  }

  static async start(): Promise<EchoServer> {
    const listener = await listen({ host: "127.0.0.1", port: 0 }, (socket) =>
      server.#serve(socket),
    );
    const server = new EchoServer(listener);
    return server;
  }

  pool(connections: number): Pool {
    return new Pool({ host: "127.0.0.1", port: this.#listener.port }, connections);
  }

  get open(): number {
    return this.#listener.connections;
  }

  async #serve(socket: Socket): Promise<void> {
    this.sockets.push(socket);
    this.most = Math.max(this.most, this.open);
    for await (const chunk of socket) await socket.write(chunk);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#listener[Symbol.asyncDispose]();
  }
}

async function echo(lease: Lease): Promise<void> {
  const until = deadline(5000);
  await lease.socket.write("hello", until);
  expect(await lease.socket.next(until)).toEqual(new TextEncoder().encode("hello"));
  lease.complete();
}

async function exchange(pool: Pool): Promise<Socket> {
  using lease = await pool.take(deadline(5000));
  await echo(lease);
  return lease.socket;
}

test("one connection serves one exchange after the other", async () => {
  await using server = await EchoServer.start();
  await using pool = server.pool(3);
  const first = await exchange(pool);
  for (let count = 0; count < 10; count++) expect(await exchange(pool)).toBe(first);
  expect(server.sockets).toHaveLength(1);
});

test("it never has more connections than its limit, and uses all of them", async () => {
  await using server = await EchoServer.start();
  await using pool = server.pool(3);
  let exchanges = 0;
  await scope(async (users) => {
    for (let user = 0; user < 50; user++) {
      users.spawn(async () => {
        await exchange(pool);
        exchanges++;
      });
    }
  });
  expect(exchanges).toBe(50);
  expect(server.most).toBe(3);
  expect(server.sockets).toHaveLength(3);
});

test("fibers that wait are served in their order; a deadline ends the wait, and nothing is lost", async () => {
  await using server = await EchoServer.start();
  await using pool = server.pool(1);
  const order: number[] = [];
  const lease = await pool.take();
  await scope(async (users) => {
    for (let user = 0; user < 5; user++) {
      users.spawn(async () => {
        await exchange(pool);
        order.push(user);
      });
    }
    expect(await failureOf(pool.take(deadline(20)))).toMatchObject({ code: "ETIMEDOUT" });
    const impatient = users.spawn(() => pool.take());
    impatient.cancel();
    expect(await failureOf(impatient.join())).toMatchObject({ code: "ECANCELED" });
    expect(order).toEqual([]);
    await echo(lease);
    lease[Symbol.dispose]();
    lease[Symbol.dispose]();
  });
  expect(order).toEqual([0, 1, 2, 3, 4]);
  expect(server.sockets).toHaveLength(1);
});

test("a connection whose exchange was broken off is closed, and frees its place", async () => {
  await using server = await EchoServer.start();
  await using pool = server.pool(1);
  const broken = async (): Promise<void> => {
    using lease = await pool.take();
    await lease.socket.write("the answer stays unread");
    throw new Error("a mistake");
  };
  expect((await failureOf(broken())).message).toBe("a mistake");
  await exchange(pool);
  expect(server.sockets).toHaveLength(2);
});

const endings: [string, (socket: Socket) => unknown][] = [
  ["has ended", (socket) => socket.close()],
  ["was reset", (socket) => socket.reset()],
  ["has brought unrequested data", (socket) => socket.write("goodbye: too long idle")],
];
for (const [what, end] of endings) {
  test(`an idle connection that ${what} is not handed out`, async () => {
    await using server = await EchoServer.start();
    await using pool = server.pool(2);
    const [first, second] = [await pool.take(), await pool.take()];
    for (const lease of [first, second]) {
      await echo(lease);
      lease[Symbol.dispose]();
    }
    for (const socket of server.sockets) await end(socket);
    const socket = await exchange(pool);
    expect([first.socket, second.socket]).not.toContain(socket);
    expect([first.socket.closed, second.socket.closed]).toEqual([true, true]);
    expect(server.sockets).toHaveLength(3);
  });
}

test("a cancelled user frees the place of its connection", async () => {
  await using server = await EchoServer.start();
  await using pool = server.pool(1);
  await exchange(pool);
  await scope(async (users) => {
    const user = users.spawn(async () => {
      using _ = await pool.take();
      await park();
    });
    await pollUntil("the user has the connection", () => user.state === "waiting");
    user.cancel();
  });
  await exchange(pool);
  await pollUntil("the server has one connection left", () => server.open === 1);
});

test("a connection that cannot be made frees its place", async () => {
  await using pool = new Pool({ host: "127.0.0.1", port: await freePort() }, 1);
  for (let count = 0; count < 3; count++) {
    expect(await failureOf(pool.take(deadline(5000)))).toMatchObject({ code: "ECONNREFUSED" });
  }
});

test("close ends idle connections, waits for those in use, and hands none out any more", async () => {
  await using server = await EchoServer.start();
  const pool = server.pool(2);
  const [used, idle] = [await pool.take(), await pool.take()];
  for (const lease of [used, idle]) await echo(lease);
  idle[Symbol.dispose]();
  expect(await failureOf(pool.close(now() + 20))).toMatchObject({ code: "ETIMEDOUT" });
  expect([used.socket.closed, idle.socket.closed]).toEqual([false, true]);
  await scope(async (s) => {
    const closing = s.spawn(() => pool.close(deadline(5000)));
    await sleep(0);
    expect(closing.hasEnded).toBe(false);
    used[Symbol.dispose]();
  });
  expect(used.socket.closed).toBe(true);
  expect((await failureOf(pool.take())).message).toBe("the pool is closed");
  await pollUntil("the server has no connection left", () => server.open === 0);
});

test("the program shows many exchanges over few connections", async () => {
  const { text, stderr, exitCode } = await runCommand(exampleCommand("pool.ts", 3, 30));
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  for (let client = 1; client <= 30; client++) expect(text).toContain(`hello from ${client}\n`);
  expect(text).toEndWith("30 exchanges over 3 connections\n");
}, 15_000);
