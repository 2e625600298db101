/** Options of TLS in a form that can be cloned to a Worker. */

import { typeMistake } from "../values/checks.ts";
import { checkedNames } from "./checks.ts";
import { ownTlsOptions } from "./context.ts";
import { materialBytes, materialList } from "./material.ts";
import { optionNames, type TlsContext, type TlsOptions } from "./options.ts";

const materials: ReadonlySet<string> = new Set(["cert", "key", "pfx", "ca", "crl"]);

/**
 * A copy of options of one end that can be cloned, with the contents of files in place of their paths.
 *
 * @throws {TypeError} for what cannot be cloned, and for options that the end does not have
 */
export function cloneableTls(
  options: TlsOptions | TlsContext,
  end: "client" | "server",
  what: string,
): TlsOptions {
  const own = ownTlsOptions(options, optionNames[end], what);
  const copy: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(own)) {
    const place = `${what}.${name}`;
    if (typeof value === "function") {
      throw typeMistake(`${place} is a function, which cannot be cloned to a Worker`);
    }
    if (name === "context") {
      throw typeMistake(`${place} belongs to its thread: give the options instead`);
    }
    if (materials.has(name)) {
      copy[name] = Array.isArray(value) ? materialList(value, name) : materialBytes(value, name);
    } else if (name === "sni") copy[name] = cloneableNames(value, place);
    else copy[name] = Array.isArray(value) ? [...value] : value;
  }
  return copy as TlsOptions;
}

function cloneableNames(sni: unknown, place: string): Record<string, TlsOptions> {
  const table: Record<string, TlsOptions> = Object.create(null);
  for (const { name, value } of checkedNames(sni)) {
    table[name] = cloneableTls(value as TlsOptions, "server", `${place}["${name}"]`);
  }
  return table;
}
