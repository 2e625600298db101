/** llms.txt and llms-full.txt (llmstxt.org): the documentation for programs that read text. */

import { outsideCode, withoutComments } from "./links.ts";
import { type Page, referenceSection, type Site } from "./site.ts";

/** The title, a summary, and a line for each page. */
export function llmsText(site: Site): string {
  const [front, ...others] = site.pages;
  const prose = others.filter(({ reference }) => reference?.name === undefined);
  const lines = ["# plait", "", `> ${summaryOf(front!)}`, ""];
  lines.push("All pages are in one file too: [llms-full.txt](llms-full.txt).", "");
  for (const [section, pages] of Map.groupBy(prose, ({ section }) => section)) {
    lines.push(`## ${section === "Project" ? "Optional" : section}`, "");
    for (const page of pages)
      lines.push(`- [${page.title}](${markdownPath(page)}): ${summaryOf(page)}`);
    lines.push("");
    if (section !== referenceSection) continue;
    for (const page of others.filter(({ reference }) => reference?.name !== undefined)) {
      const { entry, kind } = page.reference!;
      const summary = summaryOf(page);
      const what = `${entry}, ${kind.toLowerCase()}`;
      const more = summary === "" ? "" : `: ${summary}`;
      lines.push(`- [${page.title}](${markdownPath(page)}) (${what})${more}`);
    }
    lines.push("");
  }
  return `${lines
    .join("\n")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trim()}\n`;
}

/** Where a page's Markdown is. */
export function markdownPath({ path }: Page): string {
  return path.replace(/html$/, "md");
}

/** A page's Markdown, with links that lead to that of other pages. */
export function markdownOf(site: Site, page: Page): string {
  const link = (whole: string, to: string): string => {
    if (/^[a-z]+:|^#/.test(to)) return whole;
    const target = site.target(page, to);
    const isSource = /^(?:\.\.\/)*source\//.test(target);
    return `](${isSource ? target : target.replace(/\.html(?=#|$)/, ".md")})`;
  };
  return outsideCode(withoutComments(page.markdown), (text) =>
    text.replaceAll(/\]\(([^)\s]+)\)/g, link),
  );
}

/** All pages, one after the other. */
export function llmsFullText(site: Site): string {
  const texts = site.pages.map(({ path, markdown }) => {
    return `<!-- ${path} -->\n\n${withoutComments(markdown).trim()}\n`;
  });
  return texts.join("\n");
}

/** The first sentences of a page. */
function summaryOf({ markdown }: Page): string {
  const blocks = withoutComments(markdown)
    .replaceAll(/^( *)```[\s\S]*?^\1```$/gm, "")
    .split(/\n{2,}/);
  // Headings, and the lists of links that many pages begin with, say nothing about the page.
  const prose = blocks.find((block) => /^[\p{L}`*]/u.test(block.trim()) && !block.includes("](#"));
  const text = (prose ?? "")
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/\s+/g, " ")
    .trim();
  if (text.length <= 260) return text;
  const sentences = /^.{0,260}[.:](?= )/.exec(text)?.[0];
  return sentences ?? `${text.slice(0, 260)} ...`;
}
