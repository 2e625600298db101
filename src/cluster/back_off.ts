/** How long a worker that has died stays dead. */

/** Milliseconds before a worker is restarted, doubling from death to death. */
const shortestPause = 100;
const longestPause = 10_000;

/** A worker that has listened for so many milliseconds starts over with the shortest pause. */
const goodLife = 30_000;

export class BackOff {
  #pause = shortestPause;

  /** Milliseconds until the restart of a worker that has listened for so many and has died. */
  pauseAfter(life: number): number {
    if (life >= goodLife) this.#pause = shortestPause;
    const pause = this.#pause;
    this.#pause = Math.min(2 * pause, longestPause);
    return pause;
  }
}
