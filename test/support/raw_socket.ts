/**
 * Sockets of the C library, which plait does not know: peers that misbehave, and descriptors that
 * another library passes on. Linux only, since the numbers are those of Linux.
 */

import { dlopen, ptr } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  accept: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "usize", "i32"], returns: "i64" },
  recv: { args: ["i32", "ptr", "usize", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
});

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const tcpOptions = { noDelay: 1, keepAliveIdle: 4, keepAliveInterval: 5, keepAliveCount: 6 };
const MSG_OOB = 1;
const MSG_NOSIGNAL = 0x4000;

/** A blocking stream socket of the C library. */
export class RawSocket implements Disposable {
  readonly fd: number;
  readonly #version: 4 | 6;
  #isOpen = true;

  constructor(version: 4 | 6 = 4) {
    this.#version = version;
    this.fd = checked("socket", libc.socket(version === 4 ? AF_INET : AF_INET6, SOCK_STREAM, 0));
  }

  /**
   * Binds to the loopback address, or with IPv6 to all addresses of both families, and returns the
   * port.
   */
  bind(): number {
    const address = new DataView(new ArrayBuffer(28));
    address.setUint16(0, this.#version === 4 ? AF_INET : AF_INET6, true);
    if (this.#version === 4) address.setUint32(4, 0x7f00_0001);
    const length = this.#version === 4 ? 16 : 28;
    checked("bind", libc.bind(this.fd, ptr(address.buffer), length));
    const size = new Uint32Array([length]);
    checked("getsockname", libc.getsockname(this.fd, ptr(address.buffer), ptr(size)));
    return address.getUint16(2);
  }

  listen(backlog: number): void {
    checked("listen", libc.listen(this.fd, backlog));
  }

  /** Connects to a port of 127.0.0.1. The thread blocks, but the kernel answers for a listener. */
  connect(port: number): void {
    const address = new DataView(new ArrayBuffer(16));
    address.setUint16(0, AF_INET, true);
    address.setUint16(2, port);
    address.setUint32(4, 0x7f00_0001);
    checked("connect", libc.connect(this.fd, ptr(address.buffer), 16));
  }

  /** Accepts a connection, which blocks the thread until there is one. The caller owns the descriptor. */
  accept(): number {
    return checked("accept", libc.accept(this.fd, null, null));
  }

  send(text: string, { isUrgent = false } = {}): void {
    const bytes = new TextEncoder().encode(text);
    const flags = isUrgent ? MSG_OOB | MSG_NOSIGNAL : MSG_NOSIGNAL;
    checked("send", Number(libc.send(this.fd, ptr(bytes), bytes.byteLength, flags)));
  }

  /** Receives what is there, and blocks the thread until there is something. */
  receive(length: number): Uint8Array {
    const buffer = new Uint8Array(length);
    const count = checked("recv", Number(libc.recv(this.fd, ptr(buffer), length, 0)));
    return buffer.subarray(0, count);
  }

  /** Closes with a reset. */
  reset(): void {
    const abort = new Int32Array([1, 0]);
    checked("setsockopt", libc.setsockopt(this.fd, SOL_SOCKET, SO_LINGER, ptr(abort), 8));
    this.close();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    checked("close", libc.close(this.fd));
  }

  /** The value of an option of any TCP socket, from the kernel. */
  static tcpOption(fd: number, name: keyof typeof tcpOptions): number {
    return option(fd, IPPROTO_TCP, tcpOptions[name]);
  }

  static keepsAlive(fd: number): boolean {
    return option(fd, SOL_SOCKET, SO_KEEPALIVE) !== 0;
  }

  /** Passes the ownership of the descriptor on. */
  release(): number {
    this.#isOpen = false;
    return this.fd;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function option(fd: number, level: number, name: number): number {
  const value = new Int32Array(1);
  const size = new Uint32Array([4]);
  checked("getsockopt", libc.getsockopt(fd, level, name, ptr(value), ptr(size)));
  return value[0]!;
}

function checked(call: string, result: number): number {
  if (result < 0) throw new Error(`${call} failed`);
  return result;
}
