/** The pages of the documentation, in the order of docs/contents.json. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../build.ts";

export interface Section {
  readonly title: string;
  /** Paths below docs. */
  readonly pages: readonly string[];
}

/** The sections of docs/contents.json. A page in it may not be written yet. */
export function listedSections(): readonly Section[] {
  const { sections } = JSON.parse(textOf("docs/contents.json")) as { sections: Section[] };
  return sections;
}

/** The sections, with the pages that are there. */
export function sections(): readonly Section[] {
  const there = listedSections().map(({ title, pages }) => ({
    title,
    pages: pages.filter((page) => existsSync(join(root, "docs", page))),
  }));
  return there.filter(({ pages }) => pages.length > 0);
}

/** The pages below docs that are in no section. */
export function unlistedPages(): string[] {
  const listed = new Set(listedSections().flatMap(({ pages }) => pages));
  return documentPages().filter((page) => !listed.has(page.slice("docs/".length)));
}

/** All Markdown files below docs, as paths in the repository. */
export function documentPages(): string[] {
  const names = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" });
  return names
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`)
    .sort();
}

/** The Markdown files that people read: those of the root, docs and bench. */
export function markdownFiles(): string[] {
  const above = readdirSync(root).filter((name) => name.endsWith(".md"));
  return [...above, ...documentPages(), "bench/README.md"];
}

export function textOf(path: string): string {
  return readFileSync(join(root, path), "utf8");
}
