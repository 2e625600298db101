/** The files of Unix sockets. */

import { statSync, unlinkSync } from "node:fs";

/** The file that a Unix listener has made. */
export class SocketFile {
  readonly #path: string;
  readonly #identity: string | undefined;

  /** To be made right behind the listener: the current folder may be another one soon. */
  constructor(path: string) {
    // Not normalized: ".." behind a link leads elsewhere than its text says.
    this.#path = path.startsWith("/") ? path : `${process.cwd()}/${path}`;
    this.#identity = identityOf(this.#path);
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
  try {
    const status = statSync(path, { throwIfNoEntry: false });
    return status && `${status.dev}:${status.ino}`;
  } catch {
    // Such as a path that is too long for all calls but bind(2), which was given its relative form.
    return undefined;
  }
}
