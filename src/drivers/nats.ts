/** The driver `@nats-io/nats-core` on sockets of plait. */

import { resolve } from "../net/names.ts";
import { ownOptions, typeMistake } from "../values/checks.ts";
import { NatsTransport } from "./nats_transport.ts";
import { type DriverOptions, parsedTls } from "./options.ts";

/** The servers are options of NATS. */
export type NatsOptions = Pick<DriverOptions, "tls">;

/** What `setTransportFactory` of `@nats-io/nats-core/internal` takes. */
export interface NatsTransportFactory {
  factory(): NatsTransport;
  dnsResolveFn(host: string): Promise<string[]>;
}

const known: ReadonlySet<string> = new Set(["tls"]);

/**
 * Lets NATS use sockets and TLS of plait: give the result to `setTransportFactory`. It holds for all
 * connections that are made from then on.
 *
 * With `tls` here, or with `tls` in the options of NATS, a connection is always encrypted. Without both it is
 * encrypted if the server offers TLS. The option `tls` of NATS may have `handshakeFirst`, and certificates
 * and keys if there is no `tls` here; null means a connection without TLS.
 *
 * @throws {TypeError} {RangeError} {TlsError} for options that are unknown or cannot be used
 */
export function nats(options: NatsOptions = {}): NatsTransportFactory {
  const own = ownOptions(options, known, "nats");
  if (own.tls === false) throw typeMistake("NATS takes tls: null in its own options");
  const tls = parsedTls(own.tls, "tls");
  return {
    factory: () => new NatsTransport(tls),
    dnsResolveFn: (host) => resolve(host),
  };
}
