/** Puts free ports and this machine in the place of the ports and hosts that the documentation names. */

import { freePort } from "./free_port.ts";

/** Where a number is a port: behind the word, as an argument of these functions, or behind a host. */
const portPlaces = [
  /(\bport\b["']?\s*(?::|=|\?\?|\|\|)?\s*["']?)(\d{1,5})\b/gi,
  /(\b(?:listen|connect|createConnection|exchange|start[A-Z]\w*)\()(\d{1,5})\b/g,
  /((?:\blocalhost|\b127\.0\.0\.1|\[::1\]|\bexample\.(?:org|com|net))(?::| ))(\d{1,5})\b/g,
];

/** Names and addresses of documentation (RFC 2606, RFC 5737), unless they are keys of an object. */
const names = /\b(?:[\w-]+\.)*example\.(?:org|com|net)\b(?!["']?\s*:\s)/g;
const addresses = /\b(?:10\.0\.0|192\.0\.2)\.\d{1,3}\b/g;

export class Rewiring {
  readonly #ports = new Map<string, number>();

  /** Picks a free port for each port in these texts. */
  static async of(texts: readonly string[]): Promise<Rewiring> {
    const rewiring = new Rewiring();
    for (const text of texts) {
      for (const place of portPlaces) {
        for (const [, , port] of text.matchAll(place)) {
          if (port === "0" || rewiring.#ports.has(port!)) continue;
          rewiring.#ports.set(port!, await rewiring.#unused());
        }
      }
    }
    return rewiring;
  }

  async #unused(): Promise<number> {
    const picked = [...this.#ports.values()];
    for (;;) {
      const port = await freePort();
      if (!picked.includes(port)) return port;
    }
  }

  /** A program or a file as it runs. */
  code(text: string): string {
    for (const place of portPlaces) {
      text = text.replace(place, (whole, before: string, port: string) =>
        this.#isOwn(port) ? whole : before + (this.#ports.get(port) ?? port),
      );
    }
    return this.#hosts(text);
  }

  /** A shell command as it runs. */
  command(text: string): string {
    return this.#hosts(this.#words(text, /(?<![\w.-])/));
  }

  /** What a program prints. */
  output(text: string): string {
    return this.#words(text, /(?<=:|\bport )/);
  }

  /** What a program has printed, as the documentation writes it. */
  original(text: string): string {
    for (const [port, own] of this.#ports) text = text.replaceAll(`${own}`, port);
    return text;
  }

  #words(text: string, before: RegExp): string {
    const place = new RegExp(`${before.source}(\\d{1,5})(?![\\w.])`, "g");
    return text.replace(place, (port) => `${this.#ports.get(port) ?? port}`);
  }

  #hosts(text: string): string {
    return text.replace(names, "localhost").replace(addresses, "127.0.0.1");
  }

  /** A place that an expression before has put a free port into already. */
  #isOwn(port: string): boolean {
    return [...this.#ports.values()].includes(Number(port));
  }
}
