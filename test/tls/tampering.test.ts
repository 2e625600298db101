/**
 * Recorded handshakes that are sent again, cut at every place and with every bit flipped. The
 * core's own tests do the same to live ones (zig/tls/tampering_test.zig).
 */

import { describe, expect, test } from "bun:test";
import { connect, type Listener, type Socket, type Stats, type TlsOptions } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { type Failure, failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { readExactly } from "../support/receiving.ts";
import { dialTls, echo, presenting, serveTls } from "../support/tls_pair.ts";
import { recordHandshake, relayTo } from "../support/tls_recording.ts";

/** Connections at a time: many, so that little time is slept. */
const width = 128;

/** A good client comes after so many of the others. */
const goodEvery = 500;

type Version = "TLSv1.2" | "TLSv1.3";

/** A byte of the server's, and the bits to flip; without bits the stream ends there. */
interface Place {
  readonly offset: number;
  readonly mask: number;
}

/** Relays to a listener, each of which tampers with one connection at a time. */
class TamperingRelays implements AsyncDisposable {
  readonly #free: { port: number; place: Place }[] = [];
  readonly #stack = new AsyncDisposableStack();

  static async to(listener: Listener): Promise<TamperingRelays> {
    const relays = new TamperingRelays();
    for (let count = 0; count < width; count++) {
      const state = { port: 0, place: { offset: 0, mask: 0 } };
      const relay = await relayTo(listener, (from, to, isClient) =>
        isClient ? pass(from, to) : tamper(from, to, state.place),
      );
      relays.#stack.use(relay);
      state.port = relay.port;
      relays.#free.push(state);
    }
    return relays;
  }

  /** The port of a relay that tampers with this place until it is released. */
  borrow(place: Place): { port: number; release: () => void } {
    const state = this.#free.pop()!;
    state.place = place;
    return { port: state.port, release: () => this.#free.push(state) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

async function pass(from: Socket, to: Socket): Promise<void> {
  for await (const chunk of from) await to.write(chunk);
  await to.shutdown();
}

/** Passes on the data up to the place and ends there, so that no end waits for ever. */
async function tamper(from: Socket, to: Socket, { offset, mask }: Place): Promise<void> {
  let passed = 0;
  for await (const chunk of from) {
    const place = offset - passed;
    passed += chunk.byteLength;
    if (place >= chunk.byteLength) {
      await to.write(chunk);
      continue;
    }
    chunk[place]! ^= mask;
    await to.write(mask === 0 ? chunk.subarray(0, place) : chunk);
    break;
  }
  await to.shutdown();
}

describe.skipIf(!isInstalled("openssl"))("TLS with a relay in the middle", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);
  const versions: Version[] = ["TLSv1.2", "TLSv1.3"];

  async function recording(server: TlsOptions, client: TlsOptions) {
    await using listener = await serveTls(undefined, server);
    return await recordHandshake(listener, client);
  }

  async function expectService(listener: Listener): Promise<void> {
    await using client = await dialTls(listener.port);
    await client.write("alive");
    expect(new TextDecoder().decode(await readExactly(client, 5))).toBe("alive");
  }

  /** Runs a function for each item, so many at a time. */
  async function forEach<T>(items: Iterable<T>, run: (item: T) => Promise<void>): Promise<number> {
    const iterator = items[Symbol.iterator]();
    let count = 0;
    await Promise.all(
      Array.from({ length: width }, async () => {
        for (let next = iterator.next(); !next.done; next = iterator.next()) {
          count++;
          await run(next.value);
        }
      }),
    );
    return count;
  }

  function* mutants(bytes: Uint8Array): Generator<Uint8Array> {
    // The last one is whole, but of another connection: it may still have to be refused.
    for (let length = 0; length <= bytes.byteLength; length++) yield bytes.subarray(0, length);
    for (let bit = 0; bit < 8 * bytes.byteLength; bit++) {
      const flipped = new Uint8Array(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      yield flipped;
    }
  }

  test.each(versions)(
    "a listener reports every change of %s",
    async (version) => {
      const before = await quietStats();
      // A wait in vain fails with a TimeoutError.
      const tls = { ...presenting(made.p256), handshakeTimeout: 60_000 };
      const { client: bytes } = await recording(tls, { maxVersion: version });
      const reports = new Map<number, (error: Failure) => void>();
      let served = 0;
      {
        await using listener = await serveTls(
          (socket) => {
            served++;
            return echo(socket);
          },
          tls,
          { onError: (error) => reports.get((error as Failure).port!)?.(error as Failure) },
        );
        let sent = 0;
        const attacks = await forEach(mutants(bytes), async (mutant) => {
          if (++sent % goodEvery === 0) await expectService(listener);
          const socket = await connect({ host: "127.0.0.1", port: listener.port });
          const port = socket.localPort!;
          const { promise: reported, resolve } = Promise.withResolvers<Failure>();
          reports.set(port, resolve);
          await socket.write(mutant);
          await socket.shutdown();
          const error = await reported;
          reports.delete(port);
          socket.reset();
          expect(error).toMatchObject({ syscall: "handshake", address: "127.0.0.1", port });
          expect(error.name).toMatch(/^(TlsError|SocketError)$/);
        });
        expect(attacks).toBe(9 * bytes.byteLength + 1);
        expect(served).toBe(Math.floor(attacks / goodEvery));
        await expectService(listener);
      }
      await expectQuiet(before);
    },
    60_000,
  );

  test.each(versions)(
    "a client refuses every change of %s",
    async (version) => {
      const before = await quietStats();
      // Its signatures all have the same length.
      const tls = { ...presenting(made.ed25519), handshakeTimeout: 60_000 };
      // The answer to the first key share of the defaults has a kilobyte of random bits.
      const wanted: TlsOptions = { maxVersion: version, groups: "X25519" };
      const { server: bytes } = await recording(tls, wanted);
      let problems = 0;
      let served = 0;
      {
        await using listener = await serveTls(() => void served++, tls, {
          onError: () => problems++,
        });
        await using relays = await TamperingRelays.to(listener);
        const dials = await forEach(places(bytes.byteLength), async (place) => {
          const { port, release } = relays.borrow(place);
          const error = await failureOf(dialTls(port, wanted));
          release();
          expect(error).toMatchObject({ syscall: "handshake", address: "127.0.0.1", port });
          expect(error.name).toMatch(/^(TlsError|SocketError)$/);
        });
        expect(dials).toBeGreaterThan(2 * 700);
        await pollUntil(
          "the listener has noticed as well",
          () => problems + served === dials,
          20_000,
        );
      }
      await expectQuiet(before);
    },
    60_000,
  );

  /**
   * Each place once with a flipped bit and once as the end, without bytes that a peer must ignore.
   */
  function* places(length: number): Generator<Place> {
    for (let offset = 0; offset < length; offset++) {
      yield { offset, mask: 0 };
      // The lower half of the first record's version (RFC 8446, section 5.1).
      if (offset !== 2) yield { offset, mask: 1 << (offset % 8) };
    }
  }

  async function expectQuiet({ sockets, waiters, fibers }: Stats): Promise<void> {
    await pollUntil("all is over", async () => {
      const now = await quietStats();
      return now.sockets <= sockets && now.waiters <= waiters && now.fibers <= fibers;
    });
  }
});
