/** Compiles OpenSSL's two static libraries from a tarball, with Zig as the C compiler. */

import { chmodSync, cpSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Outcome, runQuietly } from "./quiet_command.ts";
import type { Target } from "./targets.ts";

export interface BuildTarget {
  zig: string;
  zigVersion: string;
  target: Target;
}

/**
 * Keeps what TLS over a stream needs: TLS 1.2 and 1.3, resumption, ML-KEM and ML-DSA, CRLs, PKCS#12. Code that is
 * left out cannot be attacked. Most vulnerabilities that were found in 3.5.7 are in QUIC, DTLS, CMS and CMP.
 */
const configureOptions = [
  // Only the two static libraries are built. They are compiled once, so dependency files are not needed.
  ["no-shared", "no-apps", "no-tests", "no-docs", "no-makedepend"],
  // Nothing is loaded at run time. Without the legacy provider, old PKCS#12 files with RC2 or RC4 are not read.
  ["no-engine", "no-legacy", "no-dso", "no-module"],
  // The system's openssl.cnf is written for the system's version, and may name its modules.
  ["no-autoload-config"],
  // Threads of Workers may still run at exit, and would use memory that an exit handler has freed.
  ["no-atexit"],
  // A key file with a pass phrase must fail. It must not stop the process with a prompt on its terminal.
  ["no-ui-console"],
  // Error messages must not contain this machine's paths.
  ["no-filenames"],
  // Not needed: coroutines for hardware engines, and threads for Argon2 and QUIC.
  ["no-async", "no-thread-pool"],
  // Not needed: transports other than a stream.
  ["no-dtls", "no-srtp", "no-quic"],
  // Versions of TLS that plait does not speak.
  ["no-ssl3", "no-ssl3-method", "no-tls1", "no-tls1-method", "no-tls1_1", "no-tls1_1-method"],
  // Parts of TLS that are broken or withdrawn: compression, SRP, NPN, and the suites that do not encrypt.
  ["no-comp", "no-srp", "no-nextprotoneg", "no-integrity-only-ciphers"],
  // Parts of TLS for which plait has no option: keys that were agreed on before, stapled answers of OCSP, proofs of
  // certificate transparency.
  ["no-psk", "no-ocsp", "no-ct"],
  // Not needed: signed mail, certificate enrolment, time stamps, address blocks in certificates, downloads.
  ["no-cms", "no-cmp", "no-ts", "no-rfc3779", "no-http"],
  // Ciphers that no default suite uses.
  ["no-aria", "no-camellia", "no-seed", "no-idea", "no-bf", "no-cast", "no-rc2", "no-rc4"],
  ["no-ocb", "no-siv", "no-sm4", "no-gost"],
  // Hashes that neither TLS nor certificates of the public web use.
  ["no-md4", "no-mdc2", "no-rmd160", "no-whirlpool", "no-blake2", "no-siphash", "no-sm3"],
  // Keys that TLS 1.3 dropped or never had, and that certificate authorities do not sign.
  ["no-dsa", "no-ec2m", "no-sm2", "no-slh-dsa"],
  // P-384 and P-521 in 64-bit arithmetic: signing takes a quarter of the time or less.
  ["enable-ec_nistp_64_gcc_128"],
  // OpenSSL's default folders. The core sets the trust store itself.
  ["--prefix=/usr", "--libdir=lib", "--openssldir=/etc/ssl"],
].flat();

const compilerFlags = [
  // Without this, Zig emits debug information with this machine's paths in it.
  "-g0",
  // The linker then takes only the functions that are used.
  "-ffunction-sections",
  "-fdata-sections",
  // Nothing unwinds through OpenSSL, and a debugger follows the frame pointers. The tables are 7 % of the library.
  "-fno-asynchronous-unwind-tables",
  "-fno-unwind-tables",
  // A program sees only the core's interface. The linker hides the assembly, which ignores this flag.
  "-fvisibility=hidden",
];

/** Perl modules that OpenSSL's scripts load and that are not in Debian's perl-base. */
const perlModules = [
  ...["FindBin", "File::Compare", "File::Copy", "Getopt::Std"],
  ...["IPC::Cmd", "Pod::Usage", "Storable", "Time::Piece"],
];

/** Throws, with a reason for the user, if the compiler does not run. */
export function buildTarget(zig: string, target: Target): BuildTarget {
  const { succeeded, output, complaint } = runQuietly([zig, "version"], { timeoutSeconds: 60 });
  if (!succeeded) throw new Error(`zig does not run: ${lastLineOf(complaint)}`);
  return { zig, zigVersion: output.trim(), target };
}

/** A text that changes with everything that changes the library. */
export function recipe({ zigVersion, target: { triple, openssl } }: BuildTarget): string {
  return [zigVersion, triple, openssl, ...configureOptions, ...compilerFlags].join("\n");
}

/** Returns a folder within `temporary` that has the finished headers and libraries. */
export function buildOpenssl(tarball: string, build: BuildTarget, temporary: string): string {
  const source = join(temporary, "source");
  const environment = buildEnvironment(build, temporary);
  mkdirSync(source);
  // Two thirds of the tarball are tests.
  const unwanted = ["test", "demos"].map((name) => `--exclude=openssl-*.*.*/${name}`);
  const unpack = ["tar", "-xzf", tarball, "-C", source, "--strip-components=1", ...unwanted];
  expectSuccess("tar", runQuietly(unpack, { environment }));
  const configure = [
    ...["perl", "Configure", build.target.openssl, ...configureOptions, ...compilerFlags],
    ...["CC=plait-cc", "AR=plait-ar", "RANLIB=plait-ranlib"],
  ];
  expectSuccess("Configure", runQuietly(configure, { cwd: source, environment }));
  const make = ["make", "-s", `-j${availableParallelism()}`, "build_libs"];
  expectSuccess("make", runQuietly(make, { cwd: source, environment }));

  const finished = join(temporary, "finished");
  const headers = join(finished, "include", "openssl");
  mkdirSync(headers, { recursive: true });
  cpSync(join(source, "include", "openssl"), headers, {
    recursive: true,
    filter: (path) => !path.endsWith(".in"),
  });
  for (const name of ["libssl.a", "libcrypto.a", "LICENSE.txt"]) {
    renameSync(join(source, name), join(finished, name));
  }
  return finished;
}

/** Links to the commands under short names: no path gets into the library, or is split at a space. */
function buildEnvironment({ zig, target }: BuildTarget, temporary: string) {
  const commands = join(temporary, "commands");
  mkdirSync(commands);
  const program = `'${zig.replaceAll("'", "'\\''")}'`;
  const wrappers = {
    "plait-cc": `cc -target ${target.triple}`,
    "plait-ar": "ar",
    "plait-ranlib": "ranlib",
  };
  for (const [name, words] of Object.entries(wrappers)) {
    writeFileSync(join(commands, name), `#!/bin/sh\nexec ${program} ${words} "$@"\n`);
    chmodSync(join(commands, name), 0o755);
  }
  // The user's CFLAGS, MAKEFLAGS and the like are meant for other programs.
  const { HOME, TMPDIR, XDG_CACHE_HOME, ZIG_GLOBAL_CACHE_DIR, ZIG_LIB_DIR } = process.env;
  return {
    ...{ HOME, TMPDIR, XDG_CACHE_HOME, ZIG_GLOBAL_CACHE_DIR, ZIG_LIB_DIR },
    PATH: `${commands}:${process.env.PATH}`,
    ZIG_LOCAL_CACHE_DIR: join(temporary, "zig"),
    // The library contains the time of its build. With a fixed time every machine makes the same bytes.
    SOURCE_DATE_EPOCH: "1",
  };
}

/** Throws if this machine lacks a program that the build needs. Called before anything is downloaded. */
export function requireTools(): void {
  const missing = ["perl", "make", "tar"].filter((name) => Bun.which(name) === null);
  if (missing.length > 0) throw new Error(`building it takes ${missing.join(" and ")}`);
  const check = ["perl", ...perlModules.map((name) => `-M${name}`), "-e", "1"];
  if (!runQuietly(check).succeeded) {
    throw new Error("building it takes all of Perl's standard modules (Debian's package perl)");
  }
}

function expectSuccess(step: string, { succeeded, output, complaint }: Outcome): void {
  if (succeeded) return;
  const lines = `${output}\n${complaint}`.split("\n");
  // Of several hundred lines, the compiler's first error says most.
  const telling = lines.find((line) => /\berror\b|can't|cannot|no space/i.test(line));
  throw new Error(`${step} failed: ${(telling ?? lastLineOf(complaint)).trim()}`);
}

function lastLineOf(text: string): string {
  return text.trim().split("\n").at(-1) || "it says nothing";
}
