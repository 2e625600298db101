/** Key logs and sessions: what the callbacks of TLS get, and where they run. */

import { describe, expect, test } from "bun:test";
import { AsyncLocalStorage } from "node:async_hooks";
import { readFileSync } from "node:fs";
import { current, spawn } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { dialTls, echo, presenting, serveTls, tlsPair } from "../support/tls_pair.ts";

describe.skipIf(!isInstalled("openssl"))("TLS connections", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  describe("key logs", () => {
    test("go to onKeyLog", async () => {
      const lines: string[] = [];
      const others: string[] = [];
      await using pair = await tlsPair(
        { onKeyLog: (line) => lines.push(line) },
        { ...presenting(made.p256), onKeyLog: (line) => others.push(line) },
      );
      expect(pair.client.secure).toBe(true);
      await pollUntil("both logs are complete", () => others.length >= 5 && lines.length >= 5);
      expect(lines.toSorted()).toEqual(others.toSorted());
      expect(lines.map((line) => line.split(" ")[0])).toContain("CLIENT_TRAFFIC_SECRET_0");
      for (const line of lines) expect(line).toMatch(/^[A-Z0-9_]+ [0-9a-f]+ [0-9a-f]+$/);
    });

    test("go to the file that the environment names", async () => {
      using folder = new TemporaryFolder();
      const path = folder.file("keys");
      await using listener = await serveTls(echo);
      await runProgram(
        `
        const tls = { ca: process.env.ROOT };
        const socket = await connect({ host: "127.0.0.1", port: ${listener.port}, tls });
        await socket.write("x");
        await socket.next();
        process.exit();
      `,
        { env: { SSLKEYLOGFILE: path, ROOT: made.root } },
      );
      expect(readFileSync(path, "utf8")).toMatch(/^SERVER_TRAFFIC_SECRET_0 [0-9a-f ]+$/m);
    });
  });

  test("callbacks run in the asynchronous context of connect's caller, in no fiber", async () => {
    const who = new AsyncLocalStorage<string>();
    const seen = new Set<string>();
    const see = (what: string) => () =>
      void seen.add(`${what} ${who.getStore()} ${current()?.name}`);
    const server = { ...presenting(made.p256), onKeyLog: see("server's keys") };
    await using listener = await who.run("listening", () => serveTls(echo, server));
    const client = async () => {
      await using socket = await dialTls(listener.port, {
        onKeyLog: see("client's keys"),
        onSession: see("session"),
      });
      await who.run("writing", () => socket.write("x"));
      await who.run("reading", () => socket.next());
    };
    await who.run("connecting", () => spawn(client, { name: "client" })).join();
    expect([...seen].toSorted()).toEqual([
      "client's keys connecting undefined",
      "server's keys listening undefined",
      "session connecting undefined",
    ]);
  });
});
