/** Searches the highest rate at which a run holds its thresholds. Each attempt is a run of its own. */

import type { Report, SearchStep } from "./report.ts";

/** Rates per second. */
export interface SearchRange {
  /** The first rate that is tried. */
  readonly from: number;
  /** The highest one. */
  readonly to: number;
}

/** The search ends when the highest rate that held and the lowest that did not differ by less than this. */
const precision = 0.03;
/** More attempts than a search of any range needs: doubling and halving. */
const mostAttempts = 40;

/**
 * Doubles the rate until a run does not hold, and then halves the difference.
 *
 * @param runAt makes a run at a rate
 * @returns the report of the run at the highest rate that held; without one that of the last run, which did not
 */
export async function searchRate(
  { from, to }: SearchRange,
  runAt: (rate: number) => Promise<Report>,
): Promise<Report> {
  const steps: SearchStep[] = [];
  let best: Report | undefined;
  let held = 0;
  let missed = Number.POSITIVE_INFINITY;
  let rate = from;
  for (;;) {
    const report = await runAt(rate);
    const { exitCode, reasons } = report.verdict;
    const hasHeld = exitCode === 0;
    steps.push({ rate, held: hasHeld, reason: reasons[0] });
    // The target is gone, or the user has had enough.
    const isOver = exitCode === 3 || exitCode === 130;
    if (hasHeld) {
      best = report;
      held = rate;
    } else missed = rate;
    const next = nextRate(held, missed, from, to);
    if (isOver || next === undefined || steps.length >= mostAttempts) {
      const chosen = isOver ? report : (best ?? report);
      return { ...chosen, search: steps };
    }
    rate = next;
  }
}

/** The next rate to try; undefined when the highest is known well enough. */
function nextRate(held: number, missed: number, from: number, to: number): number | undefined {
  if (held === 0) return undefined;
  if (missed === Number.POSITIVE_INFINITY) {
    return held >= to ? undefined : Math.min(held * 2, to);
  }
  if (missed - held <= Math.max(held * precision, from * precision)) return undefined;
  return Math.round((held + missed) / 2);
}
