/**
 * Looking into values that the program has made: errors, reasons, what bodies return. A getter, a proxy or
 * a `then` of their own may throw, and a proxy's prototypes need not come to an end. It happens in the middle
 * of turns and of cancellations, which others depend on: so nothing here throws, and everything ends.
 */

/** More than any class has above it. */
const mostPrototypes = 100;

/** `value instanceof kind`. */
export function isInstance<T extends object>(
  value: unknown,
  kind: { readonly prototype: T },
): value is T {
  if (typeof value !== "object" || value === null) return false;
  try {
    let object: object | null = value;
    for (let count = 0; count < mostPrototypes && object !== null; count++) {
      object = Reflect.getPrototypeOf(object);
      if (object === kind.prototype) return true;
    }
  } catch {
    // What does not tell what it is, is none of ours.
  }
  return false;
}

/** A property of an object; undefined if its getter throws. */
export function propertyOf(value: object, key: string): unknown {
  try {
    return (value as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

/** `String(value)`. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return "something without a text";
  }
}

/** Calls a function of the program. What it throws is an unhandled rejection: no caller can handle it. */
export function callProgram(call: () => void): void {
  try {
    call();
  } catch (thrown) {
    void Promise.reject(thrown);
  }
}

// Not what a promise has for its own `then`: `await` does not ask for that either.
const { then } = Promise.prototype;

/** Tells how a promise, or whatever has a `then`, ends. A promise tells it in a later microtask. */
export function follow<T>(
  promise: PromiseLike<T>,
  fulfilled: (value: T) => void,
  rejected: (error: unknown) => void,
): void {
  try {
    then.call(Promise.resolve(promise), fulfilled as (value: unknown) => void, rejected);
  } catch (error) {
    rejected(error);
  }
}
