/** Numbers in binary protocols: from bytes, and into bytes. */

export type Decode<T> = (bytes: Uint8Array, offset: number) => T;

/** For the kinds that only a DataView knows. It costs more than bytes do, and each buffer would need one. */
const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = new Uint8Array(scratch.buffer);

function inScratch(bytes: Uint8Array, offset: number, size: number): DataView {
  for (let index = 0; index < size; index++) scratchBytes[index] = bytes[offset + index]!;
  return scratch;
}

const uint8: Decode<number> = (bytes, at) => bytes[at]!;
const int8: Decode<number> = (bytes, at) => (bytes[at]! << 24) >> 24;
const uint16BE: Decode<number> = (bytes, at) => (bytes[at]! << 8) | bytes[at + 1]!;
const uint16LE: Decode<number> = (bytes, at) => bytes[at]! | (bytes[at + 1]! << 8);
const int16BE: Decode<number> = (bytes, at) => (uint16BE(bytes, at) << 16) >> 16;
const int16LE: Decode<number> = (bytes, at) => (uint16LE(bytes, at) << 16) >> 16;
const int32BE: Decode<number> = (bytes, at) =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
const int32LE: Decode<number> = (bytes, at) =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
const uint32BE: Decode<number> = (bytes, at) => int32BE(bytes, at) >>> 0;
const uint32LE: Decode<number> = (bytes, at) => int32LE(bytes, at) >>> 0;
const bigInt64BE: Decode<bigint> = (bytes, at) => inScratch(bytes, at, 8).getBigInt64(0);
const bigInt64LE: Decode<bigint> = (bytes, at) => inScratch(bytes, at, 8).getBigInt64(0, true);
const bigUint64BE: Decode<bigint> = (bytes, at) => inScratch(bytes, at, 8).getBigUint64(0);
const bigUint64LE: Decode<bigint> = (bytes, at) => inScratch(bytes, at, 8).getBigUint64(0, true);
const float32BE: Decode<number> = (bytes, at) => inScratch(bytes, at, 4).getFloat32(0);
const float32LE: Decode<number> = (bytes, at) => inScratch(bytes, at, 4).getFloat32(0, true);
const float64BE: Decode<number> = (bytes, at) => inScratch(bytes, at, 8).getFloat64(0);
const float64LE: Decode<number> = (bytes, at) => inScratch(bytes, at, 8).getFloat64(0, true);

/** A kind of number. */
export interface Kind<T extends number | bigint> {
  /** Bytes. */
  readonly size: number;
  /** The least and the greatest value; undefined for a float. */
  readonly range: readonly [T, T] | undefined;
  readonly encode: (bytes: Uint8Array, offset: number, value: T) => void;
  readonly decode: Decode<T>;
}

function unsigned(size: 1 | 2 | 4, isLittleEndian: boolean, decode: Decode<number>): Kind<number> {
  const encode = wholeNumber(size, isLittleEndian);
  return { size, range: [0, 2 ** (8 * size) - 1], encode, decode };
}

function signed(size: 1 | 2 | 4, isLittleEndian: boolean, decode: Decode<number>): Kind<number> {
  const limit = 2 ** (8 * size - 1);
  const encode = wholeNumber(size, isLittleEndian);
  return { size, range: [-limit, limit - 1], encode, decode };
}

function wholeNumber(size: number, isLittleEndian: boolean): Kind<number>["encode"] {
  return (bytes, offset, value) => {
    for (let index = 0; index < size; index++) {
      bytes[offset + index] = value >> (8 * (isLittleEndian ? index : size - 1 - index));
    }
  };
}

function withScratch<T extends number | bigint>(
  size: 4 | 8,
  range: readonly [T, T] | undefined,
  set: (value: T) => void,
  decode: Decode<T>,
): Kind<T> {
  return {
    size,
    range,
    decode,
    encode: (bytes, offset, value) => {
      set(value);
      for (let index = 0; index < size; index++) bytes[offset + index] = scratchBytes[index]!;
    },
  };
}

const unsigned64: readonly [bigint, bigint] = [0n, 2n ** 64n - 1n];
const signed64: readonly [bigint, bigint] = [-(2n ** 63n), 2n ** 63n - 1n];

/** The kinds by the names of the methods that read and write them. */
export const kinds = {
  Uint8: unsigned(1, false, uint8),
  Int8: signed(1, false, int8),
  Uint16BE: unsigned(2, false, uint16BE),
  Uint16LE: unsigned(2, true, uint16LE),
  Int16BE: signed(2, false, int16BE),
  Int16LE: signed(2, true, int16LE),
  Uint32BE: unsigned(4, false, uint32BE),
  Uint32LE: unsigned(4, true, uint32LE),
  Int32BE: signed(4, false, int32BE),
  Int32LE: signed(4, true, int32LE),
  BigUint64BE: withScratch(8, unsigned64, (value) => scratch.setBigUint64(0, value), bigUint64BE),
  BigUint64LE: withScratch(
    8,
    unsigned64,
    (value) => scratch.setBigUint64(0, value, true),
    bigUint64LE,
  ),
  BigInt64BE: withScratch(8, signed64, (value) => scratch.setBigInt64(0, value), bigInt64BE),
  BigInt64LE: withScratch(8, signed64, (value) => scratch.setBigInt64(0, value, true), bigInt64LE),
  Float32BE: withScratch(4, undefined, (value: number) => scratch.setFloat32(0, value), float32BE),
  Float32LE: withScratch(
    4,
    undefined,
    (value: number) => scratch.setFloat32(0, value, true),
    float32LE,
  ),
  Float64BE: withScratch(8, undefined, (value: number) => scratch.setFloat64(0, value), float64BE),
  Float64LE: withScratch(
    8,
    undefined,
    (value: number) => scratch.setFloat64(0, value, true),
    float64LE,
  ),
} as const;

/** The most bytes of a varint that a 64-bit number needs. */
export const mostVarintBytes = 10;

/** Writes an unsigned number of 7 bits a byte, the lowest first (LEB128), and returns its bytes. */
export function encodeVarint(bytes: Uint8Array, offset: number, value: number): number {
  let rest = value;
  let end = offset;
  // Above 2^31 the operators for bits would cut it.
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[end++] = (rest % 128) | 128;
  bytes[end++] = rest;
  return end - offset;
}

/** The most bytes of the length that stands before a message. */
export const mostLengthBytes = 6;

const lengthDecoders = { bigEndian: lengthDecodersOf(false), littleEndian: lengthDecodersOf(true) };

export function lengthDecoder(size: number, isLittleEndian: boolean): Decode<number> {
  return (isLittleEndian ? lengthDecoders.littleEndian : lengthDecoders.bigEndian)[size - 1]!;
}

function lengthDecodersOf(isLittleEndian: boolean): Decode<number>[] {
  return Array.from({ length: mostLengthBytes }, (_, index) =>
    lengthDecoderOf(index + 1, isLittleEndian),
  );
}

function lengthDecoderOf(size: number, isLittleEndian: boolean): Decode<number> {
  return (bytes, offset) => {
    let value = 0;
    for (let index = 0; index < size; index++) {
      value = value * 256 + bytes[offset + (isLittleEndian ? size - 1 - index : index)]!;
    }
    return value;
  };
}

export function encodeLength(
  bytes: Uint8Array,
  offset: number,
  size: number,
  isLittleEndian: boolean,
  length: number,
): void {
  let rest = length;
  for (let index = 0; index < size; index++) {
    bytes[offset + (isLittleEndian ? index : size - 1 - index)] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}
