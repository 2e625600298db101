/**
 * The start of a MySQL connection, with TLS put in between.
 *
 * The driver exchanges the messages of a plain connection: the server's greeting, the driver's response,
 * and what authenticates. Each packet has a number, one more than that of the packet before. A client that
 * wants TLS sends a packet more: between greeting and response it asks for TLS with the first 32 bytes of the
 * response. So the numbers behind it are shifted by one, until the server accepts or refuses the client.
 */

import type { SocketError } from "../values/errors.ts";

/** The flag of TLS in the second byte of the capabilities: CLIENT_SSL is 0x0800. */
const tlsFlag = 0x08;
const headerBytes = 4;
/** The capabilities, the largest packet, the character set, and a filler. */
const requestBytes = 32;
/** Packets of the start are short. */
const mostBytes = 1 << 16;

const okPacket = 0x00;
const errorPacket = 0xff;

/** Makes an error of the connection. */
export type Failure = (code: string, reason: string) => SocketError;

type State = "greeting" | "response" | "authentication" | "over";

export class MysqlHandshake {
  readonly #failure: Failure;
  #state: State = "greeting";
  /** What has come of a packet that is not complete. */
  #partial: Buffer | undefined = undefined;

  constructor(failure: Failure) {
    this.#failure = failure;
  }

  /** Whether the shift has ended: what comes now passes as it is. */
  get isOver(): boolean {
    return this.#state === "over";
  }

  /**
   * The bytes for the driver, of bytes from the server. Empty while a packet is not complete.
   *
   * @throws {SocketError} when the server does not offer TLS, and for data that came before it
   */
  fromServer(chunk: Buffer): Buffer {
    const data = this.#partial === undefined ? chunk : Buffer.concat([this.#partial, chunk]);
    this.#partial = undefined;
    if (this.#state === "response") throw this.#premature();
    let place = 0;
    while (this.#state !== "over" && data.length - place >= headerBytes) {
      const end = place + headerBytes + data.readUIntLE(place, 3);
      if (end - place > mostBytes)
        throw this.#failure("EPROTO", "a packet of the start is too long");
      if (end > data.length) break;
      this.#takePacket(data.subarray(place, end), data.length - end);
      place = end;
    }
    if (this.#state === "over") return data;
    if (place < data.length) this.#partial = Buffer.from(data.subarray(place));
    return data.subarray(0, place);
  }

  #takePacket(packet: Buffer, bytesBehind: number): void {
    const kind = packet[headerBytes];
    if (this.#state === "authentication") {
      packet[3] = (packet[3]! - 1) & 0xff;
      if (kind === okPacket || kind === errorPacket) this.#state = "over";
      return;
    }
    // Too many connections, a host that is refused: an error comes in place of the greeting.
    if (kind === errorPacket) {
      this.#state = "over";
      return;
    }
    if (!offersTls(packet)) {
      throw this.#failure("ERR_TLS_NOT_OFFERED", "the server does not support TLS");
    }
    // What came before the handshake must not be taken for what came in it.
    if (bytesBehind > 0) throw this.#premature();
    this.#state = "response";
  }

  #premature(): SocketError {
    return this.#failure("EBUSY", "data came before the TLS handshake");
  }

  /** Whether the next packet of the driver is its response, before which TLS begins. */
  get awaitsResponse(): boolean {
    return this.#state === "response";
  }

  /** The request for TLS, and the response that goes through TLS. */
  begin(response: Buffer): { request: Buffer; response: Buffer } {
    if (response.length < headerBytes + requestBytes)
      throw this.#failure("EPROTO", "the response is short");
    this.#state = "authentication";
    const shifted = this.fromDriver(response);
    shifted[headerBytes + 1]! |= tlsFlag;
    const request = Buffer.from(shifted.subarray(0, headerBytes + requestBytes));
    request.writeUIntLE(requestBytes, 0, 3);
    request[3] = response[3]!;
    return { request, response: shifted };
  }

  /** A packet of the driver with its number for the server. */
  fromDriver(packet: Buffer): Buffer {
    const shifted = Buffer.from(packet);
    shifted[3] = (packet[3]! + 1) & 0xff;
    return shifted;
  }
}

/** Whether a greeting has the flag of TLS: behind the version's text, a number, and 9 bytes. */
function offersTls(packet: Buffer): boolean {
  const endOfVersion = packet.indexOf(0, headerBytes + 1);
  const flags = packet[endOfVersion + 1 + 4 + 8 + 1 + 1];
  return endOfVersion >= 0 && flags !== undefined && (flags & tlsFlag) !== 0;
}
