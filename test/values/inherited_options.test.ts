/** Options are the own properties of an object, each read once. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  cluster,
  connect,
  listen,
  race,
  resolve,
  scope,
  setTlsDefaults,
  spawn,
  type TlsOptions,
  tlsContext,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { thrownBy } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { linesOf } from "../support/lines.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { runProgram } from "../support/programs.ts";
import { dialTls, echo, presenting, serveTls } from "../support/tls_pair.ts";

const program = join(import.meta.dir, "..", "support", "inherited_options.ts");
const bound = 60_000;

describe.skipIf(!isInstalled("openssl"))("options that an object inherits", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  test(
    "from Object.prototype change nothing",
    async () => {
      const polluted = ["verifyPeer", "ca", "serverName", "everything"];
      const command = [process.execPath, program, JSON.stringify(made), ...polluted];
      const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
      try {
        const outcomes: Record<string, Record<string, unknown>> = {};
        for await (const line of linesOf(child.stdout)) {
          const { name, outcome } = JSON.parse(line);
          outcomes[name] = outcome;
        }
        const { nothing, ...others } = outcomes;
        expect(nothing).toMatchObject({
          untrusted: expect.stringContaining("UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
          trusted: expect.stringContaining(",true,,false,CN=plait test p256"),
          told: 0,
        });
        expect(Object.keys(others)).toEqual(polluted);
        const { clustered, ...alone } = nothing!;
        const { everything, ...each } = others;
        for (const outcome of Object.values(each)) expect(outcome).toEqual(alone);
        expect(everything).toEqual({ ...alone, clustered });
      } finally {
        child.kill("SIGKILL");
        await child.exited;
      }
    },
    bound,
  );

  test("do not count as variables of the environment", async () => {
    await using listener = await serveTls(echo);
    const { stdout } = await runProgram(`
      delete process.env.SSL_CERT_FILE;
      delete process.env.SSL_CERT_DIR;
      Object.prototype.SSL_CERT_FILE = ${JSON.stringify(made.root)};
      const dialling = connect({ host: "127.0.0.1", port: ${listener.port}, tls: true });
      console.log(await dialling.then(() => "connected", (error) => error.code));
      process.exit();
    `);
    expect(stdout).toMatch(/^(UNABLE_TO_GET_ISSUER_CERT_LOCALLY|SELF_SIGNED_CERT_IN_CHAIN)$/);
  });

  test("from a class or another object are refused, since they would have no effect", async () => {
    class Settings {
      readonly port = 1;
      get ca(): string {
        return made.root;
      }
      get deadline(): number {
        return 1;
      }
    }
    const about = /"(ca|deadline)" is inherited/;
    const settings = new Settings() as never;
    const derived = Object.create({ ca: made.root, deadline: 1 });
    for (const options of [settings, derived]) {
      for (const call of [
        () => connect(options),
        () => connect({ port: 1, tls: options }),
        () => listen({ port: 0, tls: options }),
        () => resolve("localhost", options),
        () => scope(() => 1, options),
        () => race([() => 1], options),
        () => cluster({ module: program, port: 0, workers: 1, tls: options }),
      ]) {
        expectMistake(await mistakeIn(call), TypeError, about);
      }
      for (const call of [
        () => tlsContext(options),
        () => setTlsDefaults(options),
        () => spawn(() => 1, options),
      ]) {
        expectMistake(thrownBy(call), TypeError, about);
      }
    }
  });

  test("that are unknown are ignored, and so are symbols; own ones count, enumerable or not", async () => {
    class Settings {
      readonly cert = made.p256.chain;
      readonly key = made.p256.key;
      readonly [Symbol.toStringTag] = "settings";
      describe(): string {
        return this.cert;
      }
    }
    await using listener = await serveTls(echo, new Settings());
    for (const base of [{}, Object.create(null)]) {
      const tls: TlsOptions = Object.defineProperty(base, "ca", { value: made.root });
      await using socket = await connect({ host: "127.0.0.1", port: listener.port, tls });
      expect(socket.tls?.verified).toBe(true);
    }
    expectMistake(
      thrownBy(() => tlsContext([] as never)),
      TypeError,
      /object of options/,
    );
  });

  test("do not count in a table of server names", async () => {
    const named = presenting(made.named);
    class Table {
      get "good.example"(): TlsOptions {
        return named;
      }
    }
    const tables = [
      new Table(),
      Object.create({ "good.example": named }),
      new Map([["good.example", named]]),
      [named],
    ];
    for (const sni of tables) {
      const mistake = mistakeIn(() => serveTls(echo, { ...presenting(made.p256), sni }));
      expectMistake(await mistake, TypeError, /sni is a plain object/);
    }
    const sni = Object.assign(Object.create(null), { "good.example": named });
    await using listener = await serveTls(echo, { ...presenting(made.p256), sni });
    await using socket = await dialTls(listener.port, { serverName: "good.example" });
    expect(socket.tls?.certificate?.subject).toContain("named");
    for (const serverName of ["constructor", "__proto__", "toString"]) {
      await using other = await dialTls(listener.port, { serverName, verifyPeer: false });
      expect(other.tls?.certificate?.subject).toContain("p256");
    }
  });

  test("a name that is twice in a table of server names is refused", async () => {
    const [named, usual] = [presenting(made.named), presenting(made.p256)];
    for (const name of ["GOOD.example", "good.example."]) {
      const sni = { "good.example": named, [name]: usual };
      const mistake = mistakeIn(() => serveTls(echo, { ...usual, sni }));
      expectMistake(await mistake, TypeError, /"good\.example" twice/);
    }
  });

  test(
    "each option is read once",
    async () => {
      const reads: string[] = [];
      /** An object with another value at the second read. */
      const once = <Options extends object>(options: Options, second: object = {}): Options => {
        const asked = new Set<string | symbol>();
        return new Proxy(options, {
          get(target, name) {
            if (asked.has(name)) reads.push(String(name));
            const source = asked.has(name) ? { ...target, ...second } : target;
            asked.add(name);
            return source[name as keyof typeof source];
          },
        });
      };
      const tls = once(
        { ...presenting(made.p256), sni: once({ "good.example": once(presenting(made.named)) }) },
        { cert: made.rsa.chain },
      );
      await using listener = await listen(once({ host: "127.0.0.1", port: 0, tls }), echo);
      const trusting = once({ ca: made.root, serverName: "good.example" }, { verifyPeer: false });
      const keepAlive = once({ idle: 5 }, { idle: -1 });
      const target = once({ host: "127.0.0.1", port: listener.port, keepAlive, tls: trusting });
      await using socket = await connect(target);
      expect(socket.tls?.certificate?.subject).toContain("named");
      socket.setKeepAlive(once({ idle: 5, interval: 5, count: 5 }));
      await socket.sendFile(made.root, once({ offset: 0, length: 5, deadline: 0 }));
      const limits = { name: "once", deadline: 0 };
      expect(await spawn(() => 1, once(limits)).join()).toBe(1);
      expect(await scope((s) => s.spawn(() => 2, once(limits)).join(), once(limits))).toBe(2);
      expect(await race([() => 3], once({ ...limits, discard: () => {} }))).toBe(3);
      expect(await resolve("127.0.0.1", once({ family: 4 as const, deadline: 0 }))).toEqual([
        "127.0.0.1",
      ]);
      listener.setTls(once(presenting(made.p256)));
      tlsContext(once({ alpn: ["once"] }));
      setTlsDefaults(once({ minVersion: "TLSv1.2" }));
      setTlsDefaults({});
      socket.close();
      await listener.close(once({ deadline: 0, cancel: "once" }));
      await using served = await cluster(
        once({
          ...{ module: join(import.meta.dir, "..", "support", "cluster_module.ts"), workers: 1 },
          ...{ host: "127.0.0.1", port: 0, tls: once(presenting(made.p256)) },
        }),
      );
      await served.setTls(once(presenting(made.p256)));
      await served.close(once({ deadline: 0 }));
      expect(reads).toEqual([]);
    },
    bound,
  );
});
