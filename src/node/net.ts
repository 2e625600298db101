/**
 * `plait/net`: the surface of `node:net` on plait's sockets. docs/net.md has the differences.
 */

import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from "node:net";
import {
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  setDefaultAutoSelectFamily,
  setDefaultAutoSelectFamilyAttemptTimeout,
} from "./dial.ts";
import { connect, createServer } from "./making.ts";
import { Server } from "./server.ts";
import { Socket } from "./socket.ts";

export type { ConnectOptions, ListenOptions, ServerOptions, SocketOptions } from "./options.ts";
export type { DropArgument } from "./server.ts";
export {
  BlockList,
  connect,
  connect as createConnection,
  createServer,
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  isIPv4,
  isIPv6,
  Server,
  Socket,
  Socket as Stream,
  SocketAddress,
  setDefaultAutoSelectFamily,
  setDefaultAutoSelectFamilyAttemptTimeout,
};

export default {
  BlockList,
  connect,
  createConnection: connect,
  createServer,
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  isIPv4,
  isIPv6,
  Server,
  Socket,
  SocketAddress,
  setDefaultAutoSelectFamily,
  setDefaultAutoSelectFamilyAttemptTimeout,
  Stream: Socket,
};
