/** Buffers and data of callers, as runs of bytes. */

import { rangeMistake, typeMistake } from "../values/checks.ts";
import { byteLengthOf, bytesOfView, isBuffer, isDetached } from "../values/views.ts";

/** What `write` takes: text (sent as UTF-8), any view, an ArrayBuffer, or an array of these. */
export type WriteData = string | ArrayBufferView | ArrayBufferLike | readonly WriteData[];

const encoder = new TextEncoder();

/** The bytes of a view. Use `byteLengthOf` for their length: a Uint8Array may be of a subclass. */
export function viewOf(view: ArrayBufferView, what: string): Uint8Array {
  if (!ArrayBuffer.isView(view)) throw typeMistake(`${what} takes a typed array or a DataView`);
  return view instanceof Uint8Array ? view : bytesOfView(view);
}

export function bytesOf(data: ArrayBufferView | ArrayBufferLike): Uint8Array {
  if (ArrayBuffer.isView(data)) return viewOf(data, "write");
  if (isBuffer(data)) return new Uint8Array(data);
  throw typeMistake("write takes a string, a view, an ArrayBuffer, or an array of these");
}

/** Runs of bytes that are sent one after another, each with its length of the moment of the call. */
export class Parts {
  readonly views: Uint8Array[] = [];
  readonly lengths: number[] = [];

  collect(data: readonly WriteData[]): this {
    for (const part of data) {
      if (isList(part)) {
        this.collect(part);
        continue;
      }
      const bytes = typeof part === "string" ? encoder.encode(part) : bytesOf(part);
      const length = byteLengthOf(bytes);
      if (length > 0) {
        this.views.push(bytes);
        this.lengths.push(length);
      } else if (isDetached(bytes)) throw typeMistake("write: a buffer is detached");
    }
    return this;
  }
}

/** `Array.isArray`, but also for the type of read-only arrays. */
export function isList(data: WriteData): data is readonly WriteData[] {
  return Array.isArray(data);
}

export function emptyBuffer(bytes: Uint8Array): Error {
  return isDetached(bytes)
    ? typeMistake("read: the buffer is detached")
    : rangeMistake("read: the buffer has no room");
}
