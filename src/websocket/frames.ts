/** Frames (RFC 6455, section 5.2): what both directions know of them. */

export const Opcode = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

/** The bits of a frame's first byte. */
export const finalBit = 0x80;
export const reservedBits = 0x70;
export const opcodeBits = 0x0f;
/** The bit of an opcode that control frames have. */
export const controlBit = 0x08;

/** The bits of the second byte. */
export const maskBit = 0x80;
export const lengthBits = 0x7f;

/** Values of the length in the second byte: a longer length follows, of 16 or 64 bits. */
export const length16 = 126;
export const length64 = 127;
/** A length has 16 bits below this, if it has more than 7. */
export const leastOf64 = 65_536;

/** The most bytes of a control frame's payload. */
export const mostControlBytes = 125;
