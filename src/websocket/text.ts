/** Text of WebSockets: UTF-8 without exceptions (RFC 6455, section 8.1). */

type Slice = (this: Uint8Array, start: number, end: number) => string;

/** Decodes without the view that a TextDecoder needs. What is not UTF-8 becomes U+FFFD. */
const utf8Slice = (Buffer.prototype as unknown as { utf8Slice: Slice }).utf8Slice;
const replacement = "\ufffd";
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of bytes; undefined if they are not UTF-8. */
export function strictText(bytes: Uint8Array, start: number, end: number): string | undefined {
  const text = utf8Slice.call(bytes, start, end);
  if (!text.includes(replacement)) return text;
  // The character may be in the text itself.
  try {
    return decoder.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}
