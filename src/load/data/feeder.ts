/**
 * Feeders give each iteration of a scenario a row of data. Threads share nothing for it: an iteration has a number
 * in the whole run, and its row follows from that. So each thread has all rows, and no row goes twice where it must not.
 */

import { ownOptions, typeMistake } from "../../values/checks.ts";
import { Random } from "../random.ts";
import { DataFileError, readText } from "./files.ts";

/**
 * `sequential`: one row after the other, and again from the first. `random`: any row each time; the seed of the run
 * repeats them. `once`: one row after the other, and after the last one the run ends.
 */
export type FeederOrder = "sequential" | "random" | "once";

/** A file of rows, and their order, which is `sequential` if it is not given. */
export interface DataFile {
  /** The path of a `.csv` or `.json` file. */
  readonly file: string;
  /** `sequential` if not given. */
  readonly order?: FeederOrder | undefined;
}

/** Options of a feeder. */
export interface FeederOptions {
  /** `sequential` by default. */
  readonly order?: FeederOrder | undefined;
  /** Feeders of the same name choose the same random rows. By default the path of the file. */
  readonly name?: string | undefined;
}

/** Options of `csvFeeder`. */
export interface CsvFeederOptions extends FeederOptions {
  /** What lies between the fields: "," by default. */
  readonly delimiter?: string | undefined;
  /** The names of the columns if the file's first line has none. */
  readonly columns?: readonly string[] | undefined;
}

/** A row of a CSV file: the text of each column by its name. */
export type CsvRow = Readonly<Record<string, string>>;

/** Bytes of a file of data. Each thread has its rows in memory. */
export const mostFeederBytes = 64 * 1024 * 1024;

/** An order of `once` has no more rows. The run ends. */
export class DataExhaustedError extends Error {
  override readonly name = "DataExhaustedError";

  constructor(feeder: string) {
    super(`${feeder} has no more rows`);
  }
}

/** Rows of data, and the order in which iterations get them. Feeders come from `arrayFeeder`, `csvFeeder` and `jsonFeeder`. */
export class Feeder<Row> {
  /** Feeders of the same name choose the same random rows. */
  readonly name: string;
  /** The order of its rows. */
  readonly order: FeederOrder;
  /** All rows. */
  readonly rows: readonly Row[];
  readonly #random = new Random();
  /** The seed of the run, and that of the feeder, which follows from it. */
  #runSeed = Number.NaN;
  #seed = 0;

  /** @internal The rows are checked. */
  constructor(rows: readonly Row[], order: FeederOrder, name: string) {
    this.rows = rows;
    this.order = order;
    this.name = name;
  }

  /** How many iterations it has rows for: infinity unless its order is `once`. */
  get limit(): number {
    return this.order === "once" ? this.rows.length : Number.POSITIVE_INFINITY;
  }

  /**
   * The row of an iteration; undefined when an order of `once` has no more.
   *
   * @param iteration its number in the whole run, from 0 on
   * @param seed that of the run
   */
  row(iteration: number, seed: number): Row | undefined {
    const { rows, order } = this;
    if (order === "once") return rows[iteration];
    if (order === "sequential") return rows[iteration % rows.length];
    if (seed !== this.#runSeed) this.#begin(seed);
    return rows[this.#random.begin(this.#seed, iteration).below(rows.length)];
  }

  /** A scenario has the streams of the run's own seed. A feeder has another seed, so that their numbers differ. */
  #begin(seed: number): void {
    this.#runSeed = seed;
    let hash = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(this.name)) {
      hash = Math.imul(hash ^ byte, 0x01000193);
    }
    this.#seed = new Random(seed, hash >>> 0).below(Number.MAX_SAFE_INTEGER);
  }
}

/**
 * Feeds rows of an array. It is not copied.
 *
 * @throws {TypeError} for what is no array of rows, and for wrong options
 */
export function arrayFeeder<Row>(rows: readonly Row[], options: FeederOptions = {}): Feeder<Row> {
  const { order, name } = checkedOptions<FeederOptions>(options, feederNames, "arrayFeeder");
  if (!Array.isArray(rows)) throw typeMistake("arrayFeeder takes an array of rows");
  if (rows.length === 0) throw typeMistake("arrayFeeder has no rows");
  return new Feeder(rows, order ?? "sequential", name ?? "array");
}

/**
 * Feeds the elements of the array that a JSON file has.
 *
 * @throws {TypeError} for wrong options
 * @throws {DataFileError} if the file cannot be read, is larger than 64 MiB, or has no array with elements
 */
export function jsonFeeder<Row = unknown>(path: string, options: FeederOptions = {}): Feeder<Row> {
  const { order, name } = checkedOptions<FeederOptions>(options, feederNames, "jsonFeeder");
  const text = readText(checkedPath(path, "jsonFeeder"), mostFeederBytes);
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch (error) {
    throw new DataFileError(`${path} is no JSON: ${(error as Error).message}`);
  }
  if (!Array.isArray(rows)) throw new DataFileError(`${path} has no array of rows`);
  return feederOfFile<Row>(rows as Row[], path, order, name);
}

/**
 * Feeds the records of a CSV file (RFC 4180), which csv-parse reads. Its first line has the names of the columns.
 *
 * @throws {TypeError} for wrong options
 * @throws {DataFileError} if csv-parse is not installed, or if the file cannot be read, is larger than 64 MiB, has no
 *   records, or one without all columns
 */
export async function csvFeeder(
  path: string,
  options: CsvFeederOptions = {},
): Promise<Feeder<CsvRow>> {
  const own = checkedOptions<CsvFeederOptions>(options, csvNames, "csvFeeder");
  const { order, name, delimiter = ",", columns } = own;
  if (typeof delimiter !== "string" || delimiter === "" || /["\r\n]/.test(delimiter)) {
    throw typeMistake("delimiter is a text without quotes and line ends");
  }
  if (columns !== undefined && !Array.isArray(columns)) {
    throw typeMistake("columns is an array of names");
  }
  const text = readText(checkedPath(path, "csvFeeder"), mostFeederBytes);
  const { parse } = await loadedCsvParse();
  let records: string[][];
  try {
    records = parse(text, { delimiter, skip_empty_lines: true });
  } catch (error) {
    throw new DataFileError(`${path} is no CSV: ${(error as Error).message}`);
  }
  const header = checkedHeader(columns ?? records.shift() ?? [], path);
  if (columns !== undefined && records[0] !== undefined && records[0].length !== header.length) {
    throw new DataFileError(
      `${path} has ${records[0].length} columns, and ${header.length} were named`,
    );
  }
  const rows = records.map((record) =>
    Object.fromEntries(header.map((column, index) => [column, record[index]!])),
  );
  return feederOfFile(rows, path, order, name);
}

/**
 * Feeds a file by the end of its name: `.csv` or `.json`.
 *
 * @throws {DataFileError} for another name, and as `csvFeeder` and `jsonFeeder`
 */
export async function fileFeeder(
  path: string,
  options: FeederOptions = {},
): Promise<Feeder<unknown>> {
  const lower = checkedPath(path, "fileFeeder").toLowerCase();
  if (lower.endsWith(".csv")) return await csvFeeder(path, options);
  if (lower.endsWith(".json")) return jsonFeeder(path, options);
  throw new DataFileError(`${path} is no file of data: its name ends with .csv or .json`);
}

const feederNames = new Set(["order", "name"]);
const csvNames = new Set([...feederNames, "delimiter", "columns"]);
const orders: readonly unknown[] = ["sequential", "random", "once"];

function checkedOptions<Options extends FeederOptions>(
  options: Options,
  known: ReadonlySet<string>,
  what: string,
): Options {
  const own = ownOptions(options, known, what);
  if (own.order !== undefined && !orders.includes(own.order)) {
    throw typeMistake(
      `order is "sequential", "random" or "once", not ${JSON.stringify(own.order)}`,
    );
  }
  if (own.name !== undefined && typeof own.name !== "string") throw typeMistake("name is a text");
  return own;
}

function checkedPath(path: unknown, what: string): string {
  if (typeof path === "string" && path !== "") return path;
  throw typeMistake(`${what} takes the path of a file`);
}

function checkedHeader(names: readonly string[], path: string): string[] {
  const header = names.map((name) => String(name).trim());
  const seen = new Set<string>();
  for (const [index, name] of header.entries()) {
    if (name === "") throw new DataFileError(`${path}: column ${index + 1} has no name`);
    if (seen.has(name)) throw new DataFileError(`${path} has two columns named ${name}`);
    seen.add(name);
  }
  return header;
}

function feederOfFile<Row>(
  rows: readonly Row[],
  path: string,
  order: FeederOrder = "sequential",
  name: string = path,
): Feeder<Row> {
  if (rows.length === 0) throw new DataFileError(`${path} has no rows`);
  return new Feeder(rows, order, name);
}

async function loadedCsvParse(): Promise<typeof import("csv-parse/sync")> {
  try {
    return await import("csv-parse/sync");
  } catch (error) {
    throw new DataFileError(
      "CSV files are read by csv-parse, which is missing: bun add csv-parse",
      {
        cause: error,
      },
    );
  }
}
