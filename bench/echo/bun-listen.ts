// Bun.listen.

import { writeSync } from "node:fs";
import { type Echoing, echo, echoRest } from "../harness/bun-echo.ts";

const listener = Bun.listen<Echoing>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.data = { unsent: null };
    },
    data: echo,
    drain: echoRest,
  },
});

writeSync(1, `PORT ${listener.port}\n`);
