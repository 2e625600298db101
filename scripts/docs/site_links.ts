/** Looks for links in the built site that lead nowhere. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

export interface SiteLinks {
  /** Each with the page that it stands in. */
  readonly dead: readonly string[];
  /** Links to other hosts. */
  readonly external: readonly string[];
}

export function deadLinks(folder: string): SiteLinks {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const texts = new Map<string, string>();
  for (const path of paths.filter((name) => name.endsWith(".html"))) {
    texts.set(path, readFileSync(join(folder, path), "utf8"));
  }
  const anchors = new Map([...texts].map(([path, text]) => [path, anchorsIn(text)]));
  const dead: string[] = [];
  const external = new Set<string>();
  for (const [path, text] of texts) {
    for (const [, link] of text.matchAll(/\s(?:href|src)="([^"]*)"/g)) {
      if (/^[a-z]+:/.test(link!)) {
        external.add(link!);
        continue;
      }
      const [file, anchor] = link!.split("#");
      const target =
        file === "" ? path : relative(folder, join(folder, dirname(path), decodeURI(file!)));
      const isDead =
        !existsSync(join(folder, target)) ||
        (anchor !== undefined && anchors.get(target)?.has(decodeURIComponent(anchor)) !== true);
      if (isDead) dead.push(`${path}: ${link}`);
    }
  }
  return { dead, external: [...external].sort() };
}

function anchorsIn(html: string): Set<string> {
  return new Set([...html.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id!));
}
