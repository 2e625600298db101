/** Writes docs/load-report.schema.json from src/report/schema.ts. A test holds that it was run after a change. */

import { join } from "node:path";
import { reportSchema } from "../src/report/schema.ts";
import { root } from "./build.ts";

export const reportSchemaPath = join(root, "docs", "load-report.schema.json");

if (import.meta.main) {
  await Bun.write(reportSchemaPath, `${JSON.stringify(reportSchema, undefined, 2)}\n`);
  // In the format of the repository.
  const format = [process.execPath, "node_modules/.bin/biome", "format", "--write"];
  const { exitCode } = Bun.spawnSync([...format, reportSchemaPath], { cwd: root });
  if (exitCode !== 0) throw new Error("biome cannot format the schema");
}
