import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, deadline, type Socket, sleep, spawn } from "../../index.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { contentLength, HttpStream } from "../support/http_stream.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { linesOf } from "../support/lines.ts";
import { type Nginx, startNginx } from "../support/nginx.ts";
import { drain, readText } from "../support/receiving.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const mebibyte = 1024 * 1024;

describe.skipIf(!isInstalled("nginx"))("nginx", () => {
  const large = distinctBytes(24 * mebibyte);
  let nginx: Nginx;

  beforeAll(async () => {
    nginx = await startNginx({ "hello.txt": "hello, world\n", large });
  });

  afterAll(async () => {
    await nginx[Symbol.asyncDispose]();
  });

  const dial = (): Promise<Socket> => connect({ host: "127.0.0.1", port: nginx.port });

  const requestFor = (path: string, fields = ""): string =>
    `GET /${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`;

  test("answers one request after another on one connection", async () => {
    await using socket = await dial();
    const stream = new HttpStream(socket);
    const hash = hashOf(new TextEncoder().encode("hello, world\n"));
    for (let turn = 0; turn < 200; turn++) {
      await socket.write(requestFor("hello.txt"));
      const head = await stream.head();
      expect(head?.first).toBe("HTTP/1.1 200 OK");
      expect(await stream.body(contentLength(head!))).toEqual({ bytes: 13, hash });
    }
    await socket.write(requestFor("missing"));
    expect((await stream.head())?.first).toBe("HTTP/1.1 404 Not Found");
  });

  test("answers requests that are sent ahead", async () => {
    await using socket = await dial();
    const stream = new HttpStream(socket);
    await socket.write(Array<string>(50).fill(requestFor("hello.txt")));
    for (let turn = 0; turn < 50; turn++) {
      const head = await stream.head();
      expect(head?.first).toBe("HTTP/1.1 200 OK");
      expect((await stream.body(contentLength(head!))).bytes).toBe(13);
    }
  });

  test("sends a large file, and the end of the stream", async () => {
    await using socket = await dial();
    const stream = new HttpStream(socket);
    await socket.write(requestFor("large", "Connection: close\r\n"));
    const head = await stream.head();
    expect(contentLength(head!)).toBe(large.byteLength);
    const body = await stream.body(large.byteLength);
    expect(body).toEqual({ bytes: large.byteLength, hash: hashOf(large) });
    expect(await socket.next()).toBeNull();
    expect(socket.eof).toBe(true);
  });

  test("waits for a client that reads slowly", async () => {
    await using socket = await dial();
    await socket.write(requestFor("large", "Connection: close\r\n"));
    const fiber = spawn(async () => {
      let bytes = 0;
      const buffer = new Uint8Array(mebibyte);
      for (let count: number; (count = await socket.read(buffer)) > 0; ) {
        bytes += count;
        await sleep(1);
      }
      return bytes;
    });
    expect(await fiber.join()).toBeGreaterThan(large.byteLength);
  });

  test("serves a hundred connections at once", async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => {
        await using socket = await dial();
        await socket.write(requestFor("hello.txt", "Connection: close\r\n"));
        return await readText(socket);
      }),
    );
    for (const answer of answers) expect(answer).toEndWith("\r\n\r\nhello, world\n");
  });

  test("refuses an upload, and its answer can be read", async () => {
    await using socket = await dial();
    const stream = new HttpStream(socket);
    const upload = new Uint8Array(8 * mebibyte);
    const uploading = socket
      .write([
        `POST /refuse HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${upload.byteLength}\r\n\r\n`,
        upload,
      ])
      .catch(() => "cut off");
    expect((await stream.head())?.first).toBe("HTTP/1.1 413 Request Entity Too Large");
    socket.close();
    await uploading;
  });

  test("a deadline ends a wait for it, and the connection is still good", async () => {
    await using socket = await dial();
    const error = await failureOf(socket.next(deadline(20)));
    expect(error).toMatchObject({ code: "ETIMEDOUT", address: "127.0.0.1", port: nginx.port });
    await socket.write(requestFor("hello.txt", "Connection: close\r\n"));
    expect(await readText(socket)).toEndWith("hello, world\n");
  });
});

describe.skipIf(!isInstalled("socat"))("socat", () => {
  /**
   * A socat that serves one connection and sends back what it gets. It writes to a pipe that it
   * also reads: a write of more than 4 KiB may block it for ever (pipe(7), PIPE_BUF).
   */
  async function echoServer(address: string) {
    const command = [installedProgram("socat"), "-d", "-d", "-b", "4096", address, "PIPE"];
    const child = Bun.spawn(command, { stdout: "ignore", stderr: "pipe" });
    let place = "";
    for await (const line of linesOf(child.stderr)) {
      const [, found] = /listening on AF=\d+ (.+)$/.exec(line) ?? [];
      if (found !== undefined) {
        place = found;
        break;
      }
    }
    return {
      place,
      async [Symbol.asyncDispose]() {
        child.kill();
        await child.exited;
      },
    };
  }

  async function expectEcho(socket: Socket): Promise<void> {
    const sent = distinctBytes(4 * mebibyte);
    const received = drain(socket);
    await socket.write(sent);
    await socket.shutdown();
    expect(await received).toEqual({ bytes: sent.byteLength, hash: hashOf(sent) });
  }

  test("sends back a stream over TCP", async () => {
    await using server = await echoServer("TCP-LISTEN:0,bind=127.0.0.1");
    const port = Number(/:(\d+)$/.exec(server.place)?.[1]);
    await using socket = await connect({ host: "127.0.0.1", port });
    await expectEcho(socket);
  });

  test("sends back a stream over a Unix socket", async () => {
    using folder = new TemporaryFolder();
    const path = folder.file("socket");
    await using _server = await echoServer(`UNIX-LISTEN:${path}`);
    await using socket = await connect({ path });
    await expectEcho(socket);
  });
});
