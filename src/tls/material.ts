/** Certificates, keys and the like, as callers give them, to bytes. */

import { typeMistake } from "../values/checks.ts";
import { byteLengthOf, bytesOfView, isBuffer } from "../values/views.ts";
import { fileBytes } from "./file_bytes.ts";

/**
 * A certificate, a key, or a list of them: PEM as text; PEM or DER as bytes; or a file with either, by
 * its path or by `Bun.file`. A string that has no line `-----BEGIN` in it is a path. Files are read
 * at once, not through Bun's loop: regular ones, of 64 MiB at most. FIFOs, devices and pipes, such as the
 * shell's `<(command)` names, are refused.
 */
export type TlsMaterial = string | ArrayBufferView | ArrayBufferLike | Bun.BunFile;

const encoder = new TextEncoder();
const pemLabel = "-----BEGIN ";

/**
 * The bytes of what an option names: a copy, which nobody else can change.
 *
 * @throws {TypeError} for what is nothing of the kind
 * @throws {TlsError} for a file that cannot be read
 */
export function materialBytes(material: unknown, option: string): Uint8Array {
  if (typeof material === "string") {
    if (material.includes(pemLabel)) return encoder.encode(material);
    // What is shown in an error must never be a key that lost its first line.
    if (material === "" || /[\n\r\0]/.test(material) || material.length > 4096) {
      throw typeMistake(`${option} is a string that is neither PEM nor a path`);
    }
    return fileBytes(material, option);
  }
  // Copies: what the program changes, or another thread, would be checked and used in two states.
  if (ArrayBuffer.isView(material)) return checkedBytes(bytesOfView(material).slice(), option);
  if (isBuffer(material)) return checkedBytes(new Uint8Array(material).slice(), option);
  // A Blob that is no file of Bun's has no bytes without a trip through Bun's loop.
  if (material instanceof Blob && !(material instanceof File)) {
    const { name } = material as Bun.BunFile;
    if (typeof name === "string") return embeddedBytes(name) ?? fileBytes(name, option);
  }
  throw typeMistake(`${option} is PEM text, bytes, a path, or a Bun.file`);
}

/** The bytes of each of a list, or of the one that stands for a list. */
export function materialList(material: unknown, option: string): Uint8Array[] {
  if (!Array.isArray(material)) return [materialBytes(material, option)];
  if (material.length === 0) throw typeMistake(`${option} is an empty list`);
  return Array.from(material, (item: unknown) => materialBytes(item, option));
}

/** Whether bytes are PEM that has a private key among its parts. */
export function hasPrivateKey(bytes: Uint8Array): boolean {
  return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(Buffer.from(bytes).toString("latin1"));
}

function checkedBytes(bytes: Uint8Array, option: string): Uint8Array {
  if (byteLengthOf(bytes) === 0) throw typeMistake(`${option} is empty`);
  return bytes;
}

/** The bytes of a file that is part of the executable: `Bun.file` has no path of it, but all of it. */
function embeddedBytes(name: string): Uint8Array | undefined {
  const embedded = Bun.embeddedFiles.find((file) => (file as Bun.BunFile).name === name);
  return embedded && checkedBytes(Bun.peek(embedded.bytes()) as Uint8Array, name);
}
