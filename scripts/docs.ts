/**
 * Builds the documentation's site in build/docs. `--check` also looks at it in a headless Chromium, with pictures in
 * build/docs-pictures. What only this needs is in a package of its own, scripts/docs, which is installed here: a test
 * run needs none of it.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./build.ts";

const folder = join(root, "scripts", "docs");

function run(command: string[], cwd: string): void {
  const { exitCode } = Bun.spawnSync(command, { cwd, stdout: "inherit", stderr: "inherit" });
  if (exitCode !== 0) process.exit(1);
}

function ensureInstalled(): void {
  const stamp = join(folder, "node_modules", ".plait-lock");
  const lock = readFileSync(join(folder, "bun.lock"), "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  console.error("plait: installing what the documentation needs");
  run([process.execPath, "install", "--frozen-lockfile"], folder);
  writeFileSync(stamp, lock);
}

const options = process.argv.slice(2);
const unknown = options.filter((option) => option !== "--check");
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(" ")}. Usage: bun run docs [--check]`);
  process.exit(1);
}
ensureInstalled();
run([process.execPath, join(root, "node_modules", ".bin", "tsc"), "-p", folder], root);
run([process.execPath, join(folder, "build.ts")], root);
if (options.includes("--check")) run([process.execPath, join(folder, "look.ts")], root);
