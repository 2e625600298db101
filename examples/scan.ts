/** A port scanner. */

import { connect, deadline, resolve, Semaphore, SocketError, scope, TimeoutError } from "plait";

const usage = `Usage: bun scan.ts [first-last] [host] [attempts at a time]

Connects to ports 1-1024 of this machine, or as given, 100 at a time. Ask before you scan another machine.`;

if (process.argv.includes("--help")) {
  console.log(usage);
  process.exit();
}
const [range = "1-1024", host = "127.0.0.1", atATime = "100"] = process.argv.slice(2);
const [, start, end = start] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
const [first, last] = [Number(start), Number(end)];
if (!(first >= 1 && first <= last && last <= 65_535)) refuse(`no range of ports: ${range}`);
if (!/^[1-9]\d*$/.test(atATime)) refuse(`no number of attempts: ${atATime}`);

function refuse(why: string): never {
  console.error(why);
  process.exit(2);
}

/** Codes for a port that is not open. Any other code ends the scan. */
const refusals = ["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH"];

async function isOpen(address: string, port: number): Promise<boolean> {
  try {
    await using _ = await connect({ host: address, port, deadline: deadline(500) });
    return true;
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
      using _ = permit; // The fiber owns the permit from here on, and releases it when it ends.
      if (!(await isOpen(address, port))) return;
      open++;
      console.log(`${port} is open`);
    };
    scan.spawn(attempt, { name: `port ${port}` });
  }
});

console.log(`${open} of ${last - first + 1} ports of ${address} are open`);
