/** What callers give to be read into and written, as runs of bytes. */

import { rangeMistake, typeMistake } from "./checks.ts";

/** What `write` takes: text (sent as UTF-8), any view, an ArrayBuffer, or an array of these. */
export type WriteData = string | ArrayBufferView | ArrayBufferLike | readonly WriteData[];

const encoder = new TextEncoder();

export function viewOf(view: ArrayBufferView, what: string): Uint8Array {
  if (!ArrayBuffer.isView(view)) throw typeMistake(`${what} takes a typed array or a DataView`);
  if (view instanceof Uint8Array) return view;
  // The constructor of a view over a detached buffer throws a TypeError of its own.
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

export function bytesOf(data: ArrayBufferView | ArrayBufferLike): Uint8Array {
  if (ArrayBuffer.isView(data)) return viewOf(data, "write");
  if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer) return new Uint8Array(data);
  throw typeMistake("write takes a string, a view, an ArrayBuffer, or an array of these");
}

export function collectParts(data: readonly WriteData[], parts: Uint8Array[]): void {
  for (const part of data) {
    if (isList(part)) {
      collectParts(part, parts);
      continue;
    }
    const bytes = typeof part === "string" ? encoder.encode(part) : bytesOf(part);
    if (bytes.byteLength > 0) parts.push(bytes);
    else if (isDetached(bytes)) throw typeMistake("write: a buffer is detached");
  }
}

/** `Array.isArray`, which does not recognize arrays that are read-only. */
export function isList(data: WriteData): data is readonly WriteData[] {
  return Array.isArray(data);
}

export function isDetached(bytes: Uint8Array): boolean {
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer && buffer.detached;
}

export function emptyBuffer(bytes: Uint8Array): Error {
  return isDetached(bytes)
    ? typeMistake("read: the buffer is detached")
    : rangeMistake("read: the buffer has no room");
}
