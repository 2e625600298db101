/** bunfig.toml loads this before the tests, so that they run against a checked build of the current core. */

import { afterAll } from "bun:test";
import { rmSync } from "node:fs";
import { ensureBuilt, ensureDependencies, libraryOf } from "./build.ts";

ensureDependencies();
// Both builds: programs that the tests compile embed the library that users get.
ensureBuilt("fast");
ensureBuilt("checked");
process.env.PLAIT_LIBRARY = libraryOf("checked");
process.env.PLAIT_CHECKS = "1";

// `bun test` ends without an exit event. test/support/certificates.ts names what it has made.
afterAll(() => {
  const folder = process.env.PLAIT_TEST_CERTIFICATES;
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});
