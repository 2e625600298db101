/** The numbers of docs/limits.md are those of the constants that it names. */

import { describe, expect, test } from "bun:test";
import { root } from "../../scripts/build.ts";
import { textOf } from "../../scripts/docs/pages.ts";

/** Each unit as a number of bytes or of milliseconds. */
const units: Readonly<Record<string, number>> = {
  KiB: 1024,
  MiB: 1024 ** 2,
  ms: 1,
  s: 1000,
  h: 3_600_000,
};

/** Constants of Zig's library that the sources use. */
const libraryConstants: Readonly<Record<string, number>> = {
  "std.time.ns_per_us": 1000,
  "std.time.ns_per_ms": 1_000_000,
  "std.time.ns_per_hour": 3_600_000_000_000,
  "std.time.ms_per_s": 1000,
};

/** The value of a constant that is a number, or a calculation with numbers. */
function constantIn(text: string, name: string): number {
  const declaration = new RegExp(`\\bconst ${name}(?:: \\w+)? = ([^;\\n]+);`);
  const [, expression] = declaration.exec(text) ?? [];
  if (expression === undefined) throw new Error(`no constant ${name}`);
  let numbers = expression;
  for (const [constant, value] of Object.entries(libraryConstants)) {
    numbers = numbers.replaceAll(constant, `${value}`);
  }
  if (!/^[\d_x\sa-f()*+<]+$/.test(numbers)) throw new Error(`${name} is ${expression}`);
  return Number(new Function(`return ${numbers};`)());
}

/** A constant in milliseconds if its name says that it is in another unit of time. */
function inMilliseconds(name: string, value: number): number {
  if (/nanoseconds|longest_blind_spin/i.test(name)) return value / 1_000_000;
  if (/microseconds/i.test(name)) return value / 1000;
  return /(?<!milli)seconds/i.test(name) ? value * 1000 : value;
}

/** The numbers of a cell, in bytes or milliseconds. In a range, the first may have its unit from the second. */
function numbersOf(cell: string): number[] {
  const found = [...cell.matchAll(/(\d[\d,.]*)(?: (KiB|MiB|ms|s|h)\b)?/g)];
  return found.map(([, digits, unit], index) => {
    const given =
      unit ??
      (cell.includes(" to ") ? found.slice(index).find(([, , own]) => own)?.[2] : undefined);
    return Number(digits!.replaceAll(",", "")) * (given === undefined ? 1 : units[given]!);
  });
}

/** The numbers that a place in the sources has: of a constant, or of the text of some code. */
function numbersAt(file: string, code: string): number[] {
  const text = textOf(file);
  if (/^\w+$/.test(code)) return [inMilliseconds(code, constantIn(text, code))];
  if (!text.includes(code)) throw new Error(`${file} has no ${code}`);
  const numbers = [...code.matchAll(/(?<![\w.])\d[\d_]*\b/g)].map(([digits]) =>
    Number(digits.replaceAll("_", "")),
  );
  return numbers.map((number) => (/microseconds/i.test(code) ? number / 1000 : number));
}

interface Row {
  readonly what: string;
  readonly value: string;
  readonly places: readonly (readonly [file: string, code: string])[];
}

const rows = textOf("docs/limits.md")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !/^\| (what|---|\*\*)/.test(line))
  .map((line): Row => {
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const places = [...cells[5]!.matchAll(/\[`([^`]+)`\]\(\.\.\/([^)]+)\)/g)];
    return {
      what: cells[1]!,
      value: cells[2]!,
      places: places.map(([, code, file]) => [file!, code!] as const),
    };
  });

describe("the limits", () => {
  test.each(rows)("$what: $value", ({ value, places }) => {
    const written = numbersOf(value);
    expect(written.length).toBeGreaterThan(0);
    expect(places.length).toBeGreaterThan(0);
    const inSources = places.flatMap(([file, code]) => numbersAt(file, code));
    const wanted = new Set(written);
    // Each number stands in the sources, and each constant in the cell.
    for (const number of wanted) expect(inSources).toContain(number);
    for (const [file, code] of places) {
      expect(numbersAt(file, code).some((number) => wanted.has(number))).toBe(true);
    }
  });

  test("are many", () => {
    expect(rows.length).toBeGreaterThan(80);
  });
});

/** Constants that a user cannot meet: of formats and interfaces, and sizes of what plait works with. */
const unlisted: Readonly<Record<string, string>> = {
  "src/buffered/decoded_lines.ts": "leastLinesInBatch linesInBatch mostBatchBytes",
  "src/buffered/delimiters.ts": "cr lf",
  "src/buffered/reader.ts": "shortBytes",
  "src/buffered/unread.ts": "leastRoom shortBytes",
  "src/cluster/member.ts": "firstStart",
  "src/cluster/worker.ts": "lingerInterval",
  "src/core/abi.ts": "abiNumber",
  "src/drivers/mysql_handshake.ts": "headerBytes requestBytes",
  "src/command/help.ts": "columns textColumn",
  "src/http/answer_reader.ts": "bufferBytes leastRoom mostSpares",
  "src/http/body.ts": "mostJoined",
  "src/http/characters.ts": "hex token value",
  "src/http/decoding.ts": "mostDecodedBytes",
  "src/http/redirects.ts": "mostRedirects",
  "src/load/buckets.ts": "halfBits halfCount two20",
  "src/load/data/files.ts": "chunkBytes",
  "src/load/data/replay.ts": "shownLetters",
  "src/load/foreign_waits.ts": "turns",
  "src/load/hdr_encoding.ts": "compressedHeaderBytes headerBytes mostCountBytes significantDigits",
  "src/load/memory.ts": "numbersBytes wordsBytes",
  "src/load/pacer.ts": "userInterval",
  "src/load/preflight.ts": "otherDescriptors",
  "src/load/random.ts": "two32 two53",
  "src/load/recorder.ts": "numberBytes",
  "src/load/report.ts": "reportVersion",
  "src/load/run.ts": "leadMilliseconds lookMilliseconds",
  "src/load/thread.ts": "stagger tick",
  "src/load/verdict.ts": "manyTimes",
  "src/net/sending.ts": "textScratchBytes",
  "src/net/transfers.ts": "shortChunkBytes",
  "src/report/compare.ts": "drawings seed",
  "src/report/format.ts": "leastFirst",
  "src/report/line_file.ts": "pause standardOutput",
  "src/report/percentile_curve.ts": "placesPerHalving",
  "src/report/resampling.ts": "mostBlocks",
  "src/report/text.ts": "nameColumns",
  "src/sync/ring.ts": "leastRoom",
  "src/tls/sessions.ts": "sealBytes",
  "src/values/foreign_values.ts": "mostPrototypes",
  "src/websocket/close_codes.ts":
    "abnormalClosure codeBytes invalidText messageTooLong noCode normalClosure protocolViolation",
  "src/websocket/frames.ts": "leastOf64 length16 length64",
  "src/websocket/opening.ts": "keyBytes",
  "src/websocket/receive_buffer.ts": "bufferBytes mostGrowth mostSpares",
  "src/websocket/sending.ts": "keyBytes payloadAt portionBytes",
  "zig/boundary/abi.zig": "address_text_bytes",
  "zig/core/pool.zig": "chunk_slots",
  "zig/core/sockets.zig": "slot_bits generation_bits",
  "zig/net/masking.zig": "block_bytes key_bytes",
  "zig/net/endpoints.zig": "ip_bind_address_no_port",
  "zig/os/addresses.zig": "longest_literal interface_name_bytes",
  "zig/os/backend/epoll.zig":
    "host_search_limit searches_for_host_at_most inner_token bell_token filter_mode",
  "zig/os/backend/kqueue.zig": "timer_identifier notifier_identifier",
  "zig/tls/client_hello.zig": "header_bytes",
  "zig/tls/hello_limit.zig": "handshake client_hello",
  "zig/tls/memory.zig": "stack_bytes",
  "zig/tls/record/framing.zig": "header_bytes",
  "zig/tls/record/primitives.zig": "tag_bytes nonce_bytes longest_key longest_digest places",
  "zig/tls/record/protection.zig": "copied_bytes",
  "zig/tls/server_name.zig": "longest",
};

/** The constants of a file that are numbers. Those of Zig with a type are flags, apart from the limits. */
function constantsOf(path: string): string[] {
  const whole = textOf(path);
  const text = path.endsWith("abi.zig") ? whole.slice(whole.indexOf("pub const Limits =")) : whole;
  const type = path.endsWith("abi.zig") ? ": u32" : "";
  const value = "\\d[\\d_]*(?: (?:\\*\\*?|<<) [\\d_ *]+)?";
  const pattern = new RegExp(`^ *(?:export |pub )?const (\\w+)${type} = ${value};`, "gm");
  return [...text.matchAll(pattern)].map(([, name]) => name!);
}

test("every constant of the sources is in the table, or is none that a user meets", () => {
  const listed = new Set(rows.flatMap(({ places }) => places.map(String)));
  for (const [path, names] of Object.entries(unlisted)) {
    for (const name of names.split(" ")) listed.add(`${path},${name}`);
  }
  const sources = ["src/**/*.ts", "zig/**/*.zig"].flatMap((pattern) => [
    ...new Bun.Glob(pattern).scanSync(root),
  ]);
  const own = sources.filter((path) => !/_test\.zig$|openssl\.zig$|zig-cache|zig-out/.test(path));
  const found = own.flatMap((path) => constantsOf(path).map((name) => `${path},${name}`));
  expect(found.length).toBeGreaterThan(100);
  expect(found.filter((constant) => !listed.has(constant)).sort()).toEqual([]);
});
