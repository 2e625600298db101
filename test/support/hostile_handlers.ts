/** Handlers whose name, or whose result, throws when plait looks at it. */

import type { Handler } from "../../index.ts";
import { hostileProxy, throwing, withoutLastPrototype } from "./hostile_values.ts";

class StubbornPromise<T> extends Promise<T> {
  // biome-ignore lint/suspicious/noThenProperty: a `then` that throws is what is tested.
  override then(): never {
    throwing();
  }
}

function having(object: object, name: string, property: PropertyDescriptor): object {
  return Object.defineProperty(object, name, property);
}

/** The result of a handler that has done its work. */
const results: Record<string, () => unknown> = {
  "a promise of a class whose then throws": () => new StubbornPromise(() => {}),
  "a promise whose own then throws": () => having(Promise.resolve(), "then", { get: throwing }),
  "a promise whose own then does nothing": () => having(Bun.sleep(1), "then", { value: () => {} }),
  "a promise whose constructor throws": () =>
    having(Bun.sleep(1), "constructor", { get: throwing }),
  "something whose then throws when it is read": () => having({}, "then", { get: throwing }),
  "something whose then throws when it is called": () => having({}, "then", { value: throwing }),
  "a proxy of a promise that throws": () => hostileProxy(Promise.resolve()),
  "a look-alike of a promise": () => Object.create(Promise.prototype),
  "something with prototypes without an end": withoutLastPrototype,
};

export const hostileHandlers: readonly (readonly [name: string, handler: Handler])[] = [
  ["has a name that throws", Object.defineProperty(() => {}, "name", { get: throwing })],
  ["has a name that is no text", Object.defineProperty(() => {}, "name", { value: { length: 7 } })],
  ...Object.entries(results).map(([name, make]) => [`returns ${name}`, () => make()] as const),
];
