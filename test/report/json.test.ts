/** Reports as JSON: against the schema, by another validator, and back. */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import Ajv2020, { type ValidateFunction } from "ajv/dist/2020";
import { reportSchemaPath } from "../../scripts/report_schema.ts";
import { parseReport, readReport, reportJson, writeReport } from "../../src/report/json.ts";
import { reportSchema, type Schema } from "../../src/report/schema.ts";
import { sampleReport } from "../support/sample_report.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const samples = {
  "an open loop": {},
  "an open loop with failures": { withFailures: true },
  "a closed loop with failures": { isClosedLoop: true, withFailures: true },
  "a late generator": { isBottleneck: true },
};
const failed = sampleReport({ withFailures: true, seconds: 4 });

test("docs/load-report.schema.json is the schema that readers check against", () => {
  const written = JSON.parse(readFileSync(reportSchemaPath, "utf8"));
  // If they differ: bun scripts/report_schema.ts
  expect(written).toEqual(JSON.parse(JSON.stringify(reportSchema)));
});

describe.each(Object.entries(samples))("%s", (_, options) => {
  const report = sampleReport({ seconds: 4, ...options });

  test("is valid, and has no property that the schema does not document", () => {
    validateClosed ??= new Ajv2020({ strict: true }).compile(closed(reportSchema));
    const validate = validateClosed;
    validate(JSON.parse(reportJson(report)));
    expect(validate.errors).toBeNull();
  });

  test("comes back from its JSON with all histograms", () => {
    const text = reportJson(report);
    const back = parseReport(text);
    expect(reportJson(back)).toBe(text);
    expect(back.latencies.wait.percentile(99)).toBe(report.latencies.wait.percentile(99));
    const [interval] = back.intervals;
    expect(interval!.response.unpack().count).toBe(report.intervals[0]!.response.numbers.count);
  });
});

let validateClosed: ValidateFunction | undefined;

/** The same schema, where an object has no other properties than those of the schema. */
function closed(schema: Schema): object {
  return JSON.parse(JSON.stringify(schema), (_, value) =>
    value?.type === "object" && value.properties !== undefined
      ? { ...value, additionalProperties: false }
      : value,
  );
}

test("a file is written and read back", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("report.json");
  await writeReport(path, failed);
  expect(reportJson(await readReport(path))).toBe(reportJson(failed));
  await Bun.write(path, "{}");
  await expect(readReport(path)).rejects.toThrow(`${path} is not a report of a load test`);
  await expect(readReport(folder.file("none"))).rejects.toThrow("ENOENT");
  await expect(readReport(folder.path)).rejects.toThrow("EISDIR");
  await expect(readReport("/dev/zero")).rejects.toThrow(
    "/dev/zero is not a report of a load test: it is longer than 67108864 bytes",
  );
});

test("what a newer plait has added is passed over", () => {
  const json = JSON.parse(reportJson(failed));
  json.plan.news = { a: 1 };
  expect(parseReport(JSON.stringify(json)).plan.target).toBe(failed.plan.target);
});

describe("refused with a sentence", () => {
  const text = reportJson(failed);

  test.each([
    ["no JSON", "plait", "the report is not JSON"],
    ["null", "null", "the report is not a report of a load test"],
    ["other JSON", '{"format":"har"}', "the report is not a report of a load test"],
    [
      "a newer version",
      '{"format":"plait load report","version":2}',
      "the report is a report of version 2, and this plait reads version 1: read it with a newer plait",
    ],
    [
      "no version",
      '{"format":"plait load report"}',
      "the report is a report of version undefined, and this plait reads version 1",
    ],
  ])("%s", (_, wrong, sentence) => {
    expect(() => parseReport(wrong)).toThrow(new Error(sentence));
  });

  /** A change of the JSON at a path, and what the error says. */
  const changes: [path: string, value: unknown, sentence: string][] = [
    ["iterations", undefined, `"iterations" is missing`],
    ["iterations", null, `"iterations" is not an object`],
    ["iterations", [], `"iterations" is not an object`],
    ["iterations.due", null, `"iterations.due" is not a number`],
    ["iterations.due", 1.5, `"iterations.due" is 1.5, not a whole number`],
    ["iterations.outcomes.ok", -1, `"iterations.outcomes.ok" is -1, and at least 0 is right`],
    ["plan.isOpenLoop", "yes", `"plan.isOpenLoop" is not a boolean`],
    ["plan.overload", "wait", `"plan.overload" is "wait", not "queue" or "grow" or "drop"`],
    ["verdict.reasons.0", 5, `"verdict.reasons[0]" is not a string`],
    ["verdict.exitCode", 7, `"verdict.exitCode" is 7, not 0 or 1 or 3 or 4 or 130`],
    ["steps", {}, `"steps" is not a list`],
    ["latencies.wait", { count: 1 }, `"latencies.wait.least" is missing`],
    ["latencies.wait.hdr", "AAAA", "the encoding of a histogram is damaged: its header is cut"],
    ["latencies.response.ok.count", 3, "the numbers of a histogram are not those of its `hdr`"],
    ["intervals.1.response.most", 1e9, "the numbers of a histogram are not those of its `hdr`"],
    ["failures.0.example.at", "0", `"failures[0].example.at" is not a number`],
  ];

  test.each(changes)("%s: %j", (path, value, sentence) => {
    const json = JSON.parse(text);
    const names = path.split(".");
    const last = names.pop()!;
    const owner = names.reduce((part, name) => part[name], json);
    owner[last] = value;
    const changed = JSON.stringify(json);
    expect(() => parseReport(changed, "a.json")).toThrow(
      new Error(`a.json is damaged: ${sentence}`),
    );
  });

  test("another validator finds the same changes wrong, but for those within a histogram", () => {
    const validate = new Ajv2020().compile(reportSchema);
    for (const [path, value, sentence] of changes) {
      const json = JSON.parse(text);
      const names = path.split(".");
      const last = names.pop()!;
      const owner = names.reduce((part, name) => part[name], json);
      owner[last] = value;
      const isValid = validate(JSON.parse(JSON.stringify(json)));
      expect([path, isValid]).toEqual([path, sentence.includes("of a histogram")]);
    }
  });
});
