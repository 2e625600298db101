/** Assertions of plait's own invariants, which are checked under its tests only. */

const isChecked = (process.env.PLAIT_CHECKS ?? "") !== "";

/**
 * Throws under the tests when an invariant does not hold. No program that uses plait can break one.
 */
export function assert(holds: boolean, what: string): void {
  if (isChecked && !holds) throw new Error(`plait: ${what}`);
}
