/**
 * Makes a checkout ready to use: dependencies, then the core. `--abi` first writes src/core/abi.ts anew.
 * `--symbols` also builds build/libplait-symbols.so, the same library for a debugger.
 */

import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt, ensureDependencies, root, runZig } from "./build.ts";

ensureDependencies();
if (process.argv.includes("--abi")) {
  runZig(["build", "abi"]);
  copyFileSync(join(root, "zig", "zig-out", "abi.ts"), join(root, "src", "core", "abi.ts"));
}
ensureBuilt("stripped");
if (process.argv.includes("--symbols")) ensureBuilt("symbols");
