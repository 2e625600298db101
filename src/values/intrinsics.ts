/**
 * The engine's own getters. Those that are taken early cannot be replaced by objects or patched
 * prototypes.
 */

export type Getter = (this: unknown) => unknown;

/** The getter of a property as it is on the prototype now. To be called while plait is loaded. */
export function getterOf(prototype: object, name: string | symbol): Getter {
  return Object.getOwnPropertyDescriptor(prototype, name)!.get as Getter;
}
