/** Descriptors that are not plait's, made by the C library. */

import { dlopen, ptr } from "bun:ffi";

const names = {
  pipe: { args: ["ptr"], returns: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: "i64" },
  write: { args: ["i32", "ptr", "u64"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
} as const;

function library() {
  if (process.platform === "darwin") return dlopen("libSystem.dylib", names).symbols;
  try {
    return dlopen("libc.so.6", names).symbols;
  } catch {
    return dlopen("libc.so", names).symbols;
  }
}

const c = library();
const setFlags = 4;
const nonBlocking = process.platform === "darwin" ? 0x4 : 0x800;

/** A pair of descriptors that do not block. Closing one twice does nothing. */
export class DescriptorPair implements Disposable {
  readonly first: number;
  readonly second: number;
  readonly #open: Set<number>;

  private constructor([first, second]: Int32Array) {
    this.first = first!;
    this.second = second!;
    this.#open = new Set([this.first, this.second]);
    for (const fd of this.#open) c.fcntl(fd, setFlags, nonBlocking);
  }

  /** `first` reads what is written to `second`. */
  static pipe(): DescriptorPair {
    const pair = new Int32Array(2);
    if (c.pipe(ptr(pair)) !== 0) throw new Error("pipe failed");
    return new DescriptorPair(pair);
  }

  /** Each reads what is written to the other. */
  static sockets(): DescriptorPair {
    const pair = new Int32Array(2);
    const unix = 1;
    const stream = 1;
    if (c.socketpair(unix, stream, 0, ptr(pair)) !== 0) throw new Error("socketpair failed");
    return new DescriptorPair(pair);
  }

  close(fd: number): void {
    if (this.#open.delete(fd)) c.close(fd);
  }

  [Symbol.dispose](): void {
    for (const fd of [...this.#open]) this.close(fd);
  }
}

/** Writes once, and returns the number of bytes, or -1. */
export function writeTo(fd: number, bytes: Uint8Array): number {
  return Number(c.write(fd, ptr(bytes), bytes.byteLength));
}

/** Reads once, and returns the bytes, or null when there are none. */
export function readFrom(fd: number): Uint8Array | null {
  const buffer = new Uint8Array(65_536);
  const count = Number(c.read(fd, ptr(buffer), buffer.byteLength));
  return count < 0 ? null : buffer.subarray(0, count);
}

/** Writes until the descriptor takes no more. */
export function fill(fd: number): void {
  const chunk = new Uint8Array(65_536);
  while (writeTo(fd, chunk) > 0) {
    // Each write takes a part of the rest.
  }
}
