/** A reader of a socket, and the peer that writes to it. */

import { BufferedReader, type BufferedReaderOptions, type Socket, stats } from "../../index.ts";
import { type SocketPair, socketPair } from "./socket_pair.ts";

export interface ReaderSubject extends SocketPair {
  readonly reader: BufferedReader;
  /** The peer, which writes. */
  readonly peer: Socket;
}

export async function readerSubject(
  sent: string | Uint8Array = "",
  options?: BufferedReaderOptions,
): Promise<ReaderSubject> {
  const pair = await socketPair();
  if (sent.length > 0) await pair.server.write(sent);
  return Object.assign(pair, {
    reader: new BufferedReader(pair.client, options),
    peer: pair.server,
  });
}

/** A subject whose stream ends after the text. */
export async function endingSubject(
  sent: string | Uint8Array,
  options?: BufferedReaderOptions,
): Promise<ReaderSubject> {
  const whole = await readerSubject(sent, options);
  await whole.peer.shutdown();
  return whole;
}

export const text = (bytes: Uint8Array | null): string | null =>
  bytes && new TextDecoder().decode(bytes);

/** Waits until the call of the reader is parked in the socket. */
export async function parked(): Promise<void> {
  while (stats().waiters === 0) await null;
}
