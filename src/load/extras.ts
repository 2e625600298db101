/** What a thread loads before it runs, and a plan only names: under the blocking driver nothing can be loaded. */

import { type Cookies, cookieJars } from "../http/cookies.ts";
import { type Feeder, fileFeeder } from "./data/feeder.ts";
import type { Plan } from "./plan.ts";

export interface Extras {
  /** Makes the cookies of a user; undefined without cookies. */
  readonly newCookies: (() => Cookies) | undefined;
  /** By the names of the plan. */
  readonly feeders: ReadonlyMap<string, Feeder<unknown>>;
}

/**
 * Loads them.
 *
 * @throws {DataFileError} for a file that cannot be read
 * @throws {Error} for a package that is not installed
 */
export async function loadExtras({ hasCookies, data }: Plan): Promise<Extras> {
  const feeders = new Map<string, Feeder<unknown>>();
  for (const { name, file, order } of data) {
    feeders.set(name, await fileFeeder(file, { name, order }));
  }
  return { newCookies: hasCookies ? await cookieJars() : undefined, feeders };
}
