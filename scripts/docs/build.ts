/** Builds the site in build/docs, and fails when a link in it leads nowhere. */

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { root } from "../build.ts";
import { type Framed, framed } from "./layout.ts";
import { llmsFullText, llmsText, markdownOf, markdownPath } from "./llms.ts";
import { referencePages } from "./reference.ts";
import { highlighted, rendered } from "./render.ts";
import { searchIndex } from "./search_index.ts";
import { Site, sourcePath } from "./site.ts";
import { deadLinks } from "./site_links.ts";

const folder = join(root, "build", "docs");

function write(path: string, text: string): void {
  const whole = join(folder, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, text);
}

rmSync(folder, { recursive: true, force: true });
const site = new Site(await referencePages(join(root, "build", "docs-reference")));
const framedPages: Framed[] = site.pages.map((page) => {
  const { html, parts } = rendered(site, page);
  const { path, title, section, reference } = page;
  return { path, title, section, reference, html, parts };
});
for (const source of site.sources) {
  const code = highlighted(readFileSync(join(root, source), "utf8"), extname(source).slice(1));
  const html = `<h1>${source}</h1>\n<pre tabindex="0"><code>${code}</code></pre>\n`;
  const rest = { section: "", reference: undefined, parts: [] };
  framedPages.push({ path: sourcePath(source), title: source, html, ...rest });
}
for (const page of framedPages) write(page.path, framed(site, page));
for (const name of ["style.css", "search.js", "icon.svg"]) {
  copyFileSync(join(import.meta.dir, "assets", name), join(folder, name));
}
for (const page of site.pages) write(markdownPath(page), markdownOf(site, page));
write("search-index.js", searchIndex(framedPages));
write("llms.txt", llmsText(site));
write("llms-full.txt", llmsFullText(site));

const { dead, external } = deadLinks(folder);
console.log(`${framedPages.length} pages in ${join("build", "docs")}: open index.html`);
console.log(`links to other hosts, which are not looked at: ${external.length}`);
for (const link of external) console.log(`  ${link}`);
if (dead.length > 0) {
  console.error(`links that lead nowhere:\n${dead.map((link) => `  ${link}`).join("\n")}`);
  process.exit(1);
}
