// Starts the programs under test, and ends them by their pid.

import { nativeProgram } from "./paths.ts";

/** The core that a program runs on, or "any" to leave it to the kernel. */
export type Core = number | "any";

type PipedProcess = Bun.Subprocess<"pipe", "pipe", "pipe">;

const STANDARD_ERROR_KEPT_CHARACTERS = 4096;

export class Program {
  readonly pid: number;
  readonly #name: string;
  readonly #process: PipedProcess;
  readonly #output: AsyncIterator<Uint8Array>;
  readonly #decoder = new TextDecoder();
  readonly #errorsRead: Promise<void>;
  #errors = "";
  #pending = "";

  constructor(name: string, command: string[], core: Core) {
    this.#name = name;
    // The launcher binds the program to the core. The program cannot outlive this process.
    this.#process = Bun.spawn([nativeProgram("launch"), String(core), ...command], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.pid = this.#process.pid;
    this.#output = this.#process.stdout[Symbol.asyncIterator]();
    this.#errorsRead = this.#readErrors(this.#process.stderr);
  }

  async #readErrors(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      if (this.#errors.length > STANDARD_ERROR_KEPT_CHARACTERS) continue;
      this.#errors += decoder.decode(bytes, { stream: true });
    }
  }

  async #untilLine(): Promise<string> {
    for (;;) {
      const end = this.#pending.indexOf("\n");
      if (end >= 0) {
        const line = this.#pending.slice(0, end);
        this.#pending = this.#pending.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#output.next();
      if (done) {
        await this.#process.exited;
        await this.#errorsRead;
        throw new Error(`${this.#name} ended: ${this.#failure()}`);
      }
      this.#pending += this.#decoder.decode(value, { stream: true });
    }
  }

  /** The line of stderr that says most: the one that names an error, or else the last. */
  #failure(): string {
    const lines = this.#errors.split("\n").filter((line) => line.trim() !== "");
    const telling = lines.find((line) => /^\w*error\b/i.test(line)) ?? lines.at(-1);
    const code = this.#process.exitCode ?? this.#process.signalCode ?? "unknown";
    return telling === undefined ? `exit code ${code}` : telling.trim();
  }

  /** Returns the next line of stdout. Kills the program if that takes too long. */
  async line(limitMs: number): Promise<string> {
    const tooLate = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      this.#process.kill("SIGKILL");
      tooLate.reject(new Error(`${this.#name} printed nothing for ${limitMs} ms`));
    }, limitMs);
    try {
      return await Promise.race([this.#untilLine(), tooLate.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async writeLine(line: string): Promise<void> {
    this.#process.stdin.write(`${line}\n`);
    await this.#process.stdin.flush();
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Ends stdin. Programs that wait for it then finish. */
  async finish(): Promise<void> {
    await this.#process.stdin.end();
    await this.#process.exited;
  }

  async kill(): Promise<void> {
    if (!this.hasEnded) this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}
