/** The options of TLS. */

import type { TlsMaterial } from "./material.ts";
import type { ParsedContext } from "./parsed.ts";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/**
 * Chooses by the name that a client asks for (in lower case), and is not asked for clients without.
 * Undefined is the listener's own certificate, null refuses the client with the alert
 * unrecognized_name. A promise pauses that handshake alone, for no longer than `handshakeTimeout`. What
 * it throws refuses the client and goes to `onError`. Options are parsed for each call: return a
 * `TlsContext` made once.
 */
export type ServerNameChoice = (name: string) => Chosen | Promise<Chosen>;
type Chosen = TlsOptions | TlsContext | null | undefined;

/**
 * What is checked of a peer's certificate:
 *
 * | `verifyPeer` | `verifyIssuer` | a client checks of the server's |
 * | --- | --- | --- |
 * | true | true | that a chain of valid signatures leads to one of `ca`, or else to a root that the system trusts; of the whole chain the dates, the purpose, the strength of keys and signatures (security level 2), name constraints; revocation, if there is `crl`; the name |
 * | true | false | all that, but the chain may end anywhere: in a root that nobody trusts, in the certificate itself, or before an issuer that was not sent, whose signature and constraints then count for nothing. With `crl` every issuer must be known all the same, since its list is |
 * | false | any | nothing |
 *
 * In every case the peer has proved that it has the certificate's key, and `socket.tls` tells whether
 * everything is in order: with `verifyIssuer: false` anybody can still stand in between, unless the
 * program compares `socket.tls.certificate.fingerprint256` or the like. With `verifyPeer: false` the
 * chain is followed until the first thing is wrong, and no further.
 *
 * A chain has at most ten authorities below its root, and all certificates that a peer sends take at
 * most 80 KiB (those of a client with TLS 1.2 63 KiB). Other handshakes fail.
 *
 * The name is `serverName`, or else the `host` of `connect`. A DNS name must match one of the
 * certificate's alternative names (RFC 9525; a wildcard is a whole left-most label; the subject's common
 * name does not count), an IP address one of its IP addresses; an IPv4 address in IPv6's form is the IPv4
 * address. With `verifyPeer: false` and neither,
 * there is no name to be looked at.
 *
 * | `clientAuth` | a listener |
 * | --- | --- |
 * | `"none"` | asks for no certificate |
 * | `"request"` | asks for one, and goes on without. One that is sent is checked |
 * | `"require"` | refuses clients without. The one that is sent is checked |
 *
 * There the table above holds for the client's, without the name and with the purpose of a client.
 * Trust comes from `ca` alone: a certificate of the public roots says nothing about who may be a client.
 * A client is told the names of `ca`, so that it can choose among its certificates, unless they take more
 * than 63 KiB.
 *
 * A listener resumes sessions by tickets, and keeps none itself. Listeners whose options are the same, in
 * whichever thread of the process, resume each other's. The tickets' keys are changed twice a day.
 * With TLS 1.3 a client whose certificate has more than 12 KiB gets none, for the certificate is part of it.
 */
export interface TlsOptions {
  /** The parsed part of the options, beside which only those of one connection have a meaning. */
  context?: TlsContext | undefined;
  /**
   * The certificate and the chain up to its root, leaf first. A list has one for each kind of key, as
   * RSA and ECDSA.
   */
  cert?: TlsMaterial | readonly TlsMaterial[] | undefined;
  /** The private key of each of `cert`. If not given it is looked for in the same PEM. */
  key?: TlsMaterial | readonly TlsMaterial[] | undefined;
  /**
   * Key, certificate and chain as PKCS#12, in place of `key` and `cert`. What programs encrypted with
   * RC2, before OpenSSL 3, is not read.
   */
  pfx?: TlsMaterial | undefined;
  /** Decrypts `key` or `pfx`. */
  passphrase?: string | undefined;
  /**
   * Who is trusted, in place of the system's store: roots, authorities below them, or a peer's very
   * certificate. With `crl` only roots, which sign themselves, are. A listener that asks for
   * certificates names them all to its clients.
   */
  ca?: TlsMaterial | readonly TlsMaterial[] | undefined;
  /** Revocation lists. Every certificate of a peer's chain is looked up: lists of all issuers are needed. */
  crl?: TlsMaterial | readonly TlsMaterial[] | undefined;
  /**
   * For TLS 1.2: a list as of openssl-ciphers(1), in place of those with ephemeral elliptic curves and
   * authenticated encryption. `@SECLEVEL=1` or `0` at its end admits weaker keys and signatures.
   */
  ciphers?: string | undefined;
  /** For TLS 1.3: names with colons between them, such as `"TLS_AES_128_GCM_SHA256"`. */
  cipherSuites?: string | undefined;
  /** The groups of the key exchange, the preferred first: `"X25519MLKEM768:X25519:P-256"`. */
  groups?: string | undefined;
  /** `"TLSv1.2"` if not given. */
  minVersion?: TlsVersion | undefined;
  maxVersion?: TlsVersion | undefined;
  /**
   * Application protocols, the preferred first (RFC 7301). A listener takes its own first that the
   * client offers; a client that offers others only is refused with no_application_protocol.
   */
  alpn?: readonly string[] | undefined;
  /** Clients: the name to ask for and to check; the host connected to if not given. */
  serverName?: string | undefined;
  /** Whether the peer's certificate is checked, as the table above says; true if not given. */
  verifyPeer?: boolean | undefined;
  /** Whether its issuer must be trusted, as the table above says; true if not given. */
  verifyIssuer?: boolean | undefined;
  /** Listeners: whether clients need a certificate; `"none"` if not given. */
  clientAuth?: "none" | "request" | "require" | undefined;
  /**
   * Clients: a session that `onSession` had, to be resumed. One that is not usable, or that was made
   * for another name, under other checks or with another `cert`, goes unnoticed: the handshake is a
   * full one.
   */
  session?: Uint8Array | undefined;
  /**
   * Clients: told of the sessions that the server offers for resumption, of several that come at once
   * the last. In TLS 1.3 they come after the handshake, while the program reads, and each is good for
   * one connection (RFC 8446, appendix C.4). They hold secrets of the connection, and are for plait
   * alone. What it throws is an unhandled rejection.
   */
  onSession?: ((session: Uint8Array) => void) | undefined;
  /**
   * Listeners: certificates by the name that the client asks for, which may be a wildcard for one
   * label, as `"*.example.org"`; an exact name goes first. Others, and clients that ask for no name,
   * have the listener's own. Options have the listener's where they say nothing, but for its
   * certificate; a `TlsContext` stands for itself, with its own `clientAuth` and `alpn`. The time
   * that a handshake may take, and who is told of its keys, is the listener's for all names.
   */
  sni?: Readonly<Record<string, TlsOptions | TlsContext>> | ServerNameChoice | undefined;
  /**
   * Told of each line for a key log, without its end: with it whoever has recorded the connection can
   * read it. The environment's `SSLKEYLOGFILE` names a file for those of all connections. What it
   * throws is an unhandled rejection.
   */
  onKeyLog?: ((line: string) => void) | undefined;
  /**
   * Listeners: milliseconds for each handshake, from `accept` on; 10,000 if not given, 0 for no bound.
   * Clients have the `deadline` of `connect` or `startTls`.
   */
  handshakeTimeout?: number | undefined;
}

/** What the options of a context mean, parsed. */
export interface TlsSettings {
  readonly parsed: ParsedContext;
  readonly hasCertificate: boolean;
  readonly verifiesPeer: boolean;
  readonly chooseByName: ServerNameChoice | undefined;
  /** The context that a choice of an `sni` function means. */
  readonly chosen: (choice: unknown) => TlsContext | null | undefined;
  readonly onKeyLog: TlsOptions["onKeyLog"];
  /** Whether it has an `sni`, a table or a function. */
  readonly hasNames: boolean;
  /** In milliseconds; 0 is none. */
  readonly handshakeTimeout: number;
}

/**
 * Certificates, keys, trust and settings, parsed: made by `tlsContext`, for any number of connections
 * and listeners, on both ends. It is freed when neither the program nor a connection has it any more.
 */
export class TlsContext {
  /** @internal */
  readonly settings: TlsSettings;

  /** @internal Contexts come from `tlsContext`. */
  constructor(settings: TlsSettings) {
    this.settings = settings;
  }

  /** @internal The core's number for it. */
  get id(): number {
    return this.settings.parsed.id;
  }
}

/** What `setTlsDefaults` sets. */
export type TlsDefaults = Pick<TlsOptions, (typeof defaultNames)[number]>;

const defaultNames = [
  "ca",
  "crl",
  "ciphers",
  "cipherSuites",
  "groups",
  "minVersion",
  "maxVersion",
  "verifyPeer",
  "verifyIssuer",
  "onKeyLog",
  "handshakeTimeout",
] as const;

/** Who a set of options is for. A context may serve both ends. */
export type Role = "client" | "server" | "either";

const sharedNames = [
  "cert",
  "key",
  "pfx",
  "passphrase",
  "ca",
  "crl",
  "ciphers",
  "cipherSuites",
  "groups",
  "minVersion",
  "maxVersion",
  "alpn",
  "verifyPeer",
  "verifyIssuer",
  "onKeyLog",
] as const satisfies readonly (keyof TlsOptions)[];

const serverNames = ["clientAuth", "sni", "handshakeTimeout"] as const;
const connectionNames = ["context", "serverName", "session", "onSession"] as const;

/** The names that each role takes. */
export const optionNames: Readonly<Record<Role, ReadonlySet<string>>> = {
  client: new Set([...sharedNames, ...connectionNames]),
  server: new Set([...sharedNames, ...serverNames, "context"]),
  either: new Set([...sharedNames, ...serverNames]),
};

export const defaultOptionNames: ReadonlySet<string> = new Set(defaultNames);

/** What goes without effect beside `context`, because it is parsed into one. */
export const parsedNames = [...sharedNames, ...serverNames] as const;
