// plait's TLS on Bun's own event loop.

import { serve } from "./plait-handler.ts";

await serve();
