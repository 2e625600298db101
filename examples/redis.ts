/** A Redis client that speaks RESP3. Fibers share a connection, and their commands leave together. */

import * as plait from "plait";

export type Argument = string | number | Uint8Array;
type Single = Argument | bigint | boolean | null | RedisError;
export type Reply = Single | Reply[] | Map<Reply, Reply> | Set<Reply>;

/** The server has refused a command. `code` is the first word of the message, such as WRONGTYPE. */
export class RedisError extends Error {
  override readonly name = "RedisError";
  readonly code = this.message.split(" ", 1)[0];
}

export class Redis implements AsyncDisposable {
  /** What comes unasked, such as `["message", channel, text]`. When it is full, answers wait too. */
  readonly pushes = new plait.Channel<Reply[]>(1000);
  failure: unknown; // Why the connection has ended.
  readonly #socket: plait.Socket;
  readonly #reader: plait.BufferedReader;
  readonly #writer: plait.BufferedWriter;
  readonly #hasCommands = new plait.Event();
  /** The commands without an answer, in order. Pushes answer SUBSCRIBE, one for each channel. */
  readonly #calls: (PromiseWithResolvers<Reply> & { wantsBytes: boolean; pushes: number })[] = [];

  private constructor(socket: plait.Socket) {
    this.#socket = socket;
    this.#reader = new plait.BufferedReader(socket, { newline: "crlf" });
    this.#writer = new plait.BufferedWriter(socket);
  }

  static async connect(options: plait.ConnectOptions): Promise<Redis> {
    const redis = new Redis(await plait.connect(options));
    const run = () => plait.race([() => redis.#send(), () => redis.#receive()]);
    plait.spawn(() => run().catch((error) => redis.#end(error)), { name: "redis" });
    await redis.call(["HELLO", 3], options.deadline).catch((error) => redis.#end(error));
    if (redis.failure !== undefined) throw redis.failure;
    return redis;
  }

  /** Sends a command, and returns its answer. Bytes in the command must not change before. */
  async call(command: Argument[], until?: number, wantsBytes = false): Promise<Reply> {
    if (this.failure !== undefined) throw this.failure;
    // Not awaited: each caller waits for its answer, and that bounds what the writer holds.
    this.#writer.write(encode(command));
    this.#hasCommands.set();
    const pushes = /subscribe$/i.test(`${command[0]}`) ? Math.max(command.length - 1, 1) : 0;
    const call = { ...Promise.withResolvers<Reply>(), wantsBytes, pushes };
    this.#calls.push(call);
    return await plait.waitFor(call.promise, until);
  }

  /** Waits until all commands are answered, and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.call(["QUIT"], plait.deadline(5000)).catch(() => {});
    this.#end(new Error("the client is closed"));
  }

  #end(error: unknown): void {
    this.failure ??= error;
    this.#socket.close();
    this.pushes.close();
    for (const call of this.#calls.splice(0)) call.reject(this.failure);
  }

  async #send(): Promise<never> {
    for (;;) {
      await this.#hasCommands.wait();
      if (this.#calls.length > 1) await plait.yieldNow(); // Fibers that are ready add theirs.
      this.#hasCommands.clear();
      await this.#writer.flush();
    }
  }

  async #receive(): Promise<never> {
    for (;;) {
      const head = await this.#line();
      const reply = await this.#reply(head, this.#calls[0]?.wantsBytes === true);
      if (head[0] !== ">") this.#answer(reply);
      else if (!`${(reply as Reply[])[0]}`.endsWith("subscribe"))
        await this.pushes.send(reply as Reply[]);
      else if (this.#calls[0] && --this.#calls[0].pushes === 0) this.#answer(reply);
    }
  }

  #answer(reply: Reply): void {
    const call = this.#calls.shift();
    if (call === undefined) throw new Error(`an answer without a command: ${reply}`);
    if (reply instanceof RedisError) call.reject(reply);
    else call.resolve(reply);
  }

  async #line(): Promise<string> {
    const line = this.#reader.tryReadLine() ?? (await this.#reader.readLine());
    if (line === null) throw new Error("the server has closed the connection");
    return line;
  }

  /** Reads what follows the first line of a reply. */
  async #reply(head: string, wantsBytes: boolean): Promise<Reply> {
    const [kind, rest] = [head[0] ?? "", head.slice(1)];
    if (kind in repliesOfOneLine) return repliesOfOneLine[kind]!(rest);
    if (!/^[$=!*>~%|]\d+$/.test(head)) throw new Error(`this is not RESP3: ${head}`);
    const size = Number(rest);
    if (kind === "$" && wantsBytes) return (await this.#reader.readExactly(size + 2)).slice(0, -2);
    if ("$=!".includes(kind)) {
      const text = this.#reader.tryReadText(size + 2) ?? (await this.#reader.readText(size + 2));
      if (kind === "!") return new RedisError(text.slice(0, -2));
      return text.slice(kind === "=" ? "txt:".length : 0, -2);
    }
    const next = async () => await this.#reply(await this.#line(), wantsBytes);
    const items: Reply[] = [];
    for (let left = size; left > 0; left--) {
      items.push("%|".includes(kind) ? [await next(), await next()] : await next());
    }
    if (kind === "|") return await next(); // These attributes are of the reply that follows.
    if (kind === "%") return new Map(items as [Reply, Reply][]);
    return kind === "~" ? new Set(items) : items;
  }
}

const repliesOfOneLine: Readonly<Record<string, (text: string) => Reply>> = {
  "+": (text) => text,
  "-": (text) => new RedisError(text),
  ":": (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text)),
  "(": (text) => BigInt(text),
  ",": (text) => Number(text.replace("inf", "Infinity")),
  "#": (text) => text === "t",
  _: () => null,
};

function encode(command: Argument[]): plait.WriteData {
  const parts: (string | Uint8Array)[] = [`*${command.length}\r\n`];
  for (const argument of command) {
    const part = typeof argument === "number" ? `${argument}` : argument;
    parts.push(`$${Buffer.byteLength(part)}\r\n`, part, "\r\n");
  }
  return parts.every((part) => typeof part === "string") ? parts.join("") : parts;
}

if (import.meta.main && process.argv.includes("--help")) {
  console.log("Usage: bun redis.ts [port]\n\nSends a few commands to a server at localhost.");
} else if (import.meta.main) {
  await using redis = await Redis.connect({ port: Number(process.argv[2] ?? 6379) });
  const commands = ["ECHO hello", "SUBSCRIBE news", "PUBLISH news hello"];
  console.log(await Promise.all(commands.map((command) => redis.call(command.split(" ")))));
  console.log(await redis.pushes.receive());
}
