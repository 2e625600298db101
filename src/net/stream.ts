/** A connected socket as its transfers see it: `Socket` is one, and is not imported by them. */

export interface Stream {
  readonly handle: number;
  readonly closed: boolean;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** Counts the bytes that a read has brought, and returns their number. 0 is the end of the stream. */
  received(count: number): number;
  /** Counts bytes that the kernel has taken. */
  sent(count: number): void;
}

/** In place of a handle of the core, once it is closed. */
export const closedHandle = -1;

/** In place of the socket of a transfer that has ended and is kept for the next one. */
export const noStream: Stream = {
  handle: closedHandle,
  closed: true,
  remoteAddress: undefined,
  remotePort: undefined,
  received: (count) => count,
  sent() {},
};
