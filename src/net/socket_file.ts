/** The files of Unix sockets. */

import { realpathSync, statSync, unlinkSync } from "node:fs";

/** The file that a Unix listener has made. */
export class SocketFile {
  readonly #path: string;
  readonly #identity: string | undefined;

  /** To be made right behind the listener: the current folder may be another one soon. */
  constructor(path: string) {
    // Not normalized: ".." behind a link leads elsewhere than its text says.
    this.#path = path.startsWith("/") ? path : `${currentFolder()}/${path}`;
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

/** A Worker's `process.cwd()` says what was so when the Worker asked first. */
function currentFolder(): string {
  try {
    return realpathSync(".");
  } catch {
    // It has been removed, with whatever is in it.
    return process.cwd();
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
