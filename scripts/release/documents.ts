/** The documents of the main package: what users read, with links to what the package has. */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { root } from "../build.ts";
import { outsideCode, withoutComments } from "../docs/links.ts";

function files(pattern: string): string[] {
  return [...new Bun.Glob(pattern).scanSync({ cwd: root })].sort();
}

/** Their paths, in the repository and in the package. */
export const documents: readonly string[] = [
  ...["README.md", "CHANGELOG.md", "LICENSE", "LICENSE.openssl"],
  ...files("docs/**/*.md"),
  ...files("docs/*.schema.json"),
  ...files("examples/*.ts"),
];

/** Writes them into the folder of the package. */
export function writeDocuments(folder: string): void {
  const others = new Set(documents);
  for (const path of documents) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    if (path.endsWith(".md")) writeFileSync(target, packagedText(path, others));
    else copyFileSync(join(root, path), target);
  }
}

/** A page without directives for tests. Of a link to a file that is not in the package, the text is left. */
function packagedText(path: string, others: ReadonlySet<string>): string {
  const page = withoutComments(readFileSync(join(root, path), "utf8"));
  return outsideCode(page, (text) =>
    text.replace(/\[([^\]]*)\]\(([^)\s]+)\)/g, (link, words: string, target: string) => {
      const [file] = target.split("#");
      const isInside =
        /^(https?:|#)/.test(target) || others.has(normalize(join(dirname(path), file!)));
      return isInside ? link : words;
    }),
  );
}
