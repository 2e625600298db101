/** The characters of HTTP's heads (RFC 9110, section 5.6.2 and 5.5). */

const token = 1;
const value = 2;
const hex = 4;

const kinds = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~") kinds[character.charCodeAt(0)]! |= token;
for (const [first, last] of ["09", "az", "AZ"]) {
  for (let code = first!.charCodeAt(0); code <= last!.charCodeAt(0); code++) kinds[code]! |= token;
}
for (const character of "0123456789abcdefABCDEF") kinds[character.charCodeAt(0)]! |= hex;
for (let code = 0x20; code < 256; code++) if (code !== 0x7f) kinds[code]! |= value;
kinds[0x09]! |= value;

/** A character of a name, such as that of a field or of a method. */
export function isToken(code: number): boolean {
  return (kinds[code]! & token) !== 0;
}

/** A character of a field's value: visible, a space, a tab, or one above ASCII. */
export function isValue(code: number): boolean {
  return (kinds[code]! & value) !== 0;
}

/** The value of a hexadecimal digit; -1 for another character. */
export function hexDigit(code: number): number {
  if ((kinds[code]! & hex) === 0) return -1;
  return code <= 0x39 ? code - 0x30 : (code | 0x20) - 0x61 + 10;
}

export function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** A space or a tab, which may stand around a field's value. */
export function isBlank(code: number): boolean {
  return code === space || code === tab;
}

export const tab = 0x09;
export const lf = 0x0a;
export const cr = 0x0d;
export const space = 0x20;
export const zero = 0x30;
export const comma = 0x2c;
export const colon = 0x3a;
export const semicolon = 0x3b;
