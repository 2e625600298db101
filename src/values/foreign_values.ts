/**
 * Handling what the program has made: errors, reasons, results of bodies, callbacks. Getters,
 * proxies and `then` may throw, and a proxy may have an endless chain of prototypes. plait looks at
 * such values in the middle of turns and cancellations, on which other fibers depend: so nothing
 * here throws, and everything ends.
 */

/** More prototypes than any class has. */
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
    // A value that does not show its prototypes is no instance.
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

/** `String(value)`, or a text in place of it if that throws. */
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

// Promise's own `then`, as `await` calls it, not one that the program has put on a promise.
const { then } = Promise.prototype;

/**
 * Calls one of two functions when a promise, or another object with a `then`, is settled. A promise
 * calls it in a later microtask.
 */
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
