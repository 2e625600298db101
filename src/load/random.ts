/**
 * Random numbers that a seed repeats (xoshiro128**). A stream is named by the seed of the run, a place and a
 * number: so the numbers of an iteration are the same, whichever thread runs it.
 */

const two32 = 2 ** 32;
const two53 = 2 ** 53;

export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  constructor(seed = 0, stream = 0) {
    this.begin(seed, stream);
  }

  /** Begins a stream. Both numbers are whole, and below 2^53. */
  begin(seed: number, stream: number): this {
    let hash = mix(seed >>> 0, 0x9e3779b9);
    hash = mix(Math.floor(seed / two32), hash);
    hash = mix(stream >>> 0, hash);
    hash = mix(Math.floor(stream / two32), hash);
    this.#a = hash = mix(1, hash);
    this.#b = hash = mix(2, hash);
    this.#c = hash = mix(3, hash);
    // All four must not be 0.
    this.#d = mix(4, hash) | 1;
    return this;
  }

  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    const b = this.#b;
    const scrambled = Math.imul(b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    this.#c ^= this.#a;
    this.#d ^= b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= b << 9;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** A number from 0 up to, but not including, 1, with 53 random bits. */
  fraction(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / two53;
  }

  /** A whole number from 0 up to, but not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  /** A number of the exponential distribution with the mean 1. */
  exponential(): number {
    return -Math.log(1 - this.fraction());
  }
}

/** Mixes a number into a hash (the finalizer of MurmurHash3). */
function mix(value: number, hash: number): number {
  let mixed = (hash ^ Math.imul(value, 0xcc9e2d51)) | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16) ^ 0x27d4eb2f) | 0;
}
