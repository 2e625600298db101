/** Servers of other programs that speak TLS. */

import type { Issued } from "./certificate_authority.ts";
import { freePort } from "./free_port.ts";
import { installedProgram } from "./installed_program.ts";
import { RunningProgram } from "./running_program.ts";

export interface TlsServer extends AsyncDisposable {
  readonly port: number;
  readonly program: RunningProgram;
}

/** `openssl s_server`, which prints what it receives. With `-rev` it answers each line reversed. */
export async function opensslServer(
  { cert, chain, key }: Issued,
  ...argv: string[]
): Promise<TlsServer> {
  const program = await RunningProgram.start(
    [
      ...[installedProgram("openssl"), "s_server", "-accept", "127.0.0.1:0"],
      ...["-cert", cert, "-key", key, "-cert_chain", chain, ...argv],
    ],
    /ACCEPT \S+:\d+\n/,
  );
  const [, port] = await program.printed(/ACCEPT \S+:(\d+)\n/);
  return serverOf(program, Number(port));
}

/** `gnutls-serv --echo`. */
export async function gnutlsServer({ chain, key }: Issued, ...argv: string[]): Promise<TlsServer> {
  const port = await freePort();
  const program = await RunningProgram.start(
    [
      ...[installedProgram("gnutls-serv"), "--port", `${port}`, "--echo", "--nodb"],
      ...["--x509certfile", chain, "--x509keyfile", key, ...argv],
    ],
    /listening on IPv4[^\n]*done/,
  );
  return serverOf(program, port);
}

/** Runs a module in Node or Bun. */
export function scriptCommand(runtime: string, source: string): string[] {
  const isBun = runtime === process.execPath;
  return [runtime, ...(isBun ? [] : ["--input-type=module"]), "-e", source];
}

/** A module for Node or Bun that has a TLS server; it must print `port <number>`. */
export async function scriptServer(runtime: string, source: string): Promise<TlsServer> {
  const program = await RunningProgram.start(scriptCommand(runtime, source), /port \d+\n/);
  const [, port] = await program.printed(/port (\d+)\n/);
  return serverOf(program, Number(port));
}

function serverOf(program: RunningProgram, port: number): TlsServer {
  return {
    port,
    program,
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}
