// The streams that the readers read. A client names one by its index; the feeder sends it and closes.

export interface Unit {
  readonly name: string;
  /** Bytes of a unit, with its newline or prefix. */
  readonly bytes: number;
  /** Units in a stream. */
  readonly count: number;
  encode(): Uint8Array;
}

function line(bytes: number, count: number): Unit {
  const encode = (): Uint8Array => new TextEncoder().encode(`${"x".repeat(bytes - 1)}\n`);
  return { name: `line of ${bytes} bytes`, bytes, count, encode };
}

/** A prefix of four bytes, the most significant first, and the rest. */
function frame(bytes: number, count: number): Unit {
  const encode = (): Uint8Array => {
    const whole = new Uint8Array(bytes);
    new DataView(whole.buffer).setUint32(0, bytes - 4);
    return whole;
  };
  return { name: `frame of ${bytes} bytes`, bytes, count, encode };
}

export const PREFIX_BYTES = 4;
export const BLOCK_BYTES = 65_536;

const block: Unit = {
  name: "block of 64 KiB",
  bytes: BLOCK_BYTES,
  count: 40_000,
  encode: () => new Uint8Array(BLOCK_BYTES),
};

export const units = {
  "line-20": line(20, 3_000_000),
  "line-200": line(200, 1_500_000),
  "frame-100": frame(100, 2_000_000),
  block,
} as const satisfies Record<string, Unit>;

export type UnitName = keyof typeof units;
export const unitNames = Object.keys(units) as UnitName[];
