/** The numbers of a reader: each is read by its size and its decoder. */

import * as numbers from "./numbers.ts";

export abstract class NumberReader {
  /** @internal Reads a number of so many bytes. */
  protected abstract readNumber<T>(
    size: number,
    decode: numbers.Decode<T>,
    deadline: number | undefined,
  ): Promise<T>;

  readUint8(deadline?: number): Promise<number> {
    return this.readNumber(1, numbers.uint8, deadline);
  }

  readInt8(deadline?: number): Promise<number> {
    return this.readNumber(1, numbers.int8, deadline);
  }

  readUint16BE(deadline?: number): Promise<number> {
    return this.readNumber(2, numbers.uint16BE, deadline);
  }

  readUint16LE(deadline?: number): Promise<number> {
    return this.readNumber(2, numbers.uint16LE, deadline);
  }

  readInt16BE(deadline?: number): Promise<number> {
    return this.readNumber(2, numbers.int16BE, deadline);
  }

  readInt16LE(deadline?: number): Promise<number> {
    return this.readNumber(2, numbers.int16LE, deadline);
  }

  readUint32BE(deadline?: number): Promise<number> {
    return this.readNumber(4, numbers.uint32BE, deadline);
  }

  readUint32LE(deadline?: number): Promise<number> {
    return this.readNumber(4, numbers.uint32LE, deadline);
  }

  readInt32BE(deadline?: number): Promise<number> {
    return this.readNumber(4, numbers.int32BE, deadline);
  }

  readInt32LE(deadline?: number): Promise<number> {
    return this.readNumber(4, numbers.int32LE, deadline);
  }

  readBigUint64BE(deadline?: number): Promise<bigint> {
    return this.readNumber(8, numbers.bigUint64BE, deadline);
  }

  readBigUint64LE(deadline?: number): Promise<bigint> {
    return this.readNumber(8, numbers.bigUint64LE, deadline);
  }

  readBigInt64BE(deadline?: number): Promise<bigint> {
    return this.readNumber(8, numbers.bigInt64BE, deadline);
  }

  readBigInt64LE(deadline?: number): Promise<bigint> {
    return this.readNumber(8, numbers.bigInt64LE, deadline);
  }

  readFloat32BE(deadline?: number): Promise<number> {
    return this.readNumber(4, numbers.float32BE, deadline);
  }

  readFloat32LE(deadline?: number): Promise<number> {
    return this.readNumber(4, numbers.float32LE, deadline);
  }

  readFloat64BE(deadline?: number): Promise<number> {
    return this.readNumber(8, numbers.float64BE, deadline);
  }

  readFloat64LE(deadline?: number): Promise<number> {
    return this.readNumber(8, numbers.float64LE, deadline);
  }
}
