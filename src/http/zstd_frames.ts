/**
 * Whether data in zstd's format (RFC 8878) is whole. Bun's decoder returns what it has of data that was cut off,
 * without an error.
 */

const frameMagic = 0xfd2fb528;
/** Sixteen numbers stand for frames that a decoder skips. */
const skippableMagic = 0x184d2a50;

/** Whether the bytes are frames, each up to its end, and nothing else. */
export function isWholeZstd(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    let at = 0;
    while (at < view.byteLength) at = frameEnd(view, at);
    return at === view.byteLength;
  } catch (error) {
    // A number that is not there.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** Where the frame ends that begins at `start`; beyond the end of the data if a part is missing. */
function frameEnd(view: DataView, start: number): number {
  const magic = view.getUint32(start, true);
  if ((magic & 0xfffffff0) >>> 0 === skippableMagic)
    return start + 8 + view.getUint32(start + 4, true);
  if (magic !== frameMagic) return Number.POSITIVE_INFINITY;
  const descriptor = view.getUint8(start + 4);
  let at = start + 5 + headerLength(descriptor);
  for (;;) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const kind = (header >> 1) & 3;
    // A block that repeats one byte has this byte alone.
    at += 3 + (kind === 1 ? 1 : header >> 3);
    if ((header & 1) === 1) break;
  }
  const hasChecksum = (descriptor & 4) !== 0;
  return hasChecksum ? at + 4 : at;
}

/** Bytes of a frame's header behind the descriptor (section 3.1.1.1). */
function headerLength(descriptor: number): number {
  const isSingle = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const size = sizeFlag === 0 ? (isSingle ? 1 : 0) : 1 << sizeFlag;
  const dictionary = [0, 1, 2, 4][descriptor & 3]!;
  return (isSingle ? 0 : 1) + dictionary + size;
}
