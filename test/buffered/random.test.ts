/**
 * Random calls of a reader against a naive model, which has the whole stream at once. The writer cuts the
 * stream anywhere, and calls are given up at any time.
 */

import { expect, test } from "bun:test";
import {
  BufferedReader,
  MessageTooLongError,
  type Newline,
  now,
  type Socket,
  scope,
  sleep,
  TimeoutError,
  UnexpectedEndError,
  yieldNow,
} from "../../index.ts";
import { Random } from "../support/random.ts";
import { socketPair } from "../support/socket_pair.ts";

const games = 30;
const callsPerGame = 400;
/** Above that of lines that are decoded together, so that some are. */
const maxLength = 5000;

/** Bytes with many newlines, some invalid UTF-8, long runs, and prefixes that make sense. */
function content(random: Random, isFine: boolean): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (let count = random.below(300); count >= 0; count--) {
    const length = random.pick(isFine ? [0, 3] : [0, 1, 2, 3, 7, 20, 100, 1000, 5000, 70_000]);
    const bytes = new Uint8Array(random.below(length + 1));
    for (let index = 0; index < bytes.length; index++) bytes[index] = random.below(256);
    if (random.below(3) > 0)
      for (const [index, byte] of bytes.entries()) if (byte === 10) bytes[index] = 65;
    if (random.below(isFine ? 2 : 10) === 0) {
      // Short lines, which are decoded together.
      const line = random.pick(["", "a", "ab\r", "--", "é", "12345"]);
      const other = random.pick(["x", "é", "\xff\r"]);
      parts.push(
        new TextEncoder().encode(
          [...Array<string>(random.below(60)).fill(line), other, ""].join("\n"),
        ),
      );
    }
    parts.push(
      bytes,
      new TextEncoder().encode(random.pick(["\n", "\r\n", "\r", "é\n", "--\r\n--", "\0\x05hello"])),
    );
  }
  return new Uint8Array(Buffer.concat(parts));
}

async function write(socket: Socket, bytes: Uint8Array, random: Random): Promise<void> {
  for (let start = 0; start < bytes.length; ) {
    const size = random.pick([1, 2, 10, 100, 5000, 100_000]);
    await socket.write(bytes.subarray(start, start + size));
    start += size;
    if (random.below(4) === 0) await (random.below(20) === 0 ? sleep(1) : yieldNow());
  }
  await socket.shutdown();
}

/** What a call must return, and how many bytes it consumes. */
type Expected =
  | { readonly value: unknown; readonly consumed: number }
  | { readonly error: typeof MessageTooLongError | typeof UnexpectedEndError | string };

interface Call {
  readonly name: string;
  run(reader: BufferedReader, until: number | undefined): Promise<unknown>;
  expected(rest: Uint8Array): Expected;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function delimited(
  rest: Uint8Array,
  delimiter: Uint8Array,
  value: (unit: Uint8Array) => unknown,
  stripsCr = false,
): Expected {
  const index = Buffer.from(rest).indexOf(delimiter);
  const whole = index < 0 ? rest : rest.subarray(0, index);
  const unit = stripsCr && whole.at(-1) === 13 && index >= 0 ? whole.subarray(0, -1) : whole;
  if (index < 0) {
    if (rest.length > maxLength + 2) return { error: MessageTooLongError };
    if (rest.length === 0) return { value: null, consumed: 0 };
    return { error: rest.length <= maxLength ? UnexpectedEndError : "either" };
  }
  if (unit.length > maxLength) return { error: MessageTooLongError };
  return { value: value(unit), consumed: index + delimiter.length };
}

function counted(
  rest: Uint8Array,
  count: number,
  value: () => unknown,
  consumed = count,
): Expected {
  return rest.length < count ? { error: UnexpectedEndError } : { value: value(), consumed };
}

const lf = new Uint8Array([10]);

function callFor(random: Random, newline: Newline, isFine: boolean): Call {
  const counts = isFine ? [0, 1, 2, 5] : [0, 1, 2, 5, 50, 3000, 6000, 70_000, 200_000];
  const count = random.pick(counts);
  const delimiter = random.pick<string | Uint8Array>([
    "\r\n",
    "--",
    "l",
    "\n--\r\n",
    new Uint8Array([13, 10, 45, 45]),
    lf,
  ]);
  const sought = typeof delimiter === "string" ? new TextEncoder().encode(delimiter) : delimiter;
  const calls: Call[] = [
    {
      name: `readLine ${newline}`,
      run: (reader, until) => reader.readLine(until),
      expected: (rest) => lineAt(rest, newline),
    },
    {
      name: `readUntil ${delimiter}`,
      run: (reader, until) => reader.readUntil(delimiter, until),
      expected: (rest) => delimited(rest, sought, (unit) => unit),
    },
    {
      name: `readExactly ${count}`,
      run: (reader, until) => reader.readExactly(count, until),
      expected: (rest) => counted(rest, count, () => rest.subarray(0, count)),
    },
    {
      name: `readText ${count}`,
      run: (reader, until) => reader.readText(count, until),
      expected: (rest) => counted(rest, count, () => decoder.decode(rest.subarray(0, count))),
    },
    {
      name: `readFull ${count}`,
      run: async (reader, until) => {
        const into = new Uint8Array(count);
        await reader.readFull(into, until);
        return into;
      },
      expected: (rest) => counted(rest, count, () => rest.subarray(0, count)),
    },
    {
      name: `peek ${count}`,
      run: async (reader, until) => (await reader.peek(count, until)).slice(),
      expected: (rest) => counted(rest, count, () => rest.subarray(0, count), 0),
    },
    {
      name: "readUint16LE",
      run: (reader, until) => reader.readUint16LE(until),
      expected: (rest) => counted(rest, 2, () => rest[0]! + 256 * rest[1]!),
    },
    {
      name: "readPrefixed 2",
      run: (reader, until) => reader.readPrefixed(2, {}, until),
      expected: (rest) => {
        if (rest.length === 0) return { value: null, consumed: 0 };
        if (rest.length < 2) return { error: UnexpectedEndError };
        const length = 256 * rest[0]! + rest[1]!;
        if (length > maxLength) return { error: MessageTooLongError };
        return counted(rest, 2 + length, () => rest.subarray(2, 2 + length));
      },
    },
  ];
  return random.pick(calls);
}

async function attempt(run: () => Promise<unknown>): Promise<{ value?: unknown; error?: unknown }> {
  try {
    return { value: await run() };
  } catch (error) {
    return { error };
  }
}

function lineAt(rest: Uint8Array, newline: Newline): Expected {
  const end = newline === "crlf" ? new Uint8Array([13, 10]) : lf;
  return delimited(rest, end, (unit) => decoder.decode(unit), newline === "any");
}

/** Reads the lines that have come, and returns the position behind them. */
async function moveBehindLines(
  reader: BufferedReader,
  bytes: Uint8Array,
  position: number,
  newline: Newline,
): Promise<number> {
  const { value, error } = await attempt(() => reader.readLines());
  if (error !== undefined || value === null) {
    // As a call for one line.
    const expected = lineAt(bytes.subarray(position), newline);
    if ("value" in expected) expect([error, value]).toEqual([undefined, expected.value]);
    return position;
  }
  let end = position;
  const lines = value as string[];
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    const expected = lineAt(bytes.subarray(end), newline);
    expect(expected).toMatchObject({ value: line });
    if ("consumed" in expected) end += expected.consumed;
  }
  return end;
}

/** One call without a fixed result, such as `next`. Returns the new position. */
async function moveOn(
  reader: BufferedReader,
  bytes: Uint8Array,
  before: number,
  newline: Newline,
  random: Random,
): Promise<number> {
  let position = before;
  if (random.below(3) === 0) {
    position = await moveBehindLines(reader, bytes, before, newline);
    if (position > before) return position;
  }
  if (random.below(3) === 0) {
    const chunk = await reader.next();
    if (chunk === null) {
      expect(position).toBe(bytes.length);
      return position;
    }
    expect(chunk).toEqual(bytes.slice(position, position + chunk.length));
    return position + chunk.length;
  }
  if (random.below(2) === 0) {
    const into = new Uint8Array(1 + random.below(10_000));
    const count = await reader.read(into);
    expect(count > 0).toBe(position < bytes.length);
    expect(into.subarray(0, count)).toEqual(bytes.slice(position, position + count));
    return position + count;
  }
  const { value, error } = await attempt(() => reader.discardUntil("\r\n"));
  const index = Buffer.from(bytes).indexOf("\r\n", position);
  if (index >= 0) {
    expect(value).toBe(index + 2 - position);
    return index + 2;
  }
  if (position === bytes.length) expect(value).toBe(0);
  else expect(error).toBeInstanceOf(UnexpectedEndError);
  // What may be the first byte of the delimiter stays.
  return bytes.length - reader.buffered;
}

async function play(seed: number): Promise<void> {
  const random = new Random(seed);
  // Short units, one behind the other, or all sizes.
  const isFine = random.below(2) === 0;
  const bytes = content(random, isFine);
  const newline = random.pick(["lf", "crlf", "any"] as const);
  await using pair = await socketPair();
  await scope(async (both) => {
    const writer = both.spawn(() => write(pair.server, bytes, new Random(seed + 1)));
    const reader = new BufferedReader(pair.client, { maxLength, newline });
    let position = 0;
    let repeated: Call | undefined;
    for (let call = 0; call < callsPerGame; call++) {
      const isGivenUp = random.below(3) === 0;
      if (random.below(isFine ? 100 : 12) === 0) {
        position = await moveOn(reader, bytes, position, newline, random);
        continue;
      }
      // The same call many times in a row finds what is kept from one to the next.
      if (random.below(20) === 0) repeated = undefined;
      const isRepeated = repeated !== undefined && random.below(4) > 0;
      const chosen: Call = isRepeated ? repeated! : callFor(random, newline, isFine);
      if (chosen.name.startsWith("readLine") || chosen.name.startsWith("readUntil"))
        repeated = chosen;
      const { name, run, expected } = chosen;
      const until = isGivenUp ? now() + random.fraction() * 0.5 + 0.01 : undefined;
      const { value, error } = await attempt(() => run(reader, until));
      if (isGivenUp && error instanceof TimeoutError) continue;
      const outcome = expected(bytes.subarray(position));
      const what = `call ${call} of seed ${seed}: ${name} at ${position}`;
      if ("error" in outcome) {
        if (typeof outcome.error === "string")
          expect([what, error]).toEqual([what, expect.any(Error)]);
        else if (!(error instanceof outcome.error)) {
          throw new Error(`${what}: expected ${outcome.error.name}, got ${String(error ?? value)}`);
        }
        if (error instanceof UnexpectedEndError && !name.startsWith("readFull")) {
          expect([what, error.partial]).toEqual([what, bytes.slice(position)]);
        }
        // Leaves the obstacle out.
        position = await moveOn(reader, bytes, position, newline, random);
        continue;
      }
      if (error !== undefined) throw new Error(`${what}: ${String(error)}`, { cause: error });
      expect([what, value]).toEqual([what, outcome.value]);
      position += outcome.consumed;
    }
    writer.cancel();
  });
}

test(`${games} games of random calls`, async () => {
  const first = new Random().seed;
  for (let game = 0; game < games; game++) await play((first + game) % 2 ** 32);
}, 60_000);
