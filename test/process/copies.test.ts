/** Several installed copies of plait in one process, as packages bring them that need different versions. */

import { expect, test } from "bun:test";
import { cpSync, linkSync, mkdirSync, unlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { libraryPath, root } from "../../scripts/build.ts";
import { packageOf, thisMachine } from "../../scripts/targets.ts";
import { runCommand } from "../support/run_command.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const native = packageOf(thisMachine());

/** A folder with the sources, and with the native package below it if it has its own. */
function copyInto(folder: string, hasOwnLibrary: boolean): void {
  for (const name of ["index.ts", "package.json", "src"]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  const from = dirname(libraryPath);
  if (hasOwnLibrary) cpSync(from, join(folder, "node_modules", native), { recursive: true });
}

const program = `
  import * as first from "./first/index.ts";
  import * as second from "./second/index.ts";

  async function echo({ connect, deadline, listen }: typeof first): Promise<string> {
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      for await (const chunk of socket) await socket.write(chunk);
    });
    using socket = await connect({ host: "127.0.0.1", port: listener.port });
    await socket.write("echo");
    return String(Buffer.from((await socket.next(deadline(5000)))!));
  }

  const copies = [first, second as unknown as typeof first];
  for (const copy of [...copies, ...copies]) console.log(await echo(copy));
  console.log((await Promise.all(copies.map(echo))).join(" "));
  console.log(copies.map(({ stats }) => stats().accepted).join(" "));
  for (const { block, sleep } of copies) block(() => sleep(1));
  console.log(first.connect === second.connect);
`;

test("have a scheduler each, and work side by side", async () => {
  using folder = new TemporaryFolder();
  for (const name of ["first", "second"]) copyInto(folder.file(name), true);
  writeFileSync(folder.file("program.ts"), program);
  const { text, stderr } = await runCommand([process.execPath, folder.file("program.ts")]);
  expect(`${text}${stderr}`.trim().split("\n")).toEqual([
    ...["echo", "echo", "echo", "echo", "echo echo", "3 3", "false"],
  ]);
}, 20_000);

test("with links to one file are refused too, since it is loaded once", async () => {
  using folder = new TemporaryFolder();
  for (const name of ["first", "second"]) copyInto(folder.file(name), true);
  // As package managers link a file of their cache.
  const [file, link] = ["first", "second"].map((name) =>
    folder.file(join(name, "node_modules", native, basename(libraryPath))),
  );
  unlinkSync(link!);
  linkSync(file!, link!);
  writeFileSync(folder.file("program.ts"), program);
  const { stderr, exitCode } = await runCommand([process.execPath, folder.file("program.ts")]);
  expect(stderr).toContain("plait is loaded twice in this thread, from ");
  expect(exitCode).toBe(1);
}, 20_000);

test("that share one library are refused, since a library has one scheduler for a thread", async () => {
  using folder = new TemporaryFolder();
  for (const name of ["first", "second"]) copyInto(folder.file(name), false);
  mkdirSync(folder.file("node_modules"));
  cpSync(dirname(libraryPath), folder.file(join("node_modules", native)), { recursive: true });
  writeFileSync(folder.file("program.ts"), program);
  const { stderr, exitCode } = await runCommand([process.execPath, folder.file("program.ts")]);
  expect(stderr).toContain("plait is loaded twice in this thread, from ");
  expect(exitCode).toBe(1);
}, 20_000);
