/** The frame of every page: navigation, search, the page's own contents, the way to the next page. */

import type { ReferencePage } from "./reference.ts";
import { escaped, type Part } from "./render.ts";
import { type Page, referenceSection, relativePath, type Site } from "./site.ts";

export interface Framed {
  /** The path in the site. */
  readonly path: string;
  readonly title: string;
  readonly section: string;
  readonly html: string;
  readonly parts: readonly Part[];
  readonly reference: ReferencePage | undefined;
}

export function framed(site: Site, page: Framed): string {
  const to = (path: string): string => relativePath(page.path, path);
  const heading = page.path === "index.html" ? page.title : `${page.title} · plait`;
  return `<!doctype html>
<html lang="en" data-root="${to("index.html").slice(0, -"index.html".length)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(heading)}</title>
<link rel="icon" href="${to("icon.svg")}">
<link rel="stylesheet" href="${to("style.css")}">
<script src="${to("search.js")}" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to the text</a>
<header>
<a class="logo" href="${to("index.html")}"><img src="${to("icon.svg")}" alt="" width="26" height="26">plait</a>
<div class="search"><input type="search" placeholder="Search" aria-label="Search" autocomplete="off"><ol hidden></ol></div>
</header>
<div class="frame">
<nav class="pages" aria-label="Pages"><details><summary>Contents</summary>
${navigation(site, page, to)}</details></nav>
<main id="content">
<article${page.reference === undefined ? "" : ' class="reference"'}>
${page.html}</article>
${neighbours(site, page, to)}</main>
${contents(page)}</div>
</body>
</html>
`;
}

type To = (path: string) => string;

function navigation(site: Site, page: Framed, to: To): string {
  const groups = Map.groupBy(site.pages, ({ section }) => section);
  let html = "";
  for (const [section, pages] of groups) {
    if (section === referenceSection) html += references(pages, page, to);
    else if (section === "") html += list(pages, page, to);
    else html += `<h2>${escaped(section)}</h2>\n${list(pages, page, to)}`;
  }
  return html;
}

/** The entries, and below the one that is being read, its exports. */
function references(pages: readonly Page[], page: Framed, to: To): string {
  let html = `<h2>${referenceSection}</h2>\n`;
  for (const entry of pages.filter(({ reference }) => reference!.name === undefined)) {
    html += list([entry], page, to);
    if (page.reference?.entry !== entry.reference!.entry) continue;
    const own = pages.filter(
      ({ reference }) =>
        reference!.entry === entry.reference!.entry && reference !== entry.reference,
    );
    for (const [kind, members] of Map.groupBy(own, ({ reference }) => reference!.kind)) {
      html += `<h3>${escaped(kind)}</h3>\n${list(members, page, to)}`;
    }
  }
  return html;
}

function list(pages: readonly Page[], { path }: Framed, to: To): string {
  const items = pages.map((page) => {
    const here = page.path === path ? ' aria-current="page"' : "";
    const title = page.path === "index.html" ? "Overview" : page.title;
    return `<li><a href="${to(page.path)}"${here}>${escaped(title)}</a></li>`;
  });
  return `<ul>\n${items.join("\n")}\n</ul>\n`;
}

function neighbours(site: Site, page: Framed, to: To): string {
  if (page.reference !== undefined) return "";
  const read = site.pages.filter(({ reference }) => reference === undefined);
  const index = read.findIndex(({ path }) => path === page.path);
  if (index < 0) return "";
  const link = (other: Page | undefined, kind: string): string => {
    if (other === undefined) return "<span></span>";
    const title = other.path === "index.html" ? "Overview" : other.title;
    return `<a rel="${kind}" href="${to(other.path)}">${escaped(title)}</a>`;
  };
  return `<footer>${link(read[index - 1], "prev")}${link(read[index + 1], "next")}</footer>\n`;
}

function contents({ parts, reference }: Framed): string {
  const deepest = reference === undefined ? 3 : 2;
  const top = parts.filter(({ level }) => level === 1).length > 1 ? 1 : 2;
  const shown = parts
    .slice(1)
    .filter(({ level }) => level >= top && level <= Math.max(deepest, top));
  const members =
    reference === undefined ? shown : parts.filter(({ level }) => level === 2 || level === 3);
  if (members.length < 2) return "";
  const items = members.map(
    ({ level, text, anchor }) =>
      `<li class="level-${level}"><a href="#${anchor}">${escaped(text)}</a></li>`,
  );
  return `<nav class="contents" aria-label="On this page"><h2>On this page</h2>\n<ul>\n${items.join("\n")}\n</ul></nav>\n`;
}
