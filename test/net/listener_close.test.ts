/** Closing a listener: the handlers that still run, deadlines and reasons. */

import { expect, test } from "bun:test";
import {
  connect,
  current,
  deadline,
  Event,
  type Listener,
  listen,
  now,
  park,
  race,
  type Socket,
  scope,
  shield,
  sleep,
  spawn,
  stats,
  unpark,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { pollUntil } from "../support/poll.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { readText } from "../support/receiving.ts";
import { dial, serve, untilEnd } from "../support/serving.ts";

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

test("a handler whose one call of close is cancelled still waits in the other", async () => {
  let count = 0;
  let isCancelled = false;
  const hasEnded: string[] = [];
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    if (++count === 1) {
      await socket.next();
      await scope(async (s) => {
        const first = s.spawn(() => listener.close());
        const second = s.spawn(() => listener.close());
        await sleep(1);
        first.cancel("not both");
        await failureOf(first.join());
        isCancelled = true;
        await second.join();
      });
      hasEnded.push("first");
    } else {
      await socket.next();
      await listener.close();
      hasEnded.push("second");
    }
  });
  using first = await connect({ host: "127.0.0.1", port: listener.port });
  using second = await connect({ host: "127.0.0.1", port: listener.port });
  await pollUntil("both are served", () => count === 2);
  await first.write("close");
  await pollUntil("one of its calls has been cancelled", () => isCancelled);
  await second.write("close");
  await pollUntil("both have ended", () => hasEnded.length === 2);
  expect(hasEnded.sort()).toEqual(["first", "second"]);
});
