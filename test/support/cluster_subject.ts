/** Clusters under test, and their clients. */

import { expect } from "bun:test";
import {
  type Cluster,
  type ClusterOptions,
  cluster,
  connect,
  deadline,
  type Socket,
} from "../../index.ts";
import { linesOf } from "./lines.ts";

/** Each worker is a VM, which takes a second to start on a busy machine. */
export const bound = 30_000;
export const modulePath = `${import.meta.dir}/cluster_module.ts`;

/** A cluster, and what it has reported. */
export class Subject implements AsyncDisposable {
  readonly errors: { error: Error; worker: number }[] = [];
  readonly restarts: [worker: number, restarts: number][] = [];
  cluster!: Cluster;

  static async start(options: Partial<ClusterOptions> = {}): Promise<Subject> {
    const subject = new Subject();
    subject.cluster = await cluster({
      module: modulePath,
      workers: 2,
      host: "127.0.0.1",
      port: 0,
      onError: (error, worker) => subject.errors.push({ error: error as Error, worker }),
      onRestart: (worker, restarts) => subject.restarts.push([worker, restarts]),
      ...options,
    });
    return subject;
  }

  client(): Promise<Client> {
    const { address, port } = this.cluster;
    return Client.connect(address === "::1" ? address : "127.0.0.1", port);
  }

  /** A client of each worker, by the worker's number. */
  async clients(): Promise<Map<number, Client>> {
    const clients = new Map<number, Client>();
    // The kernel chooses by a hash of the ports: with two workers the chance to meet only one is
    // 2^-200.
    for (let attempt = 0; clients.size < this.cluster.workers && attempt < 200; attempt++) {
      const client = await this.client();
      const worker = Number.parseInt(await client.ask("who"), 10);
      if (clients.has(worker)) client.socket.close();
      else clients.set(worker, client);
    }
    expect([...clients.keys()].sort()).toEqual(
      Array.from({ length: this.cluster.workers }, (_, index) => index + 1),
    );
    return clients;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}

export class Client {
  readonly socket: Socket;
  readonly #lines: AsyncGenerator<string>;

  constructor(socket: Socket) {
    this.socket = socket;
    this.#lines = linesOf(socket);
  }

  static async connect(host: string, port: number): Promise<Client> {
    return new Client(await connect({ host, port, deadline: deadline(4000) }));
  }

  async ask(command: string): Promise<string> {
    await this.socket.write(`${command}\n`);
    return (await this.#lines.next()).value;
  }

  /** Sends the command that ends the connection, and waits for its end. */
  async askForTheEnd(command: string): Promise<void> {
    await this.socket.write(`${command}\n`);
    await this.#lines.next().catch(() => {});
  }
}
