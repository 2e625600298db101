/** A file for a report. It is opened before the run, so that a wrong path costs no run, and filled after it. */

import { closeSync, constants, ftruncateSync, openSync, unlinkSync, writeSync } from "node:fs";
import { standardOutput, written } from "./streams.ts";

export class ReportFile implements Disposable {
  readonly #path: string;
  #descriptor: number | undefined;
  /** Whether the file was not there before. */
  #isNew = false;

  /**
   * Opens a file and leaves what it has. `-` is the standard output.
   *
   * @throws {Error} with the code of the system
   */
  constructor(path: string) {
    this.#path = path;
    if (path === standardOutput) return;
    try {
      this.#descriptor = openSync(path, constants.O_WRONLY);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      this.#descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT);
      this.#isNew = true;
    }
  }

  /** Writes the report in place of what was there. @throws {Error} if that fails, with the path */
  async write(text: string): Promise<void> {
    try {
      if (this.#descriptor === undefined) {
        const error = await written(process.stdout, text);
        if (error !== undefined) throw error;
      } else this.#fill(this.#descriptor, text);
    } catch (error) {
      const name = this.#path === standardOutput ? "the standard output" : this.#path;
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`${name} is not complete: ${reason}`, { cause: error });
    }
  }

  #fill(descriptor: number, text: string): void {
    this.#isNew = false;
    try {
      ftruncateSync(descriptor);
    } catch {
      // A pipe, or a device, has nothing to remove.
    }
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
  }

  /** Closes it. A file that was made for a run without a report is removed. */
  [Symbol.dispose](): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    this.#descriptor = undefined;
    closeSync(descriptor);
    if (this.#isNew) unlinkSync(this.#path);
  }
}
