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

function headingsOf(path: string): string[] {
  const headings = withoutCode(textOf(path)).matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, heading]) => anchorOf(heading!));
}

/** Lines of code may begin with `#`, and may look like links. */
function withoutCode(markdown: string): string {
  return markdown.replace(/^( *)(```+|~~~+)[\s\S]*?^\1\2$/gm, "");
}
