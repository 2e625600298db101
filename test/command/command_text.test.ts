import { expect, test } from "bun:test";
import { commandText } from "../../src/command/command_text.ts";
import { runCommand } from "../support/run_command.ts";

const words = [
  "plait",
  "load",
  "http://x/?a=1&b=$HOME",
  "-b",
  'it\'s "quoted" \\ `x` $(y)\nsecond line',
  "--threshold",
  "p99<50ms",
  "",
  "*",
  "~",
  "ü",
];

test("a shell takes the words again", async () => {
  const printed = await runCommand(["sh", "-c", `printf '%s\\0' ${commandText(words)}`]);
  expect(printed.text.split("\0").slice(0, -1)).toEqual(words);
});

test("secrets are left out, whichever way they were given", () => {
  const lines: [string[], string][] = [
    [["-H", "Authorization: Bearer abc"], "-H 'Authorization: ...'"],
    [["--header", "cookie:abc"], "--header 'cookie: ...'"],
    [["--header=X-Api-Key: abc"], "'--header=X-Api-Key: ...'"],
    [["-HAuthorization: abc"], "'-HAuthorization: ...'"],
    [
      ["-H", "X-Other: abc", "-b", "Authorization: abc"],
      "-H 'X-Other: abc' -b 'Authorization: abc'",
    ],
    [["http://me:pass@x/?a@b", "-t", "2"], "'http://...@x/?a@b' -t 2"],
    [["https:me@x/"], "https:...@x/"],
    [["http://x/me:pass@x", "a@b"], "http://x/me:pass@x a@b"],
  ];
  for (const [line, text] of lines) expect(commandText(line)).toBe(text);
});
