// plait on Bun's own event loop. An argument "read" selects read() in place of next().

import { serveEcho } from "./plait-handler.ts";

await serveEcho();
