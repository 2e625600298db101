/**
 * What a person sees while a run goes on: on a terminal a view that is drawn again in its place, elsewhere a line for
 * each interval.
 */

import { Histogram } from "../load/histogram.ts";
import type { Progress, ProgressListener } from "../load/progress.ts";
import { checkedSwitch, ownOptions } from "../values/checks.ts";
import { printable } from "./format.ts";
import { type Frame, frameOf, plainLine, type Recent, viewLines } from "./live_frame.ts";
import { type Paint, painter } from "./paint.ts";

/** What the view is written to, such as `process.stderr`. */
export interface LiveOutput {
  /** Whether it is a terminal. */
  readonly isTTY?: boolean;
  /** The size of a terminal, as it is now. */
  readonly columns?: number;
  /** As `columns`. */
  readonly rows?: number;
  /** Writes a text. */
  write(text: string): unknown;
  /** For changes of the size. */
  on?(event: "resize", listener: () => void): unknown;
  /** Takes the listener back. */
  off?(event: "resize", listener: () => void): unknown;
}

/** Options of `LiveView`. */
export interface LiveOptions {
  /** Whether colours are used. They are not if this is not given. */
  readonly colors?: boolean;
  /** Whether the sparkline may have block characters. If not given, what the locale's variables say. */
  readonly unicode?: boolean;
}

const known: ReadonlySet<string> = new Set(["colors", "unicode"]);

/** Between two drawings, in milliseconds of the run. */
const leastBetween = 250;
/** As many frames as a sparkline shows at most. */
const mostHistory = 60;

const blocks = "▁▂▃▄▅▆▇█";
const letters = "_.:-=+*#";

type Writable<Value> = { -readonly [Name in keyof Value]: Value[Name] };

/** Shows a run while it goes on: its `write` is a listener for `onProgress`. */
export class LiveView {
  readonly #output: LiveOutput;
  readonly #isTerminal: boolean;
  readonly #paint: Paint;
  readonly #steps: string;
  readonly #recent: Writable<Recent> = {
    ...{ milliseconds: 0, sent: 0, ok: 0, bytes: 0 },
    ...{ response: new Histogram(), lateness: new Histogram() },
  };
  #frame: Frame | undefined;
  readonly #history: Frame[] = [];
  /** The lines that are on the terminal. */
  #drawn: readonly string[] = [];
  #isBlamed = false;
  #isClosed = false;
  readonly #resized = (): void => this.#draw();

  /** @throws {TypeError} if an option is unknown or wrong */
  constructor(output: LiveOutput, options: LiveOptions = {}) {
    const { colors, unicode } = ownOptions(options, known, "LiveView");
    this.#output = output;
    this.#isTerminal = output.isTTY === true;
    this.#paint = painter(checkedSwitch(colors, "colors", false));
    this.#steps = checkedSwitch(unicode, "unicode", isUnicodeLocale()) ? blocks : letters;
    if (this.#isTerminal) output.on?.("resize", this.#resized);
  }

  /** Takes the numbers of an interval, and shows them. */
  readonly write: ProgressListener = (progress) => {
    if (this.#isClosed) return;
    this.#join(progress);
    const isEarly = progress.elapsed - (this.#frame?.elapsed ?? -Infinity) < leastBetween;
    if (isEarly && progress.phase === this.#frame?.phase) return;
    this.#frame = frameOf(progress, this.#recent);
    this.#forget();
    this.#history.push(this.#frame);
    if (this.#history.length > mostHistory) this.#history.shift();
    if (this.#isTerminal) this.#draw();
    else this.#printLine(this.#frame);
  };

  /** Prints a line that stays, such as what a signal has begun. */
  note(text: string): void {
    const line = `${printable(text)}\n`;
    if (!this.#isTerminal || this.#isClosed) {
      this.#output.write(line);
      return;
    }
    this.#output.write(`${this.#erasure()}${line}`);
    this.#drawn = [];
    this.#draw();
  }

  /** Removes the view from the terminal, for the report to take its place. A second call does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#output.off?.("resize", this.#resized);
    if (this.#drawn.length > 0) this.#output.write(this.#erasure());
    this.#drawn = [];
  }

  /** The histograms of an interval belong to the engine, so their counts are added to the view's own. */
  #join({ interval }: Progress): void {
    const recent = this.#recent;
    recent.response.merge(interval.response);
    recent.lateness.merge(interval.lateness);
    recent.milliseconds += interval.milliseconds;
    recent.sent += interval.sent;
    recent.ok += interval.outcomes.ok ?? 0;
    recent.bytes += interval.bytesReceived;
  }

  #forget(): void {
    this.#recent.response.clear();
    this.#recent.lateness.clear();
    Object.assign(this.#recent, { milliseconds: 0, sent: 0, ok: 0, bytes: 0 });
  }

  #printLine(frame: Frame): void {
    this.#output.write(`${plainLine(frame)}\n`);
    if (this.#isBlamed) return;
    for (const reason of frame.generatorReasons) this.note(`generator: ${reason}`);
    this.#isBlamed = frame.generatorReasons.length > 0;
  }

  #draw(): void {
    if (this.#frame === undefined || this.#isClosed) return;
    const { columns, rows } = this.#size();
    const look = { columns, paint: this.#paint, steps: this.#steps };
    // The cursor is on the line behind the view. So one row less is there for it.
    const lines = viewLines(this.#frame, this.#history, look).slice(0, rows - 1);
    this.#output.write(`${this.#erasure()}${lines.join("\n")}\n`);
    this.#drawn = lines;
  }

  /** Moves the cursor to where the view begins, and removes it. */
  #erasure(): string {
    if (this.#drawn.length === 0) return "";
    const { columns, rows } = this.#size();
    // A terminal that has become narrower shows a line in several rows.
    const wide = this.#drawn.map((line) => Math.max(Math.ceil(Bun.stringWidth(line) / columns), 1));
    const above = Math.min(
      wide.reduce((sum, count) => sum + count, 0),
      rows - 1,
    );
    return `\x1b[${above}A\r\x1b[J`;
  }

  /** Some terminals say 0, which is not a size. */
  #size(): { columns: number; rows: number } {
    const { columns, rows } = this.#output;
    return { columns: Math.max(columns || 80, 20), rows: Math.max(rows || 24, 2) };
  }
}

/** As setlocale(3) finds the character set: the first of these variables that is set decides. */
function isUnicodeLocale(): boolean {
  const { LC_ALL, LC_CTYPE, LANG } = process.env;
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "");
}
