/** The buffers of a reader: how large they become for what the peer sends. */

import { describe, expect, test } from "bun:test";
import { type Receiver, Unread } from "../../src/buffered/unread.ts";

/** Receives chunks of one size, and keeps the sizes of the buffers that it is given. */
class Chunks implements Receiver {
  readonly sizes = new Set<number>();
  largest = 0;
  calls = 0;
  readonly #chunkBytes: number;

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  receiveInto(buffer: Uint8Array, offset: number, length: number): number {
    expect(offset + length).toBeLessThanOrEqual(buffer.length);
    this.sizes.add(buffer.length);
    this.largest = Math.max(this.largest, buffer.length);
    this.calls++;
    return Math.min(this.#chunkBytes, length);
  }
}

const portion = 65_536;

describe("a unit of an announced length", () => {
  test("takes no memory before its bytes come", () => {
    const announced = 2 ** 30;
    const unread = new Unread();
    const chunks = new Chunks(5000);
    while (unread.length < 1_000_000) {
      unread.expect(announced);
      unread.receive(chunks);
      expect(chunks.largest).toBeLessThanOrEqual(Math.max(4 * unread.length, portion));
    }
  });

  test("ends in a buffer of exactly its size, which is handed over", () => {
    const announced = 300_001;
    const unread = new Unread();
    const chunks = new Chunks(5000);
    while (unread.length < announced) {
      unread.expect(announced);
      unread.receive(chunks);
    }
    expect(unread.length).toBe(announced);
    const bytes = unread.take(announced, 4);
    expect([bytes.length, bytes.buffer.byteLength]).toEqual([announced - 4, announced]);
    expect(unread.length).toBe(0);
  });
});

test("a unit of unknown length moves a few times, to buffers of twice its size", () => {
  const unread = new Unread();
  const chunks = new Chunks(5000);
  while (unread.length < 10_000_000) {
    unread.receive(chunks);
    expect(chunks.largest).toBeLessThanOrEqual(Math.max(4 * unread.length, portion));
  }
  // From 64 KiB by doubling, not by a little each time.
  expect(chunks.sizes.size).toBeLessThan(20);
});

test.each([1, 100, 4096, 4097, 16_384, 60_000, 65_536, 1_000_000])(
  "chunks of %p bytes come in few calls, and nothing stays when all is read",
  (chunkBytes) => {
    const unread = new Unread();
    const chunks = new Chunks(chunkBytes);
    for (let round = 0; round < 100; round++) {
      // All that the portion has room for.
      const unreadBytes = unread.length;
      expect(unread.receive(chunks)).toBe(Math.min(chunkBytes, portion - unreadBytes));
      unread.skip(unread.length - (round % 3));
      unread.shrink();
    }
    expect(chunks.calls).toBe(100);
    unread.skip(unread.length);
    // No buffer is left: the view has none behind it.
    expect(unread.view(0).buffer.byteLength).toBe(0);
  },
);

test("bytes that are put back stand before the others, and no place comes twice", () => {
  const unread = new Unread();
  const bytes = new Uint8Array(100).map((_, index) => index);
  unread.receive({
    receiveInto(buffer, offset) {
      buffer.set(bytes, offset);
      return bytes.length;
    },
  });
  const head = unread.take(40);
  const { position } = unread;
  unread.prepend(head);
  expect(unread.copy(100)).toEqual(bytes);
  expect(unread.position).toBe(position);
  expect(unread.indexOf(7)).toBe(7);
});
