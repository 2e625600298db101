// Compiles each C program with `zig cc` if its sources have changed.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ensureOpenssl } from "../../scripts/openssl.ts";
import { BENCH_FOLDER, BUILD_FOLDER, type NativeProgram, nativeProgram } from "./paths.ts";

const COMPILER_FLAGS = ["-O3", "-std=gnu11", "-Wall", "-Wextra", "-Werror"];

const LOAD_CLIENT = [
  "harness/bursts.h",
  "harness/client.h",
  "harness/histogram.h",
  "harness/process-cpu.h",
];

interface Recipe {
  // The first source is compiled, and includes the others.
  sources: [string, ...string[]];
  /** Whether it is linked with plait's OpenSSL. */
  usesTls?: boolean;
}

const RECIPES: Record<NativeProgram, Recipe> = {
  launch: { sources: ["harness/launch.c"] },
  "epoll-server": { sources: ["echo/epoll-server.c", "harness/server.h"] },
  load: { sources: ["echo/load.c", ...LOAD_CLIENT] },
  "tls-server": { sources: ["tls/server.c", "harness/server.h"], usesTls: true },
  "splice-proxy": { sources: ["proxy/splice-proxy.c"] },
  "tls-load": { sources: ["tls/load.c", ...LOAD_CLIENT], usesTls: true },
};

function findCompiler(): string {
  const installed = join(BENCH_FOLDER, "..", "node_modules", ".bin");
  const zig = Bun.which("zig", { PATH: `${installed}:${process.env.PATH ?? ""}` });
  if (zig === null) throw new Error("zig is neither installed here nor found through PATH");
  return zig;
}

/** The compiler's options for the OpenSSL that plait's set-up has found or built. */
function opensslFlags(): string[] {
  const { include, ssl, crypto, needs } = ensureOpenssl(findCompiler());
  return [`-I${include}`, ssl, crypto, ...needs.map((name) => `-l${name}`), "-lpthread", "-ldl"];
}

async function fingerprint(sources: string[], flags: string[]): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  hasher.update([...COMPILER_FLAGS, ...flags].join(" "));
  for (const source of sources) hasher.update(await Bun.file(join(BENCH_FOLDER, source)).bytes());
  return hasher.digest("hex");
}

async function compile(name: NativeProgram): Promise<void> {
  const { sources, usesTls = false } = RECIPES[name];
  const flags = usesTls ? opensslFlags() : [];
  const output = nativeProgram(name);
  const stamp = Bun.file(`${output}.sha256`);
  const wanted = await fingerprint(sources, flags);
  const isCurrent = (await Bun.file(output).exists()) && (await stamp.exists());
  if (isCurrent && (await stamp.text()) === wanted) return;

  const source = join(BENCH_FOLDER, sources[0]);
  const command = [findCompiler(), "cc", ...COMPILER_FLAGS, "-o", output, source, ...flags];
  const compiler = Bun.spawn(command, { stdin: "ignore", stdout: "inherit", stderr: "inherit" });
  if ((await compiler.exited) !== 0) throw new Error(`cannot compile ${sources[0]}`);
  await Bun.write(stamp, wanted);
}

export async function buildNativePrograms(): Promise<void> {
  await mkdir(BUILD_FOLDER, { recursive: true });
  for (const name of Object.keys(RECIPES) as NativeProgram[]) await compile(name);
}
