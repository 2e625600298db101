/** What the core says when it finds a mistake of its own. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";

/** Asks the core to receive nothing, which no caller of plait can. */
const mistake = `
  import { core, sharedUint32 } from "./src/core/native.ts";
  import { Shared } from "./src/core/abi.ts";
  const host = new TextEncoder().encode("127.0.0.1");
  const text = new Uint8Array(128);
  const listener = core.listen(host, host.length, 0, 16, 0);
  core.address(listener, 0, text);
  const port = sharedUint32[Shared.addressPortUint32];
  const client = core.connect(host, host.length, port, new Uint8Array(1), 0, 0);
  core.receive(client, text, 0);
`;

describe("a mistake of the core", () => {
  test("ends the process with one line", () => {
    const { exitCode, signalCode, stderr } = Bun.spawnSync([process.execPath, "--eval", mistake], {
      cwd: join(root),
    });
    const [first] = stderr.toString().split("\n");
    expect(first).toBe(
      "plait: bug: nothing is to be received, which would look like the end of the stream (please report)",
    );
    expect(exitCode === 0 && !signalCode).toBe(false);
  });
});
