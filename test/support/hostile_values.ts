/**
 * Values that a program may throw, return or give as a reason, and that throw when plait looks at
 * them.
 */

export function throwing(): never {
  throw new Error("nobody may look");
}

/** Throws at every access. */
export function hostileProxy(target: object = new Error("hidden")): object {
  const traps = Object.getOwnPropertyNames(Reflect).map((name) => [name, throwing]);
  return new Proxy(target, Object.fromEntries(traps));
}

/** Its prototype is another such object, and so on without end. */
export function withoutLastPrototype(): object {
  return new Proxy({}, { getPrototypeOf: withoutLastPrototype });
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** An error with properties that throw when they are read. */
export function withThrowingGetters(error: Error, ...names: string[]): Error {
  for (const name of names) Object.defineProperty(error, name, { get: throwing });
  return error;
}

/** A chain of errors, each of which suppresses the one before it. */
export function suppressedChain(bottom: unknown, length: number): SuppressedError {
  let chain = new SuppressedError(bottom, bottom);
  for (let count = 1; count < length; count++) chain = new SuppressedError(bottom, chain);
  return chain;
}

function ring(): SuppressedError {
  const error = new SuppressedError("error", "suppressed");
  return Object.assign(error, { error, suppressed: error, cause: error });
}

export const longChain = 100_000;

export const hostileValues: readonly (readonly [name: string, value: unknown])[] = [
  ["a proxy that throws", hostileProxy()],
  ["a proxy of a promise that throws", hostileProxy(Promise.resolve())],
  ["a proxy that was revoked", revoked()],
  ["a proxy that throws for its prototype", new Proxy(new Error(), { getPrototypeOf: throwing })],
  ["prototypes without an end", withoutLastPrototype()],
  ["an error below such a proxy", Object.setPrototypeOf(new Error("low"), withoutLastPrototype())],
  ["a long chain of suppressed errors", suppressedChain(new Error("bottom"), longChain)],
  ["a ring of suppressed errors", ring()],
  [
    "an error whose getters throw",
    withThrowingGetters(new Error(), "name", "message", "stack", "cause", "suppressed", "errors"),
  ],
  [
    "a SuppressedError whose getters throw",
    withThrowingGetters(new SuppressedError(1, 2), "error", "suppressed"),
  ],
  ["a frozen error", Object.freeze(new Error("frozen"))],
  ["an object without a prototype", Object.create(null)],
  ["undefined", undefined],
  ["null", null],
  ["NaN", Number.NaN],
  ["a symbol", Symbol("why")],
  ["a function", () => {}],
];

/** The error of a rejected promise, in a box: to return it would read its `then`. */
export async function rejectionOf(promise: PromiseLike<unknown>): Promise<{ error: unknown }> {
  try {
    await promise;
  } catch (error) {
    return { error };
  }
  throw new Error("expected to fail");
}
