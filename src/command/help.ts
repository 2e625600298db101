/** The help of `plait load`, which teaches by examples. It fits into 80 columns. */

import type { HelpTopic } from "./arguments.ts";
import { exitCodes } from "./exit_codes.ts";
import {
  compareOptions,
  loadOptions,
  mergeOptions,
  type Option,
  type OptionGroup,
} from "./options.ts";

const columns = 80;
/** Where the text about an option begins. */
const textColumn = 26;

/** The help about a command. It ends with a line end. */
export function helpText(topic: HelpTopic): string {
  if (topic === "plait") return plaitHelp;
  if (topic === "compare") return `${compareHelp}\n${optionsText(compareOptions)}\n${exitText}`;
  if (topic === "merge") return `${mergeHelp}\n${optionsText(mergeOptions)}\n${exitText}`;
  return `${loadHelp}\n${optionsText(loadOptions)}\n${thresholdText}\n${exitText}`;
}

const plaitHelp = `plait load URL|SCENARIO [options]  makes load, and reports what came of it
plait load compare A.json B.json   compares reports
plait load merge A.json B.json     makes one report of those of many machines
plait --version                    the version

plait load --help teaches it by examples.
`;

const loadHelp = `plait load URL|SCENARIO [options]

Makes load on a server and reports what came of it. Response times count from
the time when a request was due, so that a server that stalls cannot hide it.

  plait load http://127.0.0.1:8080/
      as much as 64 connections can take, for 10 seconds

  plait load https://127.0.0.1:8443/ -c 256 -d 30s -t 2
      256 connections, 30 seconds, two threads

  plait load http://127.0.0.1:8080/ -r 20000 -d 1m --threshold 'p99<50ms'
      20,000 requests a second, whether the server keeps up or not; the exit
      code is 1 if more than 1% took 50 ms or longer

  plait load http://127.0.0.1:8080/ --stages 10s:1000,30s=1000,5s=5000
      up to 1,000 a second in 10 seconds, on for 30, then at once 5,000 for 5

  plait load http://127.0.0.1:8080/ --search 1k:50k -d 10s \\
      --threshold 'p99<20ms' 'errors<0.1%'
      the highest rate at which both hold

  plait load http://127.0.0.1:8080/items -m POST \\
      -H 'Content-Type: application/json' -b @item.json --expect 201
      posts a file; any other status than 201 is a failure

  plait load scenario.ts http://127.0.0.1:8080 --data users=users.csv:random
      runs a scenario in TypeScript for each iteration:

          import type { Context } from "plait/load";
          export default async (c: Context) => {
            const answer = await c.http.get("/item/" + c.random(1000));
            c.check(answer.status === 200, "found");
          };

  plait load http://127.0.0.1:8080 --access-log access.log --speed 2
      replays a log twice as fast as it was

  plait load URL --json run.json --html run.html
      keeps the report, as data and as a page
`;

const compareHelp = `plait load compare A.json B.json [options]

Compares reports that --json has written: the first with each of the others.

  plait load compare before.json after.json
      the differences, with a measure of noise

  plait load compare before.json after.json --html difference.html
      both laid over each other
`;

const mergeHelp = `plait load merge A.json B.json [options]

Makes one report of those that several machines have written of one run. Counts
are added and histograms are merged, so that percentiles are those of all.

  plait load merge one.json two.json --json all.json --threshold 'p99<50ms'
`;

const thresholdText = `Thresholds:
  p99<50ms                of the response times; also p50, p99.9, mean, min, max
  service.p99<5ms         from the sending on; also wait, lateness, connect,
                          handshake, requests
  errors<0.1%  errors<10  of all iterations; failures(timeout)<5 are of a kind
  status(5xx)<1%          of all requests
  rate>1000               iterations that ended per second; requests.rate
  count>=100000           iterations that ended
  dropped<1%  unsent<1    iterations that were never begun; unfinished<1
  check(found)>99%        of a check; check>99.9% of all checks
  step(login).p95<200ms   of a step; also step(login).errors<1%
  ... over 10s            must hold in every 10 seconds, not only over the whole
  ... abort after 5s      ends the run when it is missed, but not before 5 s
  One that has nothing to judge is missed.
`;

const exitText = `Exit codes:
  ${exitCodes.held}    every threshold held, or there was none
  ${exitCodes.missed}    a threshold was missed
  ${exitCodes.usage}    the command line, or a file that it names, was wrong
  ${exitCodes.unreachable}    the target could not be reached
  ${exitCodes.bottleneck}    the generator was the bottleneck: the figures are not the target's
  ${exitCodes.interrupted}  interrupted, such as by Ctrl-C; the report is of what was done
`;

function optionsText(groups: readonly OptionGroup[]): string {
  return groups
    .map(({ title, options }) => `${title}:\n${options.map(optionText).join("")}`)
    .join("\n");
}

function optionText({ short, name, value, help }: Option): string {
  const flag = `  ${short === undefined ? "    " : `-${short}, `}--${name}`;
  const head = value === undefined ? flag : `${flag} ${value}`;
  const lines = wrapped(help, columns - textColumn);
  const indent = " ".repeat(textColumn);
  // A head that is too long has a line of its own.
  const first =
    head.length + 2 <= textColumn ? `${head.padEnd(textColumn)}${lines.shift()}\n` : `${head}\n`;
  return first + lines.map((line) => `${indent}${line}\n`).join("");
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
