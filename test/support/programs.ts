/** Programs of a few lines that run in processes of their own. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryFolder } from "./temporary_folder.ts";

const root = join(import.meta.dir, "..", "..");

export interface ProgramResult {
  readonly stdout: string;
  readonly stderr: string;
  /** null when a signal ended it, as at the end of its time. */
  readonly exitCode: number | null;
  readonly milliseconds: number;
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs Bun with these arguments. */
  readonly within?: readonly string[];
  /** Bun's own arguments, before the path of the program. */
  readonly arguments?: readonly string[];
  /** It is ended after so many milliseconds. */
  readonly bound?: number;
}

/**
 * A running program in a folder of its own. Disposing of it ends the process and removes the
 * folder.
 */
export class Program implements AsyncDisposable {
  readonly process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #folder = new TemporaryFolder();
  readonly path = this.#folder.file("program.ts");
  readonly #started = performance.now();
  readonly #stderr: Promise<string>;
  #read = "";

  /** `source` is TypeScript with the names of the API in scope. */
  constructor(source: string, options: ProgramOptions = {}) {
    writeFileSync(this.path, withImports(source));
    const command = [...(options.within ?? []), process.execPath, ...(options.arguments ?? [])];
    this.process = Bun.spawn([...command, this.path], {
      cwd: this.#folder.path,
      env: { ...process.env, ...options.env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      timeout: options.bound ?? 4000,
      killSignal: "SIGKILL",
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

  /** Waits for its end. */
  async end(): Promise<ProgramResult> {
    const stdout = this.#read + (await new Response(this.process.stdout).text());
    await this.process.exited;
    return {
      stdout: stdout.trimEnd(),
      stderr: await this.#stderr,
      exitCode: this.process.signalCode === null ? this.process.exitCode : null,
      milliseconds: performance.now() - this.#started,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
    this.#folder[Symbol.dispose]();
  }
}

/** Runs a program to its end. */
export async function runProgram(
  source: string,
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  await using program = new Program(source, options);
  return await program.end();
}

/** Puts an import of those names of the API before a program that it uses. */
export function withImports(source: string): string {
  const api = Object.keys(require(join(root, "index.ts")));
  const used = api.filter((name) => new RegExp(`\\b${name}\\b`).test(source));
  const index = JSON.stringify(join(root, "index.ts"));
  return `import { ${used.join(", ")} } from ${index};\n${source}\n`;
}

/** A program that prints what an echo server returns. It needs `connect` and `listen`. */
export const echoProgram = `
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const chunk of socket) await socket.write(chunk);
  });
  const socket = await connect({ host: "127.0.0.1", port: listener.port! });
  await socket.write("echo");
  console.log(new TextDecoder().decode((await socket.next())!));
  socket.close();
  await listener.close();
`;
