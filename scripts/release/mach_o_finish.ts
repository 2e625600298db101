/**
 * Finishes a library for macOS that Zig has linked with its symbols. Zig removes no symbols of C, and makes a UUID of
 * a file that has this machine's paths for debuggers in it; it signs libraries for arm64 alone. So the UUID is set here,
 * symbols are removed, and the library is signed. With the same UUID, a debugger finds the symbols of the stripped library in the other.
 */

import { signatureBytes, signatureOf } from "./code_signature.ts";
import { readMachO } from "./mach_o_file.ts";

const command = {
  symbolTable: 0x2,
  dynamicSymbolTable: 0xb,
  segment: 0x19,
  uuid: 0x1b,
  signature: 0x1d,
};
const symbolBytes = 16;
const isLocal = 0x80000000;
/** Pages of arm64; those of x64 are smaller. */
const pageBytes = 0x4000;

/** `uuid` has 32 hexadecimal digits. */
export function finishMachO(linked: Buffer, uuid: string, isStripped: boolean): Buffer {
  const { exports, segments, signature } = readMachO(linked);
  const commands = placesOf(linked);
  const number = (at: number): number => linked.readUInt32LE(at);
  const { symbolTable, dynamicSymbolTable: dynamic } = commands;
  const symbols = { offset: number(symbolTable + 8), count: number(symbolTable + 12) };
  const strings = { offset: number(symbolTable + 16), size: number(symbolTable + 20) };
  const indirect = { offset: number(dynamic + 56), count: number(dynamic + 60) };
  if (
    symbols.offset > indirect.offset ||
    indirect.offset > strings.offset ||
    strings.offset + strings.size > (signature?.offset ?? linked.length)
  ) {
    throw new Error("the linker has another order of tables than is known");
  }

  const nameOf = (index: number): string => {
    const start = strings.offset + number(symbols.offset + index * symbolBytes);
    return linked.toString("utf8", start, linked.indexOf(0, start));
  };
  const range = (at: number): number[] =>
    Array.from({ length: number(dynamic + at + 4) }, (_, index) => number(dynamic + at) + index);
  // Zig's own name the files that it compiled, which only this machine has.
  const isForLinker = (index: number): boolean =>
    (linked.readUInt8(symbols.offset + index * symbolBytes + 4) & 0xe0) !== 0;
  const locals = isStripped ? [] : range(8).filter((index) => !isForLinker(index));
  const defined = range(16).filter((index) => !isStripped || exports.has(nameOf(index)));
  const undefinedOnes = range(24);
  const kept = [...locals, ...defined, ...undefinedOnes];

  // A string table begins with an empty string.
  const texts = [Buffer.from("\0")];
  let textBytes = 1;
  const newSymbols = kept.map((index) => {
    const start = symbols.offset + index * symbolBytes;
    const entry = Buffer.from(linked.subarray(start, start + symbolBytes));
    const text = Buffer.from(`${nameOf(index)}\0`);
    entry.writeUInt32LE(textBytes, 0);
    texts.push(text);
    textBytes += text.length;
    return entry;
  });
  const places = new Map(kept.map((index, place) => [index, place]));
  const newIndirect = Buffer.alloc(indirect.count * 4);
  for (let at = 0; at < newIndirect.length; at += 4) {
    const index = number(indirect.offset + at);
    const isFlag = index >= 0x40000000;
    newIndirect.writeUInt32LE(isFlag ? index : (places.get(index) ?? isLocal), at);
  }
  const tables = Buffer.concat([...newSymbols, newIndirect, ...texts]);
  const signedBytes = Math.ceil((symbols.offset + tables.length) / 16) * 16;
  const made = Buffer.alloc(signedBytes);
  linked.copy(made, 0, 0, symbols.offset);
  tables.copy(made, symbols.offset);

  const set = (at: number, values: readonly number[]): void =>
    values.forEach((value, index) => {
      made.writeUInt32LE(value, at + index * 4);
    });
  const newIndirectOffset = symbols.offset + kept.length * symbolBytes;
  const newStringsOffset = newIndirectOffset + newIndirect.length;
  set(symbolTable + 8, [symbols.offset, kept.length, newStringsOffset, textBytes]);
  set(dynamic + 8, [0, locals.length, locals.length, defined.length]);
  set(dynamic + 24, [locals.length + defined.length, undefinedOnes.length]);
  set(dynamic + 56, [newIndirectOffset]);
  Buffer.from(uuid, "hex").copy(made, commands.uuid + 8);

  const newSignatureBytes = signatureBytes(signedBytes);
  if (signature === undefined) addSignatureCommand(made);
  set(placesOf(made).signature! + 8, [signedBytes, newSignatureBytes]);
  const linkEditBytes = signedBytes + newSignatureBytes - number(commands.segment + 40);
  const linkEditPages = Math.ceil(linkEditBytes / pageBytes);
  made.writeBigUInt64LE(BigInt(linkEditPages * pageBytes), commands.segment + 32);
  made.writeBigUInt64LE(BigInt(linkEditBytes), commands.segment + 48);
  return Buffer.concat([made, signatureOf(made, segments[0]!.fileSize)]);
}

/** The room after the commands is empty: the linker leaves it for a change of the install name. */
function addSignatureCommand(made: Buffer): void {
  const commandBytes = 16;
  const [countAt, sizeAt, headerBytes] = [16, 20, 32];
  const size = made.readUInt32LE(sizeAt);
  const end = headerBytes + size;
  if (made.subarray(end, end + commandBytes).some((byte) => byte !== 0)) {
    throw new Error("there is no room for a signature's command");
  }
  made.writeUInt32LE(made.readUInt32LE(countAt) + 1, countAt);
  made.writeUInt32LE(size + commandBytes, sizeAt);
  made.writeUInt32LE(command.signature, end);
  made.writeUInt32LE(commandBytes, end + 4);
}

interface Commands {
  readonly symbolTable: number;
  readonly dynamicSymbolTable: number;
  /** The last segment, which has the tables. */
  readonly segment: number;
  readonly uuid: number;
  readonly signature: number | undefined;
}

/** Where each command begins. */
function placesOf(bytes: Buffer): Commands {
  const found = new Map<number, number>();
  for (let at = 32, index = 0; index < bytes.readUInt32LE(16); index++) {
    found.set(bytes.readUInt32LE(at), at);
    at += bytes.readUInt32LE(at + 4);
  }
  const place = (kind: number): number => {
    const at = found.get(kind);
    if (at === undefined) throw new Error("the linker has written another kind of library");
    return at;
  };
  const segment = place(command.segment);
  if (!bytes.toString("latin1", segment + 8, segment + 24).startsWith("__LINKEDIT\0")) {
    throw new Error("the linker's last segment does not have the tables");
  }
  return {
    symbolTable: place(command.symbolTable),
    dynamicSymbolTable: place(command.dynamicSymbolTable),
    ...{ segment, uuid: place(command.uuid), signature: found.get(command.signature) },
  };
}
