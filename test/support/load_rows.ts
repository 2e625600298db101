/** A scenario that asks for the row of its iteration. */

import type { Context } from "../../src/load/load.ts";

export default async function scenario(c: Context): Promise<void> {
  await c.http.get(`/${c.data("users").name}`);
}
