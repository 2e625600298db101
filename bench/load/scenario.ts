// The scenario of the benchmark: a request and a check.

import type { Context } from "../../src/load/load.ts";

export default async function scenario(c: Context): Promise<void> {
  const answer = await c.http.get("/file");
  c.check(answer.status === 200, "found");
}
