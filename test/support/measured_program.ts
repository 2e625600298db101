/** Programs that do what their input says, and report how much memory they have afterwards. */

import { heapStats } from "bun:jsc";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stats } from "../../index.ts";
import { heapInUse } from "./c_heap.ts";
import { pollUntil } from "./poll.ts";
import { RunningProgram } from "./running_program.ts";

/** How long an answer may take, in milliseconds. */
const answerBound = 60_000;

/** Memory in bytes, while nothing is under way. */
export interface Memory {
  /** The memory of the core and OpenSSL. */
  readonly native: number;
  /** The memory of JavaScript after a collection, and its number of objects. */
  readonly collected: number;
  readonly objects: number;
  /** The memory from the kernel, with what Bun's allocators keep for later. */
  readonly resident: number;
}

/** In the program: does what the lines of its input say, one after the other. */
export async function answer(commands: Record<string, (text: string) => unknown>): Promise<void> {
  let count = 0;
  console.log("ready");
  for await (const line of console) {
    const [name = "", text = ""] = line.split(" ");
    console.log(`answer ${count++} ${JSON.stringify((await commands[name]!(text)) ?? null)}`);
  }
}

/** In the program: its memory while nothing is under way. */
export async function measure(): Promise<Memory> {
  await pollUntil("nothing lingers", () => stats().lingering === 0, 8000);
  // Finalizers run after the collection, and what they free may refer to something else.
  for (let round = 0; round < 4; round++) {
    Bun.gc(true);
    await Bun.sleep(5);
  }
  const resident = /^Rss:\s+(\d+) kB/m.exec(readFileSync("/proc/self/smaps_rollup", "latin1"))!;
  const { heapSize, extraMemorySize, objectCount } = heapStats();
  return {
    native: heapInUse(),
    collected: heapSize + extraMemorySize,
    objects: objectCount,
    resident: 1024 * Number(resident[1]),
  };
}

/** In the test: such a program. */
export class MeasuredProgram implements AsyncDisposable {
  readonly #program: RunningProgram;
  #asked = 0;

  private constructor(program: RunningProgram) {
    this.#program = program;
  }

  static async start(file: string, bound: number): Promise<MeasuredProgram> {
    const command = [process.execPath, join(import.meta.dir, file)];
    // Threads cache nothing that was freed, so that the heap is exact (mallopt(3)).
    const env = { GLIBC_TUNABLES: "glibc.malloc.tcache_count=0" };
    return new MeasuredProgram(await RunningProgram.start(command, /^ready$/m, { env, bound }));
  }

  get pid(): number {
    return this.#program.child.pid;
  }

  async ask<T>(command: string): Promise<T> {
    const answered = new RegExp(`^answer ${this.#asked++} (.*)$`, "m");
    await this.#program.type(`${command}\n`);
    const [, text] = await this.#program.printed(answered, answerBound);
    return JSON.parse(text!) as T;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#program[Symbol.asyncDispose]();
  }
}
