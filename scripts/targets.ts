/** The platforms that plait is released for. */

import { nativePackageName } from "../src/core/library.ts";

export interface Target {
  /** The name of the native package, behind `plait-`. */
  readonly name: string;
  /** As people say it. */
  readonly title: string;
  /** Zig's name for it, with the oldest C library or system that is supported. */
  readonly triple: string;
  /** OpenSSL's name for it. */
  readonly openssl: string;
  /** As package.json has them. */
  readonly os: "linux" | "darwin" | "freebsd";
  readonly cpu: "x64" | "arm64";
  readonly libc?: "glibc" | "musl";
}

/** glibc 2.17 is of 2012. Bun 1.4 itself needs macOS 13, and FreeBSD 14. */
export const targets: readonly Target[] = [
  {
    name: "linux-x64",
    title: "Linux (glibc) on x64",
    triple: "x86_64-linux-gnu.2.17",
    openssl: "linux-x86_64",
    os: "linux",
    cpu: "x64",
    libc: "glibc",
  },
  {
    name: "linux-arm64",
    title: "Linux (glibc) on arm64",
    triple: "aarch64-linux-gnu.2.17",
    openssl: "linux-aarch64",
    os: "linux",
    cpu: "arm64",
    libc: "glibc",
  },
  {
    name: "linux-x64-musl",
    title: "Linux (musl) on x64",
    triple: "x86_64-linux-musl",
    openssl: "linux-x86_64",
    os: "linux",
    cpu: "x64",
    libc: "musl",
  },
  {
    name: "linux-arm64-musl",
    title: "Linux (musl) on arm64",
    triple: "aarch64-linux-musl",
    openssl: "linux-aarch64",
    os: "linux",
    cpu: "arm64",
    libc: "musl",
  },
  {
    name: "darwin-x64",
    title: "macOS on x64",
    triple: "x86_64-macos.13.0",
    openssl: "darwin64-x86_64",
    os: "darwin",
    cpu: "x64",
  },
  {
    name: "darwin-arm64",
    title: "macOS on arm64",
    triple: "aarch64-macos.13.0",
    openssl: "darwin64-arm64",
    os: "darwin",
    cpu: "arm64",
  },
  {
    name: "freebsd-x64",
    title: "FreeBSD on x64",
    triple: "x86_64-freebsd.14.0",
    openssl: "BSD-x86_64",
    os: "freebsd",
    cpu: "x64",
  },
];

/** The native package of a platform. */
export function packageOf({ name }: Target): string {
  return `plait-${name}`;
}

/** The oldest version of macOS for a platform of it, such as "13.0". */
export function oldestMacOs({ triple }: Target): string {
  return triple.split("macos.")[1]!;
}

/** The platforms with these names. Throws for a name that none has. */
export function targetsNamed(names: readonly string[]): Target[] {
  const unknown = names.filter((name) => !targets.some((target) => target.name === name));
  if (unknown.length > 0) throw new Error(`plait: no platform is called ${unknown.join(", ")}`);
  return targets.filter(({ name }) => names.includes(name));
}

/** The file of the core's library on a platform. */
export function libraryFile({ os }: Target): string {
  return os === "darwin" ? "libplait.dylib" : "libplait.so";
}

/** The platform of this machine. Throws if plait is not released for it. */
export function thisMachine(): Target {
  const name = nativePackageName();
  const found = targets.find((target) => packageOf(target) === name);
  if (found === undefined) {
    throw new Error(`plait is not released for ${process.platform} ${process.arch}`);
  }
  return found;
}
