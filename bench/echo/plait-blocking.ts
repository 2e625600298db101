// plait on its own loop inside block(). An argument "read" selects read() in place of next().

import { block, sleep } from "../../index.ts";
import { serveEcho } from "./plait-handler.ts";

block(async () => {
  await serveEcho();
  for (;;) await sleep(3_600_000);
});
