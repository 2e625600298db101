/** Cookies (RFC 6265), kept by the package tough-cookie, which is loaded only when cookies are asked for. */

import type { CookieJar } from "tough-cookie";
import type { Answer } from "./answer.ts";

/** The most cookies of a jar. Beyond that the older half is dropped. */
export const mostCookies = 1000;

type Library = typeof import("tough-cookie");

/** A package that is optional is not installed. The message says what to add. */
export class MissingPackageError extends Error {
  override readonly name = "MissingPackageError";
}

/** The cookies of one user. */
export class Cookies {
  readonly #library: Library;
  #jar: CookieJar;
  /** Cookies that were stored since they were last counted, and those that were counted. */
  #atMost = 0;

  /** @internal Jars come from `cookieJars`. */
  constructor(library: Library) {
    this.#library = library;
    this.#jar = new library.CookieJar();
  }

  /** The value of the header Cookie for a request; undefined if no cookie is meant for it. */
  cookieHeader(url: string | URL): string | undefined {
    return this.#jar.getCookieStringSync(withoutFragment(url)) || undefined;
  }

  /** Takes the cookies that an answer sets. Those that are malformed, or meant for another host, are ignored. */
  store(answer: Answer, url: string | URL): void {
    const lines = answer.headers("set-cookie");
    if (lines.length === 0) return;
    const place = withoutFragment(url);
    for (const line of lines) this.#jar.setCookieSync(line, place, { ignoreError: true });
    this.#atMost += lines.length;
    if (this.#atMost > mostCookies) this.#shrink();
  }

  #shrink(): void {
    const serialized = this.#jar.serializeSync();
    if (serialized === undefined) return;
    let { cookies } = serialized;
    if (cookies.length > mostCookies) {
      // They are in the order in which they were made.
      cookies = cookies.slice(-mostCookies / 2);
      this.#jar = this.#library.CookieJar.deserializeSync({ ...serialized, cookies });
    }
    this.#atMost = cookies.length;
  }
}

/** A URL has no fragment where it is requested. */
function withoutFragment(url: string | URL): string {
  return `${url}`.replace(/#.*$/s, "");
}

/**
 * Loads tough-cookie, and returns a function that makes jars: one for each user. It has to be called before
 * `block` takes the thread.
 *
 * @throws {MissingPackageError} when the package is not installed
 */
export async function cookieJars(): Promise<() => Cookies> {
  let library: Library;
  try {
    library = await import("tough-cookie");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new MissingPackageError(
      "plait: cookies need the package tough-cookie: bun add tough-cookie",
      { cause },
    );
  }
  return () => new Cookies(library);
}
