/**
 * The first messages of a TLS 1.3 client, made by hand, and a server's answers (RFC 8446, section
 * 4.1).
 */

import { connect, type Socket } from "../../index.ts";
import { readExactly } from "./receiving.ts";

export const ExtensionType = {
  serverName: 0,
  supportedGroups: 10,
  signatureAlgorithms: 13,
  alpn: 16,
  padding: 21,
  sessionTicket: 35,
  preSharedKey: 41,
  earlyData: 42,
  supportedVersions: 43,
  cookie: 44,
  pskKeyExchangeModes: 45,
  keyShare: 51,
  /** A reserved number, which no server knows (RFC 8701). */
  grease: 0x1a1a,
} as const;

export interface HandHello {
  readonly legacyVersion: number;
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly cipherSuites: readonly number[];
  readonly compressionMethods: readonly number[];
  /** Types and contents, in this order. */
  readonly extensions: readonly (readonly [type: number, content: Uint8Array])[];
}

/** The answer of a server to a hello, and the number of the alert if it is one. */
export type Answer = "HelloRetryRequest" | "ServerHello" | number;

const x25519 = 0x001d;

function number16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255);
}

function bytes(...parts: (Uint8Array | number)[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(parts.map((part) => (typeof part === "number" ? Uint8Array.of(part) : part))),
  );
}

/** Content behind its length in two bytes. */
function vector16(...parts: (Uint8Array | number)[]): Uint8Array {
  const content = bytes(...parts);
  return bytes(number16(content.byteLength), content);
}

export function serverNameOf(name: string): Uint8Array {
  return vector16(0, vector16(new TextEncoder().encode(name)));
}

export function alpnOf(name: string): Uint8Array {
  return vector16(name.length, new TextEncoder().encode(name));
}

/** Offers tickets that no server has made, so that it ignores them and their binders. */
export function preSharedKeysOf(...identities: string[]): Uint8Array {
  const encoder = new TextEncoder();
  const age = new Uint8Array(4);
  return bytes(
    vector16(...identities.map((identity) => bytes(vector16(encoder.encode(identity)), age))),
    vector16(...identities.map(() => bytes(32, new Uint8Array(32)))),
  );
}

/**
 * The key share of a client whose secret is not needed: the curve's base point (RFC 7748, section
 * 4.1).
 */
export function keyShareOf(group = x25519): Uint8Array {
  const point = new Uint8Array(32);
  point[0] = 9;
  return vector16(number16(group), vector16(point));
}

export const noKeyShare = vector16();

/** A hello with a name and without a key share: the server asks for another one. */
export function firstHello(serverName: string | undefined): HandHello {
  return {
    legacyVersion: 0x0303,
    random: new Uint8Array(32).fill(7),
    sessionId: new Uint8Array(32).fill(8),
    cipherSuites: [0x1301, 0x1302],
    compressionMethods: [0],
    extensions: [
      ...(serverName === undefined
        ? []
        : ([[ExtensionType.serverName, serverNameOf(serverName)]] as const)),
      [ExtensionType.supportedGroups, vector16(number16(x25519))],
      // ECDSA with P-256, RSA-PSS, Ed25519.
      [
        ExtensionType.signatureAlgorithms,
        vector16(number16(0x0403), number16(0x0804), number16(0x0807)),
      ],
      [ExtensionType.supportedVersions, bytes(2, number16(0x0304))],
      [ExtensionType.pskKeyExchangeModes, bytes(1, 1)],
      [ExtensionType.keyShare, noKeyShare],
    ],
  };
}

/**
 * The same hello with other content of an extension, or without it. A new extension is put last.
 */
export function withExtension(
  hello: HandHello,
  type: number,
  content: Uint8Array | undefined,
): HandHello {
  const place = hello.extensions.findIndex(([present]) => present === type);
  const extensions = [...hello.extensions];
  const added = content === undefined ? [] : ([[type, content]] as const);
  if (place < 0) extensions.push(...added);
  else extensions.splice(place, 1, ...added);
  return { ...hello, extensions };
}

/** The hello that a retry request asks for. */
export function retried(hello: HandHello): HandHello {
  return withExtension(hello, ExtensionType.keyShare, keyShareOf());
}

/** The record of a hello. */
function recordOf(hello: HandHello): Uint8Array {
  const body = bytes(
    number16(hello.legacyVersion),
    hello.random,
    bytes(hello.sessionId.byteLength, hello.sessionId),
    vector16(...hello.cipherSuites.map(number16)),
    bytes(hello.compressionMethods.length, Uint8Array.from(hello.compressionMethods)),
    vector16(
      ...hello.extensions.map(([type, content]) => bytes(number16(type), vector16(content))),
    ),
  );
  return bytes(22, number16(0x0301), vector16(1, 0, number16(body.byteLength), body));
}

/** SHA-256 of "HelloRetryRequest": the random number that makes a ServerHello such a request. */
const retryRandom = new Bun.CryptoHasher("sha256").update("HelloRetryRequest").digest();

async function answerOf(socket: Socket): Promise<Answer> {
  for (;;) {
    const header = await readExactly(socket, 5);
    if (header.byteLength < 5) throw new Error("the server ended the connection without an alert");
    const content = await readExactly(socket, header[3]! * 256 + header[4]!);
    if (header[0] === 21) return content[1]!;
    // change_cipher_spec comes for the sake of middleboxes (RFC 8446, appendix D.4).
    if (header[0] === 20) continue;
    if (header[0] !== 22 || content[0] !== 2) throw new Error(`a record of type ${header[0]}`);
    const random = content.subarray(6, 38);
    return Buffer.compare(random, retryRandom) === 0 ? "HelloRetryRequest" : "ServerHello";
  }
}

/** Sends hellos, each after the answer to the one before, and returns the answers. */
export async function sayHellos(port: number, ...hellos: HandHello[]): Promise<Answer[]> {
  await using socket = await connect({ host: "127.0.0.1", port });
  const answers: Answer[] = [];
  for (const hello of hellos) {
    await socket.write(recordOf(hello));
    answers.push(await answerOf(socket));
  }
  socket.reset();
  return answers;
}
