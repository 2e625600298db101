/** The check of the documentation's site finds links that lead nowhere. */

import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { anchorOf, withoutComments } from "../../scripts/docs/links.ts";
import { deadLinks } from "../../scripts/docs/site_links.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

test("dead links are found, and links to other hosts are listed", () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file("guide"));
  const links = ["guide/a.html", "guide/a.html#there", "#own", "https://example.org/"];
  const dead = ["gone.html", "guide/a.html#gone", "#gone", "style.css"];
  const anchors = [...links, ...dead].map((link) => `<a href="${link}">x</a>`).join("");
  writeFileSync(folder.file("index.html"), `<h1 id="own">x</h1>${anchors}`);
  writeFileSync(
    folder.file("guide/a.html"),
    '<h2 id="there">x</h2><a href="../index.html#own">x</a>',
  );
  expect(deadLinks(folder.path)).toEqual({
    dead: dead.map((link) => `index.html: ${link}`),
    external: ["https://example.org/"],
  });
});

test("anchors are those that GitHub makes", () => {
  expect(anchorOf("Sockets of plait")).toBe("sockets-of-plait");
  expect(anchorOf("`plait/net`: what's new?")).toBe("plaitnet-whats-new");
});

test("a page is read without the comments around its blocks", () => {
  const code = "```html\n<!-- this is code -->\n```\n";
  expect(withoutComments(`one\n\n<!-- given:\n1;\n-->\n\n${code}\n<!-- stop -->\n\ntwo\n`)).toBe(
    `one\n\n${code}\ntwo\n`,
  );
});
