/** The events of plait/net and their order are those of Node's own net: both run the same scenarios. */

import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { scenarios } from "../support/net_scenarios.mjs";
import { runCommand } from "../support/run_command.ts";

type Notes = Readonly<Record<string, readonly string[]>>;

const program = join(root, "test", "support", "net_scenarios.mjs");

async function notesOf(runtime: string, module: string): Promise<Record<string, Notes>> {
  const { text, stderr } = await runCommand([runtime, program, module], undefined, 50_000);
  expect(stderr).toBe("");
  return JSON.parse(text) as Record<string, Notes>;
}

describe.skipIf(!isInstalled("node"))("the events", () => {
  let ours: Record<string, Notes>;
  let nodes: Record<string, Notes>;

  beforeAll(async () => {
    ours = await notesOf(process.execPath, join(root, "src", "node", "net.ts"));
    nodes = await notesOf(installedProgram("node"), "node:net");
  }, 100_000);

  test.each(Object.keys(scenarios))("%s", (name) => {
    expect(nodes[name]).not.toHaveProperty("runner");
    expect(ours[name]).toEqual(nodes[name]!);
  });

  test("nothing is uncaught or unhandled", () => {
    expect(ours.failures).toEqual({ failures: [] });
  });
});
