/** Loaded before the tests by bunfig.toml: they run against a checked build of the current core. */

import { ensureBuilt, ensureDependencies, libraryOf } from "./build.ts";

ensureDependencies();
// Both: programs that the tests compile embed the library that users get.
ensureBuilt("fast");
ensureBuilt("checked");
process.env.PLAIT_LIBRARY = libraryOf("checked");
