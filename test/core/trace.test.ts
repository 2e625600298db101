/** What `PLAIT_TRACE=1` writes to stderr. */

import { expect, test } from "bun:test";
import { symbols } from "../../src/core/abi.ts";
import { runProgram } from "../support/programs.ts";

const program = `
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    await socket.write((await socket.next()) ?? "");
  });
  const socket = await connect({ host: "127.0.0.1", port: listener.port });
  await socket.write("ping");
  const buffer = new Uint8Array(16);
  console.log(socket.tryRead(buffer), await socket.read(buffer), await socket.read(buffer));
  socket.close();
  await listener.close();
  console.log(await connect({ path: "/no/such/socket" }).catch((error) => error.code));
`;

const bound = 20_000;

test(
  "a trace has every call with its arguments and its result, by name",
  async () => {
    const { stdout, stderr, exitCode } = await runProgram(program, {
      env: { PLAIT_TRACE: "1" },
      bound,
    });
    expect({ stdout, exitCode }).toEqual({ stdout: "undefined 4 0\nENOENT", exitCode: 0 });
    const lines = stderr.trimEnd().split("\n");
    expect(lines.filter((line) => !/^plait: \w+\(.*\)( = \S+)?$/.test(line))).toEqual([]);
    const names = lines.map((line) => line.slice("plait: ".length, line.indexOf("(")));
    expect(names.filter((name) => !Object.hasOwn(symbols, `plait_${name}`))).toEqual([]);

    expect(lines).toContain("plait: open() = 0");
    expect(stderr).toMatch(/^plait: shared\(\) = 0x[0-9a-f]+$/m);
    expect(stderr).toMatch(/^plait: accept\(\d+\) = \d+$/m);
    expect(stderr).toMatch(/^plait: tryReceive\(\d+, \[16 bytes\], 16\) = wouldBlock$/m);
    expect(stderr).toMatch(/^plait: connectPath\(.*\) = ENOENT$/m);
    expect(stderr).toMatch(/^plait: beginTurn\(\)$/m);
  },
  bound,
);

test(
  "nothing is traced without it",
  async () => {
    const { stderr } = await runProgram(program, { env: { PLAIT_TRACE: "" }, bound });
    expect(stderr).toBe("");
  },
  bound,
);
