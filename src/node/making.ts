/** The functions that make sockets and servers. */

import { readArguments } from "./arguments.ts";
import type { ConnectOptions, ServerOptions } from "./options.ts";
import { Server } from "./server.ts";
import { Socket } from "./socket.ts";

/**
 * Makes a socket and connects it: `(options)`, `(port, host)` or `(path)`, each with a listener of
 * `connect`. The options are those of `new Socket` too; `timeout` is that of `setTimeout`.
 *
 * @throws {TypeError} {RangeError} for wrong arguments, {Error} for what is not supported
 */
export function connect(options: ConnectOptions, listener?: () => void): Socket;
export function connect(port: number, host?: string, listener?: () => void): Socket;
export function connect(port: number, listener?: () => void): Socket;
export function connect(path: string, listener?: () => void): Socket;
export function connect(...given: unknown[]): Socket {
  const options = readArguments(given).options as ConnectOptions;
  const socket = new Socket(options);
  // Its signal was aborted before.
  if (socket.destroyed) return socket;
  if (options.timeout) socket.setTimeout(options.timeout);
  return Reflect.apply(socket.connect, socket, given) as Socket;
}

/** Makes a server, with a listener of `connection`; with the option `tls` it is one of `secureConnection`. */
export function createServer(listener?: (socket: Socket) => void): Server;
export function createServer(
  options?: ServerOptions | null,
  listener?: (socket: Socket) => void,
): Server;
export function createServer(
  first?: ServerOptions | ((socket: Socket) => void) | null,
  second?: (socket: Socket) => void,
): Server {
  return typeof first === "function" ? new Server(first) : new Server(first, second);
}
