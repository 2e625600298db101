/** Requests as they are sent (RFC 9112, section 3). */

import { typeMistake } from "../values/checks.ts";

/** Fields of a request by their names. A list has a line for each value. */
export type Headers = Readonly<Record<string, string | number | readonly string[]>>;

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** The path and the query of a target: visible characters of ASCII. */
const visible = /^[!-~]+$/;
/** A value that would end its line or begin another one is an injection. */
const text = /^[\t\x20-\x7e\x80-\xff]*$/;

/** @throws {TypeError} */
export function checkMethod(method: string): void {
  if (!token.test(method)) throw typeMistake(`"${method}" is no method of HTTP`);
}

/** @throws {TypeError} */
export function checkPath(path: string): void {
  if (!visible.test(path) || (path[0] !== "/" && path !== "*")) {
    throw typeMistake(`"${path}" is no path of HTTP: it begins with / and has no spaces`);
  }
}

/**
 * The lines of fields, each with its end.
 *
 * @throws {TypeError} for a name or a value that HTTP does not allow
 */
export function fieldLines(headers: Headers): string {
  let lines = "";
  for (const [name, values] of Object.entries(headers)) {
    if (!token.test(name)) throw typeMistake(`"${name}" is no name of a header`);
    for (const value of Array.isArray(values) ? values : [values]) {
      if (!text.test(`${value}`)) throw typeMistake(`the header ${name} has a control character`);
      lines += `${name}: ${value}\r\n`;
    }
  }
  return lines;
}

/** The Host field of a URL (RFC 9110, section 7.2): the port only if it is not the usual one. */
export function hostField({ host }: URL): string {
  // `URL` writes the brackets of an IPv6 address, and leaves out the usual port.
  return host;
}
