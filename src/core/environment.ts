/** The variables of the environment. */

/**
 * The value of a variable; undefined if it is not set or empty. `process.env` inherits from
 * `Object.prototype`, so only its own properties count.
 */
export function environmentVariable(name: string): string | undefined {
  return (Object.hasOwn(process.env, name) && process.env[name]) || undefined;
}
