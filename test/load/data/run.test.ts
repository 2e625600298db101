/** Rows of a file in a run with several threads. */

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { load } from "../../../src/load/load.ts";
import { loadTarget } from "../../support/load_target.ts";
import { TemporaryFolder } from "../../support/temporary_folder.ts";

test("the threads of a run share the rows of a file, and each comes once", async () => {
  using folder = new TemporaryFolder();
  await using target = await loadTarget();
  const names = Array.from({ length: 21 }, (_, row) => `user-${row}`);
  writeFileSync(folder.file("users.csv"), `name\n${names.join("\n")}\n`);
  const scenario = new URL("../../support/load_rows.ts", import.meta.url);
  const report = await load({
    ...{ target: target.url, connections: 6, threads: 3, duration: "20s", scenario },
    data: { users: { file: folder.file("users.csv"), order: "once" } },
  });
  expect(report.iterations.outcomes).toEqual({ ok: 21 });
  expect(target.paths.toSorted()).toEqual(names.map((name) => `/${name}`).toSorted());
});
