/** Feeders: rows by the number of an iteration, and the files that they come from. */

import { describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  arrayFeeder,
  type CsvFeederOptions,
  csvFeeder,
  type Feeder,
  fileFeeder,
  jsonFeeder,
  mostFeederBytes,
} from "../../../src/load/data/feeder.ts";
import { Random } from "../../../src/load/random.ts";
import { runCommand } from "../../support/run_command.ts";
import { TemporaryFolder } from "../../support/temporary_folder.ts";

const root = join(import.meta.dir, "../../..");

/** The rows of so many iterations, as so many threads get them. */
function fed<Row>(
  make: () => Feeder<Row>,
  iterations: number,
  threads: number,
  seed = 1,
): (Row | undefined)[] {
  const rows: (Row | undefined)[] = [];
  for (let thread = 0; thread < threads; thread++) {
    const feeder = make();
    for (let k = thread; k < iterations; k += threads) rows[k] = feeder.row(k, seed);
  }
  return rows;
}

describe("the row of an iteration", () => {
  const rows = Array.from({ length: 10 }, (_, index) => `row ${index}`);

  test("in sequence is one after the other, and again", () => {
    const all = fed(() => arrayFeeder(rows), 25, 1);
    expect(all).toEqual([...rows, ...rows, ...rows.slice(0, 5)]);
    expect(arrayFeeder(rows).limit).toBe(Number.POSITIVE_INFINITY);
  });

  test("once is one after the other, until there are no more", () => {
    const all = fed(() => arrayFeeder(rows, { order: "once" }), 12, 1);
    expect(all).toEqual([...rows, undefined, undefined]);
    expect(arrayFeeder(rows, { order: "once" }).limit).toBe(10);
  });

  test("at random is any, all about as often", () => {
    const counts = new Map<string, number>();
    for (const row of fed(() => arrayFeeder(rows, { order: "random" }), 10_000, 1)) {
      counts.set(row!, (counts.get(row!) ?? 0) + 1);
    }
    expect(counts.size).toBe(10);
    // Six standard deviations of a count of 1,000.
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(180);
  });

  test.each(["sequential", "random", "once"] as const)(
    "%s is the same, however many threads there are",
    (order) => {
      const make = (): Feeder<string> => arrayFeeder(rows, { order });
      for (const threads of [2, 3, 7]) {
        expect(fed(make, 200, threads)).toEqual(fed(make, 200, 1));
      }
    },
  );

  test("at random follows the seed and the feeder's name, and not the scenario's numbers", () => {
    const large = Array.from({ length: 1000 }, (_, index) => index);
    const chosen = (name: string, seed: number): (number | undefined)[] =>
      fed(() => arrayFeeder(large, { order: "random", name }), 100, 1, seed);
    expect(chosen("users", 1)).toEqual(chosen("users", 1));
    const random = new Random();
    const scenario = Array.from({ length: 100 }, (_, k) => random.begin(1, k).below(1000));
    const others = [chosen("users", 2), chosen("items", 1), scenario];
    for (const other of others) {
      const same = chosen("users", 1).filter((row, k) => row === other[k]).length;
      expect(same).toBeLessThan(10);
    }
  });

  test("changes with the seed of the run", () => {
    const feeder = arrayFeeder(rows, { order: "random" });
    const of = (seed: number): unknown[] => rows.map((_, k) => feeder.row(k, seed));
    const first = of(5);
    expect(of(6)).not.toEqual(first);
    expect(of(5)).toEqual(first);
  });
});

describe("a CSV file", () => {
  async function rowsOf(
    contents: string | Uint8Array,
    options?: CsvFeederOptions,
  ): Promise<unknown> {
    using folder = new TemporaryFolder();
    const path = folder.file("users.csv");
    writeFileSync(path, contents);
    try {
      return (await csvFeeder(path, options)).rows;
    } catch (error) {
      const { name, message } = error as Error;
      return `${name}: ${message.replace(path, "users.csv")}`;
    }
  }

  const good: [string, string | Uint8Array, unknown, CsvFeederOptions?][] = [
    [
      "with a header",
      "id,name\n1,Ada\n2,Bob\n",
      [
        { id: "1", name: "Ada" },
        { id: "2", name: "Bob" },
      ],
    ],
    ["without a last line end", "id\n7", [{ id: "7" }]],
    ["of Windows", "id,name\r\n1,Ada\r\n", [{ id: "1", name: "Ada" }]],
    ["with quotes", 'a,b\n"x, ""y""","two\nlines"\n', [{ a: 'x, "y"', b: "two\nlines" }]],
    ["with a byte order mark", "\ufeffid\n1\n", [{ id: "1" }]],
    ["with umlauts", "näme\nJörg\n", [{ näme: "Jörg" }]],
    ["with spaces around names, and in values", "id , name\n1, x \n", [{ id: "1", name: " x " }]],
    ["with empty lines and empty fields", "a,b\n\n,2\n\n", [{ a: "", b: "2" }]],
    ["with semicolons", "a;b\n1;2,5\n", [{ a: "1", b: "2,5" }], { delimiter: ";" }],
    [
      "without a header",
      "1,2\n3,4\n",
      [
        { a: "1", b: "2" },
        { a: "3", b: "4" },
      ],
      { columns: ["a", "b"] },
    ],
  ];
  test.each(good)("%s", async (...[, contents, rows, options = {}]) => {
    expect(await rowsOf(contents, options)).toEqual(rows);
  });

  test("may have a column of any name", async () => {
    const [row] = (await rowsOf("__proto__,constructor\nx,y\n")) as Record<string, string>[];
    expect(Object.entries(row!)).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
  });

  const bad: [string, string | Uint8Array, string, CsvFeederOptions?][] = [
    ["empty", "", "users.csv has no rows"],
    ["with a header alone", "id,name\n", "users.csv has no rows"],
    ["with two columns of one name", "id,id\n1,2\n", "users.csv has two columns named id"],
    ["with a column without a name", "id,\n1,2\n", "users.csv: column 2 has no name"],
    [
      "with a record that lacks a column",
      "id,name\n1,Ada\n2\n",
      "users.csv is no CSV: Invalid Record Length: expect 2, got 1 on line 3",
    ],
    [
      "with a quote that is not closed",
      'id\n"1\n',
      "users.csv is no CSV: Quote Not Closed: the parsing is finished with an opening quote at line 2",
    ],
    ["in Latin-1", Buffer.from("näme\nx\n", "latin1"), "users.csv is not UTF-8"],
    ["in UTF-16", Buffer.from("\ufeffid\n1\n", "utf16le"), "users.csv is not UTF-8"],
    [
      "with fewer columns than were named",
      "1,2\n",
      "users.csv has 2 columns, and 3 were named",
      { columns: ["a", "b", "c"] },
    ],
  ];
  test.each(bad)("%s is refused", async (...[, contents, sentence, options = {}]) => {
    expect(await rowsOf(contents, options)).toBe(`DataFileError: ${sentence}`);
  });

  test("that is too large is refused before it is kept", async () => {
    const before = process.memoryUsage().rss;
    await expect(csvFeeder("/dev/zero")).rejects.toThrow(
      `/dev/zero is larger than ${mostFeederBytes} bytes, which is the most that is kept in memory`,
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(4 * mostFeederBytes);
  });

  test("needs csv-parse, and one sentence says so without it", async () => {
    using folder = new TemporaryFolder();
    // The sources without the packages beside them.
    for (const name of ["load/data", "load/random.ts", "values"]) {
      cpSync(join(root, "src", name), join(folder.path, "src", name), { recursive: true });
    }
    mkdirSync(folder.file("node_modules"));
    writeFileSync(folder.file("users.csv"), "id\n1\n");
    writeFileSync(
      folder.file("main.ts"),
      `import { csvFeeder } from "./src/load/data/feeder.ts";
       await csvFeeder("users.csv").catch(({ name, message }) => console.log(name + ": " + message));`,
    );
    const command = ["env", "-C", folder.path, process.execPath, "--no-install", "main.ts"];
    const { text, stderr } = await runCommand(command);
    expect(stderr).toBe("");
    expect(text).toBe(
      "DataFileError: CSV files are read by csv-parse, which is missing: bun add csv-parse\n",
    );
  });
});

describe("a JSON file", () => {
  function rowsOf(contents: string): unknown {
    using folder = new TemporaryFolder();
    const path = folder.file("users.json");
    writeFileSync(path, contents);
    try {
      return jsonFeeder(path).rows;
    } catch (error) {
      const { name, message } = error as Error;
      return `${name}: ${message.replace(path, "users.json")}`;
    }
  }

  test("has an array of rows of any kind", () => {
    expect(rowsOf('\ufeff[{"id": 1}, "two", [3]]')).toEqual([{ id: 1 }, "two", [3]]);
  });

  test("that has none is refused", () => {
    expect(rowsOf("[]")).toBe("DataFileError: users.json has no rows");
    expect(rowsOf('{"rows": []}')).toBe("DataFileError: users.json has no array of rows");
    expect(rowsOf("[1,")).toMatch(/^DataFileError: users\.json is no JSON: .+$/);
  });
});

test("a file is read by the end of its name", async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file("a.CSV"), "id\n1\n");
  writeFileSync(folder.file("a.json"), "[5]");
  const options = { order: "once" } as const;
  const csv = await fileFeeder(folder.file("a.CSV"), options);
  expect([csv.rows, csv.limit]).toEqual([[{ id: "1" }], 1]);
  expect((await fileFeeder(folder.file("a.json"))).rows).toEqual([5]);
  await expect(fileFeeder("a.txt")).rejects.toThrow(
    "a.txt is no file of data: its name ends with .csv or .json",
  );
  await expect(fileFeeder(folder.file("none.csv"))).rejects.toThrow(
    `${folder.file("none.csv")} cannot be read: there is no such file`,
  );
  await expect(csvFeeder(folder.path)).rejects.toThrow(
    `${folder.path} cannot be read: it is a folder`,
  );
});

test("wrong options are refused", async () => {
  expect(() => arrayFeeder([])).toThrow("arrayFeeder has no rows");
  expect(() => arrayFeeder("rows" as never)).toThrow("arrayFeeder takes an array of rows");
  expect(() => arrayFeeder([1], { order: "often" as never })).toThrow(
    'order is "sequential", "random" or "once", not "often"',
  );
  expect(() => arrayFeeder([1], { name: 5 as never })).toThrow("name is a text");
  expect(() => arrayFeeder([1], { delimiter: ";" } as never)).toThrow(
    'arrayFeeder has no option "delimiter"',
  );
  expect(() => jsonFeeder("")).toThrow("jsonFeeder takes the path of a file");
  await expect(csvFeeder("x.csv", { delimiter: "" })).rejects.toThrow(
    "delimiter is a text without quotes and line ends",
  );
  await expect(csvFeeder("x.csv", { columns: "a" as never })).rejects.toThrow(
    "columns is an array of names",
  );
});
