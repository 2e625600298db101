/** A queue in a ring buffer. Unlike the `shift` of an array, to take the first item moves no other. */

const leastRoom = 8;

export class Ring<T> {
  /** Its length is a power of two. */
  #slots: (T | undefined)[] = [];
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = item;
    this.#length++;
  }

  /** Takes the oldest item out. The ring must not be empty. */
  shift(): T {
    const item = this.#slots[this.#head] as T;
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    return item;
  }

  #grow(): void {
    const slots = this.#slots;
    const inOrder = slots.slice(this.#head).concat(slots.slice(0, this.#head));
    const added = Math.max(slots.length, leastRoom);
    for (let count = 0; count < added; count++) inOrder.push(undefined);
    this.#slots = inOrder;
    this.#head = 0;
  }
}
