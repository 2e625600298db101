// plait's TLS on its own loop inside block().

import { block, sleep } from "../../index.ts";
import { serve } from "./plait-handler.ts";

block(async () => {
  await serve();
  for (;;) await sleep(3_600_000);
});
