/** The live view, on a real terminal emulator and in a file. */

import { describe, expect, test } from "bun:test";
import { Terminal } from "@xterm/headless";
import type { Progress } from "../../src/load/progress.ts";
import { LiveView } from "../../src/report/live.ts";
import { sparkline } from "../../src/report/live_frame.ts";
import { sampleProgress } from "../support/sample_report.ts";

const progress = sampleProgress({ withFailures: true, seconds: 5 });
const late = sampleProgress({ isBottleneck: true, seconds: 7 });
const unicode = { unicode: true } as const;

/** A terminal with what a person sees of it. */
class Screen {
  readonly isTTY = true;
  readonly terminal: Terminal;
  readonly writes: string[] = [];
  #resized: (() => void) | undefined;

  constructor(columns: number, rows: number) {
    this.terminal = new Terminal({
      cols: columns,
      rows,
      allowProposedApi: true,
      convertEol: true,
      scrollback: 1000,
    });
  }

  get columns(): number {
    return this.terminal.cols;
  }

  get rows(): number {
    return this.terminal.rows;
  }

  write(text: string): void {
    this.writes.push(text);
    this.terminal.write(text);
  }

  on(_: "resize", listener: () => void): void {
    this.#resized = listener;
  }

  off(_: "resize", listener: () => void): void {
    if (this.#resized === listener) this.#resized = undefined;
  }

  get hasListener(): boolean {
    return this.#resized !== undefined;
  }

  /** Waits until all that was written is shown, and changes the size. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.lines();
    this.terminal.resize(columns, rows);
    this.#resized?.();
  }

  /** The lines in the window. Those that a change of its height has pushed out of it are out of reach. */
  async visible(): Promise<string[]> {
    const lines = await this.lines();
    return lines.slice(this.terminal.buffer.active.baseY);
  }

  /** All lines, those that have scrolled away included, without the empty ones at the end. */
  async lines(): Promise<string[]> {
    await new Promise<void>((resolve) => this.terminal.write("", resolve));
    const { active } = this.terminal.buffer;
    const lines = Array.from({ length: active.length }, (_, index) =>
      active.getLine(index)!.translateToString(true),
    );
    return lines.slice(0, lines.findLastIndex((line) => line !== "") + 1);
  }
}

function shown(screen: Screen, all: readonly Progress[] = progress): LiveView {
  screen.write("$ plait load\n");
  const view = new LiveView(screen, unicode);
  for (const each of all) view.write(each);
  return view;
}

describe("on a terminal", () => {
  test("the view stays in its place and shows the last interval", async () => {
    const screen = new Screen(90, 24);
    shown(screen, progress.slice(0, 5));
    const lines = await screen.lines();
    expect(lines).toEqual([
      "$ plait load",
      "plait load http://127.0.0.1:8080/item: 400/s, 16 connections",
      `[${"=".repeat(40)}] 5.0 s of 5.0 s`,
      expect.stringMatching(/^rate {6}wanted 400\/s {6}sent 400\/s +ok \d+\/s +[▁▂▃▄▅▆▇█]{5}$/),
      expect.stringMatching(
        /^response {2}p50 [\d.]+ ms +p99 [\d.]+ ms +max \d+ ms +[▁▂▃▄▅▆▇█]{5}$/,
      ),
      expect.stringMatching(/^now {7}in flight \d+ +queued 0 +connections 16 +[\d.]+ MB\/s$/),
      expect.stringMatching(/^generator late p99 \d+ us +max \d+ us +CPU 21 %, 23 %$/),
      expect.stringMatching(/^errors {4}\d+: reset \d+, status 5xx 16, check failed \d+/),
    ]);
    const { response } = progress[4]!.interval;
    expect(lines[4]).toContain(`p50 ${response.percentile(50).toPrecision(3)} ms`);
  });

  test("closing leaves nothing, and takes the listener away", async () => {
    const screen = new Screen(90, 24);
    const view = shown(screen);
    expect(screen.hasListener).toBe(true);
    view.close();
    view.close();
    view.write(progress[0]!);
    expect(await screen.lines()).toEqual(["$ plait load"]);
    expect(screen.hasListener).toBe(false);
  });

  test.each([
    ["wider", 140, 24],
    ["narrower", 40, 24],
    ["narrower again and again", 25, 30],
    ["lower", 90, 5],
  ])("a terminal that becomes %s shows the view once", async (_, columns, rows) => {
    const screen = new Screen(90, 24);
    const view = shown(screen);
    await screen.resize(columns + 10, rows);
    await screen.resize(columns, rows);
    view.write({ ...progress[4]!, elapsed: 9000 });
    const lines = await screen.visible();
    expect(lines.filter((line) => line.startsWith("plait load http"))).toHaveLength(1);
    expect(lines.length).toBeLessThanOrEqual(Math.min(8, rows));
    expect(lines.every((line) => line.length <= columns)).toBe(true);
    view.close();
    expect((await screen.visible()).filter((line) => line !== "$ plait load")).toEqual([]);
  });

  test("a low terminal does not scroll", async () => {
    const screen = new Screen(90, 4);
    shown(screen);
    expect(screen.terminal.buffer.active.length).toBeLessThanOrEqual(5);
    const lines = await screen.lines();
    expect(lines.filter((line) => line.startsWith("plait load http"))).toHaveLength(1);
  });

  test("it is drawn at most four times a second, and no interval is lost", () => {
    const screen = new Screen(90, 24);
    const view = new LiveView(screen, unicode);
    const { interval } = progress[0]!;
    for (let index = 0; index < 100; index++) {
      const part = { ...interval, start: index * 10, milliseconds: 10 };
      view.write({ ...progress[0]!, elapsed: (index + 1) * 10, interval: part });
    }
    expect(screen.writes).toHaveLength(4);
    // 400 were sent in each 10 ms.
    expect(screen.writes.every((text) => text.includes("sent 40,000/s"))).toBe(true);
  });

  test("draining is said at once", async () => {
    const screen = new Screen(90, 24);
    const view = shown(screen, progress.slice(0, 5));
    view.write({ ...progress[4]!, phase: "draining", elapsed: progress[4]!.elapsed + 1 });
    expect(await screen.lines()).toContainEqual(
      expect.stringContaining("5.0 s of 5.0 s, waiting for the last answers"),
    );
  });

  test("a note stays above the view", async () => {
    const screen = new Screen(90, 24);
    const view = shown(screen);
    view.note("Interrupted: no more is sent.\x1b[2J");
    view.write(progress[1]!);
    const lines = await screen.lines();
    expect(lines.slice(0, 3)).toEqual([
      ...["$ plait load", "Interrupted: no more is sent. [2J"],
      expect.stringMatching(/^plait load http/),
    ]);
    expect(lines).toHaveLength(9);
  });

  test("a late generator is blamed as long as it is late", async () => {
    const screen = new Screen(100, 24);
    shown(screen, late);
    expect((await screen.lines()).at(-1)).toStartWith("generator Sends were late by up to 1 s");
  });

  test("text of a target cannot control the terminal", async () => {
    const screen = new Screen(90, 24);
    const plan = { ...progress[0]!.plan, target: "http://a/\x1b[2J\n\n\n" };
    const { totals } = progress[0]!;
    const outcomes = { ok: 1, "bad\x1b]0;x\x07": 2 };
    const iterations = { ...totals.iterations, outcomes };
    shown(screen, [{ ...progress[0]!, plan, totals: { ...totals, iterations } }]);
    const lines = await screen.lines();
    expect(lines[0]).toBe("$ plait load");
    expect(lines[1]).toBe("plait load http://a/ [2J : 400/s, 16 connections");
    expect(lines.at(-1)).toBe("errors    2: bad ]0;x 2");
  });

  test("a run of a number of iterations, and one without an end", async () => {
    const { totals, ...rest } = progress[0]!;
    const screen = new Screen(90, 24);
    const view = new LiveView(screen, unicode);
    const endless = { ...rest, totals, plannedMilliseconds: undefined };
    view.write({ ...endless, plannedIterations: 800 });
    expect(await screen.lines()).toContain(
      `[${"=".repeat(20)}${" ".repeat(20)}] 400 of 800 in 1.0 s`,
    );
    view.write({ ...endless, elapsed: 2000 });
    expect(await screen.lines()).toContain("2.0 s");
  });
});

describe("elsewhere", () => {
  function printed(all: readonly Progress[]): string {
    let text = "";
    const view = new LiveView({ write: (more) => void (text += more) }, unicode);
    for (const each of all) view.write(each);
    view.note("a note");
    view.close();
    return text;
  }

  test("each interval is a line without control characters", () => {
    const lines = printed(progress).split("\n");
    expect(lines).toHaveLength(progress.length + 2);
    expect(lines[1]).toMatch(
      /^2\.0 s {2}400\/s of 400\/s {2}p50 [\d.]+ ms {2}p99 [\d.]+ ms {2}max 500 ms {2}in flight \d+ {2}queued 0 {2}late p99 \d+ us {2}CPU 44 % {2}errors 10: reset 7, /,
    );
    expect(lines[5]).toStartWith("6.0 s (draining)  0/s of 400/s");
    expect(lines.at(-2)).toBe("a note");
    expect(lines.join("")).not.toMatch(/\p{C}/u);
    expect(printed(sampleProgress({ isClosedLoop: true, seconds: 1 }))).not.toContain(" of ");
  });

  test("a late generator is blamed once", () => {
    const text = printed(late);
    expect(text.match(/^generator: Sends were late by up to 1 s/gm)).toHaveLength(1);
  });
});

test("a sparkline goes from the lowest step to the highest", () => {
  expect(sparkline([0, 1, 2, 4], "▁▂▃▄▅")).toBe("▁▂▃▅");
  expect(sparkline([0, 0], "_#")).toBe("__");
  expect(sparkline([], "_#")).toBe("");
});

test("the characters of the sparkline are those of the locale, and options are checked", () => {
  const screen = new Screen(90, 24);
  const view = new LiveView(screen, { unicode: false, colors: true });
  view.write(progress[0]!);
  expect(screen.writes.join("")).not.toContain("█");
  expect(screen.writes.join("")).toContain("\x1b[1mplait load");
  expect(() => new LiveView(screen, { color: true } as object)).toThrow('no option "color"');
});
