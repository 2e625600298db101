/** The pages of the site: where each comes from, where it goes, and the order in which they are read. */

import { existsSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { root } from "../build.ts";
import { sections, textOf } from "./pages.ts";
import type { EntryName, ReferencePage } from "./reference.ts";

export interface Page {
  /** The path in the site, such as `guide/tls.html`. */
  readonly path: string;
  /** The path of its Markdown: in the repository, or below `reference`. */
  readonly source: string;
  readonly markdown: string;
  readonly title: string;
  readonly section: string;
  /** Of the reference: the entry that it belongs to. */
  readonly reference: ReferencePage | undefined;
}

/** Files of the repository besides docs that are pages. */
const projectPages: Readonly<Record<string, string>> = {
  "CHANGELOG.md": "changelog.html",
  "CONTRIBUTING.md": "contributing.html",
  "SECURITY.md": "security.html",
  "bench/README.md": "benchmark.html",
};

/** Files that the reference describes better than their source does. */
const describedFiles: Readonly<Record<string, string>> = {
  "index.ts": "reference/plait/index.html",
};

export const referenceSection = "Reference";

export class Site {
  /** All pages, in the order in which they are read. */
  readonly pages: readonly Page[];
  /** The files of the repository that pages link to, and that the site shows as they are. */
  readonly sources = new Set<string>();
  readonly #bySource: ReadonlyMap<string, Page>;
  readonly #byName = new Map<string, Map<EntryName, Page>>();

  constructor(reference: readonly ReferencePage[]) {
    const pages = [pageOf("README.md", "index.html", "")];
    for (const { title, pages: listed } of sections()) {
      for (const path of listed) {
        pages.push(pageOf(`docs/${path}`, path.replace(/\.md$/, ".html"), title));
      }
    }
    for (const page of reference) {
      const source = `reference/${page.path}`;
      const path = source.replace(/\.md$/, ".html");
      const own = { path, source, markdown: page.markdown, title: page.name ?? page.entry };
      pages.push({ ...own, section: referenceSection, reference: page });
    }
    for (const [source, path] of Object.entries(projectPages)) {
      if (existsSync(join(root, source))) pages.push(pageOf(source, path, "Project"));
    }
    this.pages = pages;
    this.#bySource = new Map(pages.map((page) => [page.source, page]));
    for (const page of pages) {
      if (page.reference?.name === undefined) continue;
      const { name, entry } = page.reference;
      const named = this.#byName.get(name) ?? new Map<EntryName, Page>();
      // A class goes before the variable and the type of the same name.
      if (!named.has(entry)) named.set(entry, page);
      this.#byName.set(name, named);
    }
  }

  /** Where a link of a page leads to in the site. */
  target(page: Page, link: string): string {
    if (/^[a-z]+:/.test(link)) return link;
    const [file = "", fragment] = link.split("#");
    const hash = fragment === undefined ? "" : `#${fragment}`;
    if (file === "") return hash;
    const source = posix.join(posix.dirname(page.source), file);
    const found = this.#bySource.get(source)?.path ?? describedFiles[source];
    if (found !== undefined) return relativePath(page.path, found) + hash;
    if (!existsSync(join(root, source))) throw new Error(`${page.source}: no ${source}`);
    this.sources.add(source);
    return relativePath(page.path, sourcePath(source));
  }

  /** The page of an export that a page names, or undefined. */
  export(page: Page, name: string): Page | undefined {
    const named = this.#byName.get(name);
    if (named === undefined) return undefined;
    for (const entry of entriesFor(page)) {
      const found = named.get(entry);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** The entries whose exports a page means when it names them. */
function entriesFor(page: Page): readonly EntryName[] {
  const { source, reference } = page;
  // Both have a Socket, a connect and so on.
  if (reference?.entry === "plait/net" || /^docs\/(net|from_node)\.md$/.test(source)) {
    return source === "docs/from_node.md" ? ["plait", "plait/net"] : ["plait/net"];
  }
  if (reference?.entry === "plait/drivers" || source === "docs/drivers.md") {
    return ["plait/drivers", "plait"];
  }
  if (reference?.entry.startsWith("plait/load") || /^docs\/load(_reports)?\.md$/.test(source)) {
    return ["plait/load", "plait/load/report", "plait"];
  }
  return ["plait", "plait/drivers", "plait/load", "plait/load/report"];
}

/** The path of the page that shows a file of the repository. */
export function sourcePath(source: string): string {
  return `source/${source}.html`;
}

export function relativePath(from: string, to: string): string {
  return posix.relative(dirname(from), to) || posix.basename(to);
}

function pageOf(source: string, path: string, section: string): Page {
  const markdown = textOf(source);
  const title = /^# (.*)$/m.exec(markdown)?.[1]?.replaceAll("`", "");
  if (title === undefined) throw new Error(`${source} has no title`);
  return { path, source, markdown, title, section, reference: undefined };
}
