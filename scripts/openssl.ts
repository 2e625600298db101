/**
 * Finds the OpenSSL that the core links statically.
 *
 * A pinned release is built from its source with Zig, once per machine. The result is kept in the user's
 * cache folder, under a name that says what it was built from and how. If that fails, the system's static
 * library is used instead.
 */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { homedir, hostname } from "node:os";
import { isAbsolute, join } from "node:path";
import {
  type BuildTarget,
  buildOpenssl,
  buildTarget,
  recipe,
  requireTools,
} from "./openssl_build.ts";
import { ensureTarball, type Release, releaseUrl } from "./openssl_source.ts";
import { systemOpenssl } from "./openssl_system.ts";
import { type Target, thisMachine } from "./targets.ts";

export interface OpensslLibrary {
  /** The folder that holds `openssl/ssl.h`. */
  include: string;
  ssl: string;
  crypto: string;
  version: string;
  origin: "built" | "system";
  /** A text that is another one for another build of this version. */
  identity: string;
  /** Names of further libraries that these two need, such as `z`; none if plait built them. */
  needs: string[];
  /** What it was built from, if plait built it. */
  source?: { url: string; sha256: string };
}

/** Accepted releases, the preferred one first. A newer patch release is one more line here. */
const releases: readonly Release[] = [
  {
    version: "3.5.7",
    sha256: "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8",
  },
];

/** Returns the library at once if this machine has it, and builds it otherwise. */
export function ensureOpenssl(zig: string): OpensslLibrary {
  const reasons: string[] = [];
  try {
    return opensslFor(zig, thisMachine());
  } catch (error) {
    reasons.push(reasonOf(error));
  }
  const system = systemOpenssl();
  if (system === undefined) {
    throw new Error(`${reasons.join("; ")}; nor is there a static OpenSSL 3 to link (libssl-dev)`);
  }
  console.error(`plait: ${reasons.join("; ")}; linking the system's OpenSSL ${system.version}`);
  return system;
}

/** OpenSSL from its source, for a platform. Throws if no release of it can be built. */
export function opensslFor(zig: string, target: Target): OpensslLibrary {
  const build = buildTarget(zig, target);
  const reasons: string[] = [];
  for (const release of releases) {
    try {
      return builtOpenssl(release, build);
    } catch (error) {
      reasons.push(`OpenSSL ${release.version}: ${reasonOf(error)}`);
    }
  }
  throw new Error(reasons.join("; "));
}

function builtOpenssl(release: Release, build: BuildTarget): OpensslLibrary {
  const cache = cacheFolder();
  const key = new Bun.CryptoHasher("sha256").update(recipe(build)).digest("hex").slice(0, 12);
  const { target, zigVersion } = build;
  const name = `openssl-${release.version}-${target.triple}-zig-${zigVersion}-${key}`;
  const folder = join(cache, name);
  if (!existsSync(folder)) {
    requireTools();
    withTemporaryFolder(cache, (temporary) => {
      const tarball = ensureTarball(release, cache, temporary);
      console.error(
        `plait: building OpenSSL ${release.version} for ${target.triple} (once per machine, about 80 s on two cores)`,
      );
      publish(buildOpenssl(tarball, build, temporary), folder);
    });
  }
  return {
    include: join(folder, "include"),
    ssl: join(folder, "libssl.a"),
    crypto: join(folder, "libcrypto.a"),
    version: release.version,
    origin: "built",
    identity: key,
    needs: [],
    source: { url: releaseUrl(release), sha256: release.sha256 },
  };
}

/** Moves a finished build to its place. If two set-ups have built the same, the first one is kept. */
function publish(finished: string, folder: string): void {
  try {
    renameSync(finished, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}

/** The folder of finished builds, which all checkouts share. */
export function cacheFolder(): string {
  const chosen = process.env.XDG_CACHE_HOME ?? "";
  const base = isAbsolute(chosen) ? chosen : join(homedir(), ".cache");
  return join(base, "plait");
}

/**
 * Unfinished work is kept in a folder of its own in the same file system, so that a rename finishes it.
 * The folder's name says which process owns it. The next set-up removes what an interrupted one has left.
 */
function withTemporaryFolder(cache: string, work: (folder: string) => void): void {
  const parent = join(cache, "temporary");
  mkdirSync(parent, { recursive: true });
  for (const name of readdirSync(parent)) {
    if (isAbandoned(join(parent, name), name)) removeFolder(join(parent, name));
  }
  const folder = mkdtempSync(join(parent, `${process.pid}@${hostname()}@`));
  try {
    work(folder);
  } finally {
    removeFolder(folder);
  }
}

/** A folder of another host, such as a container that shares the cache, is kept for a day. */
function isAbandoned(folder: string, name: string): boolean {
  const [pid, host] = name.split("@");
  try {
    if (host !== hostname()) return Date.now() - statSync(folder).mtimeMs > 86_400_000;
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

function removeFolder(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // A compiler whose make was interrupted may still write here. The next set-up removes the folder.
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
