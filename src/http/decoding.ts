/** Decompression of answers (RFC 9110, section 8.4), which is done only when it is asked for. */

import {
  brotliDecompressSync,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  zstdDecompressSync,
} from "node:zlib";
import { checkedInteger, typeMistake } from "../values/checks.ts";
import { MessageTooLongError, SocketError } from "../values/errors.ts";
import type { Answer } from "./answer.ts";
import { isWholeZstd } from "./zstd_frames.ts";

/** The value of Accept-Encoding with which a client asks for what `decoded` can decode. */
export const acceptedEncodings = "gzip, deflate, br, zstd";

/** The most bytes that `decoded` returns, if its caller does not say. */
export const mostDecodedBytes = 16_777_216;

/** More codings than a server has a use for. Each could multiply the size. */
const mostCodings = 4;

/** The body of an answer is not in the coding that its Content-Encoding says. */
export class BadContentError extends SocketError {
  override readonly name = "BadContentError";
  /** What is wrong with it, in words. */
  readonly reason: string;

  constructor(reason: string, cause?: unknown) {
    super("ERR_HTTP_BAD_CONTENT", { syscall: "decode", reason, cause });
    this.reason = reason;
  }
}

/**
 * The body of an answer without its codings: gzip, deflate (in zlib's format or raw), br and zstd, also several
 * of them. It blocks the thread while it decodes.
 *
 * @param mostBytes the most bytes of the result, and of each step
 * @returns the body itself if it has no codings
 * @throws {BadContentError} for a coding that is unknown, and for data that is broken or was cut off
 * @throws {MessageTooLongError} when it would be longer than `mostBytes`
 * @throws {TypeError} when the body of the answer was not kept
 */
export function decoded(answer: Answer, mostBytes = mostDecodedBytes): Uint8Array {
  checkedInteger(mostBytes, "mostBytes", 0, Number.MAX_SAFE_INTEGER);
  let bytes = answer.bytes();
  if (bytes.length !== answer.bodyLength) throw typeMistake("the body of the answer was not kept");
  if (bytes.length === 0) return bytes;
  for (const coding of codingsOf(answer).reverse()) bytes = decodeOnce(coding, bytes, mostBytes);
  return bytes;
}

/** The codings in the order in which the server has applied them. */
function codingsOf(answer: Answer): string[] {
  const list = answer.header("content-encoding") ?? "";
  const names = list.split(",").map((name) => name.trim().toLowerCase());
  const codings = names.filter((name) => name !== "" && name !== "identity");
  if (codings.length > mostCodings) throw new BadContentError(`it has ${codings.length} codings`);
  return codings;
}

function decodeOnce(coding: string, bytes: Uint8Array, mostBytes: number): Uint8Array {
  // The decoders take no less than 1.
  const options = { maxOutputLength: Math.max(mostBytes, 1) };
  let result: Uint8Array;
  try {
    result = decoderOf(coding, bytes)(bytes, options);
  } catch (error) {
    if (error instanceof BadContentError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw new MessageTooLongError("decode", mostBytes);
    }
    throw new BadContentError(`it is no ${coding}: ${(error as Error).message}`, error);
  }
  if (result.length > mostBytes) throw new MessageTooLongError("decode", mostBytes);
  return result;
}

type Decoder = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;

function decoderOf(coding: string, bytes: Uint8Array): Decoder {
  switch (coding) {
    case "gzip":
    case "x-gzip":
      return gunzipSync;
    case "deflate":
      return isZlib(bytes) ? inflateSync : inflateRawSync;
    case "br":
      return brotliDecompressSync;
    case "zstd":
      if (!isWholeZstd(bytes)) throw new BadContentError("it is no zstd, or was cut off");
      return zstdDecompressSync;
    default:
      throw new BadContentError(`its coding "${coding}" is unknown`);
  }
}

/** The deflate coding is zlib's format (RFC 1950), but some servers send raw deflate (RFC 9110, section 8.4.1.2). */
function isZlib(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  return (first & 0x0f) === 8 && first >> 4 <= 7 && (first * 256 + second) % 31 === 0;
}
