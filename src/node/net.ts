/** `plait/net`: the surface of `node:net` on plait's sockets. docs/net.md has the differences. */

import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from "node:net";
import {
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  setDefaultAutoSelectFamily,
  setDefaultAutoSelectFamilyAttemptTimeout,
} from "./dial.ts";
import { connect, createServer } from "./making.ts";
import { Server as ServerClass } from "./server.ts";
import { Socket as SocketClass } from "./socket.ts";

/** A class that can be called without `new`, as those of `node:net` can. */
function callable<Class extends new (...args: never[]) => object>(kind: Class) {
  const proxy = new Proxy(kind, {
    apply: (target, _receiver, args) => Reflect.construct(target, args),
  });
  kind.prototype.constructor = proxy;
  return proxy as Class & ((...args: ConstructorParameters<Class>) => InstanceType<Class>);
}

const Socket = callable(SocketClass);
type Socket = SocketClass;
const Server = callable(ServerClass);
type Server = ServerClass;

export type { ConnectOptions, ListenOptions, ServerOptions, SocketOptions } from "./options.ts";
export type { DropArgument } from "./server.ts";
// The compiler needs them to name what a user's library returns, in the declarations of that library.
export type { ServerClass, SocketClass };
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
