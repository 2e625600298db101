/** Many bytes each way over TLS, with programs at the other end. */

import type { Socket, TlsOptions } from "../../index.ts";
import { pollUntil } from "./poll.ts";
import { dialTls } from "./tls_pair.ts";

const mebibyte = 1024 * 1024;

export interface Received {
  readonly bytes: number;
  readonly hash: string;
}

/** Reads until all bytes are there, and returns their number and hash. */
export async function receive(
  length: number,
  next: () => Promise<Uint8Array | null | undefined>,
): Promise<Received> {
  const hasher = new Bun.CryptoHasher("sha1");
  let count = 0;
  while (count < length) {
    const chunk = await next();
    if (!chunk?.byteLength) break;
    hasher.update(chunk);
    count += chunk.byteLength;
  }
  return { bytes: count, hash: hasher.digest("hex") };
}

/**
 * Lets a program send these bytes, which sends its standard input and prints what it receives, and
 * returns what it has received of as many. It runs until `end`.
 */
export async function exchangeByPipes(
  command: readonly string[],
  bytes: Uint8Array,
  end: Promise<unknown>,
): Promise<Received> {
  const child = Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
  try {
    const reader = child.stdout.getReader();
    const sending = (async () => {
      for (let start = 0; start < bytes.length; start += mebibyte) {
        child.stdin.write(bytes.subarray(start, start + mebibyte));
        await child.stdin.flush();
      }
    })();
    const received = await receive(bytes.length, async () => (await reader.read()).value);
    await Promise.all([sending, end]);
    return received;
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

/** Connects to a program that was just started. */
export async function dialWhenUp(port: number, tls: TlsOptions): Promise<Socket> {
  let socket: Socket | undefined;
  await pollUntil("it listens", async () => {
    socket = await dialTls(port, tls).catch((error) => {
      if (error.code !== "ECONNREFUSED") throw error;
      return undefined;
    });
    return socket !== undefined;
  });
  return socket!;
}
