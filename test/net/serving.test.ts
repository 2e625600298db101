import { expect, test } from "bun:test";
import {
  connect,
  current,
  deadline,
  type Handler,
  listen,
  type Socket,
  SocketError,
  sleep,
  spawn,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { readText } from "../support/receiving.ts";
import { dial, serve, untilEnd } from "../support/serving.ts";

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
