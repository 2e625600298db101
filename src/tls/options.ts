/** The options of TLS. */

import type { TlsMaterial } from "./material.ts";
import type { ParsedContext } from "./parsed.ts";

/** A version of TLS (RFC 5246, RFC 8446). */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/**
 * Chooses a certificate by the name that a client sends, in lower case. It is not called for
 * clients that send none. Undefined stands for the listener's own certificate; null refuses the
 * client with the alert unrecognized_name. A promise pauses this handshake alone, for
 * `handshakeTimeout` at most. An exception refuses the client and goes to `onError`. Options are
 * parsed for each call: return a `TlsContext` that was made once.
 */
export type ServerNameChoice = (name: string) => Chosen | Promise<Chosen>;
type Chosen = TlsOptions | TlsContext | null | undefined;

/**
 * The options of TLS. What a client or a listener checks of its peer's certificate:
 *
 * | `verifyPeer` | `verifyIssuer` | a client checks of the server's |
 * | --- | --- | --- |
 * | true | true | that a chain of valid signatures leads to a certificate of `ca`, or without `ca` to a root that the system trusts; in the whole chain the dates, the purpose, the strength of keys and signatures (security level 2), and name constraints; revocation, if there is `crl`; the name |
 * | true | false | the same, but the chain may end anywhere: in a root that is not trusted, in the certificate itself, or before an issuer that was not sent, whose signature and constraints then do not count. With `crl` every issuer must still be known, since its list is needed |
 * | false | any | nothing |
 *
 * In every case the peer has proved that it has the certificate's key, and `socket.tls` shows
 * whether every check has passed. With `verifyIssuer: false` a third party can stand in between,
 * unless the program compares `socket.tls.certificate.fingerprint256` or the like. With
 * `verifyPeer: false` the check of the chain stops at the first fault.
 *
 * A chain has at most ten authorities below its root, and all certificates that a peer sends take
 * at most 80 KiB (those of a client with TLS 1.2 63 KiB). Other handshakes fail.
 *
 * The name is `serverName`, or else the `host` of `connect`. A DNS name must match one of the
 * certificate's alternative names (RFC 9525; a wildcard stands for the whole left-most label; the
 * subject's common name does not count), an IP address one of its IP addresses. An IPv4-mapped IPv6
 * address is the IPv4 address. With `verifyPeer: false` and neither of the two, no name is checked.
 *
 * | `clientAuth` | a listener |
 * | --- | --- |
 * | `"none"` | asks for no certificate |
 * | `"request"` | asks for one, and accepts clients without. One that is sent is checked |
 * | `"require"` | refuses clients without one. The one that is sent is checked |
 *
 * The first table then holds for the client's certificate, with a client's purpose and without a
 * name. Trust comes from `ca` alone: a certificate of the public roots says nothing about who may
 * be a client. The listener sends the names of `ca` to clients, so that they can choose among their
 * certificates, unless these names take more than 63 KiB.
 *
 * A listener resumes sessions by tickets, and keeps no sessions itself. Listeners with the same
 * options, in any thread of the process, resume each other's sessions. The keys of tickets change
 * twice a day. With TLS 1.3 a client whose certificate is longer than 12 KiB gets no ticket, since
 * the certificate is part of it.
 */
export interface TlsOptions {
  /** Options that `tlsContext` has parsed. Beside it only options of a single connection are allowed. */
  context?: TlsContext | undefined;
  /**
   * The certificate and its chain up to the root, the certificate itself first. A list has one for
   * each kind of key, such as RSA and ECDSA.
   */
  cert?: TlsMaterial | readonly TlsMaterial[] | undefined;
  /** The private key of each of `cert`. If not given, the same PEM must have it. */
  key?: TlsMaterial | readonly TlsMaterial[] | undefined;
  /**
   * Key, certificate and chain as PKCS#12, in place of `key` and `cert`. RC2, with which programs
   * encrypted before OpenSSL 3, is not supported.
   */
  pfx?: TlsMaterial | undefined;
  /** Decrypts `key` or `pfx`. */
  passphrase?: string | undefined;
  /**
   * The certificates to trust, in place of the system's store: roots, authorities below them, or
   * the certificate of a peer itself. With `crl` only roots, which are self-signed, are trusted. A
   * listener that asks for certificates sends the names of all of them to its clients.
   */
  ca?: TlsMaterial | readonly TlsMaterial[] | undefined;
  /**
   * Revocation lists. Every certificate of a peer's chain is looked up, so a list of each issuer is
   * needed.
   */
  crl?: TlsMaterial | readonly TlsMaterial[] | undefined;
  /**
   * For TLS 1.2: a list as in openssl-ciphers(1). If not given, those with an ephemeral
   * elliptic-curve key exchange and authenticated encryption. `@SECLEVEL=1` or `0` at its end
   * allows weaker keys and signatures.
   */
  ciphers?: string | undefined;
  /** For TLS 1.3: names with colons between them, such as `"TLS_AES_128_GCM_SHA256"`. */
  cipherSuites?: string | undefined;
  /** The groups of the key exchange, the preferred one first: `"X25519MLKEM768:X25519:P-256"`. */
  groups?: string | undefined;
  /** `"TLSv1.2"` if not given. */
  minVersion?: TlsVersion | undefined;
  /** `"TLSv1.3"` if not given. */
  maxVersion?: TlsVersion | undefined;
  /**
   * Application protocols, the preferred one first (RFC 7301). A listener takes the first of its
   * own that the client offers. It refuses a client that offers only others with the alert
   * no_application_protocol.
   */
  alpn?: readonly string[] | undefined;
  /** Clients: the name to send and to check; the host connected to if not given. */
  serverName?: string | undefined;
  /** Whether the peer's certificate is checked, see the table above; true if not given. */
  verifyPeer?: boolean | undefined;
  /** Whether its issuer must be trusted, see the table above; true if not given. */
  verifyIssuer?: boolean | undefined;
  /** Listeners: whether clients need a certificate; `"none"` if not given. */
  clientAuth?: "none" | "request" | "require" | undefined;
  /**
   * Clients: a session from `onSession` to resume. One that cannot be used, or that was made for another
   * name, under other checks or with another `cert`, is ignored, and the handshake is a full one.
   */
  session?: Uint8Array | undefined;
  /**
   * Clients: called with a session that the server offers for resumption; of several that arrive
   * together, with the last. In TLS 1.3 they arrive after the handshake, while the program reads,
   * and each is for one connection (RFC 8446, appendix C.4). A session holds secrets of the
   * connection, and only plait can use it. An exception is an unhandled rejection.
   */
  onSession?: ((session: Uint8Array) => void) | undefined;
  /**
   * Listeners: certificates by the name that the client sends. A name may have a wildcard for one
   * label, as `"*.example.org"`; an exact name goes before a wildcard. Clients that send another
   * name, or none, get the listener's own. Options replace those of the listener one by one, except
   * for its certificate. A `TlsContext` replaces all of them, `clientAuth` and `alpn` included.
   * `handshakeTimeout` and `onKeyLog` are the listener's for all names.
   */
  sni?: Readonly<Record<string, TlsOptions | TlsContext>> | ServerNameChoice | undefined;
  /**
   * Called with each line for a key log, without a line end. Anyone with these lines and a
   * recording of the connection can decrypt it. The environment's `SSLKEYLOGFILE` names a file for
   * the lines of all connections. An exception is an unhandled rejection.
   */
  onKeyLog?: ((line: string) => void) | undefined;
  /**
   * Listeners: milliseconds for each handshake, counted from `accept`; 10,000 if not given, 0 for
   * no bound. Clients have the `deadline` of `connect` or `startTls`.
   */
  handshakeTimeout?: number | undefined;
}

/** The options of a context, parsed. */
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
 * Certificates, keys, trust and settings, parsed: made by `tlsContext`, for any number of connections and
 * listeners, on both ends. It is freed when neither the program nor a connection uses it any more.
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

/** The options that `setTlsDefaults` takes. */
export type TlsDefaults = Pick<TlsOptions, (typeof defaultNames)[number]>;

/** For both ends, and with a meaning for all contexts of a program. */
const generalNames = [
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
] as const;

const defaultNames = [...generalNames, "handshakeTimeout"] as const;
const sharedNames = [...generalNames, "cert", "key", "pfx", "passphrase", "alpn"] as const;
const serverNames = ["clientAuth", "sni", "handshakeTimeout"] as const;
const connectionNames = ["context", "serverName", "session", "onSession"] as const;

/** The names of the options that each end takes; `context` stands for what `tlsContext` takes for either. */
export const optionNames = {
  client: new Set<string>([...sharedNames, ...connectionNames]),
  server: new Set<string>([...sharedNames, ...serverNames, "context"]),
  context: new Set<string>([...sharedNames, ...serverNames]),
  defaults: new Set<string>(defaultNames),
} as const;

/** Options that have no effect beside `context`, since they are parsed into one. */
export const parsedNames = [...sharedNames, ...serverNames] as const;
