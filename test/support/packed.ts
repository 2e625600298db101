/** The packages of plait as tarballs, and projects that have installed them. */

import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { libraryPath } from "../../scripts/build.ts";
import { writeMainPackage } from "../../scripts/release/main_package.ts";
import { packageOf, thisMachine } from "../../scripts/targets.ts";
import { runAsUser } from "./run_as_user.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const bun = process.execPath;

export const nativeName = packageOf(thisMachine());

/** Packs the package in a folder into a tarball, and returns its path. */
export async function pack(from: string, to: string): Promise<string> {
  mkdirSync(to);
  await runAsUser([bun, "pm", "pack", "--destination", to, "--quiet"], from);
  return join(to, readdirSync(to)[0]!);
}

/** The main package and that of this machine, packed, with a folder for what is made of them. */
export class Packed implements Disposable {
  readonly #folder: TemporaryFolder;
  readonly #tarballs: { readonly main: string; readonly native: string };
  #count = 0;

  private constructor(folder: TemporaryFolder, tarballs: { main: string; native: string }) {
    this.#folder = folder;
    this.#tarballs = tarballs;
  }

  static async make(): Promise<Packed> {
    const folder = new TemporaryFolder();
    await writeMainPackage(folder.file("plait"), [thisMachine()]);
    mkdirSync(folder.file("home"));
    return new Packed(folder, {
      main: await pack(folder.file("plait"), folder.file("main-tarball")),
      native: await pack(dirname(libraryPath), folder.file("native-tarball")),
    });
  }

  /** The folder of the main package, before it was packed. */
  get main(): string {
    return this.#folder.file("plait");
  }

  /** A new path in the folder. */
  path(name: string): string {
    return this.#folder.file(`${name}-${this.#count++}`);
  }

  /** A new, empty folder. */
  emptyFolder(): string {
    const path = this.path("empty");
    mkdirSync(path);
    return path;
  }

  /** What `package.json` of a project has that installs plait from the tarballs. */
  get manifest(): object {
    return {
      name: "project",
      type: "module",
      dependencies: { plait: `file:${this.#tarballs.main}` },
      // Otherwise a registry would be asked for it.
      overrides: { [nativeName]: `file:${this.#tarballs.native}` },
    };
  }

  /** A project with plait, in which `program.ts` is the program. */
  async project(program: string, ...options: string[]): Promise<string> {
    const path = this.emptyFolder();
    writeFileSync(join(path, "package.json"), JSON.stringify(this.manifest));
    writeFileSync(join(path, "program.ts"), program);
    await this.install(path, ...options);
    return path;
  }

  /** `bun install`, with a home that has no settings and no cache. */
  async install(path: string, ...options: string[]): Promise<void> {
    await runAsUser([bun, "install", ...options], path, { HOME: this.#folder.file("home") });
  }

  /** A copy of a project. */
  copy(project: string): string {
    const path = this.path("copy");
    cpSync(project, path, { recursive: true, verbatimSymlinks: true });
    return path;
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
