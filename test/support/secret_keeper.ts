/**
 * A program with both ends of a TLS connection, which prints its secrets in hexadecimal and closes
 * it.
 */

import { type Socket, stats, type TlsOptions } from "../../index.ts";
import { certificates } from "./certificates.ts";
import { answer } from "./measured_program.ts";
import { pollUntil } from "./poll.ts";
import { receive } from "./tls_exchange.ts";
import { presenting, type TlsPair, tlsPair } from "./tls_pair.ts";

/** The connection to make. */
export interface Wish {
  readonly protocol: "TLSv1.2" | "TLSv1.3";
  /** The cipher suite, by the name of its protocol. */
  readonly suite: string;
  /** OpenSSL keeps the connection of a client with `onSession`. */
  readonly hasOnSession?: boolean;
  readonly updatesKeys?: boolean;
}

const usual = presenting(certificates().p256);
let pair: TlsPair | undefined;

async function exchange(from: Socket, to: Socket): Promise<void> {
  const data = "some data".repeat(1000);
  await Promise.all([from.write(data), receive(data.length, () => to.next())]);
}

async function open({ protocol, suite, hasOnSession, updatesKeys }: Wish): Promise<string[]> {
  const lines = new Set<string>();
  const options: TlsOptions = {
    minVersion: protocol,
    maxVersion: protocol,
    ...(protocol === "TLSv1.2" ? { ciphers: suite } : { cipherSuites: suite }),
    onKeyLog: (line) => lines.add(line),
  };
  const onSession = hasOnSession ? () => {} : undefined;
  pair = await tlsPair({ ...options, onSession }, { ...usual, ...options });
  const { client, server } = pair;
  await exchange(client, server);
  await exchange(server, client);
  if (updatesKeys) client.updateKeys(true);
  await exchange(client, server);
  await exchange(server, client);
  return [...lines];
}

async function close(): Promise<void> {
  pair?.client.close();
  pair?.server.close();
  pair = undefined;
  await pollUntil("nothing lingers", () => stats().lingering === 0, 8000);
}

await answer({ open: (text) => open(JSON.parse(text) as Wish), close });
