/** A WebSocket server by hand: it sends the bytes that a test wants, and reads the frames of the client. */

import { BufferedReader, deadline, type Socket } from "../../index.ts";
import { openWebSocket, type WebSocketConnection } from "../../src/websocket/connection.ts";
import { acceptOf, type WebSocketOptions } from "../../src/websocket/opening.ts";
import { socketPair } from "./socket_pair.ts";
import { tlsPair } from "./tls_pair.ts";

/** Milliseconds that the other side may take. */
const patience = 5000;

export const opcodes = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

/** A frame of the client. */
export interface ClientFrame {
  readonly isFinal: boolean;
  readonly opcode: number;
  readonly isMasked: boolean;
  readonly key: Uint8Array;
  /** As it was before it was masked. */
  readonly payload: Uint8Array;
  /** Bytes in front of the payload. */
  readonly headerBytes: number;
}

/** A frame as servers send it: not masked, and with the shortest length. */
export function frame(opcode: number, payload: string | Uint8Array, isFinal = true): Uint8Array {
  const bytes = Buffer.from(payload);
  const { length } = bytes;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = (isFinal ? 0x80 : 0) | opcode;
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, bytes]);
}

/** The payload of a Close frame. */
export function closing(code: number, reason: string | Uint8Array = ""): Uint8Array {
  return Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
}

/** Unmasks without the core: word by word, since tests send megabytes. */
function unmask(payload: Uint8Array, key: Uint8Array): void {
  const count = payload.byteOffset % 4 === 0 ? payload.length >>> 2 : 0;
  const words = count === 0 ? [] : new Uint32Array(payload.buffer, payload.byteOffset, count);
  const word = new Uint32Array(new Uint8Array(key).buffer)[0]!;
  for (let at = 0; at < count; at++) words[at]! ^= word;
  for (let at = 4 * count; at < payload.length; at++) payload[at]! ^= key[at % 4]!;
}

export class HandServer {
  readonly socket: Socket;
  readonly #reader: BufferedReader;
  /** The lines of the request. */
  readonly request: string[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    this.#reader = new BufferedReader(socket);
  }

  async readRequest(): Promise<void> {
    for (;;) {
      const line = await this.#reader.readLine(deadline(patience));
      if (line === null) throw new Error("the request has no end");
      if (line === "") return;
      this.request.push(line);
    }
  }

  /** The value of a field of the request. */
  field(name: string): string | undefined {
    const prefix = `${name}: `;
    return this.request.find((line) => line.startsWith(prefix))?.slice(prefix.length);
  }

  /** The lines of a right answer. */
  get answer(): string[] {
    return [
      "HTTP/1.1 101 Switching Protocols",
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Accept: ${acceptOf(this.field("Sec-WebSocket-Key")!)}`,
    ];
  }

  /** Sends a frame. */
  async send(opcode: number, payload: string | Uint8Array, isFinal = true): Promise<void> {
    await this.socket.write(frame(opcode, payload, isFinal));
  }

  /** The next frame of the client. */
  async read(): Promise<ClientFrame> {
    const reader = this.#reader;
    const until = deadline(patience);
    const first = await reader.readUint8(until);
    const second = await reader.readUint8(until);
    let length = second & 0x7f;
    let headerBytes = 2;
    if (length === 126) {
      length = await reader.readUint16BE(until);
      headerBytes += 2;
    } else if (length === 127) {
      length = Number(await reader.readBigUint64BE(until));
      headerBytes += 8;
    }
    const isMasked = second >= 0x80;
    const key = await reader.readExactly(isMasked ? 4 : 0, until);
    const payload = await reader.readExactly(length, until);
    if (isMasked) unmask(payload, key);
    const isFinal = first >= 0x80;
    return {
      isFinal,
      opcode: first & 0x7f,
      isMasked,
      key,
      payload,
      headerBytes: headerBytes + key.length,
    };
  }

  /** The next bytes of the client, as they are. */
  readRaw(count: number): Promise<Uint8Array> {
    return this.#reader.readExactly(count, deadline(patience));
  }

  /** The next frame, which has this opcode, with its payload as text. */
  async expect(opcode: number): Promise<string> {
    const { opcode: found, payload } = await this.read();
    if (found !== opcode) throw new Error(`the client sends the opcode ${found}, not ${opcode}`);
    return Buffer.from(payload).toString();
  }

  /** The code and the reason of the client's Close frame, which comes next. */
  async expectClose(): Promise<[code: number | undefined, reason: string]> {
    const { opcode, payload } = await this.read();
    if (opcode !== opcodes.close) throw new Error(`the client sends the opcode ${opcode}`);
    if (payload.length === 0) return [undefined, ""];
    return [payload[0]! * 256 + payload[1]!, Buffer.from(payload.subarray(2)).toString()];
  }

  /** Waits for the end of the client's stream, and fails if anything comes before it. */
  async expectEnd(): Promise<void> {
    if (!(await this.#reader.atEnd(deadline(patience)))) throw new Error("the client sends more");
  }
}

export interface HandPair extends AsyncDisposable {
  readonly ws: WebSocketConnection;
  readonly server: HandServer;
}

interface HandOptions extends Partial<WebSocketOptions> {
  readonly isTls?: boolean;
  /** What the server sends in one write behind its answer. */
  readonly behind?: Uint8Array;
}

/** A WebSocket between plait and a server by hand. */
export async function handPair(options: HandOptions = {}): Promise<HandPair> {
  const { isTls = false, behind = new Uint8Array(0), ...rest } = options;
  const pair = await (isTls ? tlsPair() : socketPair());
  const server = new HandServer(pair.server);
  const answering = (async () => {
    await server.readRequest();
    await pair.server.write([`${server.answer.join("\r\n")}\r\n\r\n`, behind]);
  })();
  const [ws] = await Promise.all([
    openWebSocket(pair.client, { host: "127.0.0.1", ...rest }),
    answering,
  ]);
  return { ws, server, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
}
