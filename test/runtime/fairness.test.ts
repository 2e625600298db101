/**
 * Code that could always go on must not keep others from going on: fibers, sockets, Bun's own
 * events.
 */

import { describe, expect, test } from "bun:test";
import {
  block,
  Channel,
  connect,
  Event,
  type Fiber,
  listen,
  Mutex,
  now,
  park,
  Semaphore,
  type Socket,
  sleep,
  spawn,
  unpark,
  yieldNow,
} from "../../index.ts";
import { readExactly } from "../support/receiving.ts";
import { type SocketPair, socketPair } from "../support/socket_pair.ts";

/** How long each busy program runs, in milliseconds. */
const duration = 150;
/** The least progress of each other kind of work. A fair share is about ten times as much. */
const leastProgress = 4;

/** Works without a pause until a point in time. */
type Busy = (until: number) => Promise<void>;

async function flood(socket: Socket, until: number): Promise<void> {
  const chunk = new Uint8Array(256 * 1024);
  while (now() < until) await socket.write(chunk, until + duration);
  socket.close();
}

function reading(length: number): Busy {
  return async (until) => {
    await using pair = await socketPair();
    const peer = spawn(() => flood(pair.server, until).catch(() => {}));
    const buffer = new Uint8Array(length);
    while (now() < until && (await pair.client.read(buffer)) > 0) {
      // The next bytes are there already.
    }
    pair.client.close();
    await peer.join();
  };
}

const busyPrograms: Record<string, Busy> = {
  "reads small pieces of what never ends": reading(16),
  "reads large pieces of what never ends": reading(256 * 1024),
  "takes chunks of what never ends": async (until) => {
    await using pair = await socketPair();
    const peer = spawn(() => flood(pair.server, until).catch(() => {}));
    for await (const chunk of pair.client) if (now() > until || chunk.length === 0) break;
    pair.client.close();
    await peer.join();
  },
  "reads an end of stream again and again": async (until) => {
    await using pair = await socketPair();
    pair.server.close();
    const buffer = new Uint8Array(1);
    while (now() < until) await pair.client.read(buffer);
  },
  "writes small pieces to a peer that always reads": async (until) => {
    await using pair = await socketPair();
    await using _peer = spawn(async () => {
      const buffer = new Uint8Array(64 * 1024);
      while ((await pair.server.read(buffer)) > 0) {
        // The next bytes come soon.
      }
    });
    while (now() < until) await pair.client.write("x");
    pair.client.close();
  },
  "ignores that its calls fail at once": async (until) => {
    await using pair = await socketPair();
    pair.client.close();
    const ignore = (): void => {};
    while (now() < until) {
      await pair.client.write("x").catch(ignore);
      await pair.client.read(new Uint8Array(1)).catch(ignore);
      await pair.client.next().catch(ignore);
    }
  },
  "yields for ever": async (until) => {
    while (now() < until) await yieldNow();
  },
  "sleeps for no time for ever": async (until) => {
    while (now() < until) await sleep(0);
  },
  "joins fibers that have ended": async (until) => {
    while (now() < until) await spawn(() => 1).join();
  },
  "writes nothing for ever": async (until) => {
    await using pair = await socketPair();
    while (now() < until) await pair.client.write("");
  },
  "unparks another fiber, which unparks it": async (until) => {
    const pair: Fiber<void>[] = [];
    const play = async (other: 0 | 1): Promise<void> => {
      while (now() < until) {
        if (pair[other]) unpark(pair[other]);
        await park();
      }
      unpark(pair[other]!);
    };
    pair.push(spawn(() => play(1)));
    pair.push(spawn(() => play(0)));
    for (const fiber of pair) await fiber.join();
  },
  "plays ping-pong with another one through channels": async (until) => {
    for (const capacity of [0, 1]) {
      const [there, back] = [new Channel<number>(capacity), new Channel<number>(capacity)];
      const half = now() + (until - now()) / (2 - capacity);
      const other = spawn(async () => {
        for await (const item of there) await back.send(item);
      });
      for (let item = 0; now() < half; item++) {
        await there.send(item);
        if ((await back.receive()) !== item) throw new Error("another item came back");
      }
      there.close();
      await other.join();
    }
  },
  "sends to a channel that always has room, and receives from one that always has items": async (
    until,
  ) => {
    const channel = new Channel<number>(1_000_000);
    while (now() < until) {
      for (let item = 0; item < 1000; item++) await channel.send(item);
      for (let item = 0; item < 1000; item++) await channel.receive();
    }
  },
  "iterates over a channel that is closed again and again": async (until) => {
    const channel = new Channel<number>();
    channel.close();
    while (now() < until) for await (const item of channel) throw new Error(`received ${item}`);
  },
  "locks a mutex that is always free": async (until) => {
    const mutex = new Mutex();
    while (now() < until) (await mutex.lock()).unlock();
  },
  "hands a mutex to another one, which hands it back": async (until) => {
    const mutex = new Mutex();
    const players = [0, 1].map(() =>
      spawn(async () => {
        while (now() < until) {
          using _lock = await mutex.lock();
          await null;
        }
      }),
    );
    for (const player of players) await player.join();
  },
  "takes and gives back the permits of a semaphore": async (until) => {
    const semaphore = new Semaphore(3);
    const players = [0, 1, 2].map(() =>
      spawn(async () => {
        while (now() < until) {
          using _permit = await semaphore.acquire(2);
          await null;
        }
      }),
    );
    for (const player of players) await player.join();
  },
  "waits for events that are set, and sets them": async (until) => {
    const events = [new Event(), new Event()] as const;
    const play = async (mine: Event, others: Event): Promise<void> => {
      for (; now() < until; mine.clear()) {
        others.set();
        await mine.wait();
      }
      others.set();
    };
    const other = spawn(() => play(events[1], events[0]));
    await play(events[0], events[1]);
    await other.join();
  },
  "accepts connections that are closed at once": async (until) => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    const callers = [0, 1, 2, 3].map(() =>
      spawn(async () => {
        while (now() < until) {
          const socket = await connect({ host: "127.0.0.1", port: listener.port! });
          socket.reset();
        }
      }),
    );
    const acceptor = spawn(async () => {
      for await (const socket of listener) socket.reset();
    });
    for (const caller of callers) await caller.join();
    await listener.close();
    await acceptor.join();
  },
};

/** Runs beside a busy program, and counts its rounds. */
class Bystander {
  echoes = 0;
  sleeps = 0;
  yields = 0;

  /** Starts fibers that run until a point in time. */
  start({ client, server }: SocketPair, until: number): Fiber<void>[] {
    return [
      spawn(async () => {
        for await (const chunk of server) await server.write(chunk);
      }),
      spawn(async () => {
        for (; now() < until; this.echoes++) {
          await client.write("echo");
          await readExactly(client, 4);
        }
        client.close();
      }),
      spawn(async () => {
        for (; now() < until; this.sleeps++) await sleep(1);
      }),
      spawn(async () => {
        for (; now() < until; this.yields++) await yieldNow();
      }),
    ];
  }

  check(): void {
    expect(this.echoes).toBeGreaterThan(leastProgress);
    expect(this.sleeps).toBeGreaterThan(leastProgress);
    expect(this.yields).toBeGreaterThan(leastProgress);
  }
}

describe.each(Object.entries(busyPrograms))("a fiber that %s", (_name, busy) => {
  test("leaves room for other fibers, timers and Bun's own sockets", async () => {
    await using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    await using pair = await socketPair();
    const until = now() + duration;
    const bystander = new Bystander();
    const fibers = bystander.start(pair, until);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    let fetches = 0;
    const fetching = (async () => {
      for (; now() < until; fetches++) await fetch(server.url).then((response) => response.text());
    })();
    const program = spawn(() => busy(until));
    for (const fiber of [program, ...fibers]) await fiber.join();
    clearInterval(timer);
    await fetching;
    bystander.check();
    expect(ticks).toBeGreaterThan(leastProgress);
    expect(fetches).toBeGreaterThan(leastProgress / 4);
  });

  test("leaves room for other fibers in the blocking driver", () => {
    const bystander = new Bystander();
    block(async () => {
      await using pair = await socketPair();
      const until = now() + duration;
      const fibers = bystander.start(pair, until);
      const program = spawn(() => busy(until));
      for (const fiber of [program, ...fibers]) await fiber.join();
    });
    bystander.check();
  });
});
