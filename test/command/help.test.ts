/** Help: it fits, has every option, and its examples are right. */

import { describe, expect, test } from "bun:test";
import { type HelpTopic, parseCommand } from "../../src/command/arguments.ts";
import { exitCodes } from "../../src/command/exit_codes.ts";
import { helpText } from "../../src/command/help.ts";
import {
  compareOptions,
  loadOptions,
  mergeOptions,
  type OptionGroup,
  optionsOf,
} from "../../src/command/options.ts";
import { parseThreshold } from "../../src/load/thresholds.ts";

const topics: readonly [HelpTopic, readonly OptionGroup[]][] = [
  ["plait", []],
  ["load", loadOptions],
  ["compare", compareOptions],
  ["merge", mergeOptions],
];

/** The words of a command line as a shell splits them. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

describe.each(topics)("the help of %s", (topic, groups) => {
  const text = helpText(topic);

  test("fits into 80 columns, without spaces at the ends of lines", () => {
    expect(text).toEndWith("\n");
    for (const line of text.split("\n")) {
      expect(line.length).toBeLessThanOrEqual(80);
      expect(line).toBe(line.trimEnd());
    }
  });

  test("names every option", () => {
    for (const { name, short, value } of optionsOf(groups)) {
      const flag = short === undefined ? `      --${name}` : `  -${short}, --${name}`;
      const whole = value === undefined ? flag : `${flag} ${value}`;
      expect(text.split("\n").some((line) => line === whole || line.startsWith(`${whole}  `))).toBe(
        true,
      );
    }
  });

  test("has examples that are taken", () => {
    const lines = text.replaceAll("\\\n", "").split("\n");
    const examples = lines.filter((line) => line.startsWith("  plait load "));
    if (topic !== "plait") expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) {
      const words = wordsOf(example.replace(" URL", " http://127.0.0.1/")).slice(1);
      expect(parseCommand(words).kind).toBe(topic === "plait" ? "load" : topic);
    }
  });
});

test("help says every exit code", () => {
  for (const topic of ["load", "compare", "merge"] as const) {
    for (const code of Object.values(exitCodes)) {
      expect(helpText(topic)).toMatch(new RegExp(`^ {2}${code} +\\S`, "m"));
    }
  }
  expect(Object.values(exitCodes)).toEqual([0, 1, 2, 3, 4, 130]);
});

test("the thresholds of help are thresholds", () => {
  const text = helpText("load");
  const section = text.slice(text.indexOf("\nThresholds:"), text.indexOf("\nExit codes:"));
  const found = section.match(/[\w.]+(?:\([\w ]+\)[\w.]*)?[<>]=?[\d.]+[\w%]*/g)!;
  expect(found.length).toBeGreaterThan(12);
  for (const each of found) expect(parseThreshold(each).text).toBe(each);
});

test("the stages, times and statuses in what help says of options are right", () => {
  const help = optionsOf(loadOptions)
    .map((option) => option.help)
    .join(" ");
  for (const example of ["10s:1000,30s:20k", "30s=500"]) {
    expect(help).toContain(example);
    expect(parseCommand(["load", "http://x", "--stages", example]).kind).toBe("load");
  }
  expect(help).toContain("200,3xx,404");
  expect(parseCommand(["load", "http://x", "--expect", "200,3xx,404"]).kind).toBe("load");
});
