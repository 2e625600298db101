/**
 * An HTTP/1.1 server for one text, as small as it can be and strict: it reads no bodies, and refuses what another
 * reader could take for something else (RFC 9112).
 */

import { BufferedReader } from "../buffered/reader.ts";
import { type Listener, listen } from "../net/listener.ts";
import type { Socket } from "../net/socket.ts";
import { deadline } from "../runtime/clock.ts";
import { MessageTooLongError, TimeoutError } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";

export interface TextServerOptions {
  readonly host: string;
  readonly port: number;
  /** The path of the text, such as `/metrics`. */
  readonly path: string;
  readonly contentType: string;
  /** Makes the text for each request. */
  readonly text: () => string;
}

/** Clients beyond these wait. */
const mostConnections = 16;
const longestHead = 8192;
/** For the next request to come, and for an answer to be taken. */
const patience = 10_000;

/** A request line without a body, or why it is refused. */
interface Request {
  readonly status: string;
  readonly isHead: boolean;
  readonly keepsAlive: boolean;
}

/** Starts to serve. @throws {SocketError} if it cannot listen there */
export async function serveText(options: TextServerOptions): Promise<Listener> {
  const { host, port } = options;
  return await listen({ host, port, maxConnections: mostConnections }, (socket) =>
    serve(socket, options),
  );
}

async function serve(socket: Socket, options: TextServerOptions): Promise<void> {
  const reader = new BufferedReader(socket, { maxLength: longestHead });
  for (let keepsAlive = true; keepsAlive; ) {
    const request = await requestFrom(reader, options.path);
    if (request === undefined) return;
    await respond(socket, request, options);
    keepsAlive = request.keepsAlive;
  }
}

/** The next request; undefined when the client has none. */
async function requestFrom(reader: BufferedReader, path: string): Promise<Request | undefined> {
  let head: Uint8Array | null;
  try {
    head = await reader.readUntil("\r\n\r\n", deadline(patience));
  } catch (error) {
    if (isInstance(error, TimeoutError)) return undefined;
    if (isInstance(error, MessageTooLongError)) {
      return { status: "431 Request Header Fields Too Large", isHead: false, keepsAlive: false };
    }
    throw error;
  }
  return head === null ? undefined : requestOf(Buffer.from(head).toString("latin1"), path);
}

const requestLine = /^([!#$%&'*+.^_`|~\w-]+) ([\x21-\x7e]+) HTTP\/1\.([01])$/;
const fieldLine = /^([!#$%&'*+.^_`|~\w-]+):([\t\x20-\x7e\x80-\xff]*)$/;

function requestOf(head: string, path: string): Request {
  const [first, ...lines] = head.split("\r\n");
  const [, method, target, minor] = requestLine.exec(first!) ?? [];
  const fields = new Map<string, string[]>();
  for (const line of lines) {
    const [, name, value] = fieldLine.exec(line) ?? [];
    if (name === undefined) return refusal("400 Bad Request");
    const key = name.toLowerCase();
    fields.set(key, [...(fields.get(key) ?? []), value!.trim()]);
  }
  const hosts = fields.get("host")?.length ?? 0;
  if (method === undefined || hosts > 1 || (minor === "1" && hosts === 0)) {
    return refusal("400 Bad Request");
  }
  // A body would be taken for the next request. Some clients say that they send none.
  const length = (fields.get("content-length") ?? ["0"]).join(",");
  if (length !== "0" || fields.has("transfer-encoding")) return refusal("413 Content Too Large");
  const options = (fields.get("connection") ?? []).join(",").toLowerCase().split(",");
  const keepsAlive = minor === "1" && !options.some((option) => option.trim() === "close");
  const isHead = method === "HEAD";
  if (method !== "GET" && !isHead) return { status: methodNotAllowed, isHead, keepsAlive };
  const isFound = target!.split("?", 1)[0] === path;
  return { status: isFound ? "200 OK" : "404 Not Found", isHead, keepsAlive };
}

const methodNotAllowed = "405 Method Not Allowed";

/** Closes the connection behind the answer: what follows on it cannot be told apart. */
function refusal(status: string): Request {
  return { status, isHead: false, keepsAlive: false };
}

async function respond(
  socket: Socket,
  { status, isHead, keepsAlive }: Request,
  { text, contentType, path }: TextServerOptions,
): Promise<void> {
  const isFound = status.startsWith("200");
  const body = Buffer.from(isFound ? text() : `${status}: GET ${path} is here\n`);
  const fields = [
    `HTTP/1.1 ${status}`,
    `Date: ${new Date().toUTCString()}`,
    `Content-Type: ${isFound ? contentType : "text/plain; charset=utf-8"}`,
    `Content-Length: ${body.length}`,
    ...(status === methodNotAllowed ? ["Allow: GET, HEAD"] : []),
    ...(keepsAlive ? [] : ["Connection: close"]),
  ];
  const head = `${fields.join("\r\n")}\r\n\r\n`;
  await socket.write(isHead ? head : [head, body], deadline(patience));
}
