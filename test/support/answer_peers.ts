/** Other readers of HTTP answers, as programs of their own, for comparison with plait's. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { PeerName } from "./answer_differences.ts";
import type { AnswerStream } from "./answer_grammar.ts";
import { runCommand } from "./run_command.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** An answer that was read whole, in Latin-1 text. Values have no blanks around them. */
export interface AnswerRead {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  readonly keepsAlive: boolean;
}

/** What a reader has made of a stream. */
export interface Outcome {
  /** The answers in their order, without interim ones. */
  readonly answers: readonly AnswerRead[];
  /** `whole`, `incomplete` when the stream ended within an answer, or what is wrong with the stream. */
  readonly end: string;
}

const all: readonly (keyof AnswerRead)[] = ["status", "fields", "body", "trailers", "keepsAlive"];

const folder = join(import.meta.dir, "answer_peers");

/** A program that reads streams. Disposing of it ends the program. */
export class AnswerPeer implements AsyncDisposable {
  readonly name: PeerName;
  /** Whether it reads only the first answer of a stream. */
  readonly readsOne: boolean;
  /** What it shows of an answer. */
  readonly shows: readonly (keyof AnswerRead)[];
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #folder: TemporaryFolder | undefined;
  readonly #lines: AsyncGenerator<string, void>;

  private constructor(
    name: PeerName,
    command: readonly string[],
    { readsOne = false, shows = all, folder = undefined as TemporaryFolder | undefined },
  ) {
    this.name = name;
    this.readsOne = readsOne;
    this.shows = shows;
    this.#process = Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#folder = folder;
    this.#lines = linesOf(this.#process.stdout);
  }

  /** Node's client; undefined, with a printed reason, without Node 20. Others are strict in other ways. */
  static node(): AnswerPeer | undefined {
    const node = Bun.which("node");
    const version = node && Bun.spawnSync([node, "--version"]).stdout.toString();
    if (!node || !version?.startsWith("v20.")) {
      console.warn("skipped: Node 20 is not installed");
      return undefined;
    }
    return new AnswerPeer("Node's client", [node, join(folder, "node_client.cjs")], {
      readsOne: true,
    });
  }

  /** Bun's fetch. */
  static bun(): AnswerPeer {
    const command = [process.execPath, join(folder, "bun_client.ts")];
    return new AnswerPeer("Bun's fetch", command, { readsOne: true, shows: ["status", "body"] });
  }

  /** libhttp-parser; undefined, with a printed reason, without it or without a compiler. */
  static async httpParser(): Promise<AnswerPeer | undefined> {
    const compiler = Bun.which("cc");
    if (compiler === null || !existsSync("/usr/include/http_parser.h")) {
      console.warn("skipped: cc and libhttp-parser-dev are not both installed");
      return undefined;
    }
    const made = new TemporaryFolder();
    const program = made.file("reader");
    const source = join(folder, "http_parser.c");
    const command = [compiler, "-O1", "-o", program, source, "-lhttp_parser"];
    const { exitCode, stderr } = await runCommand(command, undefined, 30_000);
    if (exitCode !== 0) throw new Error(`cc: ${stderr}`);
    return new AnswerPeer("libhttp-parser", [program], { folder: made });
  }

  /** What it makes of each stream. */
  async read(streams: readonly AnswerStream[]): Promise<Outcome[]> {
    for (const { text, isToHead, portion } of streams) {
      const digits = Buffer.from(text, "latin1").toString("hex");
      this.#process.stdin.write(`${isToHead ? "H" : "G"} ${portion} ${digits}\n`);
    }
    this.#process.stdin.flush();
    const outcomes: Outcome[] = [];
    for (let index = 0; index < streams.length; index++) outcomes.push(await this.#outcome());
    return outcomes;
  }

  async #outcome(): Promise<Outcome> {
    const answers: AnswerRead[] = [];
    let answer = new Reading();
    for (;;) {
      const { value: line, done } = await this.#lines.next();
      if (done || line === undefined) throw new Error(`${this.name} has ended`);
      const [kind = "", rest = ""] = [line[0], line.slice(2)];
      if (kind === "X") return { answers, end: rest };
      if (kind !== "E") {
        answer.take(kind, rest);
        continue;
      }
      const read = answer.end(rest === "1");
      if (read.status >= 200 || read.status === 101) answers.push(read);
      answer = new Reading();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
    this.#folder?.[Symbol.dispose]();
  }
}

/** An answer, from the lines that say what was read of it. */
class Reading {
  #status = 0;
  #body = "";
  #isTrailer = false;
  #last = "";
  readonly #fields: [string, string][] = [];
  readonly #trailers: [string, string][] = [];

  take(kind: string, rest: string): void {
    const text = (): string => Buffer.from(rest, "hex").toString("latin1");
    const list = this.#isTrailer ? this.#trailers : this.#fields;
    if (kind === "S") this.#status = Number(rest);
    else if (kind === "D") this.#body += text();
    else if (kind === "C") this.#isTrailer = true;
    else if (kind === "V") list[list.length - 1]![1] += text();
    else if (this.#last === "N") list[list.length - 1]![0] += text();
    else list.push([text(), ""]);
    this.#last = kind;
  }

  end(keepsAlive: boolean): AnswerRead {
    const fields = this.#fields.map(trimmed);
    const trailers = this.#trailers.map(trimmed);
    return { status: this.#status, fields, body: this.#body, trailers, keepsAlive };
  }
}

function trimmed([name, value]: [string, string]): [string, string] {
  return [name.toLowerCase(), value.replace(/^[ \t]+|[ \t]+$/g, "")];
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const part of stream) {
    const lines = (rest + decoder.decode(part, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
