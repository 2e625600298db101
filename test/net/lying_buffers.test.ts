/**
 * Views and buffers that give a wrong length or place: subclasses that override the getters, and
 * own properties. plait must read and write only the memory that the engine says.
 */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Socket, TlsOptions, WriteData } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { mistakeIn } from "../support/mistakes.ts";
import { pollUntil } from "../support/poll.ts";
import { readAll, readText } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { dialTls, presenting, serveTls, tlsPair } from "../support/tls_pair.ts";

const elsewhere = new ArrayBuffer(65_536);

class LyingBytes extends Uint8Array {
  override get byteLength(): number {
    return 4096;
  }
  override get length(): number {
    return 4096;
  }
  override get byteOffset(): number {
    return 0;
  }
  override get buffer(): ArrayBuffer {
    return elsewhere;
  }
}

class LyingFloats extends Float64Array {
  override get byteLength(): number {
    return 4096;
  }
  override get byteOffset(): number {
    return 0;
  }
  override get buffer(): ArrayBuffer {
    return elsewhere;
  }
}

/** The types to extend. */
type ViewClass = new (buffer: ArrayBufferLike, offset?: number, length?: number) => DataView;

class LyingView extends (DataView as ViewClass) {
  override get byteLength(): number {
    return 4096;
  }
  override get byteOffset(): number {
    return 0;
  }
  override get buffer(): ArrayBuffer {
    return elsewhere;
  }
}

/** Gives an object own properties with wrong values. */
function withLies<T extends object>(object: T): T {
  const lies = { byteLength: 4096, length: 4096, byteOffset: 0, buffer: elsewhere };
  for (const [name, value] of Object.entries(lies)) Object.defineProperty(object, name, { value });
  return object;
}

/** The kinds of views of 16 bytes, from byte 64 on. */
const liars: [name: string, viewOf: (buffer: ArrayBuffer) => ArrayBufferView][] = [
  ["a subclass of Uint8Array", (buffer) => new LyingBytes(buffer, 64, 16)],
  ["a subclass of Float64Array", (buffer) => new LyingFloats(buffer, 64, 2)],
  ["a subclass of DataView", (buffer) => new LyingView(buffer, 64, 16)],
  ["a Uint8Array with properties", (buffer) => withLies(new Uint8Array(buffer, 64, 16))],
  ["a Buffer with properties", (buffer) => withLies(Buffer.from(buffer, 64, 16))],
  ["a DataView with properties", (buffer) => withLies(new DataView(buffer, 64, 16))],
  [
    "a Float64Array that passes for a Uint8Array",
    (buffer) => Object.setPrototypeOf(new Float64Array(buffer, 64, 2), LyingBytes.prototype),
  ],
  [
    "a Uint8Array without a prototype",
    (buffer) => withLies(Object.setPrototypeOf(new Uint8Array(buffer, 64, 16), null)),
  ],
];

const text = "sixteen of bytes";

/** A buffer of 256 bytes with the text where these views are. */
function bufferWithText(): ArrayBuffer {
  const buffer = new ArrayBuffer(256);
  new Uint8Array(buffer).fill(0xee).set(new TextEncoder().encode(text), 64);
  return buffer;
}

/** Checks that only the view of 16 bytes was written to. */
function expectUntouchedAround(buffer: ArrayBuffer): void {
  const bytes = new Uint8Array(buffer);
  expect(bytes.subarray(0, 64).every((byte) => byte === 0xee)).toBe(true);
  expect(bytes.subarray(80).every((byte) => byte === 0xee)).toBe(true);
  expect(new Uint8Array(elsewhere).every((byte) => byte === 0)).toBe(true);
}

describe.each([
  ["TCP", socketPair],
  ["TLS 1.3", () => tlsPair()],
  ["TLS 1.2", () => tlsPair({ maxVersion: "TLSv1.2" })],
] as const)("over %s", (_name, makePair) => {
  describe.each(liars)("%s", (_liar, viewOf) => {
    const ways: [name: string, write: (client: Socket, view: ArrayBufferView) => unknown][] = [
      ["written", (client, view) => client.write(view)],
      ["written in a list", (client, view) => client.write([view])],
      ["written in a list of lists", (client, view) => client.write([[view]])],
      ["written while the thread is blocked", (client, view) => client.writeSync(view)],
    ];
    test.each(ways)("%s", async (_way, write) => {
      await using pair = await makePair();
      const { client, server } = pair;
      expect(await write(client, viewOf(bufferWithText()))).toBe(16);
      await client.shutdown();
      expect(await readText(server)).toBe(text);
    });

    test("read into", async () => {
      await using pair = await makePair();
      const { client, server } = pair;
      await client.write(new Uint8Array(100).fill(1));
      for (const read of [
        (view: ArrayBufferView) => server.read(view),
        (view: ArrayBufferView) => server.readSync(view),
        (view: ArrayBufferView) => server.tryRead(view),
      ]) {
        const buffer = bufferWithText();
        expect(await read(viewOf(buffer))).toBe(16);
        expectUntouchedAround(buffer);
        expect(new Uint8Array(buffer, 64, 16).every((byte) => byte === 1)).toBe(true);
      }
    });

    test("read into after a wait", async () => {
      await using pair = await makePair();
      const { client, server } = pair;
      const buffer = bufferWithText();
      const reading = server.read(viewOf(buffer));
      await client.write(new Uint8Array(100).fill(1));
      expect(await reading).toBe(16);
      expectUntouchedAround(buffer);
    });
  });

  test("writes that wait have the length that the engine says", async () => {
    await using pair = await makePair();
    const { client, server } = pair;
    const head = new Uint8Array(12 * 1024 * 1024);
    const views = liars.map(([, viewOf]) => viewOf(bufferWithText()));
    const writes = [client.write(head), ...views.map((view) => client.write(view))];
    writes.push(
      client.write(views),
      client.shutdown().then(() => 0),
    );
    const received = await readAll(server);
    await Promise.all(writes);
    expect(new TextDecoder().decode(received.subarray(head.byteLength))).toBe(
      text.repeat(2 * liars.length),
    );
  });
});

const buffers: [name: string, make: () => WriteData][] = [
  [
    "a subclass of ArrayBuffer",
    () => {
      class LyingBuffer extends ArrayBuffer {
        override get byteLength(): number {
          return 4096;
        }
      }
      return new LyingBuffer(16);
    },
  ],
  [
    "a subclass of SharedArrayBuffer",
    () => {
      class LyingBuffer extends SharedArrayBuffer {
        override get byteLength(): number {
          return 4096;
        }
      }
      return new LyingBuffer(16);
    },
  ],
  [
    "an ArrayBuffer with a property",
    () => Object.defineProperty(new ArrayBuffer(16), "byteLength", { value: 4096 }),
  ],
  [
    "an array with an iterator of its own",
    () => {
      const list = [new Uint8Array(4096)];
      list[Symbol.iterator] = () => [new Uint8Array(16)].values();
      return list;
    },
  ],
];

test.each(buffers)("%s is written with its true length", async (_name, make) => {
  await using pair = await socketPair();
  const { client, server } = pair;
  expect(await client.write(make())).toBe(16);
  expect(await client.write([make()])).toBe(16);
  await client.shutdown();
  expect((await readAll(server)).byteLength).toBe(32);
});

test.each([
  ["an object that passes for a Uint8Array", Object.create(Uint8Array.prototype)],
  ["one that says how long it is", withLies(Object.create(Uint8Array.prototype))],
  [
    "a DataView that passes for a Uint8Array",
    withLies(Object.setPrototypeOf(new DataView(new ArrayBuffer(16)), Uint8Array.prototype)),
  ],
  ["a Proxy of a Uint8Array", new Proxy(new Uint8Array(16), {})],
  [
    "a Proxy that has every property",
    new Proxy(new Uint8Array(16), { get: (_target, name) => (name === "byteLength" ? 4096 : 0) }),
  ],
  ["an object that passes for an ArrayBuffer", Object.create(ArrayBuffer.prototype)],
  ["a number that would be an address", 0x1000],
])("%s is refused", async (_name, value) => {
  await using pair = await socketPair();
  const { client } = pair;
  const isTypeError = (error: unknown) => expect(error).toBeInstanceOf(TypeError);
  isTypeError(await mistakeIn(() => client.write(value)));
  isTypeError(await mistakeIn(() => client.write([value])));
  isTypeError(thrownBy(() => client.writeSync(value)));
  isTypeError(await mistakeIn(() => client.read(value)));
  isTypeError(thrownBy(() => client.readSync(value)));
  isTypeError(thrownBy(() => client.tryRead(value)));
  expect(client.bytesWritten).toBe(0);
});

test("the getters of the class may be replaced when plait is loaded already", async () => {
  const prototypes = [Uint8Array.prototype, Buffer.prototype, DataView.prototype] as object[];
  await using pair = await socketPair();
  const { client, server } = pair;
  const buffer = bufferWithText();
  const views = [new Uint8Array(buffer, 64, 16), Buffer.from(buffer, 64, 16)];
  let sent: Promise<number>[];
  let count: number | undefined;
  const before = prototypes.map((prototype) =>
    Object.getOwnPropertyDescriptor(prototype, "byteLength"),
  );
  const lie = { configurable: true, get: () => 4096 };
  for (const prototype of prototypes) Object.defineProperty(prototype, "byteLength", lie);
  try {
    sent = [...views, [...views], new DataView(buffer, 64, 16)].map((data) => client.write(data));
    count = server.tryRead(new Uint8Array(buffer, 64, 16));
  } finally {
    for (const [index, prototype] of prototypes.entries()) {
      const descriptor = before[index];
      if (descriptor) Object.defineProperty(prototype, "byteLength", descriptor);
      else Reflect.deleteProperty(prototype, "byteLength");
    }
  }
  expect(await Promise.all(sent)).toEqual([16, 16, 32, 16]);
  expect(count).toBe(16);
  expectUntouchedAround(buffer);
});

describe("material of TLS", () => {
  /** The bytes of a file, in views that claim fewer or more of them. */
  const viewsOf: [name: string, viewOf: (path: string) => ArrayBufferView][] = [
    ["a Buffer with properties", (path) => withLies(readFileSync(path))],
    [
      "a subclass of Uint8Array",
      (path) => {
        const bytes = readFileSync(path);
        const view = new LyingBytes(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        return view;
      },
    ],
    [
      "a subclass of DataView",
      (path) => {
        const bytes = readFileSync(path);
        return new LyingView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      },
    ],
  ];

  test.each(viewsOf)("has the length that the engine says: %s", async (_name, viewOf) => {
    const { p256, root, revocations, intermediate } = certificates();
    const server = { cert: viewOf(p256.chain), key: viewOf(p256.key) };
    await using listener = await serveTls((socket) => void socket.write("well"), server);
    const client: TlsOptions = {
      ca: [viewOf(root), viewOf(intermediate)],
      crl: revocations.map(viewOf),
    };
    await using socket = await dialTls(listener.port, client);
    expect(await readText(socket)).toBe("well");
  });

  test("own methods of a list do not change what plait reads of it", async () => {
    class LyingList extends Array<string> {
      override map<T>(): T[] {
        return [0x1000 as T];
      }
    }
    const { p256, root } = certificates();
    const listOf = (path: string) => LyingList.of(path) as LyingList;
    const server = { cert: listOf(p256.chain), key: listOf(p256.key), alpn: LyingList.of("a") };
    await using listener = await serveTls((socket) => void socket.write("well"), server);
    await using socket = await dialTls(listener.port, { ca: listOf(root), alpn: ["a"] });
    expect(socket.tls?.alpn).toBe("a");
    expect(await readText(socket)).toBe("well");
  });

  test("a session is used with its true length", async () => {
    await using listener = await serveTls(
      (socket) => void socket.write("well"),
      presenting(certificates().p256),
    );
    const sessions: Uint8Array[] = [];
    await using first = await dialTls(listener.port, {
      onSession: (session) => void sessions.push(session),
    });
    expect(await readText(first)).toBe("well");
    await pollUntil("a session comes", () => sessions.length > 0);
    class ShortBytes extends LyingBytes {
      override get byteLength(): number {
        return 20;
      }
      override subarray(): Uint8Array<ArrayBuffer> {
        return new Uint8Array(0);
      }
    }
    const session = new ShortBytes(sessions[0]!);
    await using again = await dialTls(listener.port, { session });
    expect(again.tls?.resumed).toBe(true);

    const wrong = { session: Object.create(Uint8Array.prototype) as Uint8Array };
    expect(await failureOf(dialTls(listener.port, wrong))).toBeInstanceOf(TypeError);
  });
});
