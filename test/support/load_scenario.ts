/** A scenario for Workers: it tells the server its number. */

import type { Context } from "../../src/load/load.ts";

export default async function scenario(c: Context): Promise<void> {
  await c.http.get(`/iteration/${c.iteration}`);
}
