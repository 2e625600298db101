import type { Socket } from "../../index.ts";

/** The head of a message: its first line, and its fields by their names in lower case. */
export interface Head {
  readonly first: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** Enough of HTTP/1.1 over a socket to talk to other programs. */
export class HttpStream {
  readonly socket: Socket;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** The next message's head, or null when the stream ends before it. */
  async head(): Promise<Head | null> {
    for (;;) {
      const end = Buffer.from(this.#rest).indexOf("\r\n\r\n");
      if (end >= 0) {
        const lines = new TextDecoder().decode(this.#rest.subarray(0, end)).split("\r\n");
        this.#rest = this.#rest.subarray(end + 4);
        const fields = lines.slice(1).map((line): [string, string] => {
          const [, name = "", value = ""] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
          return [name.toLowerCase(), value];
        });
        return { first: lines[0] ?? "", fields: new Map(fields) };
      }
      const chunk = await this.socket.next();
      if (chunk === null) return null;
      this.#rest = Buffer.concat([this.#rest, chunk]);
    }
  }

  /** Reads a body of so many bytes and returns their number and hash. */
  async body(length: number): Promise<{ bytes: number; hash: string }> {
    const hasher = new Bun.CryptoHasher("sha1");
    let left = length;
    while (left > 0) {
      const chunk = this.#rest.byteLength > 0 ? this.#rest : await this.socket.next();
      if (chunk === null) break;
      const part = chunk.subarray(0, left);
      this.#rest = chunk.subarray(part.byteLength);
      left -= part.byteLength;
      hasher.update(part);
    }
    return { bytes: length - left, hash: hasher.digest("hex") };
  }
}

/** The number of bytes that follow a head. */
export function contentLength({ fields }: Head): number {
  return Number(fields.get("content-length") ?? 0);
}
