// The cost of an import: time, processor time and memory of a process that imports a module and ends.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { libraryPath, root } from "../../scripts/build.ts";
import { writeMainPackage } from "../../scripts/release/main_package.ts";
import { packageOf, thisMachine } from "../../scripts/targets.ts";
import type { BenchOptions } from "../harness/options.ts";
import { fixed, median } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";

/** What is imported. The first one is what the others are compared with. */
const imports: readonly (readonly [title: string, text: string])[] = [
  ["nothing", ""],
  ["node:net", 'import net from "node:net"; net.Socket;'],
  ["plait", 'import { connect } from "plait"; connect;'],
  ["plait/net", 'import net from "plait/net"; net.Socket;'],
  ["plait/drivers", 'import { postgres } from "plait/drivers"; postgres;'],
  ["plait/load", 'import { load } from "plait/load"; load;'],
  [
    "plait, from the sources",
    `import { connect } from ${JSON.stringify(join(root, "index.ts"))}; connect;`,
  ],
];

/** Those that are compiled too, without and with bytecode. */
const compiled = ["nothing", "node:net", "plait"];

interface Contender {
  readonly title: string;
  readonly command: string[];
  readonly milliseconds: number[];
  readonly cpuMilliseconds: number[];
  readonly megabytes: number[];
}

export async function runImport(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 5 : 41;
  const folder = mkdtempSync(join(tmpdir(), "plait-import-"));
  try {
    const contenders = await prepare(folder, !options.quick);
    console.log(`\nImport, in a process of its own, medians of ${rounds}`);
    // They take turns, so that what else the machine does meets all of them.
    for (let round = -1; round < rounds; round++) {
      for (const contender of contenders) measure(contender, folder, round >= 0);
    }
    const [empty] = contenders as [Contender, ...Contender[]];
    const more = (each: Contender, which: "milliseconds" | "cpuMilliseconds" | "megabytes") =>
      fixed(median(each[which]) - median(empty[which]), 1);
    printTable(
      ["", "ms", "CPU ms", "MB", "more ms", "more CPU ms", "more MB"],
      contenders.map((each) => [
        each.title,
        ...[each.milliseconds, each.cpuMilliseconds, each.megabytes].map((all) =>
          fixed(median(all), 1),
        ),
        ...[more(each, "milliseconds"), more(each, "cpuMilliseconds"), more(each, "megabytes")],
      ]),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A project with the package as users have it, and a program for each import. */
async function prepare(folder: string, compiles: boolean): Promise<Contender[]> {
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  await writeMainPackage(join(modules, "plait"), [thisMachine()]);
  cpSync(dirname(libraryPath), join(modules, packageOf(thisMachine())), { recursive: true });
  const contenders = imports.map(([title, text], index) => {
    const path = join(folder, `${index}.js`);
    writeFileSync(path, `${text}\nconsole.log(process.memoryUsage.rss());\n`);
    return contender(title, [process.execPath, path]);
  });
  if (!compiles) return contenders;
  for (const options of [[], ["--bytecode"]]) {
    for (const title of compiled) {
      const path = contenders.find((each) => each.title === title)!.command[1]!;
      const kind = ["compiled", ...options].join(" ");
      const executable = join(folder, `${contenders.length}`);
      const command = ["build", "--compile", ...options, path, "--outfile", executable];
      const { exitCode, stderr } = Bun.spawnSync([process.execPath, ...command], { cwd: folder });
      if (exitCode !== 0) throw new Error(`bun build: ${stderr.toString()}`);
      contenders.push(contender(`${title}, ${kind}`, [executable]));
    }
  }
  return contenders;
}

function contender(title: string, command: string[]): Contender {
  return { title, command, milliseconds: [], cpuMilliseconds: [], megabytes: [] };
}

function measure(contender: Contender, cwd: string, counts: boolean): void {
  const { PLAIT_LIBRARY: _, ...env } = process.env;
  const started = performance.now();
  const { exitCode, stdout, stderr, resourceUsage } = Bun.spawnSync(contender.command, {
    cwd,
    env,
    stdin: "ignore",
  });
  const ended = performance.now();
  if (exitCode !== 0) throw new Error(`${contender.title}: ${stderr.toString()}`);
  if (!counts) return;
  contender.milliseconds.push(ended - started);
  contender.cpuMilliseconds.push(Number(resourceUsage.cpuTime.total) / 1000);
  contender.megabytes.push(Number(stdout.toString()) / 1e6);
}
