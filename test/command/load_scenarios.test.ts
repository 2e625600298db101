/** Scenarios of `plait load`: good modules and bad ones, their options, their data; and recordings. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isInstalled } from "../support/installed_program.ts";
import {
  exitOf,
  type LoadEnd,
  type LoadRun,
  loadReport,
  plaitLoad,
} from "../support/load_command.ts";
import { type LoadTarget, loadTarget } from "../support/load_target.ts";
import { LoggingNginx } from "../support/logging_nginx.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

setDefaultTimeout(30_000);

const engine = JSON.stringify(join(import.meta.dir, "../../src/load/load.ts"));

let folder: TemporaryFolder;
let target: LoadTarget;

beforeAll(async () => {
  folder = new TemporaryFolder();
  target = await loadTarget();
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

function write(name: string, text: string): string {
  writeFileSync(folder.file(name), text);
  return name;
}

function run(...words: readonly string[]): Promise<LoadRun> {
  return loadReport(words, { cwd: folder.path });
}

function refused(...words: readonly string[]): Promise<LoadEnd> {
  return plaitLoad(words, { cwd: folder.path });
}

/** Paths that came since a number of requests. */
function pathsSince(count: number): string[] {
  return target.paths.slice(count).toSorted();
}

describe("a scenario", () => {
  test("imports other modules, and has what it needs of plait/load", async () => {
    write("paths.ts", 'export const pathOf = (n: number): string => "/item/" + n;');
    const scenario = write(
      "imports.ts",
      `import type { Context } from ${engine};
       import { pathOf } from "./paths.ts";
       export default async function visit(c: Context): Promise<void> {
         const answer = await c.http.get(pathOf(c.iteration));
         c.check(answer.text() === "ok", "body");
       }`,
    );
    const before = target.requests;
    const made = await run(scenario, target.url, "-n", "12", "-c", "3", "-t", "3");
    expect(exitOf(made)).toBe(0);
    expect(made.report.checks).toEqual([{ name: "body", passed: 12, failed: 0 }]);
    expect(made.report.plan.scenario).toBe("imports.ts");
    const all = Array.from({ length: 12 }, (_, number) => `/item/${number}`);
    expect(pathsSince(before)).toEqual(all.toSorted());
  });

  test("exports options, and the command's own take their place", async () => {
    const scenario = write(
      "options.ts",
      `export const options = {
         target: ${JSON.stringify(target.url)}, connections: 3, iterations: 9, seed: 5,
         headers: { "X-Own": "yes" }, thresholds: ["count>=9"],
       };
       export default async (c) => { await c.http.get("/own"); };`,
    );
    const [own, other] = await Promise.all([
      run(scenario),
      run(scenario, "-c", "2", "-n", "6", "--seed", "8", "--threshold", "count<7"),
    ]);
    expect(own.report.plan).toMatchObject({ connections: 3, seed: 5, target: target.url });
    expect(own.report.iterations.outcomes).toEqual({ ok: 9 });
    expect(own.report.verdict.thresholds.map(({ text }) => text)).toEqual(["count>=9"]);
    expect(other.report.plan).toMatchObject({ connections: 2, seed: 8 });
    expect(other.report.iterations.outcomes).toEqual({ ok: 6 });
    expect(other.report.verdict.thresholds.map(({ text }) => text)).toEqual(["count<7"]);
    const rated = await run(scenario, "-r", "200", "-H", "X-Own: no", "--catch-up");
    expect(rated.report.plan.shape).toBe("200/s, 45 ms, 9 iterations");
    // On a busy machine the end may come before the last ones, which are unsent then.
    const { due, sent, unsent, outcomes } = rated.report.iterations;
    expect([due, sent + unsent, outcomes]).toEqual([9, 9, { ok: sent }]);
  });

  test("that is wrong is refused with a sentence that leads to the place", async () => {
    const cases: [name: string, text: string, error: RegExp][] = [
      [
        "syntax.ts",
        "export default () => {\n  const a = ;\n};",
        /syntax\.ts cannot be loaded:\n[\s\S]*syntax\.ts:2:/,
      ],
      [
        "seven.ts",
        "export default 7;",
        /seven\.ts has no scenario: its default export is no function/,
      ],
      ["none.ts", "export const a = 1;", /none\.ts has no scenario/],
      [
        "thrown.ts",
        "throw new Error('no data base');",
        /thrown\.ts cannot be loaded:\n[\s\S]*no data base[\s\S]*thrown\.ts:1/,
      ],
      [
        "lost.ts",
        'import "./nowhere.ts"; export default () => 1;',
        /lost\.ts cannot be loaded:\n.*nowhere\.ts/,
      ],
      [
        "odd.ts",
        "export const options = 3; export default () => 1;",
        /"options" of odd\.ts is no object of options/,
      ],
      [
        "typo.ts",
        "export const options = { conections: 3 }; export default () => 1;",
        /load has no option "conections"/,
      ],
    ];
    const before = target.requests;
    const ends = await Promise.all(
      cases.map(([name, text]) => refused(write(name, text), target.url, "-n", "1")),
    );
    for (const [index, [, , error]] of cases.entries()) {
      const { exitCode, stderr, stdout } = ends[index]!;
      expect([exitCode, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(error);
      expect(stderr).toStartWith("plait: ");
      // Of plait's own code there is nothing.
      expect(stderr).not.toContain("src/command");
    }
    const missing = await refused("missing.ts", target.url);
    expect(missing.stderr).toContain("plait: there is no scenario missing.ts\n");
    expect(target.requests).toBe(before);
  });

  test("that throws fails its iterations, whatever it throws, and the run goes on", async () => {
    const scenario = write(
      "throws.ts",
      `const odd = [undefined, null, 7, "text", Symbol("s"), { a: 1 }, Object.create(null),
         new Proxy({}, { get() { throw new Error("trap"); } }), new Error("the last one")];
       export default async (c) => {
         await c.step("get", () => c.http.get("/"));
         await c.step("throw", () => { throw odd[c.iteration % odd.length]; });
       };`,
    );
    const before = target.requests;
    const { report, ...made } = await run(scenario, target.url, "-n", "27", "-c", "2");
    expect(exitOf(made)).toBe(0);
    expect(report.iterations.outcomes).toEqual({ "scenario error": 27 });
    expect(report.requests.outcomes).toEqual({ ok: 27 });
    expect(target.requests - before).toBe(27);
    expect(report.steps.map(({ name, outcomes }) => [name, Object.keys(outcomes)])).toEqual([
      ["get", ["ok"]],
      ["throw", ["scenario error"]],
    ]);
  });

  test("that awaits what is not plait's is noticed, and runs attached", async () => {
    const scenario = write(
      "fetches.ts",
      `export default async (c) => {
         const answer = await fetch(${JSON.stringify(`${target.url}/fetched`)});
         c.check((await answer.text()) === "ok", "fetched");
       };`,
    );
    const [blocking, attached] = await Promise.all([
      refused(scenario, target.url, "-n", "4", "-c", "2"),
      run(scenario, target.url, "-n", "4", "-c", "2", "--driver", "attached"),
    ]);
    expect(blocking.exitCode).toBe(2);
    expect(blocking.stderr).toMatch(
      /^plait: the scenario awaits .*: run it with --driver attached$/m,
    );
    expect(attached.report.checks).toEqual([{ name: "fetched", passed: 4, failed: 0 }]);
  });

  test("may leave timers behind, and may not end the process", async () => {
    write(
      "exits.ts",
      "export default async (c) => { if (c.iteration === 3) process.exit(9); await c.http.get('/'); };",
    );
    write("timer.ts", "setInterval(() => 1, 50); export default (c) => c.http.get('/');");
    const [exits, timer] = await Promise.all([
      refused("exits.ts", target.url, "-n", "20", "-c", "1"),
      run("timer.ts", target.url, "-n", "5", "-c", "1"),
    ]);
    expect([exits.exitCode, exits.stderr]).toEqual([
      2,
      "plait: thread 0 has ended with 9: a scenario must not call process.exit\n",
    ]);
    expect(exitOf(timer)).toBe(0);
    expect(timer.report.iterations.outcomes).toEqual({ ok: 5 });
  });
});

describe("data", () => {
  const scenario = (): string =>
    write("rows.ts", 'export default (c) => c.http.get("/row/" + c.data("users").name);');

  test("of an order of once ends the run with its last row, which is no failure", async () => {
    write("users.csv", "name,age\nann,1\nbob,2\ncid,3\ndan,4\neve,5\n");
    const rows = ["ann", "bob", "cid", "dan", "eve"].map((name) => `/row/${name}`);
    for (const shape of [
      ["-t", "2"],
      ["-r", "500", "--catch-up"],
    ]) {
      const before = target.requests;
      const made = await run(
        ...[
          scenario(),
          target.url,
          "-c",
          "2",
          "-d",
          "20s",
          "--data",
          "users=users.csv:once",
          ...shape,
        ],
      );
      expect(exitOf(made)).toBe(0);
      expect(made.report.iterations).toMatchObject({ due: 5, sent: 5, outcomes: { ok: 5 } });
      expect(pathsSince(before)).toEqual(rows);
      expect(made.report.milliseconds).toBeLessThan(10_000);
    }
  });

  test("comes again from the first, also from JSON; a file that is missing is refused", async () => {
    write("users.json", '[{ "name": "ann" }, { "name": "bob" }]');
    const before = target.requests;
    const made = await run(
      ...[scenario(), target.url, "-c", "1", "-n", "5", "--data", "users=users.json"],
    );
    expect(exitOf(made)).toBe(0);
    expect(pathsSince(before)).toEqual(
      ["ann", "ann", "ann", "bob", "bob"].map((name) => `/row/${name}`),
    );
    const missing = await refused(scenario(), target.url, "--data", "users=none.csv");
    expect([missing.exitCode, missing.stderr]).toEqual([
      2,
      "plait: none.csv cannot be read: there is no such file\n",
    ]);
  });
});

describe("recordings", () => {
  test("a HAR file is replayed, to its own server or to another one", async () => {
    const request = (path: string, at: number, method = "GET"): object => ({
      startedDateTime: new Date(Date.UTC(2026, 0, 1) + at).toISOString(),
      request: {
        ...{ method, url: `${target.url}${path}`, httpVersion: "HTTP/1.1", cookies: [] },
        ...{ headers: [{ name: "X-Test", value: "har" }], queryString: [] },
      },
    });
    const entries = [request("/a", 0), request("/b?q", 100), request("/c", 250, "HEAD")];
    write("own.har", JSON.stringify({ log: { version: "1.2", entries } }));
    const before = target.requests;
    const made = await run("--har", "own.har", "-c", "2", "--catch-up");
    expect(exitOf(made)).toBe(0);
    expect(made.report.plan).toMatchObject({ target: target.url, isOpenLoop: true });
    const { due, sent, unsent } = made.report.iterations;
    expect(due).toBe(sent + unsent);
    expect(target.paths.slice(before)).toEqual(["/a", "/b?q", "/c"].slice(0, sent));
    await using other = await loadTarget();
    const elsewhere = await run("--har", "own.har", other.url, "--speed", "max", "-c", "1");
    expect(elsewhere.report.plan.isOpenLoop).toBe(false);
    expect(other.paths).toEqual(["/a", "/b?q", "/c"]);
  });

  test.skipIf(!isInstalled("nginx"))(
    "nginx's own log is replayed against nginx, ten times as fast",
    async () => {
      await using nginx = await LoggingNginx.start({ "a.txt": "a", "b.txt": "bb" });
      const origin = `http://127.0.0.1:${nginx.port}`;
      for (const path of ["/a.txt?1", "/b.txt", "/none"]) {
        await fetch(origin + path, { headers: { "User-Agent": "recorded" } });
      }
      await fetch(`${origin}/a.txt`, {
        method: "POST",
        body: "x",
        headers: { "User-Agent": "recorded" },
      });
      const recorded = await nginx.requests(4);
      writeFileSync(folder.file("access.log"), readFileSync(nginx.combined));
      const made = await run(
        origin,
        "--access-log",
        "access.log",
        "--speed",
        "10",
        "-c",
        "2",
        "--catch-up",
      );
      expect(exitOf(made)).toBe(0);
      expect(made.stderr).toContain("1 left out: the log has no bodies, as of POST; such as ");
      expect(made.report.iterations.outcomes).toEqual({ ok: 2, "status 4xx": 1 });
      const log = (await nginx.requests(7)).slice(4);
      const shown = (requests: typeof log): string[] =>
        requests.map(({ method, uri, status, agent }) => `${method} ${uri} ${status} ${agent}`);
      expect(shown(log).toSorted()).toEqual(shown(recorded.slice(0, 3)).toSorted());
    },
  );
});
