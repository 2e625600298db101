import { pollUntil } from "./poll.ts";

interface RunningOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** It is ended after so many milliseconds. */
  readonly bound?: number;
}

/** A program that runs beside the test, with all its output. */
export class RunningProgram implements AsyncDisposable {
  readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  #output = "";

  private constructor(command: readonly string[], { env, bound = 60_000 }: RunningOptions) {
    this.child = Bun.spawn([...command], {
      // The environment of now, not of the start of this process.
      env: { ...process.env, ...env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      timeout: bound,
      killSignal: "SIGKILL",
    });
    for (const stream of [this.child.stdout, this.child.stderr]) void this.#collect(stream);
  }

  /** Starts a program and waits until it has printed that it is ready. */
  static async start(
    command: readonly string[],
    isReady: RegExp,
    options: RunningOptions = {},
  ): Promise<RunningProgram> {
    const program = new RunningProgram(command, options);
    await program.printed(isReady);
    return program;
  }

  /** All its output so far, errors included. */
  get output(): string {
    return this.#output;
  }

  /** Waits for output that matches, and returns the match. */
  async printed(pattern: RegExp, milliseconds = 8000): Promise<RegExpExecArray> {
    await pollUntil(
      `the program prints ${pattern}`,
      () => pattern.test(this.#output) || this.child.exitCode !== null,
      milliseconds,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; it printed: ${this.#output}`);
    });
    const match = pattern.exec(this.#output);
    if (match === null) throw new Error(`it ended: ${this.#output}`);
    return match;
  }

  async type(text: string): Promise<void> {
    this.child.stdin.write(text);
    await this.child.stdin.flush();
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.#output += decoder.decode(chunk, { stream: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }
}
