/** The environment's variables. */

/** A variable's value, or undefined. `process.env` inherits what `Object.prototype` has. */
export function environmentVariable(name: string): string | undefined {
  return Object.hasOwn(process.env, name) ? process.env[name] : undefined;
}
