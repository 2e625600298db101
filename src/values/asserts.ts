/** Asserts of the library's own, which only its tests check. */

const isChecked = (process.env.PLAIT_CHECKS ?? "") !== "";

/** Throws, under the tests, when something does not hold that nothing outside of the library can change. */
export function assert(holds: boolean, what: string): void {
  if (isChecked && !holds) throw new Error(`plait: ${what}`);
}
