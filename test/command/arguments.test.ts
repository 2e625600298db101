/** The command line: the result of each option, and the sentence of each refusal. */

import { describe, expect, test } from "bun:test";
import { type LoadCommand, parseCommand } from "../../src/command/arguments.ts";
import { compareOptions, loadOptions, mergeOptions, optionsOf } from "../../src/command/options.ts";
import { UsageError } from "../../src/command/values.ts";
import { mostThresholds } from "../../src/load/thresholds.ts";

const http = "http://127.0.0.1:8080/";
const https = "https://127.0.0.1:8443/";

function loadOf(...words: string[]): LoadCommand {
  const command = parseCommand(["load", ...words]);
  if (command.kind !== "load") throw new Error(`it is ${command.kind}`);
  return command;
}

/** What differs from a command line that has only its positional arguments. */
function changes(words: readonly string[], ...plain: string[]): Record<string, unknown> {
  const command = loadOf(...plain, ...words);
  const before = loadOf(https);
  const changed: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(command)) {
    if (name === "target" || name === "scenario") continue;
    if (!Bun.deepEquals(value, before[name as keyof LoadCommand])) changed[name] = value;
  }
  return changed;
}

/** The sentence of a refusal. */
function refusalOf(...words: string[]): string {
  try {
    parseCommand(words);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    const { message } = error as UsageError;
    expect(message).not.toContain("\n");
    return message;
  }
  throw new Error(`${words.join(" ")} was taken`);
}

const tls = loadOf(https).tls;
const threshold = ["--threshold", "p99<50ms"];

/** Options with what they change. `names` is what the test covers. */
const accepted: readonly (readonly [string, readonly string[], Record<string, unknown>])[] = [
  ["connections", ["-c", "64"], { connections: 64 }],
  ["connections", ["-c64"], { connections: 64 }],
  ["connections", ["--connections=10k"], { connections: 10_000 }],
  ["duration", ["-d", "1m30s"], { duration: 90_000 }],
  ["duration", ["--duration", "500ms"], { duration: 500 }],
  ["iterations", ["-n", "1.5M"], { iterations: 1_500_000 }],
  ["threads", ["-t", "2"], { threads: 2 }],
  ["rate", ["-r", "20k"], { rate: 20_000 }],
  ["rate", ["--rate", "90/m"], { rate: 1.5 }],
  ["poisson", ["-r", "5", "--poisson"], { rate: 5, poisson: true }],
  [
    "stages",
    ["--stages", "10s:1000,30s=20k"],
    {
      stages: [
        { milliseconds: 10_000, from: 0, to: 1000 },
        { milliseconds: 30_000, from: 20_000, to: 20_000 },
      ],
    },
  ],
  [
    "connection-stages",
    ["--connection-stages", "10s:64"],
    { connectionStages: [{ milliseconds: 10_000, from: 0, to: 64 }] },
  ],
  ["overload", ["-r", "5", "--overload", "drop"], { rate: 5, overload: "drop" }],
  [
    "max-connections",
    ["-r", "5", "--overload=grow", "--max-connections", "512"],
    { rate: 5, overload: "grow", maxConnections: 512 },
  ],
  ["catch-up", ["-r", "5", "--catch-up"], { rate: 5, catchUp: true }],
  ["grace-period", ["--grace-period", "0s"], { gracePeriod: 0 }],
  ["seed", ["--seed", "42"], { seed: 42 }],
  ["method", ["-m", "DELETE"], { method: "DELETE" }],
  [
    "header",
    ["-H", "X-One:  1 ", "--header", "x-two: a: b", "-H", "Empty:"],
    {
      headers: [
        ["X-One", "1"],
        ["x-two", "a: b"],
        ["Empty", ""],
      ],
    },
  ],
  ["body", ["-b", "a=b"], { method: "POST", body: { text: "a=b" } }],
  ["body", ["-b", "@item.json", "-m", "PUT"], { method: "PUT", body: { file: "item.json" } }],
  ["body", ["-b", "@@x"], { method: "POST", body: { text: "@x" } }],
  ["body", ["--body="], { method: "POST", body: { text: "" } }],
  ["body", ["-b", "-5"], { method: "POST", body: { text: "-5" } }],
  [
    "expect",
    ["--expect", "200, 3xx,400-404"],
    {
      expect: [
        { from: 200, to: 200 },
        { from: 300, to: 399 },
        { from: 400, to: 404 },
      ],
    },
  ],
  ["timeout", ["--timeout", "2s"], { timeout: 2000 }],
  ["connect-timeout", ["--connect-timeout", "1s"], { connectTimeout: 1000 }],
  ["pipeline", ["--pipeline", "16"], { pipeline: 16 }],
  ["no-keep-alive", ["--no-keep-alive"], { keepAlive: false }],
  ["redirects", ["--redirects", "5"], { redirects: 5 }],
  ["cookies", ["--cookies"], { cookies: true }],
  ["decompress", ["--decompress"], { decompress: true }],
  ["har", ["--har", "a.har"], { har: "a.har" }],
  ["access-log", ["--access-log", "a.log"], { accessLog: "a.log" }],
  ["speed", ["--access-log", "a.log", "--speed", "2.5"], { accessLog: "a.log", speed: 2.5 }],
  ["speed", ["--har", "a", "--speed", "max"], { har: "a", speed: Number.POSITIVE_INFINITY }],
  [
    "connect-to",
    ["--connect-to", "127.0.0.1:81", "--connect-to", "unix:/run/app.sock"],
    {
      connectTo: [
        { from: undefined, to: { host: "127.0.0.1", port: 81 } },
        { from: undefined, to: { path: "/run/app.sock" } },
      ],
    },
  ],
  [
    "connect-to",
    ["--connect-to", "example.org:443:[::1]:8443", "--connect-to", "[::1]:80:unix:/a:b"],
    {
      connectTo: [
        { from: { host: "example.org", port: 443 }, to: { host: "::1", port: 8443 } },
        { from: { host: "::1", port: 80 }, to: { path: "/a:b" } },
      ],
    },
  ],
  ["ipv4", ["-4"], { family: 4 }],
  ["ipv6", ["--ipv6"], { family: 6 }],
  [
    "source",
    ["--source", "127.0.0.2, 127.0.0.3", "--source", "[::1]"],
    { sources: ["127.0.0.2", "127.0.0.3", "::1"] },
  ],
  ["driver", ["--driver", "attached"], { driver: "attached" }],
  ["sni", ["--sni", "example.org"], { tls: { ...tls, sni: "example.org" } }],
  ["ca", ["--ca", "ca.pem"], { tls: { ...tls, ca: "ca.pem" } }],
  ["cert", ["--cert", "c", "--key", "k"], { tls: { ...tls, cert: "c", key: "k" } }],
  ["key", ["--key", "k", "--cert", "c"], { tls: { ...tls, cert: "c", key: "k" } }],
  ["insecure", ["--insecure"], { tls: { ...tls, insecure: true } }],
  ["tls-min", ["--tls-min", "1.3"], { tls: { ...tls, min: "1.3" } }],
  ["tls-max", ["--tls-max=1.2"], { tls: { ...tls, max: "1.2" } }],
  ["no-resume", ["--no-resume"], { tls: { ...tls, resume: false } }],
  ["json", ["--json", "-"], { json: "-" }],
  ["html", ["--html", "a.html"], { html: "a.html" }],
  ["hlog", ["--hlog", "a.hlog"], { hlog: "a.hlog" }],
  ["csv", ["--csv", "a.csv"], { csv: "a.csv" }],
  ["prometheus", ["--prometheus", ":9464"], { prometheus: { host: "127.0.0.1", port: 9464 } }],
  ["prometheus", ["--prometheus", "9464"], { prometheus: { host: "127.0.0.1", port: 9464 } }],
  ["prometheus", ["--prometheus", "0.0.0.0:0"], { prometheus: { host: "0.0.0.0", port: 0 } }],
  ["prometheus", ["--prometheus", "[::]:9"], { prometheus: { host: "::", port: 9 } }],
  ["quiet", ["--quiet"], { quiet: true }],
  ["no-color", ["--no-color"], { color: false }],
];

describe("an option", () => {
  test.each(accepted)("--%s: %p", (_name, words, expected) => {
    expect(changes(words, https)).toEqual(expected);
  });

  test("of data is for a scenario", () => {
    const words = [
      "--data",
      "users=users.csv:random",
      "--data=items=a:b.json",
      "--data",
      "x=x.CSV",
    ];
    expect(changes(words, "load.ts")).toEqual({
      data: [
        { name: "users", file: "users.csv", order: "random" },
        { name: "items", file: "a:b.json", order: "sequential" },
        { name: "x", file: "x.CSV", order: "sequential" },
      ],
    });
  });

  test("of a search has two rates and thresholds", () => {
    const { search, thresholds } = loadOf(http, "--search", "1k:50k", ...threshold);
    expect(search).toEqual({ from: 1000, to: 50_000 });
    expect(thresholds.map(({ text }) => text)).toEqual(["p99<50ms"]);
  });

  test("of thresholds may have several behind it, and come again", () => {
    const lines = [
      [
        "--threshold",
        "p99<50ms",
        "errors<0.1%",
        http,
        "--threshold=rate>5",
        "check>99%",
        "-c",
        "5",
      ],
      [http, "--threshold", "p99<50ms", "--threshold", "errors<0.1%", "rate>5", "check>99%", "-c5"],
    ];
    for (const line of lines) {
      const { thresholds, target, connections } = loadOf(...line);
      expect(thresholds.map(({ text }) => text)).toEqual([
        "p99<50ms",
        "errors<0.1%",
        "rate>5",
        "check>99%",
      ]);
      expect(target).toBe(http);
      expect(connections).toBe(5);
    }
  });

  test("is in this test, if help has it", () => {
    const here = [...accepted.map(([name]) => name), "data", "search", "threshold"];
    const general = ["help", "version"];
    const names = optionsOf(loadOptions).map(({ name }) => name);
    expect(new Set([...here, ...general])).toEqual(new Set(names));
  });

  test("of one letter is one option's", () => {
    for (const groups of [loadOptions, compareOptions, mergeOptions]) {
      const letters = optionsOf(groups).flatMap(({ short }) => short ?? []);
      expect(new Set(letters).size).toBe(letters.length);
    }
  });
});

describe("what is loaded", () => {
  test.each<[readonly string[], string | undefined, string | undefined]>([
    [[http], http, undefined],
    [["HTTP://Example.org"], "HTTP://Example.org", undefined],
    [["http://[::1]:80/"], "http://[::1]:80/", undefined],
    [["load.ts"], undefined, "load.ts"],
    [["./dir/load.mjs", http], http, "./dir/load.mjs"],
    [[http, "load.ts"], http, "load.ts"],
    [["http://x/load.ts"], "http://x/load.ts", undefined],
    [["tcp://127.0.0.1:7000", "load.ts"], "tcp://127.0.0.1:7000", "load.ts"],
    [["tls://127.0.0.1:7000", "load.ts"], "tls://127.0.0.1:7000", "load.ts"],
    [["unix:/run/app.sock", "load.ts"], "unix:/run/app.sock", "load.ts"],
    [["--har", "a.har"], undefined, undefined],
    [["-c", "5", "--", http], http, undefined],
  ])("%p", (words, target, scenario) => {
    const command = loadOf(...words);
    expect(command.target).toBe(target);
    expect(command.scenario).toBe(scenario);
  });
});

describe("other commands", () => {
  test("compare", () => {
    const words = ["a.json", "b.json", "c.json", "--threshold", "p99<+10%", "errors<1%"];
    const outputs = ["--json", "d.json", "--html", "d.html", "--no-color"];
    expect(parseCommand(["load", "compare", ...words, ...outputs])).toMatchObject({
      kind: "compare",
      files: ["a.json", "b.json", "c.json"],
      thresholds: ["p99<+10%", "errors<1%"],
      json: "d.json",
      html: "d.html",
      color: false,
    });
  });

  test("merge", () => {
    const outputs = ["--json", "-", "--html", "d.html"];
    const command = parseCommand(["load", "merge", "a", "b", ...threshold, ...outputs]);
    expect(command).toMatchObject({
      kind: "merge",
      files: ["a", "b"],
      thresholds: [{ text: "p99<50ms", limit: 50 }],
      json: "-",
      html: "d.html",
      color: true,
    });
  });

  test.each([
    [[], "plait"],
    [["help"], "plait"],
    [["--help"], "plait"],
    [["-h"], "plait"],
    [["load", "--help"], "load"],
    [["load", "help"], "load"],
    [["load", "-h", "nonsense"], "load"],
    [["load", "compare", "--help"], "compare"],
    [["load", "merge", "-h"], "merge"],
  ] as const)("help: %p", (words, topic) => {
    expect(parseCommand(words)).toEqual({ kind: "help", topic });
  });

  test("the version", () => {
    for (const words of [["--version"], ["load", "--version"], ["load", "merge", "--version"]]) {
      expect(parseCommand(words)).toEqual({ kind: "version" });
    }
  });
});

describe("a refusal", () => {
  const missing =
    "a URL or a scenario is missing, such as plait load http://127.0.0.1:8080/ or plait load scenario.ts";

  test.each<[readonly string[], string]>([
    [["lod"], 'there is no command "lod": did you mean plait load?'],
    [["dance"], 'there is no command "dance": plait --help lists all'],
    [[http], `there is no command "${http}": did you mean plait load ${http}?`],
    [["load.ts"], 'there is no command "load.ts": did you mean plait load load.ts?'],
    [
      ["load", "compair", "a", "b"],
      "there is no command compair: did you mean plait load compare?",
    ],
    [["load", "merge", "a"], "plait load merge takes two reports or more: a.json b.json"],
    [["load", "compare", "a"], "plait load compare takes two reports or more: a.json b.json"],
    [
      ["load", "merge", "a", "b", "--hlog", "x"],
      "there is no option --hlog: plait load merge --help lists all",
    ],
    [
      ["load", "compare", "a", "b", "--csv", "x"],
      "there is no option --csv: plait load compare --help lists all",
    ],
    [
      ["load", "merge", "a", "b", "--threshold", "p99"],
      '"p99" is no threshold: examples are p99<50ms, errors<0.1%, rate>1000, check(found)>99%, step(login).p95<200ms over 10s',
    ],
    [["load"], missing],
    [["load", "-c", "5"], missing],
  ])("of a command: %p", (words, sentence) => {
    expect(refusalOf(...words)).toBe(sentence);
  });

  test.each<[readonly string[], string]>([
    [["--conections", "5"], "there is no option --conections: did you mean --connections?"],
    [["--Rate=5"], "there is no option --Rate: did you mean --rate?"],
    [["--concurrency", "5"], "there is no option --concurrency: did you mean --connections?"],
    [["--vus=5"], "there is no option --vus: did you mean --connections?"],
    [["--qps=5"], "there is no option --qps: did you mean --rate?"],
    [["--cacert", "x"], "there is no option --cacert: did you mean --ca?"],
    [["--xyzzy"], "there is no option --xyzzy: plait load --help lists all"],
    [["-z", "5"], "there is no option -z: plait load --help lists all"],
    [["--http2"], "HTTP/2 is not spoken: requests are HTTP/1.1"],
    [["--__proto__", "5"], "there is no option --__proto__: plait load --help lists all"],
    [["-c"], "--connections needs a value: --connections N"],
    [["--json", "--html", "f"], "--json needs a value: --json FILE"],
    [["-d", "-c", "5"], "--duration needs a value: --duration TIME"],
    [["--json="], "--json needs a value: --json FILE"],
    [["--quiet=yes"], "--quiet takes no value, not yes"],
    [["-c", "5", "--connections", "6"], "--connections was given twice"],
  ])("of an option: %p", (words, sentence) => {
    expect(refusalOf("load", http, ...words)).toBe(sentence);
  });

  test.each<[readonly string[], string]>([
    [["-c", "many"], '--connections is a whole number such as 10000 or 10k, not "many"'],
    [["-c", "0"], "--connections is at least 1, not 0"],
    [["-t", "1.5"], "--threads is a whole number, not 1.5"],
    [["-d", "30"], '--duration has no unit in "30": write 30s or 30ms'],
    [["-d", "0s"], "--duration is longer than 0"],
    [["--timeout", "soon"], '--timeout is a time such as 30s, 500ms or 1h30m, not "soon"'],
    [["--timeout", "0"], "--timeout is longer than 0"],
    [["-r", "fast"], '--rate is a rate such as 20000, 20k or 100/m, not "fast"'],
    [["-r", "0"], "--rate is above 0"],
    [["--seed", "x"], '--seed is a whole number such as 10000 or 10k, not "x"'],
    [
      ["--stages", "10s"],
      'a stage is a time and a value, such as 30s:20000 or 30s=20000, not "10s"',
    ],
    [["--search", "5", ...threshold], '--search is two rates such as 1k:50k, not "5"'],
    [["--search", "9:5", ...threshold], "--search: 9:5 ends before it begins"],
    [["--search", "0:5", ...threshold], "--search begins above 0"],
    [["-r", "5", "--overload", "wait"], '--overload is queue, grow or drop, not "wait"'],
    [["-m", "GE T"], '--method is a method such as GET or POST, not "GE T"'],
    [["-H", "nonsense"], "--header is 'NAME: VALUE', not \"nonsense\""],
    [["-H", ": x"], "--header is 'NAME: VALUE', not \": x\""],
    [["-H", "a b: x"], '--header "a b: x": "a b" is no name of a header'],
    [["-H", "a: x\ny"], '--header "a: x\\ny": the header a has a control character'],
    [
      ["-H", "Content-Length: 5"],
      "--header cannot set Content-Length, which is written by itself: the body has a length",
    ],
    [
      ["-H", "connection: close"],
      "--header cannot set connection, which is written by itself: use --no-keep-alive",
    ],
    [["-b", "@"], "--body @ has no file: write @FILE"],
    [["--expect", "okay"], '--expect is statuses such as 200,3xx,400-404, not "okay"'],
    [["--expect", "404-400"], "--expect: 404-400 ends before it begins"],
    [["--har", "a", "--speed", "0"], '--speed is a number above 0, such as 2, or max, not "0"'],
    [["--har", "a", "--speed", "x"], '--speed is a number above 0, such as 2, or max, not "x"'],
    [["--connect-to", "x"], '--connect-to is HOST:PORT, unix:PATH or FROM:PORT:TO:PORT, not "x"'],
    [["--connect-to", "x:99999"], "--connect-to: a port is between 1 and 65535, not 99999"],
    [["--source", "lo"], '--source is an address such as 127.0.0.2, not "lo"'],
    [["--driver", "fast"], '--driver is blocking or attached, not "fast"'],
    [["--prometheus", "here"], '--prometheus is :PORT or HOST:PORT, not "here"'],
    [["--prometheus", ":70000"], "--prometheus: a port is between 0 and 65535, not 70000"],
    [
      ["--threshold", "p99"],
      '"p99" is no threshold: examples are p99<50ms, errors<0.1%, rate>1000, check(found)>99%, step(login).p95<200ms over 10s',
    ],
    [["--threshold", "erors<1"], '"erors<1": nothing is measured as erors: did you mean errors?'],
  ])("of a value: %p", (words, sentence) => {
    expect(refusalOf("load", http, ...words)).toBe(sentence);
  });

  test.each<[readonly string[], string]>([
    [
      ["-r", "5", "--stages", "5s:5"],
      "--rate and --stages contradict each other: give one of them",
    ],
    [["-r", "5", "--har", "a"], "--rate and --har contradict each other: give one of them"],
    [
      ["-d", "5s", "--stages", "5s:5"],
      "--duration and --stages contradict each other: give one of them",
    ],
    [
      ["-c", "5", "--connection-stages", "5s:5"],
      "--connections and --connection-stages contradict each other: give one of them",
    ],
    [
      ["-n", "5", "--search", "1:5", ...threshold],
      "--iterations and --search contradict each other: give one of them",
    ],
    [
      ["--har", "a", "--access-log", "b"],
      "--har and --access-log contradict each other: give one of them",
    ],
    [["--har", "a", "-b", "x"], "--har and --body contradict each other: give one of them"],
    [
      ["--access-log", "a", "-m", "PUT"],
      "--access-log and --method contradict each other: give one of them",
    ],
    [
      ["--no-keep-alive", "--pipeline", "5"],
      "--no-keep-alive and --pipeline contradict each other: give one of them",
    ],
    [["-4", "-6"], "--ipv4 and --ipv6 contradict each other: give one of them"],
    [["--poisson"], "--poisson needs --rate or --stages or --search"],
    [
      ["--overload", "drop"],
      "--overload needs --rate or --stages or --search or --har or --access-log",
    ],
    [["--catch-up"], "--catch-up needs --rate or --stages or --search or --har or --access-log"],
    [["--search", "1:5"], "--search needs --threshold"],
    [["--speed", "2"], "--speed needs --har or --access-log"],
    [
      ["--har", "a", "--speed", "max", "--overload", "drop"],
      "--overload has no meaning with --speed max",
    ],
    [["-r", "5", "--max-connections", "9"], "--max-connections needs --overload grow"],
    [["--data", "a=b.csv"], "--data needs a scenario, which reads the rows"],
    [["--json", "x", "--csv", "x"], "--json and --csv both write to x"],
    [["--json", "-", "--csv", "-"], "--json and --csv both write to the standard output"],
    [["--insecure"], "--insecure has no meaning with http:"],
    [["--no-resume"], "--no-resume has no meaning with http:"],
    [[http], `there is one target, not ${http} and ${http}`],
  ])("of a contradiction: %p", (words, sentence) => {
    expect(refusalOf("load", http, ...words)).toBe(sentence);
  });

  test.each<[readonly string[], string]>([
    [[https, "--cert", "x"], "--cert needs --key"],
    [[https, "--key", "x"], "--key needs --cert"],
    [
      [https, "--insecure", "--ca", "x"],
      "--insecure and --ca contradict each other: give one of them",
    ],
    [
      [https, "--tls-min", "1.3", "--tls-max", "1.2"],
      "--tls-min 1.3 and --tls-max 1.2 leave no version",
    ],
    [[https, "--tls-min", "1.1"], '--tls-min is 1.2 or 1.3, not "1.1"'],
    [["a.ts", "b.ts"], "there is one scenario, not a.ts and b.ts"],
    [["a.ts", "-m", "PUT"], "--method has no meaning with a scenario, which makes the requests"],
    [["a.ts", "--har", "b"], "--har has no meaning with a scenario, which makes the requests"],
    [["a.ts", "--data", "x"], '--data is NAME=FILE, such as users=users.csv:random, not "x"'],
    [["a.ts", "--data", "x=y.txt"], '--data takes .csv and .json files, not "y.txt"'],
    [["a.ts", "--data", "x=a.csv", "--data", "x=b.csv"], "--data x was given twice"],
    [["--access-log", "x"], missing],
    [["localhost:8080"], '"localhost:8080" is no URL: did you mean http://localhost:8080?'],
    [["example.org/x"], '"example.org/x" is no URL: did you mean http://example.org/x?'],
    [["what ever"], '"what ever" is no URL, and no scenario such as load.ts'],
    [["p99<5ms"], "\"p99<5ms\" is no URL: did you mean --threshold 'p99<5ms'?"],
    [["http://"], '"http://" is no URL, and no scenario such as load.ts'],
    [["ftp://x/"], '"ftp://x/": a target is http:, https:, tcp:, tls:, unix: or a scenario'],
    [["wss://x/", "a.ts"], "a scenario opens WebSockets itself: write https: in place of wss:"],
    [["tcp://a:b@x:1/", "a.ts"], "a target of tcp: has no user and no password in it"],
    [
      ["tcp://127.0.0.1:5"],
      "tcp: needs a scenario: requests of the command are for http: and https:",
    ],
    [["tcp://127.0.0.1", "a.ts"], '"tcp://127.0.0.1" has no port: write tcp://HOST:PORT'],
    [["tcp://127.0.0.1:5", "a.ts", "--sni", "x"], "--sni has no meaning with tcp:"],
  ])("of a target: %p", (words, sentence) => {
    expect(refusalOf("load", ...words)).toBe(sentence);
  });

  test("of too many thresholds", () => {
    const many = Array.from({ length: mostThresholds + 1 }, () => "p99<1s");
    expect(refusalOf("load", http, "--threshold", ...many)).toBe(
      "thresholds are up to 100, not 101",
    );
  });

  test("of a kind of failure that does not exist", () => {
    const words = ["load", http, "--threshold", "failures(timout)<1"];
    expect(() => parseCommand(words, ["timeout", "reset"])).toThrow('did you mean "timeout"?');
    expect(parseCommand(words).kind).toBe("load");
  });
});

test("a scenario may have the rate that an option needs", () => {
  expect(loadOf("a.ts", "--poisson", "--overload", "drop")).toMatchObject({
    poisson: true,
    overload: "drop",
  });
});
