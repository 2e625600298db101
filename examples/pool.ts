/** A pool of connections. Clients that find all of them in use wait in line. */

import {
  BufferedReader,
  type ConnectOptions,
  connect,
  deadline,
  listen,
  Semaphore,
  type SemaphorePermit,
  type Socket,
  scope,
} from "plait";

const scratch = new Uint8Array(1);

/** A connection for one user. Disposing of the lease gives it back. */
export class Lease implements Disposable {
  readonly socket: Socket;
  #giveBack: ((isReusable: boolean) => void) | undefined;
  #isComplete = false;

  constructor(socket: Socket, giveBack: (isReusable: boolean) => void) {
    this.socket = socket;
    this.#giveBack = giveBack;
  }

  /**
   * Marks the exchange as complete: the connection can be used again. Without this, for example after an
   * error, the connection is closed, since the rest of an answer may be on its way.
   */
  complete(): void {
    this.#isComplete = true;
  }

  [Symbol.dispose](): void {
    this.#giveBack?.(this.#isComplete);
    this.#giveBack = undefined;
  }
}

/** A limited number of connections to one server, idle or in use. */
export class Pool implements AsyncDisposable {
  readonly #target: ConnectOptions;
  /** A permit stands for one connection, idle or new. Permits are granted in the order of waiting. */
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
    // With all permits in hand, no connection is in use.
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

/** Whether an idle connection is still open and has received nothing. */
function isSilent(socket: Socket): boolean {
  try {
    return socket.tryRead(scratch) === undefined;
  } catch {
    return false;
  }
}

const usage = `Usage: bun pool.ts [connections] [clients]

Shows a pool of 4 connections to an echo server, or as many as given, which 20 clients share.`;

async function demonstrate(connections: number, clients: number): Promise<void> {
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
        const answer = await new BufferedReader(lease.socket).readLine(until);
        if (answer === null) throw new Error("the server has closed the connection");
        lease.complete();
        console.log(answer);
      });
    }
  });
  console.log(`${clients} exchanges over ${accepted} connections`);
}

if (import.meta.main) {
  if (process.argv.includes("--help")) {
    console.log(usage);
    process.exit();
  }
  const [connections = 4, clients = 20] = process.argv.slice(2).map(Number);
  await demonstrate(connections, clients);
}
