/** The standard streams of the command: a report is written to its end, and a reader that has gone is no fault. */

/** The path that stands for the standard output. */
export const standardOutput = "-";

/** Lets errors of the standard streams come to those who write, and not end the process. */
export function guardStreams(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
}

/**
 * Writes a text, and waits until the system has taken it.
 *
 * @returns why it could not be written; undefined if it was, or if the reader has gone, as `head` does
 */
export async function written(
  stream: NodeJS.WriteStream,
  text: string,
): Promise<Error | undefined> {
  const { promise, resolve } = Promise.withResolvers<Error | null | undefined>();
  stream.write(text, resolve);
  const error = await promise;
  return error == null || codeOf(error) === "EPIPE" ? undefined : error;
}

/** What the text of a report is written to: the standard output, unless one of the files goes there. */
export function textStream(files: readonly (string | undefined)[]): NodeJS.WriteStream {
  return files.includes(standardOutput) ? process.stderr : process.stdout;
}

/** How a text looks there. Colours are for terminals, and NO_COLOR refuses them (no-color.org). */
export function lookOf(
  { columns, isTTY }: NodeJS.WriteStream,
  wantsColors: boolean,
): { readonly columns: number; readonly colors: boolean } {
  return { columns: columns || 80, colors: wantsColors && isTTY === true && !process.env.NO_COLOR };
}

function codeOf(error: Error): unknown {
  return "code" in error ? error.code : undefined;
}
