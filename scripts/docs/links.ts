/** Links between the Markdown files of the repository. */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../build.ts";
import { textOf } from "./pages.ts";

/** The links of a Markdown file that lead to no file or no heading. Links to other hosts are not looked at. */
export function brokenLinksOf(path: string): string[] {
  const broken = [];
  for (const [, target] of withoutCode(textOf(path)).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(target!)) continue;
    const [file, heading] = target!.split("#");
    const place = file === "" ? path : join(dirname(path), file!);
    const isThere = existsSync(join(root, place));
    if (!isThere || (heading !== undefined && !headingsOf(place).includes(heading))) {
      broken.push(target!);
    }
  }
  return broken;
}

/** The anchor of a heading, as GitHub makes it. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_\- ]/gu, "")
    .replaceAll(" ", "-");
}

/** The anchors of a page's headings. Of headings with the same text the later ones have a number. */
export function headingsOf(path: string): string[] {
  const used = new Map<string, number>();
  const headings = withoutCode(textOf(path)).matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, heading]) => {
    const anchor = anchorOf(heading!);
    const count = used.get(anchor) ?? 0;
    used.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

/** A page as it is read: without the comments, which have directives for the tests. */
export function withoutComments(markdown: string): string {
  return outsideCode(markdown, (text) => text.replace(/^<!--[\s\S]*?-->\n\n?/gm, ""));
}

/** Changes a page without its blocks of code. */
export function outsideCode(markdown: string, change: (text: string) => string): string {
  const blocks = markdown.split(/^( *(?:```+|~~~+)[\s\S]*?^ *(?:```+|~~~+)$)/m);
  return blocks.map((text, index) => (index % 2 === 0 ? change(text) : text)).join("");
}

/** Lines of code may begin with `#`, and may look like links. */
function withoutCode(markdown: string): string {
  return withoutComments(markdown).replace(/^( *)(```+|~~~+)[\s\S]*?^\1\2$/gm, "");
}
