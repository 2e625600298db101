/** Modules of the program, which Workers load. */

import { isAbsolute } from "node:path";
import { typeMistake } from "./checks.ts";

/**
 * A module as a `file:` URL. Errors call the option `what`, and name a file of the `example`.
 *
 * @throws {TypeError} for what is no `file:` URL and no absolute path
 */
export function checkedModule(module: unknown, what: string, example: string): string {
  if (module instanceof URL && module.protocol === "file:") return module.href;
  if (typeof module === "string") {
    if (module.startsWith("file:")) return Bun.pathToFileURL(Bun.fileURLToPath(module)).href;
    if (isAbsolute(module)) return Bun.pathToFileURL(module).href;
  }
  throw typeMistake(
    `${what} is a file: URL or an absolute path, such as new URL("./${example}.js", import.meta.url)`,
  );
}
