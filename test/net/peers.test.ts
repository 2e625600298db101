import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { type Handler, listen } from "../../index.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { httpResponder } from "../support/http_responder.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { readText } from "../support/receiving.ts";
import { runCommand } from "../support/run_command.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const mebibyte = 1024 * 1024;

const echo: Handler = async (socket) => {
  for await (const chunk of socket) await socket.write(chunk);
};

describe.skipIf(!isInstalled("nc"))("netcat", () => {
  const nc = () => installedProgram("nc");

  /** Kinds of netcat have different options to end the stream with their input. */
  const halfClose = () =>
    Bun.spawnSync([nc(), "-h"]).stderr.includes("-N") ? ["-N"] : ["-q", "5"];

  test("talks to an echo server", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, echo);
    const command = [nc(), ...halfClose(), "127.0.0.1", `${listener.port}`];
    const { text, exitCode } = await runCommand(command, "hello\n");
    expect(text).toBe("hello\n");
    expect(exitCode).toBe(0);
  });

  test("sends a large stream, which ends", async () => {
    const sent = distinctBytes(8 * mebibyte);
    const received: string[] = [];
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      const hasher = new Bun.CryptoHasher("sha1");
      for await (const chunk of socket) hasher.update(chunk);
      received.push(hasher.digest("hex"));
      await socket.write("thanks");
    });
    const command = [nc(), ...halfClose(), "127.0.0.1", `${listener.port}`];
    expect((await runCommand(command, sent)).text).toBe("thanks");
    expect(received).toEqual([hashOf(sent)]);
  });

  test("gets everything from a server that closes right after the write", async () => {
    const answer = distinctBytes(4 * mebibyte);
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await socket.write(answer);
    });
    const command = [nc(), "127.0.0.1", `${listener.port}`];
    expect(hashOf((await runCommand(command, "unread input\n")).stdout)).toBe(hashOf(answer));
  });
});

describe.skipIf(!isInstalled("socat"))("socat", () => {
  const socat = () => installedProgram("socat");

  test("talks to an echo server over TCP", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, echo);
    const sent = distinctBytes(mebibyte);
    const { stdout } = await runCommand(
      [socat(), "-t", "5", "-", `TCP:127.0.0.1:${listener.port}`],
      sent,
    );
    expect(hashOf(stdout)).toBe(hashOf(sent));
  });

  test("talks to an echo server over a Unix socket", async () => {
    using folder = new TemporaryFolder();
    const path = folder.file("socket");
    await using _listener = await listen({ path }, echo);
    const { text } = await runCommand([socat(), "-t", "5", "-", `UNIX-CONNECT:${path}`], "hello\n");
    expect(text).toBe("hello\n");
  });

  test.skipIf(process.platform !== "linux")(
    "knows an abstract name by the same bytes",
    async () => {
      const name = `plait-peers-${process.pid}`;
      await using _listener = await listen({ path: `\0${name}` }, echo);
      const { text } = await runCommand(
        [socat(), "-t", "5", "-", `ABSTRACT-CONNECT:${name}`],
        "hello\n",
      );
      expect(text).toBe("hello\n");
    },
  );

  test("a client that vanishes in the middle does not disturb the others", async () => {
    const received: number[] = [];
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      try {
        for await (const chunk of socket) await socket.write(chunk);
      } finally {
        received.push(socket.bytesRead);
      }
    });
    const endless = Bun.spawn([socat(), "-u", "/dev/zero", `TCP:127.0.0.1:${listener.port}`], {
      stderr: "ignore",
    });
    await pollUntil("the client sends", () => listener.connections === 1);
    endless.kill("SIGKILL");
    await endless.exited;
    await pollUntil("its handler has ended", () => listener.connections === 0);
    expect(received).toHaveLength(1);
    const target = `TCP:127.0.0.1:${listener.port}`;
    expect((await runCommand([socat(), "-t", "5", "-", target], "alive")).text).toBe("alive");
  });
});

describe.skipIf(!isInstalled("curl"))("curl", () => {
  const curl = () => [installedProgram("curl"), "--silent", "--show-error", "--max-time", "6"];

  /** An HTTP responder with a file of so many bytes. */
  async function respond(bytes: number) {
    const folder = new TemporaryFolder();
    const contents = distinctBytes(bytes);
    const file = folder.file("file");
    writeFileSync(file, contents);
    const listener = await httpResponder(file);
    return {
      contents,
      file,
      url: `http://127.0.0.1:${listener.port}`,
      async [Symbol.asyncDispose]() {
        await listener[Symbol.asyncDispose]();
        folder[Symbol.dispose]();
      },
    };
  }

  test("downloads a file over a connection that is kept alive", async () => {
    await using server = await respond(5 * mebibyte);
    const { stdout, stderr } = await runCommand([
      ...curl(),
      "--write-out",
      "%{stderr}%{http_code} %{num_connects}\n",
      `${server.url}/file`,
      `${server.url}/file`,
    ]);
    expect(hashOf(stdout)).toBe(hashOf(Buffer.concat([server.contents, server.contents])));
    expect(stderr).toBe("200 1\n200 0\n");
  });

  test("uploads a file", async () => {
    await using server = await respond(5 * mebibyte);
    const { text } = await runCommand([
      ...curl(),
      ...["--header", "Expect:", "--data-binary", `@${server.file}`],
      `${server.url}/hash`,
    ]);
    expect(text).toBe(`${server.contents.byteLength} ${hashOf(server.contents)}`);
  });

  test("gets the answer of a server that closes without reading the upload", async () => {
    await using server = await respond(8 * mebibyte);
    for (let turn = 0; turn < 5; turn++) {
      const { text } = await runCommand([
        ...curl(),
        ...["--header", "Expect:", "--data-binary", `@${server.file}`],
        ...["--write-out", " %{http_code}"],
        `${server.url}/refuse`,
      ]);
      expect(text).toBe("too much 413");
    }
  });

  test("makes sixteen requests at once", async () => {
    await using server = await respond(100_000);
    const { stdout, exitCode } = await runCommand([
      ...curl(),
      ...["--parallel", "--parallel-immediate", "--fail", "--output", "/dev/null"],
      ...["--write-out", "%{size_download}\n"],
      ...Array.from({ length: 16 }, (_, index) => `${server.url}/file#${index}`).flatMap((url) => [
        ...["--output", "/dev/null"],
        url,
      ]),
    ]);
    expect(new TextDecoder().decode(stdout)).toBe("100000\n".repeat(16));
    expect(exitCode).toBe(0);
  });
});

test("Bun's fetch in the same thread is served", async () => {
  using folder = new TemporaryFolder();
  const file = folder.file("file");
  const contents = distinctBytes(mebibyte);
  writeFileSync(file, contents);
  await using listener = await httpResponder(file);
  const url = `http://127.0.0.1:${listener.port}`;
  const responses = await Promise.all([
    fetch(`${url}/file`).then((response) => response.bytes()),
    fetch(`${url}/hash`, { method: "POST", body: contents }).then((response) => response.text()),
    fetch(`${url}/nothing`).then((response) => response.status),
  ]);
  expect(hashOf(responses[0])).toBe(hashOf(contents));
  expect(responses.slice(1)).toEqual([`${contents.byteLength} ${hashOf(contents)}`, 404]);
});

test("Bun's own client gets everything from a server that closes", async () => {
  const answer = distinctBytes(2 * mebibyte);
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    expect(await readText(socket)).toBe("question");
    await socket.write(answer);
  });
  const hasher = new Bun.CryptoHasher("sha1");
  const { promise: isClosed, resolve: close } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    allowHalfOpen: true,
    socket: {
      data: (_, chunk) => void hasher.update(chunk),
      end: (socket) => void socket.end(),
      close: () => close(),
    },
  });
  socket.write("question");
  socket.shutdown();
  await isClosed;
  expect(hasher.digest("hex")).toBe(hashOf(answer));
});
