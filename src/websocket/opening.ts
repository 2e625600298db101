/** The opening handshake of a client (RFC 6455, section 4.1). */

import { createHash } from "node:crypto";
import { Limits } from "../core/abi.ts";
import { Answer } from "../http/answer.ts";
import { mostHeadBytes, mostInterim } from "../http/answer_reader.ts";
import { BadAnswerError } from "../http/bad_answer.ts";
import { Head, incomplete } from "../http/head.ts";
import { checkPath, fieldLines, type Headers } from "../http/request.ts";
import { blocked, unfinished } from "../net/lane.ts";
import type { Socket } from "../net/socket.ts";
import { SocketTransfer } from "../net/transfers.ts";
import { checkedInteger, ownOptions, typeMistake } from "../values/checks.ts";
import { checkedDeadline, type Deadline } from "../values/deadlines.ts";
import { UnexpectedEndError } from "../values/errors.ts";
import { WebSocketRefusedError } from "./errors.ts";
import type { ReceiveBuffer } from "./receive_buffer.ts";

/** Options of `openWebSocket`. */
export interface WebSocketOptions {
  /** The Host field: the name of the server, with the port unless it is 80, or 443 over TLS. */
  host: string;
  /** The path and the query; `/` if not given. */
  path?: string | undefined;
  /** Further fields of the request, such as Origin, Cookie and Authorization. */
  headers?: Headers | undefined;
  /** The subprotocols that are offered, the preferred one first. */
  protocols?: readonly string[] | undefined;
  /** The most bytes of a message that is received; 16 MiB if not given. */
  maxMessageBytes?: number | undefined;
  /** A point in time as `now()` returns it. 0 or none means never. */
  deadline?: number | undefined;
}

const knownOptions: ReadonlySet<string> = new Set([
  "host",
  "path",
  "headers",
  "protocols",
  "maxMessageBytes",
  "deadline",
]);

const defaultMessageBytes = 16 * 1024 * 1024;
/** A typed array has no more bytes, and a string not many more. */
const mostMessageBytes = 2 ** 31 - 1;

/** The fields that the handshake writes, and those of a body, which it does not have. */
const reservedFields: ReadonlySet<string> = new Set([
  "host",
  "upgrade",
  "connection",
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-protocol",
  "sec-websocket-extensions",
  "sec-websocket-accept",
  "content-length",
  "transfer-encoding",
]);

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** The host and the port of a URI (RFC 3986, section 3.2.2), with the brackets of an IPv6 address. */
const hostAndPort = /^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]+)(:[0-9]+)?$/;
const keyBytes = 16;
const acceptGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** A handshake as it was asked for, with its options checked and its request written. */
export interface Opening {
  readonly request: string;
  /** What Sec-WebSocket-Accept must be. */
  readonly accept: string;
  readonly protocols: readonly string[];
  readonly mostBytes: number;
  readonly deadline: Deadline;
}

/** @throws {TypeError} {RangeError} */
export function checkedOpening(options: WebSocketOptions): Opening {
  const own = ownOptions(options, knownOptions, "openWebSocket");
  const { host, path = "/", headers = {}, maxMessageBytes = defaultMessageBytes } = own;
  if (typeof host !== "string" || !hostAndPort.test(host)) {
    throw typeMistake("host is the name of the server, with the port unless it is the usual one");
  }
  if (typeof path !== "string") throw typeMistake("path is a string");
  checkPath(path);
  if (path[0] !== "/") throw typeMistake("path begins with /");
  if (typeof headers !== "object" || headers === null) throw typeMistake("headers is an object");
  const further = { ...headers };
  const protocols = checkedProtocols(own.protocols ?? []);
  checkedInteger(maxMessageBytes, "maxMessageBytes", 1, mostMessageBytes);
  const deadline = checkedDeadline(own.deadline);

  for (const name of Object.keys(further)) {
    if (reservedFields.has(name.toLowerCase())) {
      throw typeMistake(`the handshake writes the header ${name} itself`);
    }
  }
  const key = Buffer.from(crypto.getRandomValues(new Uint8Array(keyBytes))).toString("base64");
  const offer: Headers =
    protocols.length === 0 ? {} : { "Sec-WebSocket-Protocol": protocols.join(", ") };
  const fields: Headers = {
    Host: host,
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Version": 13,
    ...offer,
    ...further,
  };
  const request = `GET ${path} HTTP/1.1\r\n${fieldLines(fields)}\r\n`;
  return { request, accept: acceptOf(key), protocols, mostBytes: maxMessageBytes, deadline };
}

function checkedProtocols(protocols: unknown): readonly string[] {
  if (!Array.isArray(protocols)) throw typeMistake("protocols is an array of names");
  const names: unknown[] = [...protocols];
  for (const name of names) {
    if (typeof name !== "string" || !token.test(name)) {
      throw typeMistake(`"${name}" is no name of a subprotocol`);
    }
  }
  if (new Set(names).size < names.length) throw typeMistake("a subprotocol is offered twice");
  return names as string[];
}

/** The answer to a key (RFC 6455, section 4.2.2). */
export function acceptOf(key: string): string {
  return createHash("sha1").update(`${key}${acceptGuid}`).digest("base64");
}

/** Reads the head of the answer. What has come behind it stays in the buffer. */
export class ReadOpening extends SocketTransfer<Answer> {
  readonly #buffer: ReceiveBuffer;
  readonly #head = new Head(mostHeadBytes);
  #interim = 0;

  constructor(socket: Socket, buffer: ReceiveBuffer) {
    super(socket);
    this.#buffer = buffer;
    this.#head.begin();
  }

  get syscall(): string {
    return "handshake";
  }

  attempt(isLast: boolean): Answer | typeof blocked | typeof unfinished {
    const buffer = this.#buffer;
    for (let share = Limits.transferBytes; share > 0; ) {
      const answer = this.#proceed();
      if (answer !== undefined) return answer;
      const count = buffer.receive(this.socket, isLast, 0);
      if (count === blocked) return blocked;
      if (count === 0) {
        const partial = buffer.bytes.slice(buffer.start, buffer.end);
        throw new UnexpectedEndError(this.syscall, partial);
      }
      share -= count;
    }
    return unfinished;
  }

  #proceed(): Answer | undefined {
    const buffer = this.#buffer;
    const head = this.#head;
    while (buffer.start < buffer.end) {
      const length = head.read(buffer.bytes, buffer.start, buffer.end);
      if (length === incomplete) return undefined;
      const { status } = head;
      const bytes = buffer.bytes.slice(buffer.start, buffer.start + length);
      buffer.start = buffer.at = buffer.start + length;
      if (status === 101 || status >= 200) {
        if (status === 101) this.#checkFraming();
        return new Answer(status, head.keepsAlive, 0, bytes, length);
      }
      if (++this.#interim > mostInterim) {
        throw new BadAnswerError("it has too many interim answers");
      }
      head.begin();
    }
    return undefined;
  }

  #checkFraming(): void {
    const { minorVersion, isChunked, contentLength } = this.#head;
    if (minorVersion === 0) throw new BadAnswerError("HTTP/1.0 has no status 101");
    if (isChunked || contentLength >= 0) throw new BadAnswerError("status 101 has a body");
  }
}

/**
 * Checks the answer to the handshake.
 *
 * @returns the subprotocol that the server has chosen; empty without one
 * @throws {WebSocketRefusedError} for another status than 101
 * @throws {BadAnswerError}
 */
export function checkedAnswer(answer: Answer, opening: Opening): string {
  if (answer.status !== 101) throw new WebSocketRefusedError(answer);
  if (answer.header("Upgrade")?.toLowerCase() !== "websocket") {
    throw new BadAnswerError("its Upgrade is not websocket");
  }
  const options = answer.header("Connection")?.toLowerCase().split(",") ?? [];
  if (!options.some((option) => option.trim() === "upgrade")) {
    throw new BadAnswerError("its Connection has no Upgrade");
  }
  if (answer.header("Sec-WebSocket-Accept") !== opening.accept) {
    throw new BadAnswerError("its Sec-WebSocket-Accept does not answer the key");
  }
  if (answer.header("Sec-WebSocket-Extensions") !== undefined) {
    throw new BadAnswerError("it has an extension that was not offered");
  }
  const protocol = answer.header("Sec-WebSocket-Protocol");
  if (protocol !== undefined && !opening.protocols.includes(protocol)) {
    throw new BadAnswerError("it has chosen a subprotocol that was not offered");
  }
  return protocol ?? "";
}
