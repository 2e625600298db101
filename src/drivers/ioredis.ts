/** Connections of the driver `ioredis` to Redis. */

import { Socket } from "../node/socket.ts";
import { typeMistake } from "../values/checks.ts";
import { checkedOptions, type DriverOptions, driverOptions, type ParsedTls } from "./options.ts";

/** What is spread into the options of `Redis`. */
export interface IoredisConfig {
  /**
   * The class that connects. `ioredis` makes an object of it for each client. Its type fits the one that
   * `ioredis` declares, which has private members.
   */
  Connector: new (
    options: unknown,
  ) => never;
  host?: string;
  port?: number;
  path?: string;
}

/** What the connector reads of the options of `Redis`. */
interface RedisOptions {
  readonly host?: string | null;
  readonly port?: number | null;
  readonly path?: string | null;
  readonly family?: number | null;
  tls?: unknown;
  readonly sentinels?: unknown;
  /** Milliseconds in which the server must end a connection that this end has ended. */
  readonly disconnectTimeout?: number;
}

function refuseCluster(): never {
  throw typeMistake(
    "the Cluster of ioredis subscribes on a connection that plait cannot encrypt: " +
      "subscribe on cluster.nodes()[0].duplicate(), or use shardedSubscribers and ssubscribe",
  );
}

/**
 * The option `tls` of clients that plait encrypts. With it `ioredis` waits for `secureConnect`.
 *
 * The `Cluster` of `ioredis` makes the connection for SUBSCRIBE without the connector, but with this option.
 * Without it that connection would send the password in plain text. With it `tls.connect` throws when it looks
 * at the class of the socket.
 */
const encryptedByPlait = {
  socket: new Proxy({}, { getPrototypeOf: refuseCluster }),
};

/** What `ioredis` asks of a connector. */
class Connector {
  readonly #options: RedisOptions;
  readonly #tls: ParsedTls | undefined;
  #stream: Socket | undefined = undefined;
  /** Whether the client wants to be connected. */
  #isWanted = false;
  /** An error from before `ioredis` listens to the stream. It reports this one. */
  firstError: Error | undefined = undefined;

  constructor(options: RedisOptions, tls: ParsedTls | undefined) {
    if (options.tls && options.tls !== encryptedByPlait) {
      throw typeMistake("ioredis has tls too: give tls to ioredis() alone");
    }
    if (options.sentinels) throw typeMistake("sentinels are not supported with ioredis()");
    if (tls !== undefined) options.tls = encryptedByPlait;
    this.#options = options;
    this.#tls = tls;
  }

  /** Whether a server may be used, by its INFO. */
  check(_info: unknown): boolean {
    return true;
  }

  /** Begins to connect. With TLS the client waits for `secureConnect`. */
  async connect(): Promise<Socket> {
    this.#isWanted = true;
    // The client may be disconnected in the same tick.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    if (!this.#isWanted) throw new Error("Connection is closed.");
    const { host, port, path, family } = this.#options;
    const place = path ? { path } : { host: host ?? undefined, port: port ?? 6379 };
    const stream = new Socket();
    this.firstError = undefined;
    stream.once("error", (error) => {
      this.firstError = error;
    });
    this.#stream = stream.connect({ ...place, family: family ?? undefined, tls: this.#tls });
    return stream;
  }

  disconnect(): void {
    this.#isWanted = false;
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed) return;
    const destroy = (): void => void stream.destroy();
    const timer = setTimeout(destroy, this.#options.disconnectTimeout);
    stream.once("close", () => clearTimeout(timer));
    stream.end();
  }
}

/**
 * Lets `ioredis` use sockets and TLS of plait: spread the result into the options of its `Redis`, or into
 * the `redisOptions` of its `Cluster`. Sentinels need a connector of `ioredis` itself.
 *
 * @throws {TypeError} {RangeError} {TlsError} for options that are unknown or cannot be used
 */
export function ioredis(options: DriverOptions = {}): IoredisConfig {
  const { place, tls } = checkedOptions(options, driverOptions, "ioredis");
  const PlaitConnector = class extends Connector {
    constructor(given: unknown) {
      super(given as RedisOptions, tls);
    }
  };
  return { ...place, Connector: PlaitConnector as unknown as IoredisConfig["Connector"] };
}
