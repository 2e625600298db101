/**
 * A port scanner: `bun examples/scan.ts [first-last] [host] [attempts at a time]`. It looks at this
 * machine unless it is told otherwise; ask before you scan another one.
 */

import {
  connect,
  deadline,
  resolve,
  Semaphore,
  SocketError,
  scope,
  TimeoutError,
} from "../index.ts";

const [range = "1-1024", host = "127.0.0.1", atATime = "100"] = process.argv.slice(2);
const [first = 1, last = first] = range.split("-").map(Number);

/** What an attempt fails with where nothing listens. Anything else is no answer, and ends the scan. */
const refusals = ["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH"];

async function isOpen(address: string, port: number): Promise<boolean> {
  try {
    await using socket = await connect({ host: address, port, deadline: deadline(500) });
    // A connection to this machine from the very port that it goes to has met itself.
    return socket.localPort !== port || socket.localAddress !== socket.remoteAddress;
  } catch (error) {
    if (error instanceof TimeoutError) return false;
    if (error instanceof SocketError && refusals.includes(error.code)) return false;
    throw error;
  }
}

const [address = host] = await resolve(host, { deadline: deadline(5000) });
const attempts = new Semaphore(Number(atATime));
let open = 0;

await scope(async (scan) => {
  for (let port = first; port <= last; port++) {
    const permit = await attempts.acquire();
    const attempt = async (): Promise<void> => {
      using _ = permit; // It is the fiber's from now on, and is released when the fiber ends.
      if (!(await isOpen(address, port))) return;
      open++;
      console.log(`${port} is open`);
    };
    scan.spawn(attempt, { name: `port ${port}` });
  }
});

console.log(`${open} of ${last - first + 1} ports of ${address} are open`);
