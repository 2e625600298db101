/** The standard streams of the command: a report is written to its end, and a reader that has gone is no fault. */

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

function codeOf(error: Error): unknown {
  return "code" in error ? error.code : undefined;
}
