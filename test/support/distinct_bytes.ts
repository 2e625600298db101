/**
 * Bytes of which every eight are a different number, so that nothing can be lost, doubled or
 * exchanged without changing them.
 */
export function distinctBytes(length: number): Uint8Array {
  const numbers = new Float64Array(Math.ceil(length / 8));
  for (let index = 0; index < numbers.length; index++) numbers[index] = index + 0.5;
  return new Uint8Array(numbers.buffer, 0, length);
}

export function hashOf(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha1").update(bytes).digest("hex");
}
