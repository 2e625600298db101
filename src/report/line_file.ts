/** A file that grows while a run goes on. A full disk must not end the run: the error waits for the end. */

import { closeSync, openSync, writeSync } from "node:fs";

export class LineFile {
  readonly #path: string;
  #descriptor: number | undefined;
  #error: unknown;

  /** Makes the file, or empties it. @throws {Error} with the code of the system if that fails */
  constructor(path: string) {
    this.#path = path;
    this.#descriptor = openSync(path, "w");
  }

  /** Adds text, at once. After an error nothing more is written. */
  append(text: string): void {
    if (this.#descriptor === undefined || this.#error !== undefined) return;
    const bytes = new TextEncoder().encode(text);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#descriptor, bytes, at);
    } catch (error) {
      this.#error = error;
    }
  }

  /** Closes the file; a second call does nothing. @throws {Error} the first error of writing, with the path */
  close(): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    this.#descriptor = undefined;
    closeSync(descriptor);
    if (this.#error !== undefined) {
      const reason = this.#error instanceof Error ? this.#error.message : String(this.#error);
      throw new Error(`${this.#path} is not complete: ${reason}`, { cause: this.#error });
    }
  }
}
