/** The Redis client of the examples, with redis-server and with servers that break the protocol. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Redis, RedisError, type Reply } from "../../examples/redis.ts";
import {
  block,
  current,
  deadline,
  type Handler,
  type Listener,
  listen,
  scope,
  sleep,
  spawn,
} from "../../index.ts";
import { distinctBytes } from "../support/distinct_bytes.ts";
import { exampleCommand } from "../support/examples.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";
import { runCommand } from "../support/run_command.ts";

describe.skipIf(!isInstalled("redis-server"))("with redis-server", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ "enable-debug-command": "yes" });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const open = () =>
    Redis.connect({ host: "127.0.0.1", port: server.port, deadline: deadline(5000) });

  test("every kind of reply", async () => {
    await using redis = await open();
    // DEBUG PROTOCOL answers with a sample of each.
    const sample = (kind: string) => redis.call(["DEBUG", "PROTOCOL", kind], deadline(5000));
    expect(await sample("string")).toBe("Hello World");
    expect(await sample("integer")).toBe(12345);
    expect(await sample("double")).toBe(Number("3.141"));
    expect(await sample("null")).toBeNull();
    expect(await sample("array")).toEqual([0, 1, 2]);
    expect(await sample("set")).toEqual(new Set([0, 1, 2]));
    expect(await sample("map")).toEqual(
      new Map<Reply, Reply>([
        [0, false],
        [1, true],
        [2, false],
      ]),
    );
    expect(await sample("attrib")).toBe("Some real reply following the attribute");
    expect(await sample("bignum")).toBe(1234567999999999999999999999999999999n);
    expect(await sample("true")).toBe(true);
    expect(await sample("false")).toBe(false);
    expect(await sample("verbatim")).toBe("This is a verbatim\nstring");
    expect(await redis.call(["PING"])).toBe("PONG");
  });

  test("numbers above 2^53, infinities, empty and nested replies", async () => {
    await using redis = await open();
    await redis.call(["SET", "big", "9007199254740993"]);
    expect(await redis.call(["INCRBY", "big", 0])).toBe(9007199254740993n);
    await redis.call(["ZADD", "scores", "inf", "a", "-inf", "b", 1.5, "c"]);
    const scores = ["a", "b", "c"].map((member) => redis.call(["ZSCORE", "scores", member]));
    expect(await Promise.all(scores)).toEqual([
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      1.5,
    ]);
    expect(await redis.call(["SET", "empty", ""])).toBe("OK");
    expect(await redis.call(["GET", "empty"])).toBe("");
    expect(await redis.call(["LRANGE", "none", 0, -1])).toEqual([]);
    const script = "return {1, {'two', {3, false}}, redis.error_reply('NO way')}";
    const [one, nested, error] = (await redis.call(["EVAL", script, 0])) as Reply[];
    expect([one, nested]).toEqual([1, ["two", [3, null]]]);
    expect(error).toBeInstanceOf(RedisError);
  });

  test("a text with line ends, and 5 MB of bytes, come back as they were sent", async () => {
    await using redis = await open();
    const text = "eins\r\nzwei\n\r\n$3\r\nä€😀";
    await redis.call(["SET", "text", text]);
    expect(await redis.call(["GET", "text"])).toBe(text);
    const bytes = distinctBytes(5_000_000);
    await redis.call(["SET", "bytes", bytes]);
    const back = await redis.call(["GET", "bytes"], deadline(20_000), true);
    expect(Buffer.compare(back as Uint8Array, bytes)).toBe(0);
    const keys = distinctBytes(300);
    await redis.call(["SET", keys, 1]);
    expect(await redis.call(["GET", keys])).toBe("1");
  }, 30_000);

  test("a hundred commands at once share a few writes, and each gets its own answer", async () => {
    await using redis = await open();
    const before = await commandsAndReads(redis);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => redis.call(["ECHO", `number ${index}`])),
    );
    expect(answers).toEqual(Array.from({ length: 100 }, (_, index) => `number ${index}`));
    const after = await commandsAndReads(redis);
    expect(after.commands - before.commands).toBe(101);
    expect(after.reads - before.reads).toBeLessThan(10);
  });

  test("a command that is refused fails with its code, and the others go on", async () => {
    await using redis = await open();
    await redis.call(["SET", "text", "a"]);
    const [refused, unknown, answer] = await Promise.all([
      failureOf(redis.call(["LPUSH", "text", "b"])),
      failureOf(redis.call(["NOSUCHCOMMAND"])),
      redis.call(["GET", "text"]),
    ]);
    expect(refused).toBeInstanceOf(RedisError);
    expect([refused.code, unknown.code, answer]).toEqual(["WRONGTYPE", "ERR", "a"]);
  });

  test("a mistake of the caller sends nothing", async () => {
    await using redis = await open();
    const mistake = [undefined] as unknown as string[];
    expect(await failureOf(redis.call(["SET", "a", ...mistake]))).toBeInstanceOf(TypeError);
    expect(await redis.call(["PING"])).toBe("PONG");
  });

  test("messages come in order beside the answers", async () => {
    await using publisher = await open();
    await using redis = await open();
    expect(await redis.call(["SUBSCRIBE", "news", "results"])).toEqual(["subscribe", "results", 2]);
    await redis.call(["PSUBSCRIBE", "s*"]);
    for (let count = 0; count < 100; count++) {
      await publisher.call(["PUBLISH", count % 2 === 0 ? "news" : "sport", `text ${count}`]);
      if (count % 10 === 0) expect(await redis.call(["PING"])).toBe("PONG");
    }
    for (let count = 0; count < 100; count++) {
      const text = `text ${count}`;
      expect(await redis.pushes.receive(deadline(5000))).toEqual(
        count % 2 === 0 ? ["message", "news", text] : ["pmessage", "s*", "sport", text],
      );
    }
    expect(await redis.call(["UNSUBSCRIBE", "news"])).toEqual(["unsubscribe", "news", 2]);
    expect(await publisher.call(["PUBLISH", "news", "unheard"])).toBe(0);
    expect(await redis.call(["PING"])).toBe("PONG");
    expect(redis.pushes.length).toBe(0);
  });

  test("a deadline and a cancellation end one call, and its late answer meets no other", async () => {
    await using redis = await open();
    const slow = redis.call(["BLPOP", "never", 0.3], deadline(20));
    const next = redis.call(["ECHO", "next"]);
    expect(await failureOf(slow)).toMatchObject({ code: "ETIMEDOUT" });
    const fiber = spawn(() => redis.call(["ECHO", "unheard"]));
    fiber.cancel();
    expect(await failureOf(fiber.join())).toMatchObject({ code: "ECANCELED" });
    expect(await next).toBe("next");
    expect(await redis.call(["ECHO", "again"])).toBe("again");
  });

  test("closing waits for the answers; later calls fail", async () => {
    const redis = await open();
    const answer = redis.call(["BLPOP", "never", 0.1]);
    await redis[Symbol.asyncDispose]();
    expect(await answer).toBeNull();
    expect(await redis.pushes.receive()).toBeNull();
    expect(await failureOf(redis.call(["PING"]))).toBeInstanceOf(Error);
    await redis[Symbol.asyncDispose]();
  });

  test("when the server is killed, every call and the messages end", async () => {
    await using victim = await startRedis();
    await using redis = await Redis.connect({ host: "127.0.0.1", port: victim.port });
    await redis.call(["SUBSCRIBE", "news"]);
    await scope(async (calls) => {
      const fibers = Array.from({ length: 100 }, (_, index) =>
        calls.spawn(() => failureOf(redis.call(["BLPOP", `list ${index}`, 0]))),
      );
      const receiving = calls.spawn(() => redis.pushes.receive(deadline(5000)));
      await sleep(20);
      await victim.stop("SIGKILL");
      for (const fiber of fibers) {
        const failure: unknown = await fiber.join(deadline(5000));
        expect(failure).toBe(redis.failure);
      }
      expect(await receiving.join()).toBeNull();
    });
    const later: unknown = await failureOf(redis.call(["PING"]));
    expect(later).toBe(redis.failure);
  }, 20_000);

  test("when it is killed in the middle of a long command or a long answer, these fail too", async () => {
    await using victim = await startRedis();
    await using redis = await Redis.connect({ host: "127.0.0.1", port: victim.port });
    const bytes = new Uint8Array(100_000_000);
    const calls = [redis.call(["SET", "bytes", bytes]), redis.call(["GET", "bytes"])].map(
      failureOf,
    );
    await sleep(5);
    await victim.stop("SIGKILL");
    const [first, second] = await Promise.all(calls);
    expect(first === second).toBe(true);
  }, 20_000);

  test("it works without an event loop, and inside a fiber that is cancelled it still closes", async () => {
    const value = block(async () => {
      await using redis = await open();
      return await redis.call(["ECHO", "blocked"]);
    });
    expect(value).toBe("blocked");
    const fiber = spawn(async () => {
      await using _ = await open();
      await sleep(60_000);
    });
    await sleep(20);
    fiber.cancel();
    expect(await failureOf(fiber.join(deadline(5000)))).toMatchObject({ code: "ECANCELED" });
    expect(current()).toBeUndefined();
  });

  test("the program shows itself", async () => {
    const command = exampleCommand("redis.ts", server.port);
    const { text, stderr, exitCode } = await runCommand(command);
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
    expect(text).toContain('[ "hello", [ "subscribe", "news", 1 ], 1 ]');
    expect(text).toContain('[ "message", "news", "hello" ]');
  }, 15_000);
});

/** What the server counts, as INFO tells it. */
async function commandsAndReads(redis: Redis): Promise<{ commands: number; reads: number }> {
  const info = String(await redis.call(["INFO", "stats"]));
  const count = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1]);
  return { commands: count("total_commands_processed"), reads: count("total_reads_processed") };
}

/** The failure of a client whose server is the handler. */
async function failureWith(handler: Handler): Promise<unknown> {
  await using listener: Listener = await listen({ host: "127.0.0.1", port: 0 }, handler);
  const until = deadline(5000);
  return await failureOf(
    (async () => {
      await using redis = await Redis.connect({
        host: "127.0.0.1",
        port: listener.port,
        deadline: until,
      });
      return await redis.call(["PING"], until);
    })(),
  );
}

const strangers: readonly [string, string, RegExp | string][] = [
  ["is an HTTP server", "HTTP/1.1 400 Bad Request\r\n\r\n", /not RESP3/],
  ["refuses RESP3", "-NOPROTO unsupported protocol version\r\n", /NOPROTO/],
  ["ends at once", "", /closed the connection/],
  ["ends within a line", "+O", /within a unit/],
  ["ends within a text", "$10\r\nabc", /within a unit/],
  ["ends within an array", "*2\r\n:1\r\n", /closed the connection/],
  ["has an endless line", "+".repeat(100_000), /longer than 65536 bytes/],
  ["claims a negative length", "$-5\r\n", /not RESP3/],
  ["claims a length that is none", "*1e3\r\n", /not RESP3/],
  ["claims more than memory has", "$99999999999\r\n", /number of bytes/],
  ["sends an empty line", "\r\n", /not RESP3/],
  ["answers unasked", "+OK\r\n+OK\r\n", /without a command|closed the connection/],
];
for (const [what, bytes, message] of strangers) {
  test(`a server that ${what} fails the call`, async () => {
    const failure = await failureWith(async (socket) => {
      await socket.next();
      await socket.write(bytes);
      await socket.shutdown();
      for await (const _ of socket);
    });
    expect(String(failure)).toMatch(message);
  });
}

test("a server that does not answer ends the connect at its deadline", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const _ of socket);
  });
  const connecting = Redis.connect({
    host: "127.0.0.1",
    port: listener.port,
    deadline: deadline(50),
  });
  expect(await failureOf(connecting)).toMatchObject({ code: "ETIMEDOUT" });
});
