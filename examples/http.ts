/** A small HTTP/1.1 server in straight-line style. */

import { BufferedReader, deadline, listen, MessageTooLongError, type Socket, shield } from "plait";

const usage = `Usage: bun http.ts [port]

Answers HTTP requests at 127.0.0.1, port 8080 if none is given. Try it with: curl 127.0.0.1:8080/path
SIGINT stops it: idle connections end at once, the others when their request is answered.`;

if (process.argv.includes("--help")) {
  console.log(usage);
  process.exit();
}

const longestHead = 16_384;
const decoder = new TextDecoder("latin1");

async function respond(
  socket: Socket,
  status: string,
  body: string,
  method = "GET",
): Promise<void> {
  await socket.write(
    `HTTP/1.1 ${status}\r\n` +
      `content-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n` +
      (method === "HEAD" ? "" : body),
  );
}

/** Answers a request. Returns whether another one may follow. */
async function answer(socket: Socket, head: string): Promise<boolean> {
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.\d\r\n/.exec(`${head}\r\n`) ?? [];
  if (method === undefined) {
    await respond(socket, "400 Bad Request", "this is not HTTP\n");
  } else if (method !== "GET" && method !== "HEAD") {
    await respond(socket, "405 Method Not Allowed", "only GET and HEAD\n");
  } else {
    await respond(socket, "200 OK", `you asked for ${target}\n`, method);
    // A body, which is not read here, must not be taken for the next request.
    return !/^(connection:\s*close|content-length:|transfer-encoding:)/im.test(head);
  }
  return false;
}

async function serve(socket: Socket): Promise<void> {
  const reader = new BufferedReader(socket, { maxLength: longestHead });
  try {
    for (;;) {
      const head = await reader.readUntil("\r\n\r\n", deadline(10_000));
      if (head === null) return;
      // A request is answered even if the server stops meanwhile. Only waiting for the next is cancelled.
      const request = decoder.decode(head);
      if (!(await shield(() => answer(socket, request), deadline(10_000)))) return;
    }
  } catch (error) {
    if (!(error instanceof MessageTooLongError)) throw error;
    await respond(socket, "431 Request Header Fields Too Large", "the head is too long\n");
  }
}

const port = Number(process.argv[2] ?? 8080);
const listener = await listen({ host: "127.0.0.1", port }, serve);
console.log(`http://${listener.address}:${listener.port}/`);
process.once("SIGINT", () => {
  void listener.close({ cancel: "the server stops", deadline: deadline(5000) });
});
