/** The places for the handshakes of a listener, and who loses one when there are not enough. */

import { TlsProgress } from "../core/abi.ts";
import { core } from "../core/native.ts";

/** A handshake that is under way. */
interface UnderWay {
  readonly socket: { readonly handle: number };
}

/** Of a listener that has no limit of its own for them. */
export const defaultHandshakes = 1024;

/** Handshakes that one search looks at. */
const looksAtMost = 64;

let dropped = 0;

/** Handshakes of this thread that were given up for others. */
export function droppedHandshakes(): number {
  return dropped;
}

export function countDropped(): void {
  dropped++;
}

/**
 * Clients that have not sent a whole ClientHello lose their place first, the oldest of them first; then
 * those that have been answered and have been silent since, about in the order of the answers.
 */
export class HandshakePlaces<T extends UnderWay> implements Iterable<T> {
  readonly limit: number;
  /** Those that were not answered when they were looked at last, the oldest first. */
  readonly #unanswered = new Set<T>();
  /** The others. One that was answered again goes to the end when it is looked at. */
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

  /** The one that has been silent for longest; undefined when none is found: most wait for this side. */
  silent(): T | undefined {
    return this.#firstSilent(this.#unanswered) ?? this.#firstSilent(this.#answered);
  }

  /** Moves those that are not silent to the end, so that the next call finds others at the front. */
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
