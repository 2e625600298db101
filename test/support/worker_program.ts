/** Programs of a few lines that run in a Worker. */

import { writeFileSync } from "node:fs";
import { withImports } from "./programs.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/**
 * A Worker, which is terminated when it is disposed of. The messages that it posts can be awaited.
 */
export class WorkerProgram implements AsyncDisposable {
  readonly #folder = new TemporaryFolder();
  readonly #worker: Worker;
  readonly #messages: unknown[] = [];
  readonly #closed = Promise.withResolvers<void>();
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  /** `source` is TypeScript with the names of the API and `post(message)` in scope. */
  constructor(source: string) {
    const path = this.#folder.file("worker.ts");
    const post = "const post = (message: unknown): void => postMessage(message);";
    writeFileSync(path, withImports(`${post}\n${source}`));
    this.#worker = new Worker(path);
    this.#worker.onmessage = ({ data }) => {
      this.#messages.push(data);
      this.#wake?.();
    };
    this.#worker.onerror = ({ message }) => {
      this.#failure = new Error(`in the Worker: ${message}`);
      this.#wake?.();
    };
    this.#worker.addEventListener("close", () => this.#closed.resolve());
  }

  /** The next message that it posts. */
  async message(): Promise<unknown> {
    while (this.#messages.length === 0) {
      if (this.#failure) throw this.#failure;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.#messages.shift();
  }

  post(message: unknown): void {
    this.#worker.postMessage(message);
  }

  /** Waits until it has ended by itself. */
  ended(): Promise<void> {
    return this.#closed.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.terminate();
    await this.#closed.promise;
    this.#folder[Symbol.dispose]();
  }
}
