/**
 * Bytes in groups of eight, and each group is another number, so that any loss, duplication or exchange
 * changes them.
 */
export function distinctBytes(length: number): Uint8Array {
  const numbers = new Float64Array(Math.ceil(length / 8));
  for (let index = 0; index < numbers.length; index++) numbers[index] = index + 0.5;
  return new Uint8Array(numbers.buffer, 0, length);
}

/** The same as text: lines of seven letters, each of them different. */
export function distinctLines(length: number): Uint8Array {
  const text = new Uint8Array(length).fill(0x0a);
  for (let start = 0; start < length; start += 8) {
    let number = start / 8;
    for (let place = start; place < start + 7 && place < length; place++) {
      text[place] = 0x61 + (number % 16);
      number = Math.floor(number / 16);
    }
  }
  return text;
}

export function hashOf(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha1").update(bytes).digest("hex");
}
