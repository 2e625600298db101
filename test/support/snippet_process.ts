/** A process that runs a snippet of the documentation, and what it has printed. */

import { ended } from "./snippet_end.ts";

export interface SnippetProcessOptions {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** It is ended when something that is awaited takes so many milliseconds. */
  readonly bound: number;
}

export class SnippetProcess implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #bound: number;
  #printed = "";
  #changed = Promise.withResolvers<void>();
  #isOver = false;

  constructor({ command, cwd, env, bound }: SnippetProcessOptions) {
    this.#child = Bun.spawn([...command], {
      cwd,
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      // It leads a group of its own, so that a signal reaches what a shell has started.
      detached: true,
    });
    this.#bound = bound;
    void this.#copy();
  }

  /** What it has printed to both streams. */
  get output(): string {
    return this.#printed.replace(`${ended}\n`, "").replaceAll("\r\n", "\n");
  }

  /** null while it runs, and if a signal has ended it. */
  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Whether the snippet's module has come to its end. */
  get hasEnded(): boolean {
    return this.#printed.includes(ended);
  }

  /** Waits until the module has come to its end, or the process has ended. */
  async reachEnd(): Promise<void> {
    await this.#until(() => this.#isOver || this.hasEnded);
  }

  /** Waits until the process has ended. */
  async exit(): Promise<void> {
    await this.#until(() => this.#isOver);
  }

  /** Waits until it has printed a text. */
  async printText(expected: string): Promise<void> {
    await this.#printMatch(expected, (output) => output.includes(expected));
  }

  /**
   * Waits until it has printed these lines, one after the other. `…` stands for any text within a line, and as a line
   * for any lines.
   */
  async printLines(expected: string): Promise<void> {
    const pattern = patternOf(expected);
    await this.#printMatch(expected, (output) => pattern.test(output));
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kill();
    await this.#child.exited;
  }

  async #printMatch(expected: string, matches: (output: string) => boolean): Promise<void> {
    const isThere = (): boolean => matches(Bun.stripANSI(this.output));
    await this.#until(() => this.#isOver || isThere());
    if (!isThere()) throw new Error(`it prints\n${this.output}\nand not\n${expected}`);
  }

  async #until(holds: () => boolean): Promise<void> {
    const timer = setTimeout(() => void this.#kill(), this.#bound);
    try {
      while (!holds()) await this.#changed.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  async #kill(): Promise<void> {
    this.#signal("SIGTERM");
    if ((await Promise.race([this.#child.exited, Bun.sleep(5000)])) === undefined) {
      this.#signal("SIGKILL");
    }
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // All of the group has ended.
    }
  }

  async #copy(): Promise<void> {
    const streams = [this.#child.stdout, this.#child.stderr];
    await Promise.all(
      streams.map(async (stream) => {
        for await (const text of stream.pipeThrough(new TextDecoderStream())) {
          this.#printed += text;
          this.#change();
        }
      }),
    );
    await this.#child.exited;
    this.#isOver = true;
    this.#change();
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function patternOf(expected: string): RegExp {
  const lines = expected.trimEnd().split("\n");
  const patterns = lines.map((line) => {
    if (line.trim() === "…") return "(?:.*\\n)*?";
    const parts = line.trimEnd().split("…");
    return `${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")).join(".*")}[ \\t]*\\n`;
  });
  return new RegExp(`^${patterns.join("")}`, "m");
}
