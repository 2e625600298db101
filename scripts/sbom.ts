/**
 * The software bill of materials of a package, in CycloneDX 1.6. The same build makes the same bytes: there is no time
 * in it, and its number is a hash of the rest.
 */

import type { OpensslLibrary } from "./openssl.ts";

interface Hash {
  readonly alg: "SHA-256";
  readonly content: string;
}

interface Component {
  readonly type: "library" | "application";
  readonly "bom-ref": string;
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly scope?: "required" | "optional" | "excluded";
  readonly hashes?: readonly Hash[];
  readonly licenses: readonly [{ readonly expression: string }];
  readonly cpe?: string;
  readonly purl: string;
  readonly externalReferences?: readonly {
    readonly type: "source-distribution";
    readonly url: string;
    readonly hashes: readonly Hash[];
  }[];
}

export interface PackageName {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** Of a native package: OpenSSL, which is in the library, and Zig, which compiled both and whose runtime is in it. */
export function nativeBill(
  own: PackageName,
  description: string,
  openssl: OpensslLibrary,
  zigVersion: string,
): string {
  const zig: Component = {
    ...{ type: "application", "bom-ref": "zig", name: "zig", version: zigVersion },
    description: "The compiler, of the core and of OpenSSL",
    scope: "excluded",
    licenses: [{ expression: "MIT" }],
    purl: `pkg:generic/zig@${zigVersion}`,
  };
  return bill({ ...npmComponent(own), description }, [opensslComponent(openssl), zig]);
}

/** Of the main package, whose native packages have the given tarballs, and which has files of the bundled packages in it. */
export function mainBill(
  own: PackageName,
  natives: readonly (PackageName & { readonly tarballHash: string })[],
  bundled: readonly PackageName[] = [],
): string {
  const inside = bundled.map((other): Component => ({ ...npmComponent(other), scope: "required" }));
  const components = natives.map((native): Component => {
    const hashes = [sha256(native.tarballHash)];
    return { ...npmComponent(native), scope: "optional", hashes };
  });
  return bill(npmComponent(own), [...components, ...inside]);
}

function npmComponent({ name, version, license }: PackageName): Component {
  return {
    ...{ type: "library", "bom-ref": name, name, version },
    licenses: [{ expression: license }],
    purl: `pkg:npm/${name}@${version}`,
  };
}

function opensslComponent({ version, source }: OpensslLibrary): Component {
  return {
    ...{ type: "library", "bom-ref": "openssl", name: "openssl", version },
    description: "Linked statically, without the parts that plait does not use",
    licenses: [{ expression: "Apache-2.0" }],
    // Databases of vulnerabilities know it by this name.
    cpe: `cpe:2.3:a:openssl:openssl:${version}:*:*:*:*:*:*:*`,
    purl: `pkg:generic/openssl@${version}`,
    ...(source === undefined
      ? {}
      : {
          externalReferences: [
            { type: "source-distribution", url: source.url, hashes: [sha256(source.sha256)] },
          ],
        }),
  };
}

function sha256(content: string): Hash {
  return { alg: "SHA-256", content };
}

function bill(subject: Component, components: readonly Component[]): string {
  const refs = components.map((component) => component["bom-ref"]);
  const content = {
    version: 1,
    metadata: { component: subject },
    components,
    dependencies: [
      { ref: subject["bom-ref"], dependsOn: refs },
      ...refs.map((ref) => ({ ref, dependsOn: [] })),
    ],
  };
  const head = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(content))}`,
  };
  return `${JSON.stringify({ ...head, ...content }, null, 2)}\n`;
}

/** A UUID of version 8, which is made from a hash (RFC 9562, section 5.8). */
function uuidOf(text: string): string {
  const bytes = new Bun.CryptoHasher("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
