/** The blocks of code in a page of the documentation, and the directives around them, as steps that can be run. */

/** A module of TypeScript that is checked and run. */
export interface ProgramStep {
  readonly kind: "program";
  readonly line: number;
  /** The reason why it is checked and not run. */
  readonly notRun: string | undefined;
  readonly parts: SnippetPart[];
  readonly outputs: string[];
}

/** A block of a program, with the code before and behind it that readers do not see. */
export interface SnippetPart {
  readonly given: string;
  readonly snippet: string;
  behind: string;
}

/** A block that is written to a file. */
export interface FileStep {
  readonly kind: "file";
  readonly line: number;
  readonly name: string;
  /** The whole file. */
  readonly text: string;
}

/** A block that a shell runs. */
export interface CommandStep {
  readonly kind: "command";
  readonly line: number;
  readonly text: string;
  readonly notRun: string | undefined;
  /** The statuses with which it may end. */
  readonly exits: readonly number[];
  /** It stays in the background. The page goes on when it has printed this text. */
  readonly background: string | undefined;
  readonly outputs: string[];
}

/** Ends what is in the background. */
export interface StopStep {
  readonly kind: "stop";
  readonly line: number;
}

export type Step = ProgramStep | FileStep | CommandStep | StopStep;

export interface Snippets {
  readonly steps: readonly Step[];
  /** The page whose files are there first. */
  readonly filesOf: string | undefined;
}

interface Token {
  readonly line: number;
  /** The language of a block, or undefined for a directive. */
  readonly language: string | undefined;
  /** The name of a directive. */
  readonly name: string;
  readonly text: string;
}

/** The directives that stand before a block. */
const leading = ["given", "continued", "not run", "file", "exit", "background", "output"];

const known = new Set([...leading, "then", "prints", "stop", "files"]);

/** Blocks in these languages would not be run. */
const otherNames = new Set(["typescript", "tsx", "js", "javascript", "bash", "shell", "console"]);

/** The steps of a page. A directive that is unknown, or that stands before nothing, is an error. */
export function snippetsOf(page: string, markdown: string): Snippets {
  const steps: Step[] = [];
  const files = new Map<string, string>();
  let filesOf: string | undefined;
  let last: ProgramStep | CommandStep | undefined;
  let before = new Map<string, string>();
  for (const { line, language, name, text } of tokensOf(page, markdown)) {
    const fail = (problem: string): never => {
      throw new Error(`${page}:${line}: ${problem}`);
    };
    if (language === undefined) {
      if (!known.has(name)) fail(`<!-- ${name} --> is no directive`);
      if (leading.includes(name)) before.set(name, text);
      else if (before.size > 0) fail(`a block should stand between ${[...before.keys()]} and this`);
      else if (name === "files") filesOf = text;
      else if (name === "stop") steps.push({ kind: "stop", line });
      else if (name === "prints") (last ?? fail("nothing has run")).outputs.push(text);
      else if (last?.kind !== "program") fail("no block of TypeScript stands before this");
      else last.parts.at(-1)!.behind += `${text}\n`;
      continue;
    }
    const directives = before;
    before = new Map();
    const take = (key: string): string | undefined => {
      const value = directives.get(key);
      directives.delete(key);
      return value;
    };
    const file = take("file");
    const output = take("output");
    if (file !== undefined) {
      const [, path, more] = /^(\S+?)(, continued)?$/.exec(file) ?? fail(`no name: ${file}`);
      const whole = (more === undefined ? "" : (files.get(path!) ?? fail(`no ${path} yet`))) + text;
      files.set(path!, whole);
      steps.push({ kind: "file", line, name: path!, text: whole });
    } else if (output !== undefined) {
      if (last === undefined) fail("nothing has run whose output this could be");
      last!.outputs.push(text);
    } else if (language === "ts") {
      const part = { given: take("given") ?? "", snippet: text, behind: "" };
      if (take("continued") !== undefined) {
        if (last?.kind !== "program") fail("no block of TypeScript stands before this");
        (last as ProgramStep).parts.push(part);
      } else {
        last = { kind: "program", line, notRun: take("not run"), parts: [part], outputs: [] };
        steps.push(last);
      }
    } else if (language === "sh") {
      const exits = (take("exit") ?? "0").split(" or ").map(Number);
      const [background, notRun] = [take("background"), take("not run")];
      last = { kind: "command", line, text, notRun, exits, background, outputs: [] };
      steps.push(last);
    } else if (otherNames.has(language)) fail(`a block that runs is "ts" or "sh", not ${language}`);
    if (directives.size > 0) fail(`${[...directives.keys()]} is not for this block`);
  }
  if (before.size > 0) throw new Error(`${page}: no block stands after ${[...before.keys()]}`);
  return { steps, filesOf };
}

/** The blocks of code and the comments of a page. */
function* tokensOf(page: string, markdown: string): Generator<Token> {
  const lines = markdown.split("\n");
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1;
    const fence = /^( *)(```+|~~~+)(\S*)/.exec(lines[index]!);
    const comment = /^<!-- ?([a-z ]*[a-z])/.exec(lines[index]!);
    if (fence !== null) {
      const [, indent, mark, language] = fence;
      const inside: string[] = [];
      while (lines[++index]?.trim() !== mark) {
        if (index >= lines.length) throw new Error(`${page}:${line}: a block without an end`);
        inside.push(`${lines[index]!.replace(indent!, "")}\n`);
      }
      yield { line, language: language!, name: "", text: inside.join("") };
    } else if (comment !== null) {
      let whole = lines[index]!;
      while (!whole.includes("-->")) {
        if (++index >= lines.length) throw new Error(`${page}:${line}: a comment without an end`);
        whole += `\n${lines[index]}`;
      }
      const text = whole.slice(comment[0].length, whole.indexOf("-->")).replace(/^:/, "");
      yield {
        line,
        language: undefined,
        name: comment[1]!,
        text: text.replace(/^ *\n?/, "").trimEnd(),
      };
    }
  }
}
