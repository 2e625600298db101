/** The packages of plait as tarballs, and projects that have installed them. */

import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { libraryPath } from "../../scripts/build.ts";
import { writeMainPackage } from "../../scripts/release/main_package.ts";
import { packageOf, thisMachine } from "../../scripts/targets.ts";
import { runAsUser } from "./run_as_user.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const bun = process.execPath;

export const nativeName = packageOf(thisMachine());

/** Packs the package in a folder into a tarball. */
export async function pack(from: string, tarball: string): Promise<void> {
  await runAsUser([bun, "pm", "pack", "--filename", tarball, "--quiet"], from);
}

// Each test file has its own modules, but all share the process.
const key = "PLAIT_TEST_PACKAGES";

/** The main package and that of this machine, packed, with a folder for what is made of them. */
export class Packed implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly #made: string;
  #count = 0;

  private constructor(made: string) {
    this.#made = made;
  }

  /** The packages are made on first use, and shared by all files of tests. */
  static async make(): Promise<Packed> {
    let folder = process.env[key];
    if (folder === undefined || !existsSync(folder)) {
      folder = new TemporaryFolder().path;
      process.env[key] = folder;
      await writeMainPackage(join(folder, "plait"), [thisMachine()]);
      await pack(join(folder, "plait"), join(folder, "main.tgz"));
      await pack(dirname(libraryPath), join(folder, "native.tgz"));
      mkdirSync(join(folder, "home"));
    }
    return new Packed(folder);
  }

  /** The folder of the main package, before it was packed. */
  get main(): string {
    return join(this.#made, "plait");
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
  get manifest() {
    return {
      name: "project",
      type: "module",
      dependencies: { plait: `file:${join(this.#made, "main.tgz")}` },
      // Otherwise a registry would be asked for it.
      overrides: { [nativeName]: `file:${join(this.#made, "native.tgz")}` },
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
    await runAsUser([bun, "install", ...options], path, { HOME: join(this.#made, "home") });
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
