/**
 * Writes the package's declarations to build/types. Without them an editor would show internals to users,
 * and their compiler would check plait's sources with their own settings.
 */

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./build.ts";

const folder = join(root, "build", "types");

const options = [
  "--ignoreConfig --strict --target esnext --module preserve --types bun --allowImportingTsExtensions",
  "--declaration --emitDeclarationOnly --stripInternal --rewriteRelativeImportExtensions --rootDir .",
].flatMap((line) => line.split(" "));

rmSync(folder, { recursive: true, force: true });
const compiler = join(root, "node_modules", ".bin", "tsc");
const entries = ["index.ts", "src/node/net.ts", "src/drivers/drivers.ts"];
const command = [process.execPath, compiler, ...options, "--outDir", folder, ...entries];
const { exitCode } = Bun.spawnSync(command, { cwd: root, stdout: "inherit", stderr: "inherit" });
if (exitCode !== 0) process.exit(exitCode);

/** The interfaces that stay in declarations. Others are internal, and `--stripInternal` has removed their members. */
const standard = /^(Async)?(Disposable|Iterable)\b/;
for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
  if (!name.endsWith(".d.ts")) continue;
  const path = join(folder, name);
  const text = readFileSync(path, "utf8").replace(/ implements ([^{]+) \{/g, (_, list: string) => {
    const kept = list.split(", ").filter((each) => standard.test(each));
    return kept.length === 0 ? " {" : ` implements ${kept.join(", ")} {`;
  });
  writeFileSync(path, text);
}
