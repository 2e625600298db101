/** Certificates, keys and other material: from what callers give to bytes. */

import { typeMistake } from "../values/checks.ts";
import { byteLengthOf, bytesOfView, isBuffer } from "../values/views.ts";
import { fileBytes } from "./file_bytes.ts";

/**
 * A certificate, a key, or several of them: PEM as text; PEM or DER as bytes; or a file with
 * either, as its path or as `Bun.file`. A string without a line `-----BEGIN` is a path. Files are
 * read synchronously, not through Bun's loop. They must be regular files of at most 64 MiB: FIFOs,
 * devices and pipes, such as the shell's `<(command)` names, are refused.
 */
export type TlsMaterial = string | ArrayBufferView | ArrayBufferLike | Bun.BunFile;

const encoder = new TextEncoder();
const pemLabel = "-----BEGIN ";

/**
 * The bytes of an option's value: a copy, which only plait has.
 *
 * @throws {TypeError} for a value of another kind
 * @throws {TlsError} for a file that cannot be read
 */
export function materialBytes(material: unknown, option: string): Uint8Array {
  if (typeof material === "string") {
    if (material.includes(pemLabel)) return encoder.encode(material);
    // An error shows the path. A key without its first line must not get there.
    if (material === "" || /[\n\r\0]/.test(material) || material.length > 4096) {
      throw typeMistake(`${option} is a string that is neither PEM nor a path`);
    }
    return fileBytes(material, option);
  }
  // A copy, since the program or another thread could change the bytes between check and use.
  if (ArrayBuffer.isView(material)) return checkedBytes(bytesOfView(material).slice(), option);
  if (isBuffer(material)) return checkedBytes(new Uint8Array(material).slice(), option);
  // Only a `Bun.file` can be read without Bun's loop; other Blobs cannot.
  if (material instanceof Blob && !(material instanceof File)) {
    const { name } = material as Bun.BunFile;
    if (typeof name === "string") return embeddedBytes(name) ?? fileBytes(name, option);
  }
  throw typeMistake(`${option} is PEM text, bytes, a path, or a Bun.file`);
}

/** The bytes of each item of a list. A single item stands for a list of one. */
export function materialList(material: unknown, option: string): Uint8Array[] {
  if (!Array.isArray(material)) return [materialBytes(material, option)];
  if (material.length === 0) throw typeMistake(`${option} is an empty list`);
  return Array.from(material, (item: unknown) => materialBytes(item, option));
}

/** Whether the bytes are PEM with a private key among its parts. */
export function hasPrivateKey(bytes: Uint8Array): boolean {
  return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(Buffer.from(bytes).toString("latin1"));
}

function checkedBytes(bytes: Uint8Array, option: string): Uint8Array {
  if (byteLengthOf(bytes) === 0) throw typeMistake(`${option} is empty`);
  return bytes;
}

/** The bytes of a file that is part of the executable, which has no path. */
function embeddedBytes(name: string): Uint8Array | undefined {
  const embedded = Bun.embeddedFiles.find((file) => (file as Bun.BunFile).name === name);
  return embedded && checkedBytes(Bun.peek(embedded.bytes()) as Uint8Array, name);
}
