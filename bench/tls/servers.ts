// The TLS servers. All have the same certificate, with a key on P-256.

import { join } from "node:path";
import { BENCH_FOLDER, BUILD_FOLDER, nativeProgram } from "../harness/paths.ts";
import { type ServerKind, selectServers } from "../harness/servers.ts";

export const YARDSTICK = "tls-server";
export const BUN_LISTEN = "bun-listen";
export const NODE_TLS = "node-tls";

const certificate = join(BUILD_FOLDER, "certificate.pem");
const key = join(BUILD_FOLDER, "key.pem");

export const certificatePaths = { certificate, key } as const;

/** What a server does: it echoes, or serves the requests of bulk transfers. */
export type Service = "echo" | "transfer";

export function selectedTlsServers(names: string[] | "all", service: Service): ServerKind[] {
  const program = (name: string, title: string, ...command: string[]): ServerKind => ({
    name,
    title,
    command: [...command, certificate, key, service],
  });
  const script = (file: string): string[] => [process.execPath, join(BENCH_FOLDER, "tls", file)];
  const yardstick = nativeProgram("tls-server");
  const node = Bun.which("node");
  const usual: ServerKind[] = [
    { ...program(YARDSTICK, "C epoll loop", yardstick), isYardstick: true },
    program(BUN_LISTEN, "Bun.listen", ...script("bun-listen.ts")),
    program(NODE_TLS, "node:tls on Bun", ...script("node-tls.mjs")),
    ...(node === null
      ? []
      : [program("node", "node:tls on Node", node, join(BENCH_FOLDER, "tls", "node-tls.mjs"))]),
    program("plait-attached", "plait attached", ...script("plait-attached.ts")),
    program("plait-blocking", "plait blocking", ...script("plait-blocking.ts")),
  ];
  // The yardstick under another name: its ratio to itself shows the error of a ratio.
  const again = program(`${YARDSTICK}-again`, "C epoll loop again", yardstick);
  return selectServers(usual, [again], names);
}

/** Makes the certificate with the program `openssl`. */
export async function makeCertificate(): Promise<void> {
  const program = Bun.which("openssl");
  if (program === null) throw new Error("the tls suite needs the program openssl");
  const command = [
    ...[program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-subj", "/CN=localhost", "-days", "30", "-keyout", key, "-out", certificate],
  ];
  const maker = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  if ((await maker.exited) === 0) return;
  throw new Error(`openssl: ${await new Response(maker.stderr).text()}`);
}
