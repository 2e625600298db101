/** Keying material from the secrets of an encrypted connection. */

import { Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import type { Socket as PlaitSocket } from "../net/socket.ts";
import { socketFailure } from "../net/socket_failures.ts";
import { checkedInteger } from "../values/checks.ts";
import { byteLengthOf, bytesOfView } from "../values/views.ts";
import { wrongType } from "./errors.ts";

const encoder = new TextEncoder();
/** Stands for bytes that are not there: an empty buffer has no address. */
const nothing = new Uint8Array(1);
/** HKDF with SHA-256 gives no more (RFC 5869, section 2.3). */
const mostBytes = 255 * 32;

export function exportKeys(
  socket: PlaitSocket,
  length: number,
  label: string,
  context: Uint8Array | undefined,
): Buffer {
  checkedInteger(length, "length", 1, mostBytes);
  if (typeof label !== "string") throw wrongType("label", "of type string", label);
  const name = encoder.encode(label);
  checkedInteger(name.length, "the length of label", 0, 249);
  if (context !== undefined && !ArrayBuffer.isView(context)) {
    throw wrongType("context", "an instance of Buffer, TypedArray, or DataView", context);
  }
  const bytes = context === undefined ? nothing : bytesOfView(context);
  const output = Buffer.allocUnsafeSlow(length);
  const outcome = core.tlsExportKeys(
    socket.handle,
    name.length === 0 ? nothing : name,
    name.length,
    byteLengthOf(bytes) === 0 ? nothing : bytes,
    context === undefined ? 0 : byteLengthOf(bytes),
    context === undefined ? 0 : 1,
    output,
    length,
  );
  if (-outcome !== Status.ok) throw socketFailure(socket, -outcome, "exportKeyingMaterial");
  return output;
}
