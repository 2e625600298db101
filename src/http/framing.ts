/** The fields that say how the body of a request is framed (RFC 9112, section 6), beside those of the caller. */

import { typeMistake } from "../values/checks.ts";
import type { Body } from "./body.ts";
import type { Headers } from "./request.ts";

/** The headers and the body of a request, which agree with each other. */
export interface FramedRequest {
  readonly headers: Headers;
  readonly body: Body | undefined;
}

/** Methods that usually have a body: without one they say so (RFC 9110, section 8.6). */
const methodsWithBody: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/**
 * Adds what a caller's headers lack: Content-Type, and Content-Length or Transfer-Encoding. The caller's
 * Content-Type replaces the body's own one, and a Content-Length gives a stream its length.
 *
 * @throws {TypeError} for a Content-Length or a Transfer-Encoding that the body does not have, and for a
 *   body of TRACE
 */
export function framedRequest(
  method: string,
  headers: Headers,
  body: Body | undefined,
): FramedRequest {
  // RFC 9110, section 9.3.8.
  if (body !== undefined && method === "TRACE") throw typeMistake("a TRACE request has no body");
  const [length] = valuesOf(headers, "content-length");
  const [coding] = valuesOf(headers, "transfer-encoding");
  if (length !== undefined && coding !== undefined) {
    throw typeMistake("a request has one of Content-Length and Transfer-Encoding");
  }
  if (coding !== undefined) checkCoding(coding, body);
  const framed = length === undefined ? body : ofLength(length, body);
  const added: Record<string, string> = Object.create(null);
  if (framed?.contentType && valuesOf(headers, "content-type").length === 0) {
    added["Content-Type"] = framed.contentType;
  }
  if (length === undefined && coding === undefined) {
    if (framed !== undefined && framed.length === undefined) added["Transfer-Encoding"] = "chunked";
    else if (framed !== undefined || methodsWithBody.has(method)) {
      added["Content-Length"] = `${framed?.length ?? 0}`;
    }
  }
  return { headers: Object.assign(Object.create(null), headers, added), body: framed };
}

/** The values of a header that may stand there once. */
function valuesOf(headers: Headers, wanted: string): string[] {
  const values: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase() === wanted) values.push(...[value].flat().map(String));
  }
  if (values.length > 1) throw typeMistake(`the header ${wanted} is there ${values.length} times`);
  return values;
}

function checkCoding(coding: string, body: Body | undefined): void {
  if (coding.toLowerCase() !== "chunked") {
    throw typeMistake(`Transfer-Encoding is chunked, not "${coding}"`);
  }
  if (body === undefined) throw typeMistake("Transfer-Encoding has no meaning without a body");
  if (body.length !== undefined) {
    throw typeMistake(`Transfer-Encoding is chunked, but the body has ${body.length} bytes`);
  }
}

function ofLength(text: string, body: Body | undefined): Body | undefined {
  const length = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(length)) {
    throw typeMistake(`Content-Length is a number of bytes, not "${text}"`);
  }
  if (body !== undefined) return body.withLength(length);
  if (length > 0) throw typeMistake(`Content-Length is ${length}, but there is no body`);
  return undefined;
}
