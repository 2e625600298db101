/**
 * Gets OpenSSL's tarball from Debian's source package with apt alone.
 *
 * The machine's own lists say where its Debian archive is and which keys sign it. A private list
 * names the same archive, with the sources of the suite that has OpenSSL 3.5. Every folder that
 * apt writes to is private too. So this needs no root, and the machine's apt stays as it was.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Release } from "./openssl_source.ts";
import { runQuietly } from "./quiet_command.ts";

/** The suite whose package is OpenSSL 3.5, with its updates and security fixes. */
const suite = "trixie";

/** One entry of the machine's lists: the fields of a deb822 stanza, their names in lower case. */
type Fields = Map<string, string>;

/** Returns the tarball as apt has left it. The caller compares the checksum. */
export function tarballFromDebian(release: Release, temporary: string): string | undefined {
  if (Bun.which("apt-get") === null || Bun.which("apt-cache") === null) return undefined;
  const sources = sourcesOfSuite();
  if (sources === "") return undefined;
  const folder = join(temporary, "apt");
  const downloads = join(folder, "downloads");
  for (const name of ["lists/partial", "cache/archives/partial", "downloads"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  writeFileSync(join(folder, "plait.sources"), sources);
  const settings = join(folder, "apt.conf");
  writeFileSync(settings, privateSettings(folder));

  // One archive of several may fail. The others may still have the package.
  runQuietly(["apt-get", "-c", settings, "update"], { timeoutSeconds: 120 });
  for (const { version, file } of packagesOf(release, settings)) {
    // A mirror may have the tarball but lack the package's other files, for which apt fails.
    runQuietly(
      ["apt-get", "-c", settings, "source", "--download-only", "--tar-only", `openssl=${version}`],
      { cwd: downloads, timeoutSeconds: 300 },
    );
    if (existsSync(join(downloads, file))) return join(downloads, file);
  }
  return undefined;
}

/** Settings that apt reads after the machine's own, so that proxies and the like stay in effect. */
function privateSettings(folder: string): string {
  return [
    // The machine's hooks would clean its package cache or notify its desktop.
    "#clear APT::Update;",
    `Dir::State::Lists "${folder}/lists";`,
    `Dir::Cache "${folder}/cache";`,
    `Dir::Etc::SourceList "${folder}/plait.sources";`,
    'Dir::Etc::SourceParts "/dev/null";',
    'Acquire::Languages "none";',
    'Acquire::Retries "1";',
    'Acquire::http::Timeout "10";',
    'Acquire::https::Timeout "10";',
    // apt would change to a user who cannot enter a folder that is private to root.
    'APT::Sandbox::User "root";',
    "",
  ].join("\n");
}

/** The source packages that contain exactly this tarball, the last listed first. */
function packagesOf(release: Release, settings: string): { version: string; file: string }[] {
  const { output } = runQuietly(["apt-cache", "-c", settings, "showsrc", "openssl"]);
  return stanzasOf(output)
    .flatMap((fields) => {
      const version = fields.get("version");
      const checksums = (fields.get("checksums-sha256") ?? "").split("\n");
      const row = checksums
        .map((line) => line.trim().split(/\s+/))
        .find(([sha256]) => {
          return sha256 === release.sha256;
        });
      const file = row?.[2];
      return version === undefined || file === undefined ? [] : [{ version, file }];
    })
    .reverse();
}

/** The machine's Debian archives as a list of the wanted suite's sources; empty if it has none. */
function sourcesOfSuite(): string {
  const stanzas = machineEntries().flatMap((entry) => {
    const suites = wordsOf(entry.get("suites")).flatMap(sameKindOfSuite);
    const uris = wordsOf(entry.get("uris")).filter((uri) => !uri.startsWith("cdrom:"));
    const isDebian = wordsOf(entry.get("components")).includes("main");
    const isEnabled = !/^(no|false|off|0|without|disable)$/i.test(entry.get("enabled") ?? "yes");
    if (suites.length === 0 || uris.length === 0 || !isDebian || !isEnabled) return [];
    const lines = [
      "Types: deb-src",
      `URIs: ${uris.join(" ")}`,
      `Suites: ${suites.join(" ")}`,
      "Components: main",
    ];
    const keys = entry.get("signed-by");
    if (keys !== undefined) lines.push(`Signed-By: ${keys}`);
    return [`${lines.join("\n")}\n`];
  });
  return [...new Set(stanzas)].join("\n");
}

/** Maps a suite of the machine to the wanted one: `bookworm-security` to `trixie-security`. Others are left out. */
function sameKindOfSuite(name: string): string[] {
  const codename = /^VERSION_CODENAME="?(\w+)"?$/m.exec(textOf("/etc/os-release"))?.[1];
  const [, base, kind] = /^([a-z]+)(-updates|-security)?$/.exec(name) ?? [];
  const names = [suite, codename, "oldstable", "stable", "testing", "unstable", "sid"];
  return base !== undefined && names.includes(base) ? [`${suite}${kind ?? ""}`] : [];
}

function machineEntries(): Fields[] {
  const folder = "/etc/apt/sources.list.d";
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  const paths = ["/etc/apt/sources.list", ...names.map((name) => join(folder, name))];
  return paths.flatMap((path) => {
    if (path.endsWith(".sources")) return stanzasOf(textOf(path));
    if (path.endsWith(".list")) return oneLineEntriesOf(textOf(path));
    return [];
  });
}

/** Reads `deb [signed-by=/usr/share/...] http://... bookworm main`. */
function oneLineEntriesOf(text: string): Fields[] {
  return text.split("\n").flatMap((line) => {
    const entry = /^\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (entry === null) return [];
    const [, options, uri = "", entrySuite = "", components = ""] = entry;
    const fields: Fields = new Map([
      ["uris", uri],
      ["suites", entrySuite],
      ["components", components],
    ]);
    const keys = /(?:^|\s)signed-by=(\S+)/i.exec(options ?? "")?.[1];
    if (keys !== undefined) fields.set("signed-by", keys);
    return [fields];
  });
}

/** Reads Debian's control format; a value keeps its continuation lines, such as an inline key. */
function stanzasOf(text: string): Fields[] {
  const stanzas: Fields[] = [];
  let fields: Fields = new Map();
  let last = "";
  for (const line of [...text.split("\n"), ""]) {
    if (line.startsWith("#")) continue;
    const field = /^([^\s:]+):\s*(.*)$/.exec(line);
    if (line.trim() === "") {
      if (fields.size > 0) stanzas.push(fields);
      fields = new Map();
    } else if (field !== null) {
      last = field[1]!.toLowerCase();
      fields.set(last, field[2]!);
    } else {
      fields.set(last, `${fields.get(last) ?? ""}\n${line}`);
    }
  }
  return stanzas;
}

function wordsOf(value: string | undefined): string[] {
  return (value ?? "").split(/\s+/).filter((word) => word !== "");
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
