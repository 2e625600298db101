/**
 * Reads a library in Mach-O, the format of macOS: 64 bits, little-endian, one architecture. The constants are those of
 * Apple's `mach-o/loader.h` and `mach-o/nlist.h`.
 */

export interface Segment {
  readonly name: string;
  readonly address: number;
  readonly size: number;
  readonly fileOffset: number;
  readonly fileSize: number;
  /** What its pages allow at first: 1 is read, 2 write, 4 execute. */
  readonly protection: number;
  /** 0x10: its pages become read-only when they are relocated. */
  readonly flags: number;
}

export interface Place {
  readonly offset: number;
  readonly size: number;
}

export interface MachO {
  readonly bytes: Buffer;
  readonly cpu: number;
  readonly kind: number;
  readonly installName: string | undefined;
  /** The libraries that it loads. */
  readonly loads: readonly string[];
  readonly searchPaths: readonly string[];
  /** The system it is for, and the oldest version of it. */
  readonly platform: number | undefined;
  readonly oldestSystem: string | undefined;
  /** In hexadecimal digits. */
  readonly uuid: string | undefined;
  readonly segments: readonly Segment[];
  /** How many relocations the loader would write into code and data of its own, outside of its compact lists. */
  readonly relocations: number;
  readonly symbols: readonly MachSymbol[];
  /** The addresses of the exports, counted from the start of the library. */
  readonly exports: ReadonlyMap<string, number>;
  readonly signature: Place | undefined;
}

export interface MachSymbol {
  readonly name: string;
  /** `n_type`: 0xe0 marks what is for a debugger, 0x10 what is private, 0x01 what is external, 0x0e its kind. */
  readonly type: number;
}

const command = {
  symbolTable: 0x2,
  dynamicSymbolTable: 0xb,
  loadLibrary: 0xc,
  installName: 0xd,
  loadWeakly: 0x80000018,
  segment: 0x19,
  uuid: 0x1b,
  searchPath: 0x8000001c,
  signature: 0x1d,
  reexport: 0x8000001f,
  loadLazily: 0x20,
  dyldInfo: 0x22,
  dyldInfoOnly: 0x80000022,
  loadUpward: 0x80000023,
  buildVersion: 0x32,
  exportsTrie: 0x80000033,
} as const;

const loading: readonly number[] = [
  ...[command.loadLibrary, command.loadWeakly, command.reexport],
  ...[command.loadLazily, command.loadUpward],
];

/** Throws a RangeError if the file ends before what it describes. */
export function readMachO(bytes: Buffer): MachO {
  if (bytes.readUInt32LE(0) !== 0xfeedfacf) throw new Error("it is no Mach-O file of 64 bits");
  const loads: string[] = [];
  const searchPaths: string[] = [];
  const segments: Segment[] = [];
  const found: { -readonly [Key in keyof MachO]?: MachO[Key] } = {};
  let trie: Place | undefined;
  let relocations = 0;
  const headerBytes = 32;
  const count = bytes.readUInt32LE(16);
  for (let at = headerBytes, index = 0; index < count; index++) {
    const kind = bytes.readUInt32LE(at);
    const number = (offset: number): number => bytes.readUInt32LE(at + offset);
    const place = (offset: number): Place => ({
      offset: number(offset),
      size: number(offset + 4),
    });
    const name = (): string => textAt(bytes, at + number(8));
    if (kind === command.installName) found.installName = name();
    else if (loading.includes(kind)) loads.push(name());
    else if (kind === command.searchPath) searchPaths.push(name());
    else if (kind === command.segment) segments.push(readSegment(bytes, at));
    else if (kind === command.uuid) found.uuid = bytes.toString("hex", at + 8, at + 24);
    else if (kind === command.signature) found.signature = place(8);
    else if (kind === command.exportsTrie) trie = place(8);
    else if (kind === command.dyldInfo || kind === command.dyldInfoOnly) trie = place(40);
    else if (kind === command.dynamicSymbolTable) relocations += number(68) + number(76);
    else if (kind === command.symbolTable) found.symbols = readSymbols(bytes, at);
    else if (kind === command.buildVersion) {
      found.platform = number(8);
      found.oldestSystem = `${number(12) >> 16}.${(number(12) >> 8) & 0xff}`;
    }
    at += number(4);
  }
  return {
    ...{ bytes, cpu: bytes.readUInt32LE(4), kind: bytes.readUInt32LE(12), loads, searchPaths },
    ...{ segments, relocations, installName: found.installName, uuid: found.uuid },
    ...{ platform: found.platform, oldestSystem: found.oldestSystem, signature: found.signature },
    symbols: found.symbols ?? [],
    exports: trie === undefined ? new Map() : readTrie(bytes, trie),
  };
}

function readSegment(bytes: Buffer, at: number): Segment {
  const long = (offset: number): number => Number(bytes.readBigUInt64LE(at + offset));
  return {
    name: textAt(bytes, at + 8, 16),
    ...{ address: long(24), size: long(32), fileOffset: long(40), fileSize: long(48) },
    protection: bytes.readUInt32LE(at + 60),
    flags: bytes.readUInt32LE(at + 68),
  };
}

function readSymbols(bytes: Buffer, at: number): MachSymbol[] {
  const symbols = bytes.readUInt32LE(at + 8);
  const count = bytes.readUInt32LE(at + 12);
  const strings = bytes.readUInt32LE(at + 16);
  const entryBytes = 16;
  return Array.from({ length: count }, (_, index) => {
    const entry = symbols + index * entryBytes;
    return {
      name: textAt(bytes, strings + bytes.readUInt32LE(entry)),
      type: bytes.readUInt8(entry + 4),
    };
  });
}

/** The exports are a tree of prefixes. A node has what is exported under its name, then its branches. */
function readTrie(bytes: Buffer, { offset, size }: Place): Map<string, number> {
  const exports = new Map<string, number>();
  const end = offset + size;
  const visit = (node: number, prefix: string): void => {
    if (node < offset || node >= end) throw new Error("its list of exports is broken");
    let at = node;
    const varint = (): number => {
      let value = 0;
      for (let factor = 1; ; factor *= 128) {
        const byte = bytes.readUInt8(at++);
        value += (byte & 0x7f) * factor;
        if (byte < 0x80) return value;
      }
    };
    const ownBytes = varint();
    const branches = at + ownBytes;
    if (ownBytes > 0) {
      varint(); // flags
      exports.set(prefix, varint());
    }
    at = branches;
    for (let left = bytes.readUInt8(at++); left > 0; left--) {
      const text = textAt(bytes, at);
      at += Buffer.byteLength(text) + 1;
      const child = offset + varint();
      // Children follow their parent, so a tree that is no tree ends.
      if (child <= node) throw new Error("its list of exports is broken");
      visit(child, prefix + text);
    }
  };
  if (size > 0) visit(offset, "");
  return exports;
}

/** The bytes at an address, which counts from the start of the library. */
export function bytesAt({ bytes, segments }: MachO, address: number, size: number): Buffer {
  const start = segments.find(({ name }) => name === "__TEXT")?.address ?? 0;
  const wanted = start + address;
  const segment = segments.find(
    (each) => wanted >= each.address && wanted + size <= each.address + each.fileSize,
  );
  if (segment === undefined) throw new Error(`it has no bytes at address ${address}`);
  const offset = segment.fileOffset + wanted - segment.address;
  return bytes.subarray(offset, offset + size);
}

function textAt(bytes: Buffer, at: number, most = Number.POSITIVE_INFINITY): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString("utf8", at, Math.min(end < 0 ? bytes.length : end, at + most));
}
