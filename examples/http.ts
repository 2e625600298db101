/**
 * A small HTTP/1.1 server in straight-line style: `bun examples/http.ts [port]`, then curl it. SIGINT
 * stops it: idle connections end at once, the others when their request is answered.
 */

import { deadline, listen, type Socket, shield } from "../index.ts";

const longestHead = 16_384;
const decoder = new TextDecoder("latin1");

/** Reads the heads of requests from a stream, one at a time. */
class RequestHeads {
  readonly #socket: Socket;
  #unread = "";

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** The next head without its empty line; null at the end of the stream. */
  async next(until: number): Promise<string | null> {
    for (;;) {
      const end = this.#unread.indexOf("\r\n\r\n");
      if (end >= 0) {
        const head = this.#unread.slice(0, end);
        this.#unread = this.#unread.slice(end + 4);
        return head;
      }
      if (this.#unread.length > longestHead) throw new Error("the head of a request is too long");
      const chunk = await this.#socket.next(until);
      if (chunk === null) return null;
      this.#unread += decoder.decode(chunk);
    }
  }
}

/** Answers a request. Returns whether another one may follow. */
async function answer(socket: Socket, head: string): Promise<boolean> {
  const [method = "", target = ""] = head.split(" ", 2);
  const isKnown = method === "GET" || method === "HEAD";
  const body = isKnown ? `you asked for ${target}\n` : "only GET and HEAD\n";
  await socket.write(
    `HTTP/1.1 ${isKnown ? "200 OK" : "405 Method Not Allowed"}\r\n` +
      `content-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n` +
      (method === "HEAD" ? "" : body),
  );
  return isKnown && !/^connection:\s*close/im.test(head);
}

async function serve(socket: Socket): Promise<void> {
  const heads = new RequestHeads(socket);
  for (let head: string | null; (head = await heads.next(deadline(10_000))) !== null; ) {
    // A request is answered even if the server stops meanwhile. Only waiting for the next one is cancelled.
    const request = head;
    if (!(await shield(() => answer(socket, request), deadline(10_000)))) return;
  }
}

const listener = await listen({ host: "127.0.0.1", port: Number(process.argv[2] ?? 8080) }, serve);
console.log(`http://${listener.address}:${listener.port}/`);
process.once("SIGINT", () => {
  void listener.close({ cancel: "the server stops", deadline: deadline(5000) });
});
