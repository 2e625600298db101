/** Programs of a few lines that run in a process of their own. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryFolder } from "./temporary_folder.ts";

const root = join(import.meta.dir, "..", "..");

export interface ProgramResult {
  readonly stdout: string;
  readonly stderr: string;
  /** null when it was ended because its time was up. */
  readonly exitCode: number | null;
  readonly milliseconds: number;
}

export interface ProgramOptions {
  /** When the process is ended, in milliseconds. */
  readonly bound?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A program in a folder of its own, running; the process and the folder go when it is disposed of. */
export class Program implements AsyncDisposable {
  readonly process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #folder = new TemporaryFolder();
  readonly #started = performance.now();
  readonly #stderr: Promise<string>;
  #read = "";

  /** `source` is TypeScript that finds the API's names in scope. */
  constructor(source: string, env: Readonly<Record<string, string>> = {}) {
    const path = this.#folder.file("program.ts");
    writeFileSync(path, withImports(source));
    this.process = Bun.spawn([process.execPath, path], {
      cwd: this.#folder.path,
      env: { ...process.env, ...env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#stderr = new Response(this.process.stderr).text();
  }

  /** Waits for the next line that it prints. */
  async line(): Promise<string> {
    const reader = this.process.stdout.getReader();
    const decoder = new TextDecoder();
    try {
      while (!this.#read.includes("\n")) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`it ended without a further line: ${await this.#stderr}`);
        this.#read += decoder.decode(value, { stream: true });
      }
    } finally {
      reader.releaseLock();
    }
    const end = this.#read.indexOf("\n");
    const line = this.#read.slice(0, end);
    this.#read = this.#read.slice(end + 1);
    return line;
  }

  /** Waits for its end, which comes by force after `bound` milliseconds. */
  async end(bound: number): Promise<ProgramResult> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.process.kill("SIGKILL");
    }, bound);
    const stdout = this.#read + (await new Response(this.process.stdout).text());
    const exitCode = await this.process.exited;
    clearTimeout(timer);
    return {
      stdout: stdout.trimEnd(),
      stderr: await this.#stderr,
      exitCode: isLate ? null : exitCode,
      milliseconds: performance.now() - this.#started,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
    this.#folder[Symbol.dispose]();
  }
}

/** Runs a program to its end, or to the end of its time. */
export async function runProgram(
  source: string,
  { bound = 4000, env = {} }: ProgramOptions = {},
): Promise<ProgramResult> {
  await using program = new Program(source, env);
  return await program.end(bound);
}

/** Puts an import of those names of the API before a program that it mentions. */
export function withImports(source: string): string {
  const api = Object.keys(require(join(root, "index.ts")));
  const used = api.filter((name) => new RegExp(`\\b${name}\\b`).test(source));
  const index = JSON.stringify(join(root, "index.ts"));
  return `import { ${used.join(", ")} } from ${index};\n${source}\n`;
}
