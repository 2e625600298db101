import { type Listener, listen, type Socket, type TlsOptions } from "../../index.ts";
import { contentLength, type Head, HttpStream } from "./http_stream.ts";

/**
 * A small HTTP/1.1 server, over TLS if it has options for that.
 *
 * - `GET /file` sends the file, and keeps the connection
 * - `POST /hash` answers with the number of bytes and the hash of the upload
 * - `POST /refuse` answers with 413 before the upload is read, and closes
 * - anything else is 404
 */
export async function httpResponder(file: string, tls?: TlsOptions): Promise<Listener> {
  const { size } = Bun.file(file);
  return await listen({ host: "127.0.0.1", port: 0, tls }, async (socket) => {
    const stream = new HttpStream(socket);
    for (let head: Head | null; (head = await stream.head()) !== null; ) {
      const [method, target] = head.first.split(" ");
      switch (`${method} ${target}`) {
        case "GET /file":
          await socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
          await socket.sendFile(file);
          break;
        case "POST /hash": {
          const { bytes, hash } = await stream.body(contentLength(head));
          await respond(socket, "200 OK", `${bytes} ${hash}`);
          break;
        }
        case "POST /refuse":
          await respond(socket, "413 Content Too Large", "too much", "Connection: close\r\n");
          return;
        default:
          await respond(socket, "404 Not Found", "no such thing");
      }
      if (head.fields.get("connection")?.toLowerCase() === "close") return;
    }
  });
}

async function respond(socket: Socket, status: string, body: string, fields = ""): Promise<void> {
  const length = Buffer.byteLength(body);
  await socket.write([`HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n${fields}\r\n`, body]);
}
