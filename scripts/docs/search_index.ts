/** The index of the search: a plain script, since a page that was opened from a file may fetch nothing. */

import type { Framed } from "./layout.ts";
import type { Part } from "./render.ts";

/** The title of a page, the heading of a part, where it is, and its words. */
type Entry = readonly [title: string, heading: string, link: string, text: string];

export function searchIndex(pages: readonly Framed[]): string {
  const entries = pages.flatMap(({ path, title, parts, reference }) =>
    (reference === undefined ? parts : members(parts)).map((part): Entry => {
      const words = part.content.replaceAll(/\s+/g, " ").trim();
      if (part.level === 1) return [title, "", path, words];
      return [title, part.text, `${path}#${part.anchor}`, words];
    }),
  );
  return `window.searchIndex = ${JSON.stringify(entries)};\n`;
}

/** The parts of the reference that are worth finding: an export and its members, each with what stands below. */
function members(parts: readonly Part[]): Part[] {
  const found: Part[] = [];
  let kind = "";
  for (const part of parts) {
    if (part.level === 2) kind = part.text;
    const isMember = part.level === 3 && /^(Properties|Accessors|Methods)$/.test(kind);
    if (part.level === 1 || isMember) found.push({ ...part });
    else if (found.length > 0) found.at(-1)!.content += part.content;
  }
  return found;
}
