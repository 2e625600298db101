/** The exports of a shared library in the ELF format (64 bits, little-endian). */

import { readFileSync } from "node:fs";

const dynamicSymbols = 11;

/** The names of the functions and objects that a program can use which loads the library. */
export function exportedSymbols(path: string): string[] {
  const bytes = readFileSync(path);
  const file = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = (offset: number): number => Number(file.getBigUint64(offset, true));
  if (file.getUint32(0) !== 0x7f45_4c46) throw new Error(`${path} is no ELF file`);

  const sections = number(0x28);
  const size = file.getUint16(0x3a, true);
  const count = file.getUint16(0x3c, true);
  for (let index = 0; index < count; index++) {
    const header = sections + index * size;
    if (file.getUint32(header + 4, true) !== dynamicSymbols) continue;
    const strings = number(sections + file.getUint32(header + 40, true) * size + 24);
    return symbolsIn(bytes, file, number(header + 24), number(header + 32), strings);
  }
  throw new Error(`${path} has no dynamic symbols`);
}

function symbolsIn(
  bytes: Buffer,
  file: DataView,
  offset: number,
  length: number,
  strings: number,
): string[] {
  const entryBytes = 24;
  const names: string[] = [];
  for (let entry = offset; entry < offset + length; entry += entryBytes) {
    const section = file.getUint16(entry + 6, true);
    // A symbol without a section is imported; a local one is not visible outside.
    const isLocal = file.getUint8(entry + 4) >> 4 === 0;
    if (section === 0 || isLocal) continue;
    const start = strings + file.getUint32(entry, true);
    names.push(bytes.toString("utf8", start, bytes.indexOf(0, start)));
  }
  return names;
}
