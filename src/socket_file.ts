/** The files of Unix sockets. */

import { statSync, unlinkSync } from "node:fs";

/** The file that a Unix listener has made. */
export class SocketFile {
  readonly #path: string;
  readonly #identity: string | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#identity = identityOf(path);
  }

  /** Removes the file, unless a successor has put its own in its place. */
  remove(): void {
    if (this.#identity === undefined || identityOf(this.#path) !== this.#identity) return;
    try {
      unlinkSync(this.#path);
    } catch {
      // The folder may be read-only by now: the file stays, as it does when a process is killed.
    }
  }
}

function identityOf(path: string): string | undefined {
  const status = statSync(path, { throwIfNoEntry: false });
  return status && `${status.dev}:${status.ino}`;
}
