import type { Socket } from "../../index.ts";

/** Everything up to the end of the stream. */
export async function readAll(socket: Socket): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Everything up to the end of the stream, as text. */
export async function readText(socket: Socket): Promise<string> {
  return new TextDecoder().decode(await readAll(socket));
}

/** Exactly so many bytes, or all before the end of the stream. */
export async function readExactly(socket: Socket, length: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const count = await socket.read(buffer.subarray(filled));
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}

/** Reads to the end of the stream, and keeps only the number of bytes and their hash. */
export async function drain(socket: Socket): Promise<{ bytes: number; hash: string }> {
  const hasher = new Bun.CryptoHasher("sha1");
  const buffer = new Uint8Array(256 * 1024);
  let bytes = 0;
  for (let count: number; (count = await socket.read(buffer)) > 0; ) {
    hasher.update(buffer.subarray(0, count));
    bytes += count;
  }
  return { bytes, hash: hasher.digest("hex") };
}
