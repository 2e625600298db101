// The benchmark's folders, independent of the working directory.

import { join } from "node:path";

export const BENCH_FOLDER = join(import.meta.dir, "..");
export const BUILD_FOLDER = join(BENCH_FOLDER, ".build");

export type NativeProgram =
  | "launch"
  | "epoll-server"
  | "load"
  | "tls-server"
  | "tls-load"
  | "splice-proxy";

export function nativeProgram(name: NativeProgram): string {
  return join(BUILD_FOLDER, name);
}
