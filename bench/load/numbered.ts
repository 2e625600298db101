// A scenario whose requests have the number of their iteration, so that a capture can tell them.

import type { Context } from "../../src/load/load.ts";

export default async function numbered(c: Context): Promise<void> {
  await c.http.get(`/file?${c.iteration}`);
}
