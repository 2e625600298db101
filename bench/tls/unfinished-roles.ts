// The processes of unfinished.ts: the server, clients whose handshakes do not end, and a client that
// measures how long an echo takes on established connections.

import { connect, deadline, listen, type Socket, sleep, spawn, stats } from "../../index.ts";
import { quantile } from "../harness/statistics.ts";

const CONNECTED_AT_ONCE = 64;
const METERED_CONNECTIONS = 8;
const NEW_CONNECTIONS = 10;

const [role = "", ...settings] = process.argv.slice(2);
const trusting = { verifyPeer: false } as const;

/** Prints that it is ready, then answers each line of input. The process ends when its input does. */
async function answer(answers: Record<string, () => unknown>, ready: string): Promise<void> {
  console.log(ready);
  for await (const line of console) console.log(JSON.stringify((await answers[line]?.()) ?? null));
  process.exit(0);
}

async function serve(cert: string, key: string, most: string): Promise<void> {
  const { port } = await listen(
    {
      host: "127.0.0.1",
      port: 0,
      tls: { cert, key, handshakeTimeout: 60_000 },
      ...(most === "" ? {} : { maxHandshakes: most === "none" ? 1_000_000 : Number(most) }),
      onError: () => {},
    },
    async (socket) => {
      for (let chunk: Uint8Array | null; (chunk = await socket.next()); ) await socket.write(chunk);
    },
  );
  const end = () => {
    const { user, system } = process.cpuUsage();
    return { dropped: stats().handshakesDropped, cpu: (user + system) / 1e6 };
  };
  await answer({ end }, String(port));
}

async function echoOnce(socket: Socket, buffer: Uint8Array): Promise<void> {
  await socket.write("x".repeat(buffer.length));
  for (let length = 0; length < buffer.length; ) {
    const count = await socket.read(buffer.subarray(length), deadline(30_000));
    if (count === 0) throw new Error("the server ended a connection that stands");
    length += count;
  }
}

async function meter(port: number): Promise<void> {
  const dialling = Array.from({ length: METERED_CONNECTIONS }, () =>
    connect({ host: "127.0.0.1", port, tls: trusting }),
  );
  const sockets = await Promise.all(dialling);
  const latencies: number[] = [];
  let isRunning = false;
  for (const socket of sockets) {
    spawn(async () => {
      const buffer = new Uint8Array(64);
      for (;;) {
        await sleep(10);
        if (!isRunning) continue;
        const start = performance.now();
        await echoOnce(socket, buffer);
        latencies.push(performance.now() - start);
      }
    });
  }
  const answers = {
    begin: () => {
      isRunning = true;
    },
    end: () => ({
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      max: quantile(latencies, 1),
    }),
  };
  await answer(answers, "ready");
}

/** A first message, as it is on the wire. */
async function clientHello(): Promise<Uint8Array> {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const { port } = listener;
  const dialling = connect({ host: "127.0.0.1", port, tls: trusting }).catch(() => {});
  await using socket = await listener.accept();
  const chunk = (await socket.next())!;
  socket.reset();
  await dialling;
  return chunk;
}

/** The longest ClientHello that OpenSSL takes, in records of 16 KiB, without its last byte. */
function longHello(): Uint8Array {
  const message = new Uint8Array(131_396);
  message.set([1, 2, 1, 0x40]);
  const parts: Uint8Array[] = [];
  for (let start = 0; start < message.length; start += 16_384) {
    const part = message.subarray(start, start + 16_384);
    parts.push(new Uint8Array([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return new Uint8Array(Buffer.concat(parts)).subarray(0, -1);
}

async function peers(port: number, kind: string, count: number): Promise<void> {
  const hello = kind === "long" ? longHello() : await clientHello();
  const sockets = new Set<Socket>();
  let started = 0;

  async function behave(socket: Socket): Promise<void> {
    sockets.add(socket);
    try {
      if (kind === "stopped" || kind === "long") await socket.write(hello);
      for (let place = 0; kind === "slow"; place++) {
        await socket.write(hello.subarray(place, place + 1));
        await sleep(1000);
      }
      while ((await socket.next()) !== null);
    } finally {
      sockets.delete(socket);
      socket.reset();
    }
  }

  async function begin(): Promise<void> {
    for (let worker = 0; worker < CONNECTED_AT_ONCE; worker++) {
      spawn(async () => {
        while (started < count) {
          started++;
          const socket = await connect({ host: "127.0.0.1", port }).catch(() => undefined);
          if (socket !== undefined)
            spawn(() => behave(socket))
              .join()
              .catch(() => {});
        }
      });
    }
  }

  /** Returns how many clients are still connected, and how many of ten new ones are served. */
  async function end(): Promise<{ open: number; served: number }> {
    const open = sockets.size;
    let served = 0;
    for (let index = 0; index < NEW_CONNECTIONS; index++) {
      try {
        const until = deadline(2000);
        using socket = await connect({ host: "127.0.0.1", port, tls: trusting, deadline: until });
        await echoOnce(socket, new Uint8Array(64));
        served++;
      } catch {}
    }
    return { open, served };
  }

  await answer({ begin, end }, "ready");
}

const [first = "", second = "", third = ""] = settings;
if (role === "server") await serve(first, second, third);
else if (role === "meter") await meter(Number(first));
else await peers(Number(first), second, Number(third));
