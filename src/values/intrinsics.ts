/** The engine's own getters, which objects and patched prototypes cannot replace when they are taken early. */

export type Getter = (this: unknown) => unknown;

/** The getter of a property as it is on the prototype now. To be called while plait is loaded. */
export function getterOf(prototype: object, name: string | symbol): Getter {
  return Object.getOwnPropertyDescriptor(prototype, name)!.get as Getter;
}
