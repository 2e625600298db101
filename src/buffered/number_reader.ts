/** The numbers of a reader: each is read by its kind. */

import { type Kind, kinds } from "./numbers.ts";

export abstract class NumberReader {
  /** @internal */
  protected abstract readNumber<T extends number | bigint>(
    kind: Kind<T>,
    deadline: number | undefined,
  ): Promise<T>;

  /** An unsigned integer of one byte. */
  readUint8(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint8, deadline);
  }

  /** A signed integer of one byte. */
  readInt8(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int8, deadline);
  }

  /** An unsigned integer of two bytes, the highest first. */
  readUint16BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint16BE, deadline);
  }

  /** An unsigned integer of two bytes, the lowest first. */
  readUint16LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint16LE, deadline);
  }

  /** A signed integer of two bytes, the highest first. */
  readInt16BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int16BE, deadline);
  }

  /** A signed integer of two bytes, the lowest first. */
  readInt16LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int16LE, deadline);
  }

  /** An unsigned integer of four bytes, the highest first. */
  readUint32BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint32BE, deadline);
  }

  /** An unsigned integer of four bytes, the lowest first. */
  readUint32LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint32LE, deadline);
  }

  /** A signed integer of four bytes, the highest first. */
  readInt32BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int32BE, deadline);
  }

  /** A signed integer of four bytes, the lowest first. */
  readInt32LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int32LE, deadline);
  }

  /** An unsigned integer of eight bytes, the highest first. */
  readBigUint64BE(deadline?: number): Promise<bigint> {
    return this.readNumber(kinds.BigUint64BE, deadline);
  }

  /** An unsigned integer of eight bytes, the lowest first. */
  readBigUint64LE(deadline?: number): Promise<bigint> {
    return this.readNumber(kinds.BigUint64LE, deadline);
  }

  /** A signed integer of eight bytes, the highest first. */
  readBigInt64BE(deadline?: number): Promise<bigint> {
    return this.readNumber(kinds.BigInt64BE, deadline);
  }

  /** A signed integer of eight bytes, the lowest first. */
  readBigInt64LE(deadline?: number): Promise<bigint> {
    return this.readNumber(kinds.BigInt64LE, deadline);
  }

  /** A floating-point number (IEEE 754) of four bytes, the highest first. */
  readFloat32BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Float32BE, deadline);
  }

  /** A floating-point number (IEEE 754) of four bytes, the lowest first. */
  readFloat32LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Float32LE, deadline);
  }

  /** A floating-point number (IEEE 754) of eight bytes, the highest first. */
  readFloat64BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Float64BE, deadline);
  }

  /** A floating-point number (IEEE 754) of eight bytes, the lowest first. */
  readFloat64LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Float64LE, deadline);
  }
}
