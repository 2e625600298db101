/**
 * A pool of connections: `bun examples/pool.ts [connections] [clients]` shows it at work with an echo
 * server. Those that find all connections taken wait in line.
 */

import {
  type ConnectOptions,
  connect,
  deadline,
  listen,
  Semaphore,
  type SemaphorePermit,
  type Socket,
  scope,
} from "../index.ts";

const scratch = new Uint8Array(1);

/** A connection for one user, who gives it back by disposing of the lease. */
export class Lease implements Disposable {
  readonly socket: Socket;
  #giveBack: ((isReusable: boolean) => void) | undefined;
  #isComplete = false;

  constructor(socket: Socket, giveBack: (isReusable: boolean) => void) {
    this.socket = socket;
    this.#giveBack = giveBack;
  }

  /**
   * Says that the exchange is complete: the connection can serve the next one. Without it, as when an
   * error came in between, the connection is closed, for the rest of an answer may be on its way.
   */
  complete(): void {
    this.#isComplete = true;
  }

  [Symbol.dispose](): void {
    this.#giveBack?.(this.#isComplete);
    this.#giveBack = undefined;
  }
}

/** At most so many connections to one place, idle or in use. */
export class Pool implements AsyncDisposable {
  readonly #target: ConnectOptions;
  /** A permit is the right to one connection, idle or new. They are granted in the order of waiting. */
  readonly #permits: Semaphore;
  readonly #idle: Socket[] = [];
  #isClosed = false;

  constructor(target: ConnectOptions, connections: number) {
    this.#target = target;
    this.#permits = new Semaphore(connections);
  }

  /** `using lease = await pool.take(deadline(1000))`; the deadline is for waiting and connecting. */
  async take(until = Number.POSITIVE_INFINITY): Promise<Lease> {
    const permit = await this.#permits.acquire(1, until);
    try {
      if (this.#isClosed) throw new Error("the pool is closed");
      const target = { ...this.#target, deadline: until };
      const socket = this.#takeIdle() ?? (await connect(target));
      return new Lease(socket, (isReusable) => this.#giveBack(socket, isReusable, permit));
    } catch (error) {
      permit.release();
      throw error;
    }
  }

  /** Closes idle connections at once, and waits for those that are in use. */
  async close(until?: number): Promise<void> {
    this.#isClosed = true;
    for (const socket of this.#idle.splice(0)) socket.close();
    // Whoever has all permits knows that nobody else has one.
    using _ = await this.#permits.acquire(this.#permits.permits, until);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #takeIdle(): Socket | undefined {
    for (let socket: Socket | undefined; (socket = this.#idle.pop()) !== undefined; ) {
      if (isSilent(socket)) return socket;
      socket.close();
    }
    return undefined;
  }

  #giveBack(socket: Socket, isReusable: boolean, permit: SemaphorePermit): void {
    if (isReusable && !this.#isClosed && !socket.closed) this.#idle.push(socket);
    else socket.close();
    permit.release();
  }
}

/** Whether a connection has neither ended nor failed while it was idle, nor brought anything. */
function isSilent(socket: Socket): boolean {
  try {
    return socket.tryRead(scratch) === undefined;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  const [connections = 4, clients = 20] = process.argv.slice(2).map(Number);
  let accepted = 0;
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    accepted++;
    for await (const chunk of socket) await socket.write(chunk);
  });
  await using pool = new Pool({ host: "127.0.0.1", port: listener.port }, connections);
  await scope(async (users) => {
    for (let client = 1; client <= clients; client++) {
      users.spawn(async () => {
        const until = deadline(5000);
        using lease = await pool.take(until);
        await lease.socket.write(`hello from ${client}\n`, until);
        const answer = await lease.socket.next(until);
        if (answer === null) throw new Error("the server has closed the connection");
        lease.complete();
        process.stdout.write(answer);
      });
    }
  });
  console.log(`${clients} exchanges over ${accepted} connections`);
}
