/** The blocking driver. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  connect,
  current,
  deadline,
  dump,
  type Fiber,
  type Listener,
  listen,
  park,
  sleep,
  sleepUntil,
  spawn,
  unpark,
  yieldNow,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { runProgram } from "../support/programs.ts";
import { readExactly } from "../support/receiving.ts";

describe("block", () => {
  test("returns main's value, promise or thenable", () => {
    const thenable = {
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested.
      then(resolve: (value: string) => void): void {
        resolve("thenable");
      },
    };
    expect(block(() => 1)).toBe(1);
    expect(block(async () => 2)).toBe(2);
    expect(block(() => thenable as PromiseLike<string>)).toBe("thenable");
    expect(block(() => undefined)).toBeUndefined();
    expect(
      block(async () => {
        await sleep(1);
        await yieldNow();
        return "slept";
      }),
    ).toBe("slept");
  });

  test("throws what main throws", () => {
    const error = new Error("broken");
    const throwing = (): never => {
      throw error;
    };
    expect(thrownBy(() => block(throwing))).toBe(error);
    const rejecting = async (): Promise<void> => {
      await sleep(1);
      throw error;
    };
    expect(thrownBy(() => block(rejecting))).toBe(error);
    expect(() => block(() => Promise.reject(undefined))).toThrow();
  });

  test("takes only a function", () => {
    expect(thrownBy(() => block(1 as unknown as () => void))).toBeInstanceOf(TypeError);
  });

  test("runs main as a fiber, which has a name, can be cancelled and is in dump()", () => {
    block(async function supervisor() {
      const fiber = current();
      expect(fiber?.name).toBe("supervisor");
      expect(dump()).toContain(`#${fiber?.id} supervisor running`);
    });
    const error = thrownBy(() =>
      block(async () => {
        current()?.cancel("by itself");
        await park();
      }),
    );
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.cause).toBe("by itself");
  });

  test("is refused inside a fiber, in a handler, and inside block", async () => {
    const inside = spawn(() => block(() => 1));
    expect((await failureOf(inside.join())).message).toContain("block()");
    const later = spawn(async () => {
      await Bun.sleep(1);
      return thrownBy(() => block(() => 1)).message;
    });
    expect(await later.join()).toContain("block()");
    expect(thrownBy(() => block(() => block(() => 1))).message).toContain("block()");

    const errors: Error[] = [];
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async () => {
      errors.push(thrownBy(() => block(() => 1)));
    });
    await using client = await connect({ host: "127.0.0.1", port: listener.port! });
    expect(await client.next()).toBeNull();
    expect(errors).toHaveLength(1);
  });

  test("serves sockets, by address and by name", () => {
    const reply = block(async () => {
      await using listener = await listen({ host: "localhost", port: 0 }, async (socket) => {
        for await (const chunk of socket) await socket.write(chunk);
      });
      const replies: string[] = [];
      // A name in capitals is looked up; in small letters it means this machine without a look-up.
      for (const host of ["127.0.0.1", "localhost", "LOCALHOST"]) {
        await using client = await connect({
          host,
          port: listener.port!,
          deadline: deadline(4000),
        });
        await client.write(host);
        replies.push(new TextDecoder().decode(await readExactly(client, host.length)));
      }
      return replies;
    });
    expect(reply).toEqual(["127.0.0.1", "localhost", "LOCALHOST"]);
  });
});

describe("other fibers", () => {
  test("run meanwhile, also those started before", async () => {
    const steps: string[] = [];
    const before = spawn(async () => {
      await sleep(1);
      steps.push("before");
    });
    const result = block(async () => {
      const within = spawn(async () => {
        await sleep(2);
        steps.push("within");
        return "value";
      });
      return within.join();
    });
    expect(result).toBe("value");
    expect(steps).toEqual(["before", "within"]);
    await before.join();
  });

  test("that have not ended go on under the attached driver", async () => {
    const left = block((): { fiber: Fiber<string>; sleeper: Fiber<string> } => {
      const fiber = spawn(() => park<string>());
      const sleeper = spawn(async () => {
        await sleep(5);
        return "slept";
      });
      return { fiber, sleeper };
    });
    expect(left.sleeper.state).toBe("waiting");
    expect(await left.sleeper.join()).toBe("slept");
    unpark(left.fiber, "unparked");
    expect(await left.fiber.join()).toBe("unparked");
  });

  test("that listen and serve go on too", async () => {
    await using listener: Listener = block(() =>
      listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        for await (const chunk of socket) await socket.write(chunk);
      }),
    );
    const client = block(() => connect({ host: "127.0.0.1", port: listener.port! }));
    for (const word of ["one", "two"]) {
      await client.write(word);
      expect(new TextDecoder().decode(await readExactly(client, 3))).toBe(word);
      block(() => client.write(word));
      expect(new TextDecoder().decode(block(() => readExactly(client, 3)))).toBe(word);
    }
    client.close();
  });
});

describe("a deadlock", () => {
  test("throws an error, and main is cancelled", async () => {
    const ended = Promise.withResolvers<string>();
    const error = thrownBy(() =>
      block(async () => {
        try {
          await park();
        } catch (reason) {
          ended.resolve((reason as Error).name);
        }
      }),
    );
    expect(error.message).toContain("nothing is left that could wake a fiber");
    expect(await ended.promise).toBe("CancelledError");
    expect(block(() => "still works")).toBe("still works");
  });

  test("of fibers that join each other is found", async () => {
    const fibers: Fiber<void>[] = [];
    const error = thrownBy(() =>
      block(async () => {
        fibers.push(spawn(() => yieldNow().then(() => fibers[1]!.join())));
        fibers.push(spawn(() => fibers[0]!.join()));
        await fibers[0]!.join();
      }),
    );
    expect(error.message).toContain("nothing is left that could wake a fiber");
    for (const fiber of fibers) fiber.cancel();
    await Promise.allSettled(fibers.map((fiber) => fiber.join()));
  });

  test("of main with a promise that is not plait's is found", () => {
    expect(thrownBy(() => block(() => Bun.sleep(1))).message).toContain("nothing is left");
  });

  test.each(["its deadline", "a cancellation"])(
    "is found after an accept that %s has ended",
    (reason) => {
      const stuck = async (): Promise<void> => {
        await using listener = await listen({ host: "127.0.0.1", port: 0 });
        const caller = spawn(() => listener.accept(deadline(20)));
        if (reason === "a cancellation") caller.cancel();
        await failureOf(caller.join());
        await park();
      };
      expect(() => block(stuck)).toThrow("nothing is left");
    },
  );

  test("is not reported while a deadline is awaited", () => {
    expect(thrownBy(() => block(() => park(deadline(2)))).name).toBe("TimeoutError");
  });
});

describe("Bun's own events", () => {
  test("do not run during block, but after it", async () => {
    const steps: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(() => {
      steps.push("timeout");
      resolve();
    }, 1);
    setImmediate(() => steps.push("immediate"));
    block(() => sleep(5));
    steps.push("blocked");
    await promise;
    expect(steps).toEqual(expect.arrayContaining(["timeout", "immediate"]));
    expect(steps[0]).toBe("blocked");
    expect(await (await fetch("data:text/plain,fetched")).text()).toBe("fetched");
  });

  test("can call block: timers, immediates, microtasks", async () => {
    const results = await Promise.all([
      new Promise((resolve) => setTimeout(() => resolve(block(() => "timer")), 1)),
      new Promise((resolve) => setImmediate(() => resolve(block(() => "immediate")))),
      new Promise((resolve) => queueMicrotask(() => resolve(block(() => "microtask")))),
      sleep(1).then(() => block(() => sleep(1).then(() => "wait"))),
    ]);
    expect(results).toEqual(["timer", "immediate", "microtask", "wait"]);
  });
});

test("code woken by a turn can call block, and the rest of that turn is not lost", async () => {
  const until = deadline(3);
  const woken: number[] = [];
  const inner: string[] = [];
  const sleeps = Array.from({ length: 300 }, async (_, index) => {
    await sleepUntil(until);
    woken.push(index);
    if (index % 100 !== 10) return;
    const nested = async (): Promise<string> => {
      await Promise.all(Array.from({ length: 100 }, () => sleep(1)));
      return "inner";
    };
    inner.push(block(nested));
  });
  await Promise.all(sleeps);
  expect(woken).toHaveLength(300);
  expect(new Set(woken).size).toBe(300);
  expect(inner).toEqual(["inner", "inner", "inner"]);
});

describe("at the top level of a module", () => {
  const echo = `
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      for await (const chunk of socket) await socket.write(chunk);
    });
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    await client.write("echo");
    await sleep(1);
    return new TextDecoder().decode(await client.next());
  `;

  test.each([
    ["before any await", ""],
    ["after an await of Bun's", "await Bun.sleep(1);"],
    ["after an await of plait's", "await sleep(1);"],
    ["after a fetch", `await (await fetch("data:text/plain,x")).text();`],
  ])("it works %s", async (_name, before) => {
    const { stdout, stderr, exitCode } = await runProgram(`
      ${before}
      console.log(block(async () => { ${echo} }));
      console.log(block(async () => { ${echo} }));
      await sleep(1);
      await Bun.sleep(1);
      console.log(block(async () => { ${echo} }));
      setTimeout(() => console.log("timer"), 1);
    `);
    expect(stderr).toBe("");
    expect(stdout.split("\n")).toEqual(["echo", "echo", "echo", "timer"]);
    expect(exitCode).toBe(0);
  });

  test("an unhandled rejection inside block is reported and ends the process", async () => {
    const { stdout, stderr, exitCode } = await runProgram(`
      block(async () => {
        spawn(async () => { await sleep(1); throw new Error("nobody joins"); });
        await sleep(5);
      });
      console.log("blocked");
      setTimeout(() => console.log("unreached"), 1000);
    `);
    expect(stderr).toContain("nobody joins");
    expect(stdout).toBe("blocked");
    expect(exitCode).toBe(1);
  });

  test("a rejection inside block that is handled in time is not reported", async () => {
    const { stdout, stderr, exitCode } = await runProgram(`
      process.on("unhandledRejection", (error) => console.log("unhandled", error.message));
      block(async () => {
        const fiber = spawn(async () => { await sleep(1); throw new Error("joined"); });
        await fiber.join().catch((error) => console.log("caught", error.message));
        const late = spawn(async () => { throw new Error("late"); });
        late.join().catch(() => {});
        void spawn(async () => { throw new Error("alone"); });
        await sleep(2);
      });
      setTimeout(() => console.log("end"), 5);
    `);
    expect(stderr).toBe("");
    expect(stdout.split("\n")).toEqual(["caught joined", "unhandled alone", "end"]);
    expect(exitCode).toBe(0);
  });

  test("an error of main ends the process as any error does", async () => {
    const { stderr, exitCode } = await runProgram(`
      block(async () => { await sleep(1); throw new TypeError("of main"); });
    `);
    expect(stderr).toContain("TypeError: of main");
    expect(exitCode).toBe(1);
  });
});
