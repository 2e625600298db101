/** The index of the search: a plain script, since a page that was opened from a file may fetch nothing. */

import type { Framed } from "./layout.ts";

/** The title of a page, the heading of a part, where it is, and its words. */
type Entry = readonly [title: string, heading: string, link: string, text: string];

export function searchIndex(pages: readonly Framed[]): string {
  const entries = pages.flatMap(({ path, title, parts }) =>
    parts.map(({ level, text, anchor, content }): Entry => {
      const words = content.replaceAll(/\s+/g, " ").trim();
      return level === 1 ? [title, "", path, words] : [title, text, `${path}#${anchor}`, words];
    }),
  );
  return `window.searchIndex = ${JSON.stringify(entries)};\n`;
}
