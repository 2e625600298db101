/** What runs the blocks of the documentation notices when one of them is wrong. */

import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import { type PageResult, SnippetPage } from "../support/snippet_page.ts";
import { Rewiring } from "../support/snippet_rewiring.ts";
import { snippetsOf } from "../support/snippets.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

let pages = 0;

async function resultOf(...lines: string[]): Promise<PageResult> {
  return await resultWithin(10_000, lines);
}

async function resultWithin(bound: number, lines: readonly string[]): Promise<PageResult> {
  const page = await SnippetPage.write({
    page: "page.md",
    snippets: snippetsOf("page.md", `${lines.join("\n")}\n`),
    before: [],
    folder: folder.file(`page-${pages++}`),
    files: {},
    env: { ...process.env, PATH: process.env.PATH ?? "", NO_COLOR: "1" } as Record<string, string>,
    names: { api: [], setting: ["assert"] },
    bound,
  });
  return await page.run();
}

function ts(...lines: string[]): string[] {
  return ["```ts", ...lines, "```"];
}

test("a block runs between its hidden code", async () => {
  const hidden = ["<!-- then:", "assert.equal(sum, 3);", "-->"];
  const given = ["<!-- given:", "const one = 1;", "-->"];
  const { ran, failures } = await resultOf(...given, ...ts("const sum = one + 2;"), ...hidden);
  expect({ ran, failures }).toEqual({ ran: 1, failures: [] });
}, 20_000);

test.each([
  ["that throws", ts('throw new Error("thrown");'), "thrown"],
  [
    "whose check fails",
    [...ts("let a = 1;"), "<!-- then:", "assert.equal(a, 2);", "-->"],
    "strictly",
  ],
  ["with an unhandled rejection", ts("void Promise.reject(new Error('lost'));"), "lost"],
  ["that prints something else", [...ts("console.log(1);"), "<!-- prints: 2 -->"], "and not\n2"],
  ["of a shell that fails", ["```sh", "exit 3", "```"], "ends with 3, not 0"],
])(
  "a block %s is a failure",
  async (_, lines, message) => {
    const { ran, failures } = await resultOf(...lines);
    expect(ran).toBe(0);
    expect(failures).toHaveLength(1);
    expect(failures[0]).toStartWith("page.md:1: ");
    expect(failures[0]).toContain(message);
  },
  20_000,
);

test("a block that never comes to its end is a failure", async () => {
  const { ran, failures } = await resultWithin(1000, ts("await new Promise(() => {});"));
  expect(ran).toBe(0);
  expect(failures[0]).toContain("does not come to its end");
}, 20_000);

test("a block that is not run has its reason printed", async () => {
  const { ran, notRun } = await resultOf("<!-- not run: it needs the moon -->", ...ts("throw 1;"));
  expect({ ran, notRun }).toEqual({ ran: 0, notRun: ["page.md:2: it needs the moon"] });
});

test("files and commands follow each other", async () => {
  const { ran, failures } = await resultOf(
    ...["<!-- file: a.txt -->", "```text", "one", "```"],
    ...["<!-- file: a.txt, continued -->", "```text", "two", "```"],
    ...["<!-- exit: 1 -->", "```sh", "cat a.txt", "exit 1", "```"],
    ...["<!-- output -->", "```text", "one", "…wo", "```"],
    ...["<!-- background: ready -->", "```sh", "echo ready; sleep 60", "```", "<!-- stop -->"],
  );
  expect({ ran, failures }).toEqual({ ran: 2, failures: [] });
}, 20_000);

test.each([
  ["an unknown directive", ["<!-- gievn: 1 -->", ...ts("1;")], "gievn"],
  ["a directive without a block", ["<!-- given: 1 -->"], "no block"],
  ["a directive for another kind of block", ["<!-- exit: 1 -->", ...ts("1;")], "exit is not for"],
  ["a language that would not be run", ["```bash", "ls", "```"], "bash"],
])("%s is an error", (_, lines, message) => {
  expect(() => snippetsOf("page.md", lines.join("\n"))).toThrow(message);
});

test("ports and hosts are those of this machine", async () => {
  const text = 'connect({ host: "db.example.org", port: 5432, deadline: deadline(5000) })';
  const rewiring = await Rewiring.of([text, "server.listen(7000)", "localhost:80"]);
  const code = rewiring.code(text);
  const [, port] =
    /^connect\(\{ host: "localhost", port: (\d+), deadline: deadline\(5000\) \}\)$/.exec(code)!;
  expect(rewiring.command("nc 10.0.0.7 5432")).toBe(`nc 127.0.0.1 ${port}`);
  expect(rewiring.output("127.0.0.1:5432 5432")).toBe(`127.0.0.1:${port} 5432`);
  expect(rewiring.original(`port ${port}`)).toBe("port 5432");
  expect(rewiring.code("listen(7000); fetch('http://localhost:80/')")).not.toMatch(/7000|:80\//);
  expect(rewiring.code('sni: { "a.example.org": {} }')).toBe('sni: { "a.example.org": {} }');
});

test("the setting is what the documentation says", async () => {
  const setting = await import(join(root, "test/support/snippet_setting.ts"));
  expect(Object.keys(setting).sort()).toEqual([
    ...["assert", "eventually", "exchange", "once", "pair"],
    ...["startMysql", "startNats", "startPostgres", "startRedis", "startRedisCluster"],
  ]);
});
