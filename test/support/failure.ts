/** The properties of plait's errors beside those of all errors. */
export interface Failure extends Error {
  readonly code?: string;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
  readonly bytesWritten?: number;
}

/**
 * The error that a promise is rejected with. `expect().rejects` runs Bun's event loop nested, which
 * a test of an event loop must not do.
 */
export async function failureOf(promise: PromiseLike<unknown>): Promise<Failure> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error(`rejected with something that is no error: ${String(error)}`);
  }
  throw new Error(`expected to fail, but returned ${Bun.inspect(value)}`);
}

/** The error that a function throws. */
export function thrownBy(call: () => unknown): Failure {
  let value: unknown;
  try {
    value = call();
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error(`threw something that is no error: ${String(error)}`);
  }
  throw new Error(`expected to throw, but returned ${Bun.inspect(value)}`);
}
