/** Gets the source tarball of an OpenSSL release, from the first place that has it. */

import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { tarballFromDebian } from "./openssl_debian.ts";
import { runQuietly } from "./quiet_command.ts";

export interface Release {
  version: string;
  /** Of the release tarball, which upstream and Debian's source package share. */
  sha256: string;
}

/** A server that has not answered after this time counts as not reachable. */
const answerSeconds = 8;
const downloadSeconds = 300;

/** Returns the path of a tarball with the right checksum. */
export function ensureTarball(release: Release, cache: string, temporary: string): string {
  const kept = join(cache, `openssl-${release.version}.tar.gz`);
  if (existsSync(kept)) {
    if (hasChecksum(kept, release.sha256)) return kept;
    rmSync(kept);
  }
  console.error(`plait: fetching the source of OpenSSL ${release.version}`);
  for (const fetchFrom of [tarballFromUpstream, tarballFromDebian]) {
    const fetched = fetchFrom(release, temporary);
    if (fetched !== undefined && hasChecksum(fetched, release.sha256)) {
      renameSync(fetched, kept);
      return kept;
    }
  }
  throw new Error("its source cannot be fetched, neither upstream nor from Debian");
}

/** Where upstream has the tarball. */
export function releaseUrl({ version }: Release): string {
  const tag = `openssl-${version}`;
  return `https://github.com/openssl/openssl/releases/download/${tag}/${tag}.tar.gz`;
}

/** Runs the download in another Bun process, because this one runs synchronously. */
function tarballFromUpstream(release: Release, temporary: string): string | undefined {
  const url = releaseUrl(release);
  const path = join(temporary, "upstream.tar.gz");
  const program = `
    const [url, path] = process.argv.slice(-2);
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), ${answerSeconds * 1000});
    const response = await fetch(url, { signal: patience.signal });
    clearTimeout(timer);
    if (!response.ok) process.exit(1);
    await Bun.write(path, response);
  `;
  const { succeeded } = runQuietly([process.execPath, "-e", program, url, path], {
    timeoutSeconds: downloadSeconds,
  });
  return succeeded && existsSync(path) ? path : undefined;
}

function hasChecksum(path: string, sha256: string): boolean {
  return new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex") === sha256;
}
