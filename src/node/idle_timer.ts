/**
 * The time that a socket may be idle. Activity only notes the time: the timer looks at it when it runs out,
 * and runs again for what is left. It does not keep the process alive.
 */

export class IdleTimer {
  readonly #expired: () => void;
  #milliseconds = 0;
  #lastActivity = 0;
  #timer: ReturnType<typeof setTimeout> | undefined = undefined;

  constructor(expired: () => void) {
    this.#expired = expired;
  }

  /** Starts, or with 0 stops. */
  set(milliseconds: number): void {
    this.stop();
    this.#milliseconds = milliseconds;
    if (milliseconds === 0) return;
    this.#lastActivity = performance.now();
    this.#start(milliseconds);
  }

  /** Something was read, written or connected. After it has expired, this starts it again. */
  active(): void {
    if (this.#milliseconds === 0) return;
    this.#lastActivity = performance.now();
    if (this.#timer === undefined) this.#start(this.#milliseconds);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#milliseconds = 0;
  }

  #start(milliseconds: number): void {
    this.#timer = setTimeout(() => this.#look(), milliseconds);
    this.#timer.unref();
  }

  #look(): void {
    this.#timer = undefined;
    const left = this.#lastActivity + this.#milliseconds - performance.now();
    // Timers may be a millisecond early.
    if (left >= 1) this.#start(left);
    else this.#expired();
  }
}
