/** From Markdown to HTML: headings with anchors, highlighted code, tables that scroll, links to the reference. */

import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import dockerfile from "highlight.js/lib/languages/dockerfile";
import ini from "highlight.js/lib/languages/ini";
import json from "highlight.js/lib/languages/json";
import typescript from "highlight.js/lib/languages/typescript";
import MarkdownIt from "markdown-it";
import { anchorOf, withoutComments } from "./links.ts";
import { type Page, relativePath, type Site } from "./site.ts";

const languages = { c, typescript, bash, json, ini, dockerfile };
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);

/** What pages call the languages. */
const aliases: Readonly<Record<string, keyof typeof languages>> = {
  c: "c",
  ts: "typescript",
  js: "typescript",
  mjs: "typescript",
  sh: "bash",
  json: "json",
  ini: "ini",
  dockerfile: "dockerfile",
  Dockerfile: "dockerfile",
};

export interface Heading {
  readonly level: number;
  readonly text: string;
  readonly anchor: string;
}

/** A part of a page, from one heading to the next. */
export interface Part extends Heading {
  /** Its prose. */
  content: string;
}

export interface Rendered {
  readonly html: string;
  readonly parts: readonly Part[];
}

type Tokens = ReturnType<InstanceType<typeof MarkdownIt>["parse"]>;
type Token = Tokens[number];

export function highlighted(code: string, language: string): string {
  const known = aliases[language];
  if (known === undefined) return escaped(code);
  return hljs.highlight(code, { language: known }).value;
}

export function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

export function rendered(site: Site, page: Page): Rendered {
  const parser = new MarkdownIt({ html: false, linkify: false });
  const tokens = parser.parse(withoutComments(withFileNames(page.markdown)), {});
  const parts = markHeadings(tokens);
  for (const [index, { children }] of tokens.entries()) {
    if (children === null) continue;
    linkInline(site, page, children);
    // The links within a page, at its top, also stand beside the text where there is room.
    if (leadWithinPage(children)) tokens[index - 1]!.attrSet("class", "jumps");
  }
  const rules = parser.renderer.rules;
  // Examples in doc comments are indented, and do not say that they are TypeScript.
  const language = page.reference === undefined ? "" : "ts";
  rules.fence = (all, index) => codeBlock(all[index]!.content, all[index]!.info || language);
  rules.code_block = (all, index) => codeBlock(all[index]!.content, language);
  rules.table_open = () => '<div class="table"><table>\n';
  rules.table_close = () => "</table></div>\n";
  rules.heading_close = (all, index) => {
    const { tag } = all[index]!;
    const anchor = all[index - 2]!.attrGet("id");
    if (tag === "h1") return "</h1>\n";
    return `<a class="anchor" href="#${anchor}" aria-label="Link to this section">#</a></${tag}>\n`;
  };
  return { html: parser.renderer.render(tokens, parser.options, {}), parts };
}

function leadWithinPage(children: Token[]): boolean {
  const links = children.filter(({ type }) => type === "link_open");
  return links.length > 2 && links.every((link) => String(link.attrGet("href")).startsWith("#"));
}

/** Puts the name of a file, which a directive says, behind the language of its block. */
function withFileNames(markdown: string): string {
  return markdown.replaceAll(
    /^<!-- file: (\S+?)(?:, continued)? -->\n+(?=```)(```\w+)$/gm,
    "$2 $1",
  );
}

/** `info` is the language, and the name of the file if the block is one. */
function codeBlock(code: string, info: string): string {
  const [language = "", file] = info.trim().split(" ");
  if (file !== undefined) {
    return `<figure><figcaption>${escaped(file)}</figcaption>\n${codeBlock(code, language)}</figure>\n`;
  }
  const name = language === "" ? "" : ` class="language-${escaped(language)}"`;
  return `<pre tabindex="0"><code${name}>${highlighted(code, language)}</code></pre>\n`;
}

/** Gives the headings their anchors, and returns the parts of the page. */
function markHeadings(tokens: Tokens): Part[] {
  const parts: Part[] = [];
  const used = new Map<string, number>();
  for (const [index, token] of tokens.entries()) {
    if (token.type === "heading_open") {
      const text = textOf(tokens[index + 1]!);
      const wanted = anchorOf(text);
      const count = used.get(wanted) ?? 0;
      used.set(wanted, count + 1);
      const anchor = count === 0 ? wanted : `${wanted}-${count}`;
      token.attrSet("id", anchor);
      parts.push({ level: Number(token.tag.slice(1)), text, anchor, content: "" });
    } else if (token.type === "inline" && tokens[index - 1]?.type !== "heading_open") {
      const part = parts.at(-1);
      if (part !== undefined) part.content += `${textOf(token)} `;
    }
  }
  return parts;
}

function textOf({ children }: Token): string {
  const texts = (children ?? []).map(({ type, content }) => (type === "softbreak" ? " " : content));
  return texts.join("");
}

/** Turns links to files into links of the site, and names of exports into links to the reference. */
function linkInline(site: Site, page: Page, children: Token[]): void {
  let depth = 0;
  for (const token of children) {
    if (token.type === "link_open") {
      depth++;
      token.attrSet("href", site.target(page, String(token.attrGet("href"))));
    } else if (token.type === "link_close") depth--;
    else if (token.type === "code_inline" && depth === 0) {
      const href = referenceOf(site, page, token.content);
      if (href === undefined) continue;
      const code = `<code>${escaped(token.content)}</code>`;
      token.type = "html_inline";
      token.content = `<a class="name" href="${href}">${code}</a>`;
    }
  }
}

/** Where the reference has what stands in backticks: `Socket`, `connect(...)` or `Socket.fromFd(fd)`. */
function referenceOf(site: Site, page: Page, code: string): string | undefined {
  const [, name, member] = /^(\w+)(?:\.(\w+))?(?:\(.*\))?$/.exec(code) ?? [];
  const found = name === undefined ? undefined : site.export(page, name);
  if (found === undefined || found === page) return undefined;
  const href = relativePath(page.path, found.path);
  if (member === undefined) return href;
  const pattern = new RegExp(`^#+ (?:static )?${member}(?:\\(\\))?\\??$`, "mi");
  const heading = pattern.exec(found.markdown)?.[0].replace(/^#+ /, "");
  return heading === undefined ? undefined : `${href}#${anchorOf(heading)}`;
}
