/** A connected socket as its transfers see it: `Socket` is one, and is not imported by them. */

import type { Deadline } from "../values/deadlines.ts";
import type { Transfer } from "./lane.ts";

export interface Stream {
  readonly handle: number;
  readonly closed: boolean;
  readonly isReading: boolean;
  readonly isWriting: boolean;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** Counts the bytes that a read has brought, and returns their number. 0 is the end of the stream. */
  received(count: number): number;
  /** Counts bytes that the kernel has taken, and returns their number. */
  sent(count: number): number;
  /** Sends when the writes before it are done. */
  send(transfer: Transfer<number>, deadline: Deadline): Promise<number>;
}
