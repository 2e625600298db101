/** A file that grows while a run goes on. A full disk must not end the run: the error waits for the end. */

import { closeSync, openSync, writeSync } from "node:fs";

export class LineFile {
  readonly #name: string;
  readonly #isOutput: boolean;
  #descriptor: number | undefined;
  #error: unknown;

  /** Makes the file, or empties it; `-` is the standard output. @throws {Error} with the code of the system if that fails */
  constructor(path: string) {
    this.#isOutput = path === "-";
    this.#name = this.#isOutput ? "the standard output" : path;
    this.#descriptor = this.#isOutput ? standardOutput : openSync(path, "w");
  }

  /** Adds text, at once. After an error nothing more is written. */
  append(text: string): void {
    if (this.#descriptor === undefined || this.#error !== undefined) return;
    const bytes = new TextEncoder().encode(text);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSome(this.#descriptor, bytes, at);
    } catch (error) {
      this.#error = error;
    }
  }

  /** Closes the file; a second call does nothing. @throws {Error} the first error of writing, with the path */
  close(): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    this.#descriptor = undefined;
    if (!this.#isOutput) closeSync(descriptor);
    // A reader of the output that goes early, as `head` does, has what it wants.
    const hasReaderGone = this.#isOutput && codeOf(this.#error) === "EPIPE";
    if (this.#error !== undefined && !hasReaderGone) {
      const reason = this.#error instanceof Error ? this.#error.message : String(this.#error);
      throw new Error(`${this.#name} is not complete: ${reason}`, { cause: this.#error });
    }
  }
}

const standardOutput = 1;
/** Milliseconds until a pipe that is full is tried again. */
const pause = 1;

/** Writes as much as there is room for. A pipe that does not block is waited for. */
function writeSome(descriptor: number, bytes: Uint8Array, at: number): number {
  for (;;) {
    try {
      return writeSync(descriptor, bytes, at);
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") throw error;
      Bun.sleepSync(pause);
    }
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
