/** `plait/net` for TypeDoc: with the classes themselves, which net.ts wraps so that they can be called without `new`. */

export * from "../../src/node/net.ts";
export { Server } from "../../src/node/server.ts";
export { Socket } from "../../src/node/socket.ts";
