/** The loop over the lines of a reader. */

import type { Calls, Take } from "./calls.ts";

type Step = IteratorResult<string, undefined>;

const step: Take<void, Step> = (units) => {
  const line = units.line();
  if (line === undefined) return undefined;
  return line === null ? { done: true, value: undefined } : { done: false, value: line };
};

export class Lines implements AsyncIterableIterator<string, undefined> {
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Step> {
    return this.#calls.read(step, undefined, undefined);
  }
}
