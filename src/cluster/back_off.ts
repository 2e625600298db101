/** The pause between the death of a worker and its restart. */

/** Milliseconds before a restart. Each further death doubles them. */
const shortestPause = 100;
const longestPause = 10_000;

/** A worker that has listened for so many milliseconds begins with the shortest pause again. */
const goodLife = 30_000;

export class BackOff {
  #pause = shortestPause;

  /** Milliseconds to wait before a worker is restarted that had listened for `life` milliseconds. */
  pauseAfter(life: number): number {
    if (life >= goodLife) this.#pause = shortestPause;
    const pause = this.#pause;
    this.#pause = Math.min(2 * pause, longestPause);
    return pause;
  }
}
