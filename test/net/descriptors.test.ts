/** Waiting for descriptors that are not plait's. */

import { describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import {
  block,
  connect,
  deadline,
  listen,
  sleep,
  spawn,
  stats,
  TimeoutError,
  waitReadable,
  waitWritable,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { DescriptorPair, fill, readFrom, writeTo } from "../support/foreign_descriptors.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";

const isLinux = process.platform === "linux";
if (!isLinux) console.warn("skipped: the raw sockets of the tests are Linux's");

const byte = new Uint8Array([42]);

/** Reads until a descriptor is empty. */
function empty(fd: number): void {
  for (let bytes = readFrom(fd); bytes !== null && bytes.byteLength > 0; bytes = readFrom(fd)) {
    // Each read takes a part of the data.
  }
}

describe("waitReadable", () => {
  test("ends when data comes, and leaves it to its reader", async () => {
    using pipe = DescriptorPair.pipe();
    const fiber = spawn(() => waitReadable(pipe.first));
    await sleep(1);
    expect(fiber.state).toBe("waiting");
    expect(writeTo(pipe.second, byte)).toBe(1);
    await fiber.join();
    expect(readFrom(pipe.first)).toEqual(byte);
  });

  test("ends at once while data is there, until it is read", async () => {
    using pipe = DescriptorPair.pipe();
    writeTo(pipe.second, byte);
    for (let round = 0; round < 3; round++) await waitReadable(pipe.first);
    expect(readFrom(pipe.first)).toEqual(byte);
    expect(await failureOf(waitReadable(pipe.first, deadline(2)))).toBeInstanceOf(TimeoutError);
  });

  test("ends at the end of the stream", async () => {
    using pipe = DescriptorPair.pipe();
    const fiber = spawn(() => waitReadable(pipe.first));
    pipe.close(pipe.second);
    await fiber.join();
    expect(readFrom(pipe.first)).toEqual(new Uint8Array(0));
    await waitReadable(pipe.first);
  });

  test("reads a pipe that another process writes to, line by line", async () => {
    using pipe = DescriptorPair.pipe();
    await using child = Bun.spawn(["sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.01; done"], {
      stdout: pipe.second,
    });
    const text = spawn(async () => {
      let received = "";
      while (received.length < 6) {
        await waitReadable(pipe.first, deadline(4000));
        received += new TextDecoder().decode(readFrom(pipe.first) ?? undefined);
      }
      return received;
    });
    expect(await text.join()).toBe("1\n2\n3\n");
    await child.exited;
  });

  test.skipIf(!isLinux)("ends when a listener of another library has a connection", async () => {
    using listener = new RawSocket();
    const port = listener.bind();
    listener.listen(1);
    const fiber = spawn(() => waitReadable(listener.fd));
    await sleep(1);
    expect(fiber.state).toBe("waiting");
    await using _client = await connect({ host: "127.0.0.1", port });
    await fiber.join();
  });

  test.skipIf(!isLinux)("serves a socket of the C library, which plait never reads", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      for await (const chunk of socket) await socket.write(chunk);
    });
    using client = new RawSocket();
    client.connect(listener.port!);
    for (const word of ["first", "second"]) {
      client.send(word);
      await waitReadable(client.fd, deadline(4000));
      expect(new TextDecoder().decode(client.receive(16))).toBe(word);
    }
  });
});

describe("waitWritable", () => {
  test("ends at once where there is room, and waits where there is none", async () => {
    using pipe = DescriptorPair.pipe();
    await waitWritable(pipe.second);
    fill(pipe.second);
    const fiber = spawn(() => waitWritable(pipe.second));
    await sleep(1);
    expect(fiber.state).toBe("waiting");
    empty(pipe.first);
    await fiber.join();
    expect(writeTo(pipe.second, byte)).toBe(1);
  });

  test("ends when the reader is gone", async () => {
    using pair = DescriptorPair.sockets();
    fill(pair.first);
    const fiber = spawn(() => waitWritable(pair.first));
    pair.close(pair.second);
    await fiber.join();
  });
});

describe("one descriptor", () => {
  test("can be waited for in both directions, by a fiber each", async () => {
    using pair = DescriptorPair.sockets();
    fill(pair.first);
    const reader = spawn(() => waitReadable(pair.first));
    const writer = spawn(() => waitWritable(pair.first));
    await sleep(1);
    expect([reader.state, writer.state]).toEqual(["waiting", "waiting"]);
    writeTo(pair.second, byte);
    await reader.join();
    expect(writer.state).toBe("waiting");
    const again = spawn(() => waitReadable(pair.first));
    await again.join();
    empty(pair.second);
    await writer.join();
    expect(readFrom(pair.first)).toEqual(byte);
  });

  test("wakes all fibers that wait for the same direction", async () => {
    using pipe = DescriptorPair.pipe();
    const readers = Array.from({ length: 5 }, () => spawn(() => waitReadable(pipe.first)));
    await sleep(1);
    writeTo(pipe.second, byte);
    await Promise.all(readers.map((reader) => reader.join()));
  });

  test("is still watched for the others when one of them gives up", async () => {
    using pair = DescriptorPair.sockets();
    fill(pair.first);
    const impatient = spawn(() => waitReadable(pair.first, deadline(1)));
    const cancelled = spawn(() => waitWritable(pair.first));
    const reader = spawn(() => waitReadable(pair.first));
    const writer = spawn(() => waitWritable(pair.first));
    cancelled.cancel("given up");
    await failureOf(cancelled.join());
    expect(await failureOf(impatient.join())).toBeInstanceOf(TimeoutError);
    empty(pair.second);
    await writer.join();
    expect(reader.state).toBe("waiting");
    writeTo(pair.second, byte);
    await reader.join();
  });

  test("can be waited for again after it was given up, and is not left registered", async () => {
    const before = stats().sockets;
    using pipe = DescriptorPair.pipe();
    for (let round = 0; round < 20; round++) {
      const fiber = spawn(() => waitReadable(pipe.first));
      expect(stats().sockets).toBe(before + 1);
      fiber.cancel();
      await failureOf(fiber.join());
      expect(stats().sockets).toBe(before);
    }
    const fiber = spawn(() => waitReadable(pipe.first));
    writeTo(pipe.second, byte);
    await fiber.join();
    expect(stats().sockets).toBe(before);
  });

  test("that was closed after a wait may become the number of another file", async () => {
    const first = DescriptorPair.pipe();
    writeTo(first.second, byte);
    await waitReadable(first.first);
    const numbers = [first.first, first.second];
    first[Symbol.dispose]();
    using second = DescriptorPair.pipe();
    expect([second.first, second.second]).toEqual(numbers);
    const fiber = spawn(() => waitReadable(second.first));
    await sleep(1);
    expect(fiber.state).toBe("waiting");
    writeTo(second.second, byte);
    await fiber.join();
  });
});

describe("other kinds of descriptors", () => {
  test("a closed descriptor is EBADF", async () => {
    const pipe = DescriptorPair.pipe();
    pipe[Symbol.dispose]();
    for (const wait of [waitReadable, waitWritable]) {
      const error = await failureOf(wait(pipe.first));
      expect(error.name).toBe("SocketError");
      expect(error.code).toBe("EBADF");
      expect(error.syscall).toBe(wait.name);
    }
  });

  test("a regular file is ready at once", async () => {
    const fd = openSync(import.meta.path, "r");
    try {
      await waitReadable(fd, deadline(4000));
      await waitWritable(fd, deadline(4000));
    } finally {
      closeSync(fd);
    }
  });

  test("a number that no descriptor can have is refused", async () => {
    for (const wrong of [-1, 2 ** 31, Number.POSITIVE_INFINITY]) {
      const error = await failureOf(waitReadable(wrong));
      expect(error instanceof RangeError || error instanceof TypeError).toBe(true);
    }
    expect(await failureOf(waitWritable(1.5))).toBeInstanceOf(TypeError);
    expect(await failureOf(waitWritable("1" as unknown as number))).toBeInstanceOf(TypeError);
  });
});

describe("plait's own descriptors", () => {
  test.each([
    ["reading", waitReadable],
    ["writing", waitWritable],
  ])("are refused with EEXIST for %s, and go on working", async (_name, wait) => {
    await using pair = await socketPair();
    expect((await failureOf(wait(pair.client.fd, deadline(1000)))).code).toBe("EEXIST");
    const received = spawn(() => readExactly(pair.client, 4));
    await sleep(1);
    await pair.server.write("ping", deadline(1000));
    const bytes = await received.join(deadline(1000));
    expect(new TextDecoder().decode(bytes)).toBe("ping");
  });

  test("are refused, also while data is there", async () => {
    await using pair = await socketPair();
    await pair.server.write("data");
    await pair.client.read(new Uint8Array(1));
    expect((await failureOf(waitReadable(pair.client.fd, deadline(1000)))).code).toBe("EEXIST");
    expect(new TextDecoder().decode((await pair.client.next()) ?? undefined)).toBe("ata");
  });
});

test("the blocking driver waits for foreign descriptors as well", async () => {
  using pipe = DescriptorPair.pipe();
  const bytes = block(async () => {
    const fiber = spawn(async () => {
      await waitReadable(pipe.first);
      return readFrom(pipe.first);
    });
    await sleep(1);
    writeTo(pipe.second, byte);
    return fiber.join();
  });
  expect(bytes).toEqual(byte);
});
