/** bunfig.toml loads this before the tests, so that they run against the current core. */

import { afterAll } from "bun:test";
import { rmSync } from "node:fs";
import { ensureBuilt, ensureDependencies } from "./build.ts";

ensureDependencies();
ensureBuilt("stripped");

// `bun test` ends without an exit event. test/support/certificates.ts and packed.ts name what they have made.
afterAll(() => {
  for (const key of ["PLAIT_TEST_CERTIFICATES", "PLAIT_TEST_PACKAGES"]) {
    const folder = process.env[key];
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
});
