/** The files of keys and certificates: which are read, and what happens without descriptors. */

import { describe, expect, test } from "bun:test";
import { truncateSync, writeFileSync } from "node:fs";
import { tlsContext } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { thrownBy } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { runProgram } from "../support/programs.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { echo, serveTls } from "../support/tls_pair.ts";

describe.skipIf(!isInstalled("openssl"))("the files of TLS", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  /** A folder with a FIFO that has no writer and no reader. */
  function folderWithFifo(): TemporaryFolder & { readonly fifo: string } {
    const folder = new TemporaryFolder();
    const fifo = folder.file("fifo");
    Bun.spawnSync(["mkfifo", fifo]);
    return Object.assign(folder, { fifo });
  }

  test("cannot be FIFOs, which would block the thread for ever", async () => {
    using folder = folderWithFifo();
    const { stdout, exitCode } = await runProgram(
      `
      const { FIFO: fifo, CERT: cert, KEY: key } = process.env;
      const outcome = (options) => {
        try {
          tlsContext(options);
        } catch ({ name, code, address, reason }) {
          return [name, code, address === fifo, reason.replace(/:.*/, "")].join(" ");
        }
      };
      for (const material of [fifo, Bun.file(fifo)]) {
        console.log(outcome({ cert: material, key }));
        console.log(outcome({ cert, key: material }));
        for (const name of ["pfx", "ca", "crl"]) console.log(outcome({ [name]: material }));
        console.log(outcome({ cert, key, sni: { "good.example": { cert: material, key } } }));
      }
      process.exit(7);
    `,
      { env: { FIFO: folder.fifo, CERT: made.p256.chain, KEY: made.p256.key } },
    );
    const names = ["cert", "key", "pfx", "ca", "crl", "cert"];
    const expected = names.map((name) => `TlsError EINVAL true ${name}`);
    expect(stdout.split("\n")).toEqual([...expected, ...expected]);
    expect(exitCode).toBe(7);
  });

  test("cannot be FIFOs when the environment names them", async () => {
    using folder = folderWithFifo();
    await using listener = await serveTls(echo);
    const program = (tls: string) => `
      const dialling = connect({ host: "127.0.0.1", port: ${listener.port}, tls: ${tls} });
      const outcome = await dialling.then(() => "connected", ({ code, address }) => code + address);
      console.log(outcome);
      process.exit();
    `;
    const trust = await runProgram(program("true"), { env: { SSL_CERT_FILE: folder.fifo } });
    expect(trust.stdout).toBe(`EINVAL${folder.fifo}`);
    // Connections go on without a reader of the log.
    const ca = JSON.stringify(made.root);
    const logging = await runProgram(program(`{ ca: ${ca} }`), {
      env: { SSLKEYLOGFILE: folder.fifo },
    });
    expect(logging.stdout).toBe("connected");
  });

  test("cannot be devices, pipes or directories, nor longer than 64 MiB", () => {
    using folder = new TemporaryFolder();
    const long = folder.file("long");
    writeFileSync(long, "");
    truncateSync(long, 64 * 1024 * 1024 + 1);
    const failures: [path: string, code: string, reason: RegExp][] = [
      ["/dev/zero", "EINVAL", /^ca: it is no regular file/],
      ["/dev/tty", expect.stringMatching(/^(EINVAL|ENXIO)$/), /^ca/],
      [folder.path, "EISDIR", /^ca: it is a directory$/],
      [long, "EFBIG", /^ca: it is too long$/],
      ["/nowhere", "ENOENT", /^ca cannot be read$/],
    ];
    for (const [path, code, reason] of failures) {
      const error = thrownBy(() => tlsContext({ ca: path }));
      expect(error).toMatchObject({
        name: "TlsError",
        code,
        reason: expect.stringMatching(reason),
      });
    }
  });

  test("cannot be pipes, such as the shell's <(command) names", async () => {
    const { stdout } = await runProgram(
      `
      try {
        tlsContext({ ca: "/dev/stdin" });
      } catch ({ code, address, reason }) {
        console.log(code, address, reason);
      }
      process.exit();
    `,
      { within: ["sh", "-c", `cat ${made.root} | "$0" "$@"`] },
    );
    expect(stdout).toBe(
      "EINVAL /dev/stdin ca: it is no regular file, but a pipe, a device or the like",
    );
  });

  test("are read although their size is unknown", () => {
    // Its size is 0, but it is not empty.
    const error = thrownBy(() => tlsContext({ ca: "/proc/self/cmdline" }));
    expect(error.code).toMatch(/^ERR_OSSL_(?!NO_DATA)/);
  });

  test("that cannot be opened without descriptors report that, and can be read later", async () => {
    await using listener = await serveTls(echo);
    const program = `
      import { closeSync, openSync } from "node:fs";
      const taken = [];
      const takeAll = () => {
        for (;;) {
          try {
            taken.push(openSync("/dev/null", "r"));
          } catch {
            return;
          }
        }
      };
      const told = ({ name, code, syscall, address }) => [name, code, syscall, address].join(" ");
      const { ROOT: root } = process.env;
      const dial = (tls) =>
        connect({ host: "127.0.0.1", port: ${listener.port}, tls })
          .then((socket) => "verified " + socket.tls.verified, told);

      const plain = await connect({ host: "127.0.0.1", port: ${listener.port} });
      takeAll();
      try {
        tlsContext({ ca: root });
      } catch (error) {
        console.log(told(error));
      }
      console.log(await plain.startTls({ serverName: "localhost" }).catch(told), plain.closed);
      // One descriptor is left: for the connection, not for a file.
      closeSync(taken.pop());
      console.log(await dial(true));
      console.log(await dial({ crl: process.env.CRL }));
      for (const fd of taken) closeSync(fd);
      console.log(await dial(true));
      await plain.startTls({ serverName: "localhost" });
      console.log(plain.tls.verified);
      process.exit();
    `;
    const crl = await Bun.file(made.revocations[0]!).text();
    const { stdout, stderr } = await runProgram(program, {
      env: { ROOT: made.root, SSL_CERT_FILE: made.root, CRL: crl },
      within: ["sh", "-c", 'ulimit -n 64 && exec "$0" "$@"'],
      bound: 15_000,
    });
    const shortage = `TlsError EMFILE open ${made.root}`;
    expect(stderr).toBe("");
    expect(stdout.split("\n")).toEqual([
      shortage,
      `${shortage} false`,
      shortage,
      shortage,
      "verified true",
      "true",
    ]);
  });
});
