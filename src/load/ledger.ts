/** The ledgers of a run. They balance, or the run fails: a report that does not add up says nothing. */

import type { IterationLedger, RequestLedger } from "./report.ts";
import type { Histograms, Totals } from "./tally.ts";

/** What the threads know of what has not ended. */
export interface Rest {
  readonly unsent: number;
  readonly unfinished: number;
  readonly unfinishedRequests: number;
}

export function iterationLedger(totals: Totals, rest: Rest): IterationLedger {
  return {
    due: totals.of("due"),
    sent: totals.of("sent"),
    droppedBusy: totals.of("dropped busy"),
    droppedLate: totals.of("dropped late"),
    unsent: rest.unsent,
    outcomes: totals.named("response"),
    unfinished: rest.unfinished,
  };
}

export function requestLedger(
  totals: Totals,
  rest: Rest,
  bytes: { readonly sent: number; readonly received: number },
): RequestLedger {
  return {
    sent: totals.of("requests sent"),
    outcomes: totals.named("request"),
    unfinished: rest.unfinishedRequests,
    bytesSent: bytes.sent,
    bytesReceived: bytes.received,
  };
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/**
 * Asserts that the ledgers balance, and that the histograms, which are kept beside the counts, have as many times.
 *
 * @throws {Error}
 */
export function checkBalance(
  iterations: IterationLedger,
  requests: RequestLedger,
  histograms: Histograms,
): void {
  const { due, sent, droppedBusy, droppedLate, unsent, outcomes, unfinished } = iterations;
  const faults: string[] = [];
  const same = (what: string, left: number, right: number): void => {
    if (left !== right) faults.push(`${what}: ${left} and ${right}`);
  };
  same("due, and sent + dropped + unsent", due, sent + droppedBusy + droppedLate + unsent);
  same("sent, and outcomes + unfinished", sent, sum(outcomes) + unfinished);
  same(
    "requests sent, and their outcomes",
    requests.sent,
    sum(requests.outcomes) + requests.unfinished,
  );
  for (const subject of ["response", "service"]) {
    same(`outcomes, and ${subject} times`, sum(outcomes), histograms.together(subject).count);
  }
  same(
    "request outcomes, and their times",
    sum(requests.outcomes),
    histograms.together("request").count,
  );
  if (faults.length > 0)
    throw new Error(`plait load: the ledger does not balance: ${faults.join("; ")}`);
}
