/**
 * The documentation holds: each block of TypeScript in README.md and docs/ passes the compiler and runs, each block for
 * a shell runs, links lead to files and headings, and docs/contents.json lists the pages.
 *
 * The blocks of a page run one after the other in a folder of the page, with `plait`, the drivers of package.json and
 * `bun` within reach. CONTRIBUTING.md has the directives, which are comments before and after the blocks.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import { brokenLinksOf } from "../../scripts/docs/links.ts";
import { documentPages, markdownFiles, unlistedPages } from "../../scripts/docs/pages.ts";
import { run } from "../../scripts/run.ts";
import { CertificateAuthority } from "../support/certificate_authority.ts";
import { isInstalled } from "../support/installed_program.ts";
import { exportedNames, type PageResult, SnippetPage } from "../support/snippet_page.ts";
import { type Snippets, snippetsOf } from "../support/snippets.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const pages = ["README.md", ...documentPages()];

const settings = {
  extends: "../../tsconfig.json",
  compilerOptions: {
    paths: {
      plait: ["../../index.ts"],
      "plait/net": ["../../src/node/net.ts"],
      "plait/drivers": ["../../src/drivers/drivers.ts"],
      "plait/load": ["../../src/load/load.ts"],
      "plait/load/report": ["../../src/report/report.ts"],
    },
    verbatimModuleSyntax: false,
  },
  include: ["**/*.ts"],
};

/** What readers have is an installed package. Here the program is that of the sources. */
const bunx = `#!/bin/sh
[ "$1" = plait ] || { echo "no program $1" >&2; exit 127; }
shift
exec bun "${join(root, "src", "command", "plait.ts")}" "$@"
`;

describe.skipIf(!isInstalled("openssl"))("the blocks", () => {
  const folder = join(root, "build", `documentation-${process.pid}`);
  const certificates = new TemporaryFolder();
  const snippets = new Map<string, Snippets>();
  const written = new Map<string, SnippetPage>();

  beforeAll(async () => {
    mkdirSync(join(folder, "bin"), { recursive: true });
    symlinkSync(process.execPath, join(folder, "bin", "bun"));
    writeFileSync(join(folder, "bin", "bunx"), bunx, { mode: 0o755 });
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
    const files = certificateFiles(certificates.path);
    const env = {
      ...process.env,
      PATH: `${join(folder, "bin")}:${process.env.PATH}`,
      SSL_CERT_FILE: "ca.pem",
      NO_COLOR: "1",
    };
    const names = {
      api: exportedNames(join(root, "index.ts")),
      setting: Object.keys(await import("../support/snippet_setting.ts")),
    };
    for (const page of pages) {
      snippets.set(page, snippetsOf(page, readFileSync(join(root, page), "utf8")));
    }
    for (const page of pages) {
      const before = filesBefore(page);
      const own = join(folder, page.replaceAll("/", "-").replace(/\.md$/, ""));
      written.set(
        page,
        await SnippetPage.write({
          ...{ page, snippets: snippets.get(page)!, before, folder: own, files, env, names },
        }),
      );
    }
  });

  afterAll(() => {
    certificates[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The pages whose files a page goes on with, the first of them first. */
  function filesBefore(page: string): Snippets[] {
    const { filesOf } = snippets.get(page)!;
    if (filesOf === undefined) return [];
    const path = join("docs", filesOf);
    const other = snippets.get(path);
    if (other === undefined) throw new Error(`${page}: there is no page ${path}`);
    return [...filesBefore(path), other];
  }

  test("pass the compiler", async () => {
    const compiler = join(root, "node_modules", ".bin", "tsc");
    const { exitCode, output } = await run([process.execPath, compiler, "-p", folder], root);
    expect({ exitCode, output }).toEqual({ exitCode: 0, output: "" });
  }, 60_000);

  test("run", async () => {
    const waiting = [...written.values()];
    const results: PageResult[] = [];
    const work = async (): Promise<void> => {
      for (let page: SnippetPage | undefined; (page = waiting.shift()) !== undefined; ) {
        results.push(await page.run());
      }
    };
    await Promise.all([work(), work(), work(), work()]);
    for (const reason of results.flatMap(({ notRun }) => notRun))
      console.warn(`not run: ${reason}`);
    expect(results.flatMap(({ failures }) => failures).join("\n\n")).toBe("");
    expect(results.reduce((sum, { ran }) => sum + ran, 0)).toBeGreaterThan(30);
  }, 240_000);
});

/** A chain and its key, the root that has issued it, a renewed chain, and a client's certificate. */
function certificateFiles(folder: string): Record<string, string> {
  const authority = CertificateAuthority.root(folder, "root");
  const server = authority.issue("server", {
    extensions: [
      "basicConstraints=CA:false",
      "extendedKeyUsage=serverAuth",
      "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1",
    ],
  });
  const client = authority.issue("client", {
    extensions: ["basicConstraints=CA:false", "extendedKeyUsage=clientAuth"],
  });
  return {
    "chain.pem": server.chain,
    "renewed.pem": server.chain,
    "key.pem": server.key,
    "ca.pem": authority.cert,
    "client.pem": client.chain,
    "client-key.pem": client.key,
  };
}

describe("the links", () => {
  test.each(markdownFiles())("of %s lead to files and headings", (path) => {
    expect(brokenLinksOf(path)).toEqual([]);
  });
});

test("docs/contents.json lists every page", () => {
  expect(unlistedPages()).toEqual([]);
});
