/** What is parsed once of the options, and shared by connections. */

import { core } from "../core/native.ts";
import {
  joinedOptions,
  noOptions,
  ownOptions,
  refuseOptions,
  typeMistake,
} from "../values/checks.ts";
import { byteLengthOf } from "../values/views.ts";
import {
  checkedNames,
  checkedPassphrase,
  checkedServerName,
  checkedSwitch,
  checkedText,
  checkedTimeout,
  checkUnparsed,
  clientAuthNumber,
  protocolNames,
  versionRange,
} from "./checks.ts";
import { materialFailure } from "./errors.ts";
import { hasPrivateKey, materialBytes, materialList } from "./material.ts";
import { noticesFor } from "./notices.ts";
import {
  defaultOptionNames,
  optionNames,
  parsedNames,
  type Role,
  type ServerNameChoice,
  type TlsDefaults,
  type TlsOptions,
} from "./options.ts";
import { ContextPlan, type ParsedContext, passable } from "./parsed.ts";

/**
 * Certificates, keys, trust and settings, parsed: made by `tlsContext`, for any number of connections
 * and listeners, on both ends. It is freed when neither the program nor a connection has it any more.
 */
export class TlsContext {
  /** @internal */
  readonly parsed: ParsedContext;
  /** @internal */
  readonly hasCertificate: boolean;
  /** @internal */
  readonly verifiesPeer: boolean;
  /** @internal */
  readonly chooseByName: ServerNameChoice | undefined;
  /** @internal What an `sni` function's choice means. */
  readonly chosen: (choice: unknown) => TlsContext | null | undefined;
  /** @internal */
  readonly onKeyLog: TlsOptions["onKeyLog"];
  /** @internal Whether it chooses another one by name, in either way. */
  readonly hasNames: boolean;
  /** @internal In milliseconds; 0 is none. */
  readonly handshakeTimeout: number;

  /** @internal Contexts come from `tlsContext`. The options have no prototype. */
  constructor(own: TlsOptions) {
    const options = joinedOptions<TlsOptions>(defaults, own);
    checkUnparsed(options);
    const { sni } = options;
    const common = sni === undefined ? noOptions<TlsOptions>() : withoutIdentity(options);
    this.chosen = (choice) => chosenContext(choice, common);
    const plan = new ContextPlan();
    this.hasCertificate = planIdentity(plan, options);
    planTrust(plan, options);
    planSettings(plan, options);
    this.verifiesPeer = planVerification(plan, options);
    if (typeof sni === "function") {
      plan.add("ask", [1], (id) => core.tlsContextAskServerName(id, 1));
      this.chooseByName = sni;
    } else if (sni !== undefined) planServerNames(plan, sni, common);
    this.hasNames = sni !== undefined;
    this.handshakeTimeout = checkedTimeout(options.handshakeTimeout);
    this.onKeyLog = options.onKeyLog;
    const notices = noticesFor(options);
    if (notices !== 0) plan.add("notices", [notices], () => 0);
    this.parsed = plan.carryOut();
    this.parsed.notify(notices);
  }

  /** @internal The core's number for it. */
  get id(): number {
    return this.parsed.id;
  }
}

let defaults = noOptions<TlsDefaults>();
/** The context of `tls: true`, once somebody has needed it. */
let plain: TlsContext | undefined;

/**
 * Sets options for all contexts that are made from now on and do not have them: those of `tls: true`,
 * too. What was set before is forgotten.
 *
 * @throws {TypeError} {RangeError} {TlsError} for options that are unknown or cannot be used
 */
export function setTlsDefaults(options: TlsDefaults): void {
  const before = defaults;
  defaults = ownOptions(options, defaultOptionNames, "setTlsDefaults");
  try {
    plain = new TlsContext(noOptions());
  } catch (error) {
    defaults = before;
    throw error;
  }
}

/**
 * Parses options once, for connections and listeners to share. Files are read at once.
 *
 * @throws {TypeError} {RangeError} for options that are unknown or wrong
 * @throws {TlsError} for files that cannot be read, and for keys and certificates that are broken, do
 *   not belong together, or are too weak
 */
export function tlsContext(options: TlsOptions = {}): TlsContext {
  return contextOf(options, "either", "tlsContext");
}

/** The context that options mean, or are. */
export function contextOf(
  options: TlsOptions | TlsContext | true,
  role: Role,
  what: string,
): TlsContext {
  if (options instanceof TlsContext) return options;
  if (options === true) return (plain ??= new TlsContext(noOptions()));
  const own = ownOptions(options, optionNames[role], what);
  const { context } = own;
  if (context === undefined) return new TlsContext(own);
  if (!(context instanceof TlsContext)) throw typeMistake("context is what tlsContext returned");
  refuseOptions(own, parsedNames, "context");
  checkUnparsed(own);
  return context;
}

/** A context for a listener's side, which cannot do without a certificate. */
export function serverContext(options: TlsOptions | TlsContext, what: string): TlsContext {
  if (typeof options !== "object" || options === null) {
    throw typeMistake(`${what} takes options or a context`);
  }
  const context = contextOf(options, "server", what);
  if (!context.hasCertificate && context.chooseByName === undefined) {
    throw typeMistake(`${what} needs a certificate: cert and key, or pfx`);
  }
  return context;
}

/** Plans certificates and keys; whether there are any. */
function planIdentity(plan: ContextPlan, options: TlsOptions): boolean {
  const { cert, key, pfx } = options;
  const passphrase = checkedPassphrase(options.passphrase);
  const phrase = passable(passphrase);
  const phraseLength = byteLengthOf(passphrase);
  if (pfx !== undefined) {
    refuseOptions(options, ["cert", "key"], "pfx");
    const bytes = materialBytes(pfx, "pfx");
    plan.add(
      "pfx",
      [bytes, passphrase],
      (id) => core.tlsContextPkcs12(id, bytes, byteLengthOf(bytes), phrase, phraseLength),
      (reason) => materialFailure("pfx", reason),
    );
    return true;
  }
  if (cert === undefined) {
    if (key !== undefined) throw typeMistake("key needs its cert");
    refuseOptions(options, ["passphrase"], "neither key nor pfx");
    return false;
  }
  const certificates = materialList(cert, "cert");
  const keys = key === undefined ? certificates : materialList(key, "key");
  if (keys.length !== certificates.length) {
    throw typeMistake("key and cert are lists of the same length");
  }
  for (const [index, bytes] of certificates.entries()) {
    const keyBytes = keys[index]!;
    if (key === undefined && !hasPrivateKey(bytes)) {
      throw typeMistake("cert needs a key: there is none in its PEM either");
    }
    plan.add(
      "cert",
      [bytes],
      (id) => core.tlsContextCertificate(id, bytes, byteLengthOf(bytes)),
      (reason) => materialFailure("cert", reason),
    );
    plan.add(
      "key",
      [keyBytes, passphrase],
      (id) => core.tlsContextKey(id, keyBytes, byteLengthOf(keyBytes), phrase, phraseLength),
      (reason) => materialFailure("key", reason),
    );
  }
  return true;
}

function planTrust(plan: ContextPlan, { ca, crl }: TlsOptions): void {
  plan.hasAuthorities = ca !== undefined;
  plan.hasRevocations = crl !== undefined;
  for (const bytes of ca === undefined ? [] : materialList(ca, "ca")) {
    plan.add(
      "ca",
      [bytes],
      (id) => core.tlsContextAuthorities(id, bytes, byteLengthOf(bytes)),
      (reason) => materialFailure("ca", reason),
    );
  }
  for (const bytes of crl === undefined ? [] : materialList(crl, "crl")) {
    plan.add(
      "crl",
      [bytes],
      (id) => core.tlsContextRevocations(id, bytes, byteLengthOf(bytes)),
      (reason) => materialFailure("crl", reason),
    );
  }
}

type TextCall = (id: number, text: Uint8Array, length: number) => number;

function planSettings(plan: ContextPlan, options: TlsOptions): void {
  const texts = {
    ciphers: core.tlsContextCiphers,
    cipherSuites: core.tlsContextCipherSuites,
    groups: core.tlsContextGroups,
  } satisfies Record<string, TextCall>;
  for (const [name, call] of Object.entries(texts)) {
    const value = options[name as keyof typeof texts];
    if (value === undefined) continue;
    const text = checkedText(value, name);
    plan.add(
      name,
      [text],
      (id) => call(id, text, byteLengthOf(text)),
      (reason) => typeMistake(`${name} is not usable: "${value}" (${reason})`),
    );
  }
  const [least, most] = versionRange(options);
  plan.add("versions", [least, most], (id) => core.tlsContextVersions(id, least, most));
  if (options.alpn !== undefined) {
    const names = protocolNames(options.alpn);
    plan.add("alpn", [names], (id) => core.tlsContextAlpn(id, names, byteLengthOf(names)));
  }
}

/** Plans what is checked of the peer; whether anything is. */
function planVerification(plan: ContextPlan, options: TlsOptions): boolean {
  const verifiesPeer = checkedSwitch(options.verifyPeer, "verifyPeer");
  const verifiesIssuer = checkedSwitch(options.verifyIssuer, "verifyIssuer");
  const clientAuth = clientAuthNumber(options.clientAuth);
  if (clientAuth !== 0 && verifiesPeer && verifiesIssuer && options.ca === undefined) {
    throw typeMistake("clientAuth needs ca: whose certificates clients may have");
  }
  const peer = verifiesPeer ? 1 : 0;
  const issuer = verifiesIssuer ? 1 : 0;
  plan.add("verify", [peer, issuer, clientAuth], (id) =>
    core.tlsContextVerify(id, peer, issuer, clientAuth),
  );
  return verifiesPeer;
}

/** Plans what a listener has by name. */
function planServerNames(plan: ContextPlan, sni: unknown, common: TlsOptions): void {
  for (const { name, pattern, value } of checkedNames(sni)) {
    const other = namedContext(value as TlsOptions | TlsContext, common, `sni["${name}"]`);
    plan.add("sni", [pattern, other.parsed.identity], (id) =>
      core.tlsContextServerName(id, pattern, byteLengthOf(pattern), other.id),
    );
  }
}

/** The name that a client asks for and checks: the option's, or the host's. */
export function clientName(
  context: TlsContext,
  option: string | undefined,
  host: string | undefined,
): string | undefined {
  if (option !== undefined) return checkedServerName(option, "serverName");
  if (host !== undefined) return checkedServerName(host, "host");
  if (!context.verifiesPeer) return undefined;
  throw typeMistake("TLS needs a serverName here, to check the peer's certificate against");
}

/** The context that an `sni` function has chosen, if it has. */
function chosenContext(choice: unknown, common: TlsOptions): TlsContext | null | undefined {
  if (choice === null || choice === undefined) return choice;
  return namedContext(choice as TlsOptions | TlsContext, common, "what sni returned");
}

/** A context for one name, which has no names of its own. Options add to those of the listener. */
function namedContext(
  options: TlsOptions | TlsContext,
  common: TlsOptions,
  what: string,
): TlsContext {
  const context = serverContext(
    options instanceof TlsContext ? options : namedOptions(options, common, what),
    what,
  );
  if (context.hasNames) throw typeMistake(`${what} has an sni of its own`);
  context.parsed.notify(noticesFor(common));
  return context;
}

function namedOptions(options: TlsOptions, common: TlsOptions, what: string): TlsOptions {
  const own = ownOptions(options, optionNames.server, what);
  if (own.context !== undefined) return own;
  refuseOptions(own, ["handshakeTimeout"], what);
  return joinedOptions<TlsOptions>(common, own);
}

/** What a listener's options say of all its names. */
function withoutIdentity(options: TlsOptions): TlsOptions {
  const { cert, key, pfx, passphrase, sni, ...rest } = options;
  return joinedOptions<TlsOptions>(rest);
}
