/** The numbers of a reader: each is read by its kind. */

import { type Kind, kinds } from "./numbers.ts";

export abstract class NumberReader {
  /** @internal */
  protected abstract readNumber<T extends number | bigint>(
    kind: Kind<T>,
    deadline: number | undefined,
  ): Promise<T>;

  readUint8(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint8, deadline);
  }

  readInt8(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int8, deadline);
  }

  readUint16BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint16BE, deadline);
  }

  readUint16LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint16LE, deadline);
  }

  readInt16BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int16BE, deadline);
  }

  readInt16LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int16LE, deadline);
  }

  readUint32BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint32BE, deadline);
  }

  readUint32LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Uint32LE, deadline);
  }

  readInt32BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int32BE, deadline);
  }

  readInt32LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Int32LE, deadline);
  }

  readBigUint64BE(deadline?: number): Promise<bigint> {
    return this.readNumber(kinds.BigUint64BE, deadline);
  }

  readBigUint64LE(deadline?: number): Promise<bigint> {
    return this.readNumber(kinds.BigUint64LE, deadline);
  }

  readBigInt64BE(deadline?: number): Promise<bigint> {
    return this.readNumber(kinds.BigInt64BE, deadline);
  }

  readBigInt64LE(deadline?: number): Promise<bigint> {
    return this.readNumber(kinds.BigInt64LE, deadline);
  }

  readFloat32BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Float32BE, deadline);
  }

  readFloat32LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Float32LE, deadline);
  }

  readFloat64BE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Float64BE, deadline);
  }

  readFloat64LE(deadline?: number): Promise<number> {
    return this.readNumber(kinds.Float64LE, deadline);
  }
}
