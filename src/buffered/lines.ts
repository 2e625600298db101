/** The loop over the lines of a reader. */

export interface LineReader {
  readLine(): Promise<string | null>;
}

/** The lines of a reader. */
export class Lines implements AsyncIterableIterator<string, undefined> {
  readonly #reader: LineReader;

  constructor(reader: LineReader) {
    this.#reader = reader;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<string, undefined>> {
    return this.#reader.readLine().then(resultOf);
  }
}

function resultOf(line: string | null): IteratorResult<string, undefined> {
  return line === null ? { done: true, value: undefined } : { done: false, value: line };
}
