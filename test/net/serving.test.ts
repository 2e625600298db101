import { expect, test } from "bun:test";
import {
  connect,
  current,
  deadline,
  Event,
  type Handler,
  type Listener,
  listen,
  now,
  park,
  race,
  type Socket,
  SocketError,
  scope,
  shield,
  sleep,
  spawn,
  stats,
  unpark,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { readText } from "../support/receiving.ts";

async function serve(handler: Handler, options: object = {}): Promise<Listener> {
  return await listen({ host: "127.0.0.1", port: 0, ...options }, handler);
}

async function dial(listener: Listener): Promise<Socket> {
  return await connect({ host: "127.0.0.1", port: listener.port });
}

/** A handler that ends with its peer's stream. */
const untilEnd: Handler = async (socket) => {
  for await (const _ of socket);
};

test("a handler's socket is closed when the handler returns", async () => {
  let served: Socket | undefined;
  await using listener = await serve((socket) => {
    served = socket;
    expect(socket.connected).toBe(true);
  });
  await using client = await dial(listener);
  expect(await client.next()).toBeNull();
  expect(served?.closed).toBe(true);
});

test("a handler's socket is closed when the handler throws, and onError is called", async () => {
  const problems: { error: unknown; socket: Socket | undefined }[] = [];
  const onError = (error: unknown, socket?: Socket) => problems.push({ error, socket });
  const early = new Error("before the first wait");
  const late = new Error("after a wait");
  await using listener = await serve(
    (socket) => {
      if (problems.length === 0) throw early;
      return socket.next().then(() => Promise.reject(late));
    },
    { onError },
  );
  for (const expected of [early, late]) {
    await using client = await dial(listener);
    await client.write("hello");
    await failureOf(readText(client).then(() => Promise.reject(new Error("closed"))));
    await pollUntil("the error is reported", () => problems.at(-1)?.error === expected);
    const { localAddress, localPort } = client;
    expect(problems.at(-1)?.socket).toMatchObject({
      closed: true,
      remoteAddress: localAddress,
      remotePort: localPort,
    });
  }
  expect(problems).toHaveLength(2);
  expect(listener.connections).toBe(0);
});

test("a handler that throws while the listener waits for its end is reported too", async () => {
  const errors: unknown[] = [];
  const broken = new Error("broken");
  const throwing: Handler = async (socket) => {
    await socket.next();
    throw broken;
  };
  const options = { onError: (error: unknown) => errors.push(error) };
  for (const until of [undefined, deadline(4000)]) {
    await using listener = await serve(throwing, options);
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    await pollUntil("it is served", () => listener.connections === 1);
    const closing = listener.close({ deadline: until });
    await client.write("go on");
    await closing;
  }
  expect(errors).toEqual([broken, broken]);

  const { stdout } = await runProgram(`
    process.on("unhandledRejection", ({ message }) => console.log("unhandled:", message));
    const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await socket.next();
      throw new Error("broken");
    });
    const client = await connect({ host: "127.0.0.1", port: listener.port });
    while (listener.connections === 0) await sleep(1);
    const closing = listener.close();
    await client.write("go on");
    await closing;
    client.close();
  `);
  expect(stdout).toBe("unhandled: broken");
});

test("onError gets network errors too", async () => {
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  await using listener = await serve((socket) => socket.read(new Uint8Array(10)), { onError });
  const client = await dial(listener);
  await pollUntil("it is served", () => listener.connections === 1);
  client.reset();
  await pollUntil("the error is reported", () => errors.length === 1);
  expect(errors[0]).toMatchObject({ name: "SocketError", code: "ECONNRESET", syscall: "read" });
});

test("without onError network errors are ignored, and others are unhandled rejections", async () => {
  const { stdout, exitCode } = await runProgram(`
    process.on("unhandledRejection", (error) => {
      console.log("unhandled", error.message);
      process.exit(3);
    });
    const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      const chunk = await socket.next();
      if (chunk !== null) throw new Error("a mistake of the handler's");
    });
    const first = await connect({ host: "127.0.0.1", port: listener.port });
    while (listener.connections === 0) await sleep(1);
    first.reset();
    while (listener.connections === 1) await sleep(1);
    console.log("ignored a reset");
    const second = await connect({ host: "127.0.0.1", port: listener.port });
    await second.write("x");
    await sleep(3000);
  `);
  expect(stdout).toBe("ignored a reset\nunhandled a mistake of the handler's");
  expect(exitCode).toBe(3);
});

test("the listener goes on after any failure of its handlers", async () => {
  let count = 0;
  await using listener = await serve(
    async (socket) => {
      if (++count % 2 === 0) throw new Error("every other one fails");
      await socket.write("served");
    },
    { onError: () => {} },
  );
  const answers: string[] = [];
  for (let turn = 0; turn < 6; turn++) {
    await using client = await dial(listener);
    answers.push(await readText(client));
  }
  expect(answers).toEqual(["served", "", "served", "", "served", ""]);
});

test("connections counts the open ones", async () => {
  await using listener = await serve(untilEnd);
  const clients: Socket[] = [];
  for (let count = 1; count <= 4; count++) {
    clients.push(await dial(listener));
    await pollUntil("it is accepted", () => listener.connections === count);
  }
  for (const client of clients.splice(0, 3)) client.close();
  await pollUntil("three are closed", () => listener.connections === 1);
  clients[0]?.close();
  await pollUntil("all are closed", () => listener.connections === 0);
});

test("connections beyond maxConnections wait, and are served later", async () => {
  let most = 0;
  const order: string[] = [];
  await using listener = await serve(
    async (socket) => {
      most = Math.max(most, listener.connections);
      const chunk = await socket.next();
      order.push(new TextDecoder().decode(chunk ?? undefined));
      await socket.write("served");
      await untilEnd(socket);
    },
    { maxConnections: 2 },
  );
  await using held = new AsyncDisposableStack();
  const clients: Socket[] = [];
  for (const name of ["a", "b", "c", "d", "e"]) {
    const client = held.use(await dial(listener));
    await client.write(name);
    clients.push(client);
  }
  const answered = async (client: Socket) =>
    new TextDecoder().decode((await client.next(deadline(2000))) ?? undefined);
  expect(await Promise.all(clients.slice(0, 2).map(answered))).toEqual(["served", "served"]);
  expect(await failureOf(clients[2]!.next(deadline(30)))).toMatchObject({ code: "ETIMEDOUT" });
  expect(listener.connections).toBe(2);
  for (const index of [0, 1, 2]) {
    clients[index]!.close();
    expect(await answered(clients[index + 2]!)).toBe("served");
  }
  expect(order).toEqual(["a", "b", "c", "d", "e"]);
  expect(most).toBe(2);
});

test("maxConnections counts a socket from accept until it is closed", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0, maxConnections: 1 });
  await using _first = await dial(listener);
  await using _second = await dial(listener);
  const accepted = await listener.accept(deadline(2000));
  expect(await failureOf(listener.accept(deadline(30)))).toMatchObject({ code: "ETIMEDOUT" });
  const waiting = listener.accept(deadline(2000));
  accepted.close();
  await using next = await waiting;
  expect(next.connected).toBe(true);
});

test("close waits for the handlers, and accepts no further connection", async () => {
  const handlers: unknown[] = [];
  const listener = await serve(async (socket) => {
    const fiber = current();
    handlers.push(fiber);
    await park();
    await socket.write("finished");
  });
  await using client = await dial(listener);
  await pollUntil("the handler runs", () => handlers.length === 1);
  let isClosed = false;
  const closing = listener.close().then(() => {
    isClosed = true;
  });
  expect(listener.closed).toBe(true);
  expect(await failureOf(dial(listener))).toMatchObject({ code: "ECONNREFUSED" });
  expect(isClosed).toBe(false);
  unpark(handlers[0] as NonNullable<ReturnType<typeof current>>);
  await closing;
  expect(isClosed).toBe(true);
  expect(await readText(client)).toBe("finished");
  // To close once more takes no time.
  await listener.close();
});

test("close with a deadline ends the handlers that are left", async () => {
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  let isCleanedUp = false;
  const listener = await serve(
    async (socket) => {
      try {
        await socket.next();
      } finally {
        isCleanedUp = true;
      }
    },
    { onError },
  );
  await using client = await dial(listener);
  await pollUntil("the handler runs", () => listener.connections === 1);
  const end = deadline(30);
  await listener.close({ deadline: end });
  expect(now()).toBeGreaterThanOrEqual(end);
  expect(await client.next()).toBeNull();
  await pollUntil("the handler has ended", () => isCleanedUp);
  expect(listener.connections).toBe(0);
  for (const error of errors) expect(error).toMatchObject({ code: "ECANCELED" });
});

test("close with a reason cancels the handlers, which can still say goodbye", async () => {
  const causes: unknown[] = [];
  let running = 0;
  const listener = await serve(async (socket) => {
    running++;
    try {
      await socket.next();
    } catch (error) {
      causes.push((error as Error).cause);
      await shield(() => socket.write("goodbye"), deadline(5000));
    }
  });
  await using first = await dial(listener);
  await using second = await dial(listener);
  await pollUntil("the handlers run", () => running === 2);
  await listener.close({ cancel: "for repairs", deadline: deadline(5000) });
  expect(causes).toEqual(["for repairs", "for repairs"]);
  expect([await readText(first), await readText(second)]).toEqual(["goodbye", "goodbye"]);
  expect(listener.connections).toBe(0);
});

test("close with a reason and a deadline ends handlers whose goodbye takes too long", async () => {
  const goodbye = new Event();
  const listener = await serve(async (socket) => {
    try {
      await park();
    } finally {
      goodbye.set();
      await shield(() => socket.next(), 0);
    }
  });
  await using client = await dial(listener);
  await pollUntil("the handler runs", () => listener.connections === 1);
  const end = deadline(30);
  await listener.close({ cancel: "for repairs", deadline: end });
  expect(goodbye.isSet).toBe(true);
  expect(now()).toBeGreaterThanOrEqual(end);
  expect(await client.next()).toBeNull();
  expect(listener.connections).toBe(0);
});

test("close with a deadline returns as soon as the last handler has ended", async () => {
  const listener = await serve(untilEnd);
  const client = await dial(listener);
  await pollUntil("the handler runs", () => listener.connections === 1);
  const end = deadline(60_000);
  const closing = listener.close({ deadline: end });
  client.close();
  await closing;
  expect(listener.connections).toBe(0);
});

test("disposing of a listener closes the connections of its handlers at once", async () => {
  const { sockets } = await quietStats();
  const clients: Socket[] = [];
  {
    await using listener = await serve(untilEnd);
    for (let count = 0; count < 3; count++) clients.push(await dial(listener));
    await pollUntil("the handlers run", () => listener.connections === 3);
  }
  for (const client of clients) {
    expect(await client.next()).toBeNull();
    client.close();
  }
  await pollUntil("no socket is left", () => stats().sockets === sockets);
});

test("a cancelled fiber can close its listener at once, and dispose of it", async () => {
  const { sockets, fibers } = await quietStats();
  const bodies: ((listener: Listener) => Promise<void>)[] = [
    async (listener) => {
      await using _held = listener;
      await park();
    },
    (listener) => park().finally(() => listener.close({ deadline: now() })),
  ];
  for (const body of bodies) {
    const listener = await serve(untilEnd);
    const owner = spawn(() => body(listener));
    const client = await dial(listener);
    await pollUntil("the handler runs", () => listener.connections === 1);
    owner.cancel("the end");
    expect((await failureOf(owner.join())).cause).toBe("the end");
    expect(owner.state).toBe("cancelled");
    expect(await client.next(deadline(2000))).toBeNull();
    client.close();
  }
  await pollUntil("nothing is left", () => {
    return stats().sockets === sockets && stats().fibers === fibers;
  });
});

test("a socket from accept outlives the listener", async () => {
  const listener = await listen({ host: "127.0.0.1", port: 0 });
  await using client = await dial(listener);
  await using server = await listener.accept();
  await listener.close();
  await server.write("still here");
  server.close();
  expect(await readText(client)).toBe("still here");
});

test("a handler that closes its listener with a reason is not cancelled itself", async () => {
  const others = new Event();
  let reasons = 0;
  const listener = await serve(async (socket) => {
    if ((await socket.read(new Uint8Array(1))) === 0) throw new Error("nothing was said");
    try {
      if (others.isSet) {
        await listener.close({ cancel: "closed from within" });
        await socket.write("the last one");
      } else {
        others.set();
        await park();
      }
    } finally {
      reasons++;
    }
  });
  await using first = await dial(listener);
  await first.write("1");
  await others.wait(deadline(5000));
  await using second = await dial(listener);
  await second.write("2");
  expect(await readText(second)).toBe("the last one");
  expect(await readText(first)).toBe("");
  expect(reasons).toBe(2);
});

test("two handlers that close their listener do not wait for each other", async () => {
  const listener = await serve(async (socket) => {
    await socket.read(new Uint8Array(1));
    await scope(() => listener.close());
    await socket.write("closed");
  });
  await using first = await dial(listener);
  await using second = await dial(listener);
  await pollUntil("both handlers run", () => listener.connections === 2);
  await first.write("1");
  await pollUntil("the first one closes", () => listener.closed);
  await second.write("2");
  for (const client of [second, first]) {
    expect(await readText(client)).toBe("closed");
  }
});

test("close returns when the handlers have cleaned up, also at the deadline", async () => {
  for (const dispose of [false, true]) {
    const steps: string[] = [];
    const listener = await serve(async (socket) => {
      try {
        await socket.next();
      } finally {
        await shield(() => sleep(20), deadline(5000));
        steps.push("cleaned up");
      }
    });
    await using client = await dial(listener);
    await pollUntil("the handler runs", () => listener.connections === 1);
    if (dispose) await listener[Symbol.asyncDispose]();
    else await listener.close({ deadline: deadline(1), cancel: false });
    steps.push("closed");
    expect(steps).toEqual(["cleaned up", "closed"]);
    expect(await client.next()).toBeNull();
  }
});

test("close does not wait for ever for a handler that awaits a foreign promise", async () => {
  const gate = Promise.withResolvers<void>();
  const listener = await serve(() => gate.promise);
  await using client = await dial(listener);
  await pollUntil("the handler runs", () => listener.connections === 1);
  await listener.close({ deadline: deadline(1) });
  expect(await client.next()).toBeNull();
  gate.resolve();
});

test("a handler may close its own listener from within a scope", async () => {
  const listener = await serve(async (socket) => {
    await scope(async (s) => {
      s.spawn(async () => {
        await race([() => listener.close(), () => sleep(5000).then(() => "too late")]);
      });
    });
    await socket.write("closed");
  });
  await using client = await dial(listener);
  expect(await readText(client)).toBe("closed");
});

test("a handler may close its own listener", async () => {
  const listener = await serve(async (socket) => {
    await listener.close();
    await socket.write("the last one");
  });
  await using client = await dial(listener);
  expect(await readText(client)).toBe("the last one");
  expect(listener.closed).toBe(true);
});

test("a cancelled accept leaves the connection to the next caller", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const given = spawn(() => listener.accept());
  const next = spawn(() => listener.accept());
  given.cancel();
  await using client = await dial(listener);
  await using server = await next.join();
  expect(server.remotePort).toBe(client.localPort!);
  expect(await failureOf(given.join())).toMatchObject({ name: "CancelledError" });
});

test("two hundred clients at once are each served by a fiber of its own", async () => {
  const fibers = new Set<number>();
  await using listener = await serve(async (socket) => {
    fibers.add(current()!.id);
    const chunk = await socket.next();
    await sleep(1);
    if (chunk === null) throw new SocketError("ECONNRESET");
    await socket.write(chunk);
  });
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      await using client = await dial(listener);
      await client.write(`${index}`);
      return await readText(client);
    }),
  );
  expect(answers).toEqual(Array.from({ length: 200 }, (_, index) => `${index}`));
  expect(fibers.size).toBe(200);
});

test("a listener keeps the process alive unless unref was called", async () => {
  const open = await runProgram(
    `await listen({ host: "127.0.0.1", port: 0 }); console.log("open");`,
    { bound: 700 },
  );
  expect(open).toMatchObject({ stdout: "open", exitCode: null });
  const unreferenced = await runProgram(
    `(await listen({ host: "127.0.0.1", port: 0 })).unref(); console.log("open");`,
  );
  expect(unreferenced).toMatchObject({ stdout: "open", exitCode: 0 });
  const again = await runProgram(
    `(await listen({ host: "127.0.0.1", port: 0 })).unref().ref(); console.log("open");`,
    { bound: 700 },
  );
  expect(again).toMatchObject({ stdout: "open", exitCode: null });
  const closed = await runProgram(
    `await (await listen({ host: "127.0.0.1", port: 0 })).close(); console.log("closed");`,
  );
  expect(closed).toMatchObject({ stdout: "closed", exitCode: 0 });
});
