/** Writes the snippets of a page into a folder, for the compiler, and runs them there in their order. */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { peerPrograms } from "../../scripts/peers.ts";
import { isInstalled } from "./installed_program.ts";
import { SnippetProcess } from "./snippet_process.ts";
import { Rewiring } from "./snippet_rewiring.ts";
import { skippedStatus } from "./snippet_servers.ts";
import type { CommandStep, FileStep, ProgramStep, Snippets } from "./snippets.ts";

/** The names that a snippet has without an import. */
export interface Names {
  /** The exports of plait. */
  readonly api: readonly string[];
  /** What hidden code has besides: the exports of snippet_setting.ts. */
  readonly setting: readonly string[];
}

export interface PageOptions {
  /** The page's path in the repository. */
  readonly page: string;
  readonly snippets: Snippets;
  /** The snippets of pages whose files are there first. */
  readonly before: readonly Snippets[];
  /** The folder to run in, which is made. */
  readonly folder: string;
  /** The files that are copied into it. */
  readonly files: Readonly<Record<string, string>>;
  /** The environment of the programs. */
  readonly env: Readonly<Record<string, string>>;
  readonly names: Names;
  /** A block has so many milliseconds. */
  readonly bound?: number;
}

/** What a page's run has shown. */
export interface PageResult {
  readonly ran: number;
  /** A line for each block that was not run, with the reason. */
  readonly notRun: readonly string[];
  readonly failures: readonly string[];
}

const main = join(import.meta.dir, "snippet_main.ts");

export class SnippetPage {
  readonly #options: PageOptions;
  readonly #rewiring: Rewiring;
  readonly #notRun: string[] = [];
  readonly #failures: string[] = [];
  #ran = 0;
  /** A program that is not installed, and without which the rest of the page cannot run. */
  #lacking: string | undefined;
  #background: SnippetProcess[] = [];

  private constructor(options: PageOptions, rewiring: Rewiring) {
    this.#options = options;
    this.#rewiring = rewiring;
  }

  /** Writes the files and the programs of a page. */
  static async write(options: PageOptions): Promise<SnippetPage> {
    const { snippets, before, folder } = options;
    const texts = [...before, snippets].flatMap(({ steps }) => steps.flatMap(textsOf));
    const page = new SnippetPage(options, await Rewiring.of(texts));
    mkdirSync(folder, { recursive: true });
    for (const [name, from] of Object.entries(options.files))
      copyFileSync(from, join(folder, name));
    for (const { steps } of before)
      for (const step of steps) if (step.kind === "file") page.#write(step);
    // A program may stand before a file that it needs. So the first versions are there from the start.
    for (const step of [...snippets.steps].reverse()) if (step.kind === "file") page.#write(step);
    for (const step of snippets.steps) {
      if (step.kind === "program") writeFileSync(page.#pathOf(step), page.#moduleOf(step));
    }
    return page;
  }

  async run(): Promise<PageResult> {
    try {
      for (const step of this.#options.snippets.steps) {
        try {
          if (step.kind === "file") this.#write(step);
          else if (step.kind === "stop") await this.#stop();
          else if (step.notRun !== undefined) this.#notRun.push(this.#at(step, step.notRun));
          else {
            if (step.kind === "command") this.#lacking ??= lackingFor(step);
            if (this.#lacking !== undefined) {
              this.#notRun.push(this.#at(step, `${this.#lacking} is not installed`));
            } else if (step.kind === "program") await this.#runProgram(step);
            else await this.#runCommand(step);
          }
        } catch (error) {
          this.#failures.push(this.#at(step, this.#rewiring.original((error as Error).message)));
        }
      }
    } finally {
      await this.#stop();
    }
    return { ran: this.#ran, notRun: this.#notRun, failures: this.#failures };
  }

  async #runProgram(step: ProgramStep): Promise<void> {
    const stay = step.outputs.length > 0 ? ["--stay"] : [];
    await using child = this.#start([
      process.execPath,
      "--no-install",
      main,
      this.#pathOf(step),
      ...stay,
    ]);
    await (stay.length > 0 ? child.reachEnd() : child.exit());
    if (child.exitCode === skippedStatus) {
      this.#notRun.push(this.#at(step, child.output.trim()));
      return;
    }
    if (!child.hasEnded) throw new Error(`it does not come to its end:\n${child.output}`);
    await this.#expect(step, child);
    if (stay.length === 0 && child.exitCode !== 0) throw new Error(`it fails:\n${child.output}`);
    this.#ran++;
  }

  async #runCommand(step: CommandStep): Promise<void> {
    const child = this.#start(["/bin/sh", "-euc", this.#rewiring.command(step.text)]);
    if (step.background === undefined) {
      await using _ = child;
      await child.exit();
      if (!step.exits.some((exit) => exit === child.exitCode)) {
        throw new Error(
          `it ends with ${child.exitCode}, not ${step.exits.join(" or ")}:\n${child.output}`,
        );
      }
      await this.#expect(step, child);
    } else {
      this.#background.push(child);
      await child.printText(this.#rewiring.output(step.background));
      await this.#expect(step, child);
    }
    this.#ran++;
  }

  async #expect({ outputs }: ProgramStep | CommandStep, child: SnippetProcess): Promise<void> {
    for (const output of outputs) await child.printLines(this.#rewiring.output(output));
  }

  async #stop(): Promise<void> {
    for (const child of this.#background.splice(0)) await child[Symbol.asyncDispose]();
  }

  #start(command: readonly string[]): SnippetProcess {
    const { folder, env, bound = 30_000 } = this.#options;
    return new SnippetProcess({ command, cwd: folder, env, bound });
  }

  #at({ line }: { readonly line: number }, text: string): string {
    return `${this.#options.page}:${line}: ${text}`;
  }

  #write({ name, text }: FileStep): void {
    const path = join(this.#options.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, this.#rewiring.code(text));
  }

  #pathOf({ line }: ProgramStep): string {
    return join(this.#options.folder, `line-${line}.ts`);
  }

  #moduleOf({ parts }: ProgramStep): string {
    const text = parts
      .map(({ given, snippet, behind }) => `${given}\n${snippet}\n${behind}`)
      .join("");
    const shown = parts.map(({ snippet }) => snippet).join("");
    const hidden = parts.map(({ given, behind }) => `${given}\n${behind}`).join("\n");
    const { api, setting } = this.#options.names;
    const own = ownNames(text);
    // A program with imports is complete: only its hidden code has names without one.
    const implicit = /^import .* from "plait(\/\w+)*";$/m.test(shown) ? hidden : text;
    const plait = namesIn(implicit, api).filter((name) => !own.has(name));
    const further = namesIn(hidden, setting).filter((name) => !own.has(name));
    const imports = importOf(plait, "plait") + importOf(further, settingPath);
    return `${imports}\n${this.#rewiring.code(text)}\nexport {};\n`;
  }
}

const settingPath = join(import.meta.dir, "snippet_setting.ts");

/** A server or another program of the tests that a command needs, and that is not installed. */
function lackingFor({ text }: CommandStep): string | undefined {
  const programs = [...text.matchAll(/^[\w.-]+/gm)].map(([program]) => program);
  return programs.find((program) => peerPrograms.includes(program) && !isInstalled(program));
}

function textsOf(step: Snippets["steps"][number]): string[] {
  if (step.kind === "stop") return [];
  if (step.kind !== "program") return [step.text];
  return step.parts.flatMap(({ given, snippet, behind }) => [given, snippet, behind]);
}

function importOf(names: readonly string[], from: string): string {
  return names.length === 0 ? "" : `import { ${names.join(", ")} } from ${JSON.stringify(from)};`;
}

function namesIn(text: string, names: readonly string[]): string[] {
  return names.filter((name) => new RegExp(`(?<![.\\w])${name}\\b`).test(text));
}

/** The names that a module imports or declares. */
function ownNames(text: string): Set<string> {
  const declarations = text.matchAll(
    /^(?:export )?(?:const|let|class|(?:async )?function) (\w+)/gm,
  );
  const names = new Set([...declarations].map(([, name]) => name!));
  for (const [, clause] of text.matchAll(/^import (?:type )?([^"]*?) from "/gm)) {
    for (const [name] of clause!.replaceAll(/\w+ as /g, "").matchAll(/\w+/g)) names.add(name);
  }
  return names;
}

/** The names that a file exports by lists. */
export function exportedNames(path: string): string[] {
  const lists = readFileSync(path, "utf8").matchAll(/^export (?:type )?\{([^}]*)\}/gm);
  const names = [...lists].flatMap(([, list]) => list!.replaceAll(/\w+ as /g, "").match(/\w+/g)!);
  return names.filter((name) => name !== "type");
}
