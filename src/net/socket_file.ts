/** The files of Unix sockets. */

import { realpathSync, statSync, unlinkSync } from "node:fs";

/** The file of a Unix listener. */
export class SocketFile {
  readonly #path: string;
  readonly #identity: string | undefined;

  /** Make it right after the listener: the current folder may change soon. */
  constructor(path: string) {
    // Not normalized: a ".." after a link leads elsewhere than its text says.
    this.#path = path.startsWith("/") ? path : `${currentFolder()}/${path}`;
    this.#identity = identityOf(this.#path);
  }

  /** Removes the file, unless a successor has put its own in its place. */
  remove(): void {
    if (this.#identity === undefined || identityOf(this.#path) !== this.#identity) return;
    try {
      unlinkSync(this.#path);
    } catch {
      // The folder may be read-only by now. Then the file stays, as it does when a process is killed.
    }
  }
}

/** In a Worker `process.cwd()` is the folder of the Worker's first call. */
function currentFolder(): string {
  try {
    return realpathSync(".");
  } catch {
    // The folder was removed, with everything in it.
    return process.cwd();
  }
}

function identityOf(path: string): string | undefined {
  try {
    const status = statSync(path, { throwIfNoEntry: false });
    return status && `${status.dev}:${status.ino}`;
  } catch {
    // For example a path that is too long for all calls but bind(2), which got its relative form.
    return undefined;
  }
}
