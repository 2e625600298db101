/** Finds the static OpenSSL 3 that the system's development package has installed. */

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { OpensslLibrary } from "./openssl.ts";
import { runQuietly } from "./quiet_command.ts";

const multiarch = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;

/** The folders in which compilers look by default, and those of Homebrew. */
const wellKnown = [
  ["/usr/include", `/usr/lib/${multiarch}`],
  ["/usr/include", "/usr/lib64"],
  ["/usr/include", "/usr/lib"],
  ["/usr/local/include", "/usr/local/lib64"],
  ["/usr/local/include", "/usr/local/lib"],
  ["/opt/homebrew/opt/openssl@3/include", "/opt/homebrew/opt/openssl@3/lib"],
  ["/usr/local/opt/openssl@3/include", "/usr/local/opt/openssl@3/lib"],
] as const;

export function systemOpenssl(): OpensslLibrary | undefined {
  const told = [
    packageConfig("--variable=includedir"),
    packageConfig("--variable=libdir"),
  ] as const;
  for (const [include, folder] of told.includes("") ? wellKnown : [told, ...wellKnown]) {
    const ssl = join(folder, "libssl.a");
    const crypto = join(folder, "libcrypto.a");
    const version = versionOf(join(include, "openssl", "opensslv.h"));
    if (version?.startsWith("3.") && existsSync(ssl) && existsSync(crypto)) {
      const identity = `${ssl} ${statSync(ssl).mtimeMs}`;
      const needs = furtherLibraries();
      return { include, ssl, crypto, version, origin: "system", identity, needs };
    }
  }
  return undefined;
}

/** A distribution may have built OpenSSL with compression. A static link must name its libraries too. */
function furtherLibraries(): string[] {
  const own = ["ssl", "crypto", "dl", "pthread"];
  return packageConfig("--static", "--libs-only-l")
    .split(/\s+/)
    .map((flag) => flag.replace(/^-l/, ""))
    .filter((name) => name !== "" && !name.startsWith("-") && !own.includes(name));
}

function packageConfig(...options: string[]): string {
  return runQuietly(["pkg-config", ...options, "libssl"]).output.trim();
}

function versionOf(header: string): string | undefined {
  if (!existsSync(header)) return undefined;
  const text = readFileSync(header, "utf8");
  return /define\s+OPENSSL_VERSION_STR\s+"([^"]+)"/.exec(text)?.[1];
}
