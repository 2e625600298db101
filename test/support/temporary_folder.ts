import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that is removed with everything in it when it is disposed of. */
export class TemporaryFolder implements Disposable {
  readonly path = mkdtempSync(join(realpathSync(tmpdir()), "plait-"));

  /** The path of a file in the folder. */
  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
