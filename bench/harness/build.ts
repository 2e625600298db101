// Compiles the C programs with `zig cc`, each only when its sources have changed.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { BENCH_FOLDER, BUILD_FOLDER, type NativeProgram, nativeProgram } from "./paths.ts";

const COMPILER_FLAGS = ["-O3", "-std=gnu11", "-Wall", "-Wextra", "-Werror"];

// The first source is compiled, the others are what it includes.
const SOURCES: Record<NativeProgram, [string, ...string[]]> = {
  launch: ["harness/launch.c"],
  "epoll-server": ["echo/epoll-server.c"],
  load: ["echo/load.c", "echo/histogram.h", "echo/process-cpu.h"],
};

function findCompiler(): string {
  const installed = join(BENCH_FOLDER, "..", "node_modules", ".bin");
  const zig = Bun.which("zig", { PATH: `${installed}:${process.env.PATH ?? ""}` });
  if (zig === null) throw new Error("zig is neither installed here nor found through PATH");
  return zig;
}

async function fingerprint(sources: string[]): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  hasher.update(COMPILER_FLAGS.join(" "));
  for (const source of sources) hasher.update(await Bun.file(join(BENCH_FOLDER, source)).bytes());
  return hasher.digest("hex");
}

async function compile(name: NativeProgram): Promise<void> {
  const sources = SOURCES[name];
  const output = nativeProgram(name);
  const stamp = Bun.file(`${output}.sha256`);
  const wanted = await fingerprint(sources);
  const isCurrent = (await Bun.file(output).exists()) && (await stamp.exists());
  if (isCurrent && (await stamp.text()) === wanted) return;

  const source = join(BENCH_FOLDER, sources[0]);
  const compiler = Bun.spawn([findCompiler(), "cc", ...COMPILER_FLAGS, "-o", output, source], {
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  if ((await compiler.exited) !== 0) throw new Error(`cannot compile ${sources[0]}`);
  await Bun.write(stamp, wanted);
}

export async function buildNativePrograms(): Promise<void> {
  await mkdir(BUILD_FOLDER, { recursive: true });
  for (const name of Object.keys(SOURCES) as NativeProgram[]) await compile(name);
}
