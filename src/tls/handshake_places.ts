/** The places for the handshakes of a listener, and which one is given up when there are not enough. */

import { TlsProgress } from "../core/abi.ts";
import { core } from "../core/native.ts";

/** The limit of a listener that sets none. */
export const defaultHandshakes = 1024;

/** How many handshakes one search looks at. */
const looksAtMost = 64;

let dropped = 0;

/** How many handshakes of this thread were given up for others. */
export function droppedHandshakes(): number {
  return dropped;
}

export function countDropped(): void {
  dropped++;
}

/**
 * The handshakes of a listener that are under way. A client that has not sent a whole ClientHello
 * loses its place first, the oldest of them before the others. Then come those that were answered
 * and have been silent since, roughly in the order of the answers.
 */
export class HandshakePlaces<T extends { readonly socket: { readonly handle: number } }>
  implements Iterable<T>
{
  readonly limit: number;
  /** Those that had no answer when a search last looked, the oldest first. */
  readonly #unanswered = new Set<T>();
  /** The others. A search moves one that was answered again to the end. */
  readonly #answered = new Set<T>();

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#unanswered.size + this.#answered.size;
  }

  add(handshake: T): void {
    this.#unanswered.add(handshake);
  }

  delete(handshake: T): void {
    if (!this.#unanswered.delete(handshake)) this.#answered.delete(handshake);
  }

  *[Symbol.iterator](): Iterator<T> {
    yield* this.#unanswered;
    yield* this.#answered;
  }

  /**
   * The handshake whose client has been silent for longest. Undefined when the search finds none:
   * then most wait for this side.
   */
  silent(): T | undefined {
    return this.#firstSilent(this.#unanswered) ?? this.#firstSilent(this.#answered);
  }

  /** Moves those that are not silent to the end, so that the next search begins with others. */
  #firstSilent(handshakes: Set<T>): T | undefined {
    let rest = looksAtMost;
    for (const handshake of handshakes) {
      if (rest-- === 0) break;
      const progress = core.tlsProgress(handshake.socket.handle);
      if (progress === TlsProgress.none || progress === TlsProgress.stalled) return handshake;
      handshakes.delete(handshake);
      (progress === TlsProgress.made ? this.#answered : handshakes).add(handshake);
    }
    return undefined;
  }
}
