/** What `bun run test FILTER` runs, in a folder with tests of its own. */

import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import type { Counts } from "../../scripts/bun_tests.ts";
import { run } from "../../scripts/run.ts";
import { zigTests } from "../../scripts/zig_tests.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const scripts = JSON.stringify(join(root, "scripts", "bun_tests.ts"));

/** Each run takes two processes, which a busy machine may let wait. */
const bound = 30_000;

const ports = `
  import { describe, expect, test } from "bun:test";
  test("a port is found", () => {});
  describe("a <port> (of \\"two\\")", () => {
    test("is taken", () => {});
    test.skip("is free", () => {});
    describe("that is closed", () => test("opens again", () => expect(1).toBe(2)));
  });
`;

const names = `
  import { test } from "bun:test";
  test("a name has a port", () => {});
  test("a name is short", () => {});
`;

async function countsOf(filter: string, broken?: string): Promise<Counts> {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file("test"));
  mkdirSync(folder.file("test/net"));
  writeFileSync(folder.file("test/net/ports.test.ts"), ports);
  writeFileSync(folder.file("test/names.test.ts"), names);
  if (broken !== undefined) writeFileSync(folder.file("test/broken.test.ts"), broken);
  const program = `
    import { runBunTests } from ${scripts};
    const counts = await runBunTests(${JSON.stringify(folder.path)}, ${JSON.stringify(filter)});
    console.log("\\n" + JSON.stringify(counts));
  `;
  const { output } = await run([process.execPath, "-e", program], folder.path);
  return JSON.parse(/^\{"passed".*\}$/m.exec(output)![0]);
}

describe("a filter of the tests in TypeScript", () => {
  const whole = { passed: 4, failed: 1, skipped: 1 };
  test.each([
    ["", whole, "runs all when it is empty"],
    ["a port", { passed: 2, failed: 0, skipped: 0 }, "matches names in all files"],
    ["net/", { passed: 2, failed: 1, skipped: 1 }, "matches paths"],
    ["names.test", { passed: 2, failed: 0, skipped: 0 }, "matches the names of files"],
    ["port", { passed: 3, failed: 1, skipped: 1 }, "matches a file whole, and names in others"],
    ['<port> (of "two") is', { passed: 1, failed: 0, skipped: 1 }, "is text, not a pattern"],
    ["that is closed opens", { passed: 0, failed: 1, skipped: 0 }, "matches describe and test"],
    ["a .ort", { passed: 0, failed: 0, skipped: 0 }, "may match nothing"],
  ])(
    "%j %j %s",
    async (filter, counts) => {
      expect(await countsOf(filter)).toEqual(counts);
    },
    bound,
  );

  test(
    "fails with a file that cannot be loaded, whose tests might match",
    async () => {
      const broken = 'import "./missing.ts";';
      expect(await countsOf("no such name", broken)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    },
    bound,
  );
});

describe("a filter of the core's tests", () => {
  test("matches paths and names", () => {
    const all = zigTests("").matching;
    expect(all.length).toBeGreaterThan(100);
    expect(zigTests("core/").matching).toEqual(all.filter((test) => test.startsWith("core/")));
    const first = all[0]!;
    const name = first.slice(first.indexOf(": ") + 2);
    expect(zigTests(name).matching).toContain(first);
  });

  test("may match nothing", () => {
    expect(zigTests("no such test of the core").matching).toEqual([]);
  });
});
