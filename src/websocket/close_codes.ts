/** Close codes (RFC 6455, section 7.4), and the payloads of Close frames. */

import { checkedInteger, rangeMistake, typeMistake } from "../values/checks.ts";
import { WebSocketError } from "./errors.ts";
import { mostControlBytes } from "./frames.ts";
import { strictText } from "./text.ts";

export const normalClosure = 1000;
export const protocolViolation = 1002;
/** It stands for a Close frame without a code, and is in no frame itself. */
export const noCode = 1005;
/** It stands for a connection that has ended without a Close frame, and is in no frame itself. */
export const abnormalClosure = 1006;
export const invalidText = 1007;
export const messageTooLong = 1009;

const codeBytes = 2;
const encoder = new TextEncoder();

/** Whether a Close frame may have the code: those that are registered with IANA, and those of libraries and programs. */
function isAllowed(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

/**
 * The payload of a Close frame with a caller's code and reason.
 *
 * @throws {TypeError} {RangeError}
 */
export function checkedClose(code: number, reason: string): Uint8Array {
  checkedInteger(code, "a close code", 1000, 4999);
  if (!isAllowed(code)) throw rangeMistake(`${code} is no close code that may be sent`);
  if (typeof reason !== "string") throw typeMistake("the reason of a close is a string");
  const payload = closePayload(code, reason);
  if (payload.length > mostControlBytes) {
    throw rangeMistake(`the reason of a close has at most ${mostControlBytes - codeBytes} bytes`);
  }
  return payload;
}

export function closePayload(code: number, reason: string): Uint8Array {
  const text = encoder.encode(reason);
  const payload = new Uint8Array(codeBytes + text.length);
  payload[0] = code >> 8;
  payload[1] = code;
  payload.set(text, codeBytes);
  return payload;
}

/**
 * Reads the payload of a Close frame. Without a code it is `noCode`.
 *
 * @throws {WebSocketError}
 */
export function readClose(
  bytes: Uint8Array,
  start: number,
  end: number,
): { code: number; reason: string } {
  if (start === end) return { code: noCode, reason: "" };
  if (end - start < codeBytes) {
    throw new WebSocketError(protocolViolation, "a Close frame has half of a code");
  }
  const code = bytes[start]! * 256 + bytes[start + 1]!;
  if (!isAllowed(code)) {
    throw new WebSocketError(protocolViolation, `a Close frame has the code ${code}`);
  }
  const reason = strictText(bytes, start + codeBytes, end);
  if (reason === undefined) {
    throw new WebSocketError(invalidText, "the reason of a Close frame is not UTF-8");
  }
  return { code, reason };
}
