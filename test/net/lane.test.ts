/** A lane on its own, with operations of the test in place of those on a socket. */

import { beforeAll, describe, expect, test } from "bun:test";
import { block, deadline, type Fiber, sleep, spawn, stats, yieldNow } from "../../index.ts";
import { blocked, Lane, type Transfer, unfinished } from "../../src/net/lane.ts";
import { checkedDeadline, never } from "../../src/values/deadlines.ts";
import { certificates } from "../support/certificates.ts";
import { type Failure, failureOf } from "../support/failure.ts";
import { pollUntil } from "../support/poll.ts";
import { socketPair } from "../support/socket_pair.ts";
import { tlsPair } from "../support/tls_pair.ts";

// OpenSSL's command takes seconds to make them.
beforeAll(() => void certificates(), 60_000);

type Answer = string | typeof blocked | typeof unfinished;

/** Answers each attempt as the test says, and writes what happens to it into a log. */
class FakeTransfer implements Transfer<string> {
  readonly syscall: string;
  readonly isExternal = true;
  /** The next answer; a function computes it. */
  answer: Answer | (() => Answer) = blocked;
  readonly #log: string[];

  constructor(name: string, log: string[], answer: Answer | (() => Answer) = blocked) {
    this.syscall = name;
    this.#log = log;
    this.answer = answer;
  }

  attempt(): Answer {
    this.#log.push(this.syscall);
    return typeof this.answer === "function" ? this.answer() : this.answer;
  }

  failed(): void {
    this.#log.push(`${this.syscall} abandoned`);
  }
}

function fail(error: unknown): () => never {
  return () => {
    throw error;
  };
}

/** Three operations in a lane whose socket is not ready; only the first one has been attempted. */
class Queue {
  readonly log: string[] = [];
  readonly lane = new Lane();
  readonly transfers = ["a", "b", "c"].map((name) => new FakeTransfer(name, this.log));
  readonly results: Promise<string>[] = [];
  readonly fibers: Fiber<string>[] = [];

  /** `deadlines` has a deadline for each of them; 0 is none. */
  static async start(deadlines = [0, 0, 0]): Promise<Queue> {
    const queue = new Queue();
    await yieldNow();
    for (const [index, transfer] of queue.transfers.entries()) {
      const fiber = spawn(() => queue.lane.run(transfer, checkedDeadline(deadlines[index])));
      queue.fibers.push(fiber);
      queue.results.push(fiber.join());
    }
    expect(queue.log).toEqual(["a"]);
    return queue;
  }

  /** The socket is ready from now on, and every operation succeeds with its name in capitals. */
  succeed(): void {
    for (const transfer of this.transfers) transfer.answer = transfer.syscall.toUpperCase();
    this.lane.ready();
  }
}

const drivers: [name: string, run: (main: () => Promise<void>) => Promise<void>][] = [
  ["attached", (main) => main()],
  ["blocking", async (main) => block(main)],
];

describe.each(drivers)("%s", (_driver, run) => {
  test("an operation that succeeds at once is attempted once, and is not queued", () =>
    run(async () => {
      await yieldNow();
      const [lane, log] = [new Lane(), [] as string[]];
      const result = lane.run(new FakeTransfer("a", log, "A"), never);
      expect(lane.first).toBeUndefined();
      expect(await result).toBe("A");
      expect(log).toEqual(["a"]);
    }));

  test("only the first operation is attempted, whenever the socket is ready", () =>
    run(async () => {
      const { lane, log, transfers, results } = await Queue.start();
      transfers[1]!.answer = "B";
      lane.ready();
      lane.ready();
      await yieldNow();
      expect(log).toEqual(["a", "a", "a"]);
      transfers[0]!.answer = "A";
      transfers[2]!.answer = "C";
      lane.ready();
      expect(await Promise.all(results)).toEqual(["A", "B", "C"]);
      expect(log).toEqual(["a", "a", "a", "a", "b", "c"]);
    }));

  test("the next operation is attempted when the code that waited for the first has run", () =>
    run(async () => {
      const queue = await Queue.start();
      const { log, results } = queue;
      for (const result of results) void result.then((value) => log.push(`${value} received`));
      queue.succeed();
      await Promise.all(results);
      await yieldNow();
      const afterReady = ["a", "A received", "b", "B received", "c", "C received"];
      expect(log).toEqual(["a", ...afterReady]);
    }));

  test("readiness without an operation does nothing", () =>
    run(async () => {
      const lane = new Lane();
      lane.ready();
      lane.proceed();
      await yieldNow();
      const log: string[] = [];
      expect(await lane.run(new FakeTransfer("a", log, "A"), never)).toBe("A");
      expect(log).toEqual(["a"]);
    }));

  test("the error of one operation leaves the others in their places", () =>
    run(async () => {
      const queue = await Queue.start();
      const { lane, log, transfers, results } = queue;
      const error = new Error("of the first");
      transfers[0]!.answer = fail(error);
      transfers[1]!.answer = fail("no object");
      transfers[2]!.answer = "C";
      const ends = Promise.allSettled(results);
      lane.ready();
      expect(await ends).toEqual([
        { status: "rejected", reason: error },
        { status: "rejected", reason: "no object" },
        { status: "fulfilled", value: "C" },
      ]);
      expect(log.filter((entry) => !entry.endsWith("abandoned"))).toEqual(["a", "a", "b", "c"]);
      expect(lane.first).toBeUndefined();
    }));

  test("an operation that fails at its first attempt is not queued", () =>
    run(async () => {
      await yieldNow();
      const [lane, log] = [new Lane(), [] as string[]];
      const error = new Error("at once");
      expect(await failureOf(lane.run(new FakeTransfer("a", log, fail(error)), never))).toBe(error);
      expect(lane.first).toBeUndefined();
      expect(await lane.run(new FakeTransfer("b", log, "B"), never)).toBe("B");
    }));
});

describe("an operation that ends before it is done", () => {
  const places: [name: string, place: number][] = [
    ["first", 0],
    ["in the middle", 1],
    ["last", 2],
  ];

  async function expectOthers(queue: Queue, place: number): Promise<void> {
    const { log, results, transfers, lane } = queue;
    const names = transfers.map(({ syscall }) => syscall);
    const left = names.filter((_, index) => index !== place);
    log.length = 0;
    // The socket was not ready since: only that causes the next attempt.
    await yieldNow();
    expect(log).toEqual([]);
    queue.succeed();
    const others = results.filter((_, index) => index !== place);
    expect(await Promise.all(others)).toEqual(left.map((name) => name.toUpperCase()));
    expect(log).toEqual(left);
    expect(lane.first).toBeUndefined();
  }

  test.each(places)("leaves by its deadline from where it stands: %s", async (_name, place) => {
    const deadlines = [0, 0, 0];
    deadlines[place] = deadline(20);
    const queue = await Queue.start(deadlines);
    const name = queue.transfers[place]!.syscall;
    const error = await failureOf(queue.results[place]!);
    expect(error).toMatchObject({ name: "TimeoutError", syscall: name });
    expect(queue.log).toEqual(["a", `${name} abandoned`]);
    await expectOthers(queue, place);
  });

  test.each(places)("leaves by a cancellation from where it stands: %s", async (_name, place) => {
    const queue = await Queue.start();
    const name = queue.transfers[place]!.syscall;
    const reason = new Error("enough");
    const failure = failureOf(queue.results[place]!);
    queue.fibers[place]!.cancel(reason);
    expect(queue.log).toEqual(["a", `${name} abandoned`]);
    expect(await failure).toMatchObject({ name: "CancelledError", cause: reason });
    await expectOthers(queue, place);
  });

  test("close ends all of them in their order, and later readiness does nothing", async () => {
    const { lane, log, results } = await Queue.start([0, deadline(20), 0]);
    const order: number[] = [];
    const failures = results.map(async (result, index) => {
      const error: Failure = await failureOf(result);
      order.push(index);
      return error.code;
    });
    lane.close();
    expect(lane.first).toBeUndefined();
    lane.ready();
    expect(await Promise.all(failures)).toEqual(new Array(3).fill("ERR_SOCKET_CLOSED"));
    expect(order).toEqual([0, 1, 2]);
    await sleep(40);
    expect(log).toEqual(["a", "a abandoned", "b abandoned", "c abandoned"]);
  });

  test("close within its own attempt ends it, whatever the attempt returns", async () => {
    const { lane, log, transfers, results } = await Queue.start();
    const failures = Promise.all(results.map(async (result) => (await failureOf(result)).name));
    transfers[0]!.answer = () => {
      lane.close();
      return "A";
    };
    lane.ready();
    expect(await failures).toEqual(new Array(3).fill("SocketError"));
    expect(log).toEqual(["a", "a", "a abandoned", "b abandoned", "c abandoned"]);
  });

  test("a deadline that passes when it is done, or gone, changes nothing", async () => {
    const { waiters } = stats();
    const queue = await Queue.start([deadline(30), deadline(30), 0]);
    const { lane, log, transfers, results, fibers } = queue;
    const cancelled = failureOf(results[1]!);
    fibers[1]!.cancel();
    transfers[0]!.answer = "A";
    lane.ready();
    expect(await results[0]).toBe("A");
    expect(await cancelled).toMatchObject({ name: "CancelledError" });
    await sleep(60);
    expect(log).toEqual(["a", "b abandoned", "a", "c"]);
    expect(lane.first?.operation).toBe(transfers[2]!);
    queue.succeed();
    expect(await results[2]).toBe("C");
    expect(stats().waiters).toBe(waiters);
  });
});

describe("an operation that is done in parts", () => {
  test("stays first until it is done, with each part in a turn of its own", async () => {
    const { lane, log, transfers, results } = await Queue.start();
    const answers: Answer[] = [unfinished, unfinished, blocked, unfinished, "A"];
    transfers[0]!.answer = () => answers.shift()!;
    transfers[1]!.answer = "B";
    transfers[2]!.answer = "C";
    lane.ready();
    expect(log).toEqual(["a", "a"]);
    await pollUntil("the socket is not ready for more", () => answers.length === 2);
    // Without readiness it stays where it is, and so do the others.
    await sleep(5);
    expect(log).toEqual(["a", "a", "a", "a"]);
    lane.ready();
    expect(await Promise.all(results)).toEqual(["A", "B", "C"]);
    expect(log).toEqual(["a", "a", "a", "a", "a", "a", "b", "c"]);
  });

  test("fails once when it fails after a part, also in its first attempt", async () => {
    await yieldNow();
    const [lane, log] = [new Lane(), [] as string[]];
    const error = new Error("after a part");
    expect(await failureOf(lane.run(new FakeTransfer("a", log, fail(error)), never))).toBe(error);
    expect(log).toEqual(["a", "a abandoned"]);
  });

  test("is abandoned once when it is broken off, and the next one has its turn", async () => {
    const { lane, log, transfers, results, fibers } = await Queue.start();
    let parts = 0;
    transfers[0]!.answer = () => {
      if (++parts === 3) fibers[0]!.cancel();
      return unfinished;
    };
    transfers[1]!.answer = "B";
    transfers[2]!.answer = "C";
    const broken = failureOf(results[0]!);
    lane.ready();
    expect(await Promise.all(results.slice(1))).toEqual(["B", "C"]);
    expect(await broken).toMatchObject({ name: "CancelledError" });
    expect(log).toEqual(["a", "a", "a", "a", "a abandoned", "b", "c"]);
  });
});

describe("fairness", () => {
  test("events do not add to the attempts of a lane that is due", async () => {
    const { lane, log, transfers, results, fibers } = await Queue.start();
    const parts = 20;
    const failures = Promise.allSettled(results);
    transfers[0]!.answer = unfinished;
    for (let part = 0; part < parts; part++) {
      lane.ready();
      lane.ready();
      await yieldNow();
    }
    expect(log.length).toBeLessThanOrEqual(parts + 2);
    for (const fiber of fibers) fiber.cancel();
    await failures;
  });

  /** More than succeed at once in a turn. */
  const many = 5000;

  test("calls that succeed at once draw on the turn's budget, and the others wait for a turn", async () => {
    await yieldNow();
    const [lane, log] = [new Lane(), [] as string[]];
    const results: Promise<string>[] = [];
    for (let index = 0; index < many; index++) {
      results.push(lane.run(new FakeTransfer(String(index), log, String(index)), never));
    }
    const atOnce = log.length;
    expect(atOnce).toBeGreaterThan(0);
    expect(atOnce).toBeLessThan(many);
    // No readiness is needed for the rest, and its order is kept.
    const names = Array.from({ length: many }, (_, index) => String(index));
    expect(await Promise.all(results)).toEqual(names);
    expect(log).toEqual(names);
  });

  test("a lane that is never finished leaves each turn to the others, and to Bun", async () => {
    await yieldNow();
    const log: string[] = [];
    const parts = (count: number): (() => Answer) => {
      let left = count;
      return () => (--left > 0 ? unfinished : "done");
    };
    const timer = Bun.sleep(0).then(() => log.length);
    const results = ["a", "b", "c"].map((name) =>
      new Lane().run(new FakeTransfer(name, log, parts(many)), never),
    );
    await Promise.all(results);
    expect(log).toEqual(Array.from({ length: 3 * many }, (_, index) => "abc"[index % 3]!));
    expect(await timer).toBeLessThan(log.length);
  });

  test("operations that are queued behind each other take a turn each", async () => {
    const busy = await Queue.start();
    const other = await Queue.start();
    const log: string[] = [];
    for (const [name, queue] of [
      ["busy", busy],
      ["other", other],
    ] as const) {
      for (const result of queue.results) void result.then((value) => log.push(`${name} ${value}`));
    }
    busy.succeed();
    other.succeed();
    await Promise.all([...busy.results, ...other.results]);
    expect(log).toEqual(["busy A", "other A", "busy B", "other B", "busy C", "other C"]);
  });
});

describe.each([
  ["TCP", socketPair],
  ["TLS 1.3", () => tlsPair()],
  ["TLS 1.2", () => tlsPair({ maxVersion: "TLSv1.2" })],
] as const)("on a socket, over %s", (transport, make) => {
  const bulk = new Uint8Array(32 * 1024 * 1024);

  test("a write that is broken off lets those behind it go on", async () => {
    await using pair = await make();
    const { client, server } = pair;
    const first = failureOf(client.write(bulk, deadline(50)));
    const second = client.write(["be", "hind"], deadline(10_000));
    const last = client.shutdown(deadline(10_000));
    const { bytesWritten } = await first;
    // Nothing has left the kernel's buffer since: only what the peer reads makes room.
    let received = 0;
    let end = "";
    const drain = async () => {
      for await (const chunk of server) {
        received += chunk.byteLength;
        end = `${end}${new TextDecoder().decode(chunk.subarray(-6))}`.slice(-6);
      }
    };
    // Over TLS the end is not announced: the peer lacks a part of the first write.
    if (transport === "TCP") await drain();
    else expect(await failureOf(drain())).toMatchObject({ code: "ERR_TLS_TRUNCATED" });
    expect(await second).toBe(6);
    await last;
    expect(end).toBe("behind");
    // Over TLS, what was encrypted is sent as well, although the write did not count it.
    expect(received).toBeGreaterThanOrEqual(bytesWritten! + 6);
    expect(received).toBeLessThanOrEqual(bytesWritten! + 6 + 128 * 1024);
  });

  test("a read that is cancelled leaves the data to the one behind it", async () => {
    await using pair = await make();
    const { client, server } = pair;
    const [first, second] = [new Uint8Array(8), new Uint8Array(8)];
    const reader = spawn(() => client.read(first));
    const behind = client.read(second, deadline(10_000));
    reader.cancel();
    await server.write("data");
    expect(await behind).toBe(4);
    expect(first.every((byte) => byte === 0)).toBe(true);
    expect(await failureOf(reader.join())).toMatchObject({ name: "CancelledError" });
  });
});
