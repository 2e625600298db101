/** The words of a command line, split into options and positional arguments by `node:util`. */

import { parseArgs } from "node:util";
import { nearest } from "../load/nearest.ts";
import type { Option } from "./options.ts";
import { parseChoice, UsageError } from "./values.ts";

/** Names that other tools have for the same. */
const otherNames: ReadonlyMap<string, string> = new Map([
  ["concurrency", "connections"],
  ["users", "connections"],
  ["vus", "connections"],
  ["requests", "iterations"],
  ["time", "duration"],
  ["workers", "threads"],
  ["qps", "rate"],
  ["cacert", "ca"],
  ["disable-keepalive", "no-keep-alive"],
  ["output", "json"],
  ["resolve", "connect-to"],
]);

/** The options and positional arguments that were given. */
export class Given {
  readonly positionals: readonly string[];
  readonly #values = new Map<string, string[]>();

  constructor(words: readonly string[], options: readonly Option[], command: string) {
    const byName = new Map(options.map((option) => [option.name, option]));
    const { tokens } = parseArgs({
      args: withThresholds(words),
      options: Object.fromEntries(
        options.map(({ name, short, value, isMany }) => [
          name,
          {
            type: value === undefined ? ("boolean" as const) : ("string" as const),
            multiple: isMany,
            ...(short === undefined ? {} : { short }),
          },
        ]),
      ),
      // This refuses what is wrong itself, with better sentences.
      strict: false,
      allowPositionals: true,
      tokens: true,
    });
    const positionals: string[] = [];
    for (const token of tokens) {
      if (token.kind === "positional") positionals.push(token.value);
      if (token.kind !== "option") continue;
      const option = byName.get(token.name);
      if (option === undefined) throw unknownOption(token.rawName, token.name, options, command);
      this.#add(option, token.value, token.inlineValue === true, options);
    }
    this.positionals = positionals;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** The value of an option; undefined if it was not given. */
  read<Value>(name: string, parse: (text: string, what: string) => Value): Value | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parse(text, `--${name}`);
  }

  choice<Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    return this.read(name, (text, what) => parseChoice(text, what, choices));
  }

  #add(
    { name, value: wanted, isMany }: Option,
    value: string | undefined,
    isInline: boolean,
    options: readonly Option[],
  ): void {
    if (wanted === undefined) {
      if (value !== undefined) throw new UsageError(`--${name} takes no value, not ${value}`);
    } else if (value === undefined || value === "" || (!isInline && isOption(value, options))) {
      if (name !== "body" || value !== "") {
        throw new UsageError(`--${name} needs a value: --${name} ${wanted}`);
      }
    }
    const before = this.#values.get(name);
    if (before === undefined) this.#values.set(name, [value ?? ""]);
    else if (isMany) before.push(value ?? "");
    else if (wanted !== undefined) throw new UsageError(`--${name} was given twice`);
  }
}

/** Whether a word is one of the options, rather than the value of the one before it. */
function isOption(word: string, options: readonly Option[]): boolean {
  const long = /^--([\w-]+)(?:=|$)/.exec(word)?.[1];
  if (long !== undefined) return options.some(({ name }) => name === long);
  return options.some(({ short }) => short !== undefined && word === `-${short}`);
}

/** Lets several thresholds follow one flag: those behind the first are told from a target by their comparison. */
function withThresholds(words: readonly string[]): string[] {
  const result: string[] = [];
  let isThreshold = false;
  for (const [index, word] of words.entries()) {
    const isFirst = words[index - 1] === "--threshold";
    if (word === "--threshold" || word.startsWith("--threshold=")) isThreshold = true;
    else if (isFirst) isThreshold = true;
    else if (isThreshold && !word.startsWith("-") && /[<>]/.test(word)) {
      result.push(`--threshold=${word}`);
      continue;
    } else isThreshold = false;
    result.push(word);
  }
  return result;
}

function unknownOption(
  raw: string,
  name: string,
  options: readonly Option[],
  command: string,
): UsageError {
  if (name === "http2" || name === "h2") {
    return new UsageError("HTTP/2 is not spoken: requests are HTTP/1.1");
  }
  const other = otherNames.get(name);
  const names = options.map((option) => option.name);
  const right =
    other !== undefined && names.includes(other)
      ? other
      : raw.startsWith("--")
        ? nearest(name, names)
        : undefined;
  const hint = right === undefined ? `${command} --help lists all` : `did you mean --${right}?`;
  return new UsageError(`there is no option ${raw}: ${hint}`);
}
