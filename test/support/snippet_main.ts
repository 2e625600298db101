/**
 * Runs a snippet of the documentation: `bun snippet_main.ts PATH [--stay]`. It prints `ended` when the module has
 * come to its end, and ends the process, unless `--stay` leaves it to its events.
 */

import { ended } from "./snippet_end.ts";
import { endServers } from "./snippet_servers.ts";

const [path, stay] = process.argv.slice(2);

async function end(status: number): Promise<void> {
  await endServers();
  process.exit(status);
}

for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, (error) => {
    console.error(error);
    void end(1);
  });
}
// The status of a module that waits for something that never comes.
process.exitCode = 1;
try {
  await import(path!);
} catch (error) {
  console.error(error);
  await end(1);
}
// A rejection without a handler is reported by then.
await new Promise((resolve) => setTimeout(resolve, 0));
process.exitCode = 0;
console.log(ended);
if (stay === undefined) await end(0);
