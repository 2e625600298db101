/** Hundreds of fibers that do random things, with random deadlines and cancellations. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  deadline,
  type Fiber,
  now,
  park,
  type Socket,
  SocketError,
  sleep,
  spawn,
  stats,
  TimeoutError,
  unpark,
  yieldNow,
} from "../../index.ts";
import { pollUntil } from "../support/poll.ts";
import { Random } from "../support/random.ts";
import { type SocketPair, socketPair } from "../support/socket_pair.ts";

const connections = 10;
const players = 120;
/** How long the fibers run, in milliseconds. */
const duration = 400;

/** The errors that a game allows, in which any fiber may be cancelled and any deadline may pass. */
function isExpected(error: unknown): boolean {
  return (
    error instanceof CancelledError || error instanceof TimeoutError || error instanceof SocketError
  );
}

/**
 * Fibers that do random things on a few connections. Each direction carries the numbers 0 to 255 in turn.
 */
class Game {
  readonly #random: Random;
  readonly #pairs: SocketPair[];
  readonly #fibers: Fiber[] = [];
  /** The next byte to be written to each socket, and to be read from it. */
  readonly #written = new Map<Socket, number>();
  readonly #read = new Map<Socket, number>();
  readonly #writers = new Map<Socket, Fiber[]>();
  readonly mistakes: string[] = [];
  moves = 0;

  constructor(random: Random, pairs: SocketPair[]) {
    this.#random = random;
    this.#pairs = pairs;
  }

  start(until: number): readonly Fiber[] {
    for (let index = 0; index < players; index++) this.#fibers.push(spawn(() => this.#play(until)));
    return this.#fibers;
  }

  async #play(until: number): Promise<void> {
    await yieldNow();
    while (now() < until) {
      this.moves++;
      try {
        await this.#move();
      } catch (error) {
        if (!isExpected(error)) throw error;
        if (error instanceof CancelledError) return;
      }
    }
  }

  /** Often no deadline, sometimes a close one, sometimes one that has passed. */
  #deadline(): number | undefined {
    const kind = this.#random.below(4);
    if (kind < 2) return deadline(this.#random.fraction() * 5);
    return kind === 2 ? deadline(20) : now() - 1;
  }

  async #move(): Promise<void> {
    const random = this.#random;
    const pair = random.pick(this.#pairs);
    const socket = random.pick([pair.client, pair.server]);
    const peer = socket === pair.client ? pair.server : pair.client;
    switch (random.below(10)) {
      case 0:
        return sleep(random.fraction() * 3);
      case 1:
        return yieldNow();
      case 2:
        return park(this.#deadline() ?? deadline(5));
      case 3:
      case 4: {
        const fiber = random.pick(this.#fibers);
        for (let count = random.below(5); count > 0; count--) unpark(fiber);
        if (random.below(200) === 0) fiber.cancel();
        return yieldNow();
      }
      case 5: {
        const child = spawn(() => sleep(random.fraction()), { deadline: this.#deadline() });
        return child.join(this.#deadline()).catch((error) =>
          child.join().then(() => {
            throw error;
          }),
        );
      }
      case 6:
      case 7:
        await this.#write(socket, peer);
        return;
      default:
        return this.#receive(socket);
    }
  }

  /**
   * Each write has a fiber that is never cancelled: a write that stopped half-way would break the
   * sequence.
   */
  #write(socket: Socket, peer: Socket): Promise<number> {
    const from = this.#written.get(peer) ?? 0;
    const length = 1 + this.#random.below(2000);
    const bytes = Uint8Array.from({ length }, (_, index) => from + index);
    this.#written.set(peer, (from + length) % 256);
    const writers = this.#writers.get(socket) ?? [];
    this.#writers.set(socket, writers);
    const writer = spawn(() => socket.write(bytes));
    writers.push(writer);
    return writer.join();
  }

  /** Reads until every write has ended and every byte has arrived. */
  async finish(): Promise<void> {
    for (const pair of this.#pairs) {
      for (const socket of [pair.client, pair.server]) {
        const peer = socket === pair.client ? pair.server : pair.client;
        while (
          this.#writers.get(peer)?.some((writer) => !writer.hasEnded) ||
          socket.bytesRead < peer.bytesWritten
        ) {
          await this.#receive(socket).catch((error: unknown) => {
            if (!(error instanceof TimeoutError)) throw error;
          });
        }
      }
    }
  }

  async #receive(socket: Socket): Promise<void> {
    const bytes = new Uint8Array(1 + this.#random.below(3000));
    const count = await socket.read(bytes, this.#deadline() ?? deadline(5));
    if (count === 0) throw new Error("an end of stream that nobody sent");
    // Reads that were woken in one turn go on in the order in which they have received.
    let expected = this.#read.get(socket) ?? 0;
    for (const byte of bytes.subarray(0, count)) {
      if (byte !== expected) this.mistakes.push(`${byte} instead of ${expected}`);
      expected = (byte + 1) % 256;
    }
    this.#read.set(socket, expected);
  }
}

/** A failed game prints its seed. The seed repeats the game, except for its exact timing. */
async function play(seed?: number): Promise<void> {
  const random = new Random(seed);
  const before = stats();
  const pairs: SocketPair[] = [];
  for (let index = 0; index < connections; index++) pairs.push(await socketPair());
  const game = new Game(random, pairs);
  try {
    const fibers = game.start(deadline(duration));
    // A fiber that still waits for room or for an unpark when the others have ended is stuck.
    const results = await Promise.allSettled(fibers.map((fiber) => fiber.join(deadline(3000))));
    for (const [index, result] of results.entries()) {
      if (result.status === "fulfilled" || fibers[index]!.state === "cancelled") continue;
      throw new Error(`a fiber has ${fibers[index]!.state}: ${Bun.inspect(result.reason)}`);
    }
    await game.finish();
    expect(game.mistakes.slice(0, 3)).toEqual([]);
    expect(game.moves).toBeGreaterThan(players);
    expect(stats().fibers).toBe(before.fibers);
  } catch (error) {
    console.error(`seed ${random.seed}`);
    throw error;
  } finally {
    for (const pair of pairs) await pair[Symbol.asyncDispose]();
  }
  expect(stats().sockets).toBe(before.sockets);
}

describe("fibers that do random things", () => {
  test("all end, and no byte is lost, doubled or out of order", async () => {
    const { waiters } = stats();
    await play();
    await pollUntil("no waiter is left", () => stats().waiters <= waiters);
  });

  test("do so in the blocking driver as well", () => {
    block(() => play());
  });
});
