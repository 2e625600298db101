/** bunfig.toml loads this before the tests, so that they run against the current core. */

import { afterAll } from "bun:test";
import { rmSync } from "node:fs";
import { ensureBuilt, ensureDependencies } from "./build.ts";

ensureDependencies();
ensureBuilt("stripped");

// `bun test` ends without an exit event. test/support/certificates.ts names what it has made.
afterAll(() => {
  const folder = process.env.PLAIT_TEST_CERTIFICATES;
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});
