/** A scenario that awaits what is not plait's. */

import type { Context } from "../../src/load/load.ts";

export default async function scenario(c: Context): Promise<void> {
  await c.http.get("/");
  await fetch("data:,text");
  await new Promise((resolve) => setTimeout(resolve, 1));
}
