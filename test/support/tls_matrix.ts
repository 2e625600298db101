/**
 * Parts that the tests with other programs share: versions, kinds of keys, and a handler that
 * describes its connection.
 */

import { deadline, type Handler, type Socket, type TlsOptions } from "../../index.ts";
import type { Issued } from "./certificate_authority.ts";
import { presenting } from "./tls_pair.ts";

export type Version = "TLSv1.2" | "TLSv1.3";
export type Kind = "rsa" | "p256" | "ed25519";

export const combinations: [Version, Kind][] = (["TLSv1.2", "TLSv1.3"] as const).flatMap(
  (version) =>
    (["rsa", "p256", "ed25519"] as const).map((kind): [Version, Kind] => [version, kind]),
);

/** A server for a program with these versions. */
export function only(version: Version, issued: Issued): TlsOptions {
  return { ...presenting(issued), minVersion: version, maxVersion: version };
}

/** Reads a line, and answers with what is known of the connection. */
export const describeLine: Handler = async (socket) => {
  const line = await readLine(socket);
  const { protocol, alpn, serverName, certificate, verified } = socket.tls!;
  const subject = certificate?.subject.replace("CN=plait test ", "");
  await socket.write(
    `${JSON.stringify({ line, protocol, alpn, serverName, subject, verified })}\n`,
  );
};

export async function readLine(socket: Socket): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  while (!text.endsWith("\n")) {
    const chunk = await socket.next(deadline(4000));
    if (chunk === null) break;
    text += decoder.decode(chunk, { stream: true });
  }
  return text.trimEnd();
}

/** The last line of JSON in what a program printed. */
export function told(output: string): unknown {
  const line = output.split("\n").findLast((text) => text.startsWith("{"));
  if (line === undefined) throw new Error(`nothing was told: ${output}`);
  return JSON.parse(line);
}
