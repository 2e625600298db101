/** The port scanner of the examples, with ports that the test opens and closes. */

import { expect, test } from "bun:test";
import { type Listener, listen } from "../../index.ts";
import { exampleCommand } from "../support/examples.ts";
import { hasPrivateNetworks, runInPrivateNetwork } from "../support/private_network.ts";
import { runCommand } from "../support/run_command.ts";
import { RunningProgram } from "../support/running_program.ts";
import { FullListener } from "../support/waits.ts";

/** The ports that it finds open, and all that it prints. */
async function scan(...options: unknown[]) {
  const { text, stderr, exitCode } = await runCommand(exampleCommand("scan.ts", ...options));
  const open = [...text.matchAll(/^(\d+) is open$/gm)].map((match) => Number(match[1]));
  return { open, text, stderr, exitCode };
}

/** Listens at two ports that are close to each other, with other ports between them. */
async function listenTwice(): Promise<[Listener, Listener]> {
  for (;;) {
    const low = await listen({ host: "127.0.0.1", port: 0 });
    try {
      return [low, await listen({ host: "127.0.0.1", port: low.port + 300 })];
    } catch {
      // The port is taken, or out of range.
      await low.close();
    }
  }
}

test("the scanner finds the ports that are open, and no longer those that were closed", async () => {
  const [low, high] = await listenTwice();
  await using _low = low;
  const range = `${low.port}-${high.port}`;
  {
    await using _high = high;
    const { open, text, exitCode } = await scan(range);
    expect(open).toContain(low.port);
    expect(open).toContain(high.port);
    expect(exitCode).toBe(0);
    expect(text).toEndWith(`${open.length} of 301 ports of 127.0.0.1 are open\n`);
  }
  const { open } = await scan(range);
  expect(open).toContain(low.port);
  expect(open).not.toContain(high.port);
}, 20_000);

test("one attempt at a time finds them too, in their order, and names are resolved", async () => {
  const [low, high] = await listenTwice();
  await using _low = low;
  await using _high = high;
  const { open } = await scan(`${low.port}-${high.port}`, "127.0.0.1", 1);
  expect(open[0]).toBe(low.port);
  expect(open.at(-1)).toBe(high.port);
  expect(open).toEqual(open.toSorted((left, right) => left - right));
  expect((await scan(low.port, "localhost")).text).toMatch(
    /ports of (::1|127\.0\.0\.1) are open$/m,
  );
}, 20_000);

test("an error that is not an answer ends the scan", async () => {
  const { stderr, exitCode } = await scan("1-10", "no.such.host.invalid");
  expect(stderr).toContain("no.such.host.invalid");
  expect(exitCode).toBe(1);
}, 20_000);

test.each([
  [["80-"], "no range of ports: 80-"],
  [["-80"], "no range of ports: -80"],
  [["1-2-3"], "no range of ports: 1-2-3"],
  [["http"], "no range of ports: http"],
  [["1.5"], "no range of ports: 1.5"],
  [["0-10"], "no range of ports: 0-10"],
  [["1-65536"], "no range of ports: 1-65536"],
  [["20-10"], "no range of ports: 20-10"],
  [["1-2", "127.0.0.1", "0"], "no number of attempts: 0"],
  [["1-2", "127.0.0.1", "many"], "no number of attempts: many"],
])("%j is refused with a line that says why", async (options, expected) => {
  const { text, stderr, exitCode } = await scan(...options);
  expect(stderr.trimEnd()).toBe(expected);
  expect(text).toBe("");
  expect(exitCode).toBe(2);
});

test.skipIf(!hasPrivateNetworks)(
  "the port that an attempt comes from is not reported as open",
  async () => {
    const path = JSON.stringify(exampleCommand("scan.ts")[1]);
    const { stdout, stderr } = await runInPrivateNetwork(
      [],
      `
      import { writeFileSync } from "node:fs";
      try {
        // The only port to connect from is the one to connect to.
        writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000");
        process.argv.splice(2, Infinity, "40000");
        await import(${path});
      } catch (error) {
        console.log("skipped:", String(error));
      }
    `,
    );
    if (/^skipped: .*(EROFS|EACCES|EPERM)/.test(stdout)) console.warn(stdout);
    else expect([stdout, stderr]).toEqual(["0 of 1 ports of 127.0.0.1 are open", ""]);
  },
);

test("attempts are limited in number and in time", async () => {
  await using stack = new AsyncDisposableStack();
  const [open, last] = await listenBeforeSilence(5, stack);
  const command = exampleCommand("scan.ts", `${open}-${last}`, "127.0.0.1", 2);
  const env = { PLAIT_DUMP_SIGNAL: "SIGUSR1" };
  const program = stack.use(await RunningProgram.start(command, /is open/, { env }));
  let most = 0;
  for (let dumps = 1; dumps <= 5; dumps++) {
    program.child.kill("SIGUSR1");
    const [dump = ""] = await program.printed(new RegExp(`(plait: the main thread[^]*){${dumps}}`));
    const attempts = dump.slice(dump.lastIndexOf("plait:")).match(/waiting: connect/g);
    most = Math.max(most, attempts?.length ?? 0);
  }
  expect(most).toBe(2);
  await program.printed(/^1 of 6 ports of 127\.0\.0\.1 are open$/m);
}, 20_000);

/** Listens at a port behind which are others that neither refuse nor accept. */
async function listenBeforeSilence(
  count: number,
  stack: AsyncDisposableStack,
): Promise<[number, number]> {
  for (;;) {
    await using attempt = new AsyncDisposableStack();
    const { port } = attempt.use(await listen({ host: "127.0.0.1", port: 0 }, () => {}));
    try {
      for (let step = 1; step <= count; step++) {
        attempt.use(await FullListener.open("127.0.0.1", port + step));
      }
    } catch {
      continue; // One of them was taken, or there is none.
    }
    stack.use(attempt.move());
    return [port, port + count];
  }
}
