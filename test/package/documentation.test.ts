/** The samples of the documentation pass the compiler, and its links lead somewhere. */

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../../scripts/build.ts";
import { run } from "../../scripts/run.ts";

const documents = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`),
  "bench/README.md",
];

function textOf(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** A sample, after declarations of what it takes for granted; they stand in an HTML comment before it. */
const samples = /(?:<!-- given:\n([\s\S]*?)-->\n\s*)?^```ts\n([\s\S]*?)^```$/gm;

/** A sample as a module. It has the API's names without an import of its own. */
function moduleOf(given: string, sample: string, api: readonly string[]): string {
  const text = `${given}\n${sample}`;
  if (/^import .* from "plait(\/net|\/drivers)?";$/m.test(sample)) return text;
  const used = api.filter((name) => new RegExp(`\\b${name}\\b`).test(text));
  return `import { ${used.join(", ")} } from "plait";\n${text}\nexport {};\n`;
}

const settings = {
  extends: "../../tsconfig.json",
  compilerOptions: {
    paths: {
      plait: ["../../index.ts"],
      "plait/net": ["../../src/node/net.ts"],
      "plait/drivers": ["../../src/drivers/drivers.ts"],
    },
    verbatimModuleSyntax: false,
  },
  include: ["*.ts"],
};

test("the samples pass the compiler", async () => {
  const folder = join(root, "build", `documentation-${process.pid}`);
  const lists = textOf("index.ts").matchAll(/^export (?:type )?\{([^}]*)\}/gm);
  const api = [...lists].flatMap(([, list]) => list!.match(/\b[A-Za-z]\w+\b/g)!);
  const names = api.filter((name) => name !== "type");
  mkdirSync(folder, { recursive: true });
  try {
    let count = 0;
    for (const path of documents) {
      for (const [, given = "", sample] of textOf(path).matchAll(samples)) {
        const file = `${path.replaceAll("/", "-")}-${++count}.ts`;
        writeFileSync(join(folder, file), moduleOf(given, sample!, names));
      }
    }
    expect(count).toBeGreaterThan(20);
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
    const compiler = join(root, "node_modules", ".bin", "tsc");
    const { exitCode, output } = await run([process.execPath, compiler, "-p", folder], root);
    expect({ exitCode, output }).toEqual({ exitCode: 0, output: "" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);

describe("the links", () => {
  test.each(documents)("of %s lead to files and headings", (path) => {
    const broken = [];
    for (const [, target] of textOf(path).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const [file, heading] = target!.split("#");
      const place = file === "" ? path : join(dirname(path), file!);
      const isThere = existsSync(join(root, place));
      if (!isThere || (heading !== undefined && !headingsOf(place).includes(heading))) {
        broken.push(target);
      }
    }
    expect(broken).toEqual([]);
  });
});

/** As GitHub makes anchors of headings. */
function headingsOf(path: string): string[] {
  return [...textOf(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}
