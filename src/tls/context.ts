/** Parsing options into contexts, which connections share. */

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
  TlsContext,
  type TlsDefaults,
  type TlsOptions,
} from "./options.ts";
import { addressable, ContextPlan } from "./parsed.ts";

/** Parses options, which have no prototype. */
function parse(own: TlsOptions): TlsContext {
  const options = joinedOptions<TlsOptions>(defaults, own);
  checkUnparsed(options);
  const { sni } = options;
  const common = sni === undefined ? noOptions<TlsOptions>() : withoutIdentity(options);
  const plan = new ContextPlan();
  const hasCertificate = planIdentity(plan, options);
  planTrust(plan, options);
  planSettings(plan, options);
  const verifiesPeer = planVerification(plan, options);
  const chooseByName = typeof sni === "function" ? sni : undefined;
  if (chooseByName !== undefined) {
    plan.add("ask", [1], (id) => core.tlsContextAskServerName(id, 1));
  } else if (sni !== undefined) planServerNames(plan, sni, common);
  const handshakeTimeout = checkedTimeout(options.handshakeTimeout);
  const notices = noticesFor(options);
  if (notices !== 0) plan.add("notices", [notices], () => 0);
  const parsed = plan.carryOut();
  parsed.notify(notices);
  return new TlsContext({
    parsed,
    hasCertificate,
    verifiesPeer,
    chooseByName,
    chosen: (choice) => chosenContext(choice, common),
    onKeyLog: options.onKeyLog,
    hasNames: sni !== undefined,
    handshakeTimeout,
  });
}

let defaults = noOptions<TlsDefaults>();
/** The context of `tls: true`, made on first use. */
let plain: TlsContext | undefined;

/**
 * Sets options for all contexts that are made from now on, also for `tls: true`. They hold where a
 * context's own options say nothing. Each call replaces what the one before has set.
 *
 * @throws {TypeError} {RangeError} {TlsError} for options that are unknown or cannot be used
 */
export function setTlsDefaults(options: TlsDefaults): void {
  const before = defaults;
  defaults = ownOptions(options, defaultOptionNames, "setTlsDefaults");
  try {
    plain = parse(noOptions());
  } catch (error) {
    defaults = before;
    throw error;
  }
}

/**
 * Parses options once, for any number of connections and listeners. Files are read before it returns.
 *
 * @throws {TypeError} {RangeError} for options that are unknown or wrong
 * @throws {TlsError} for files that cannot be read, and for keys and certificates that are broken, do not
 *   belong together, or are too weak
 */
export function tlsContext(options: TlsOptions = {}): TlsContext {
  return contextOf(options, "either", "tlsContext");
}

/** The context that the options stand for. */
export function contextOf(
  options: TlsOptions | TlsContext | true,
  role: Role,
  what: string,
): TlsContext {
  if (options instanceof TlsContext) return options;
  if (options === true) return (plain ??= parse(noOptions()));
  const own = ownOptions(options, optionNames[role], what);
  const { context } = own;
  if (context === undefined) return parse(own);
  if (!(context instanceof TlsContext)) throw typeMistake("context is what tlsContext returned");
  refuseOptions(own, parsedNames, "context");
  checkUnparsed(own);
  return context;
}

/** A context for the server's side, which needs a certificate. */
export function serverContext(options: TlsOptions | TlsContext, what: string): TlsContext {
  if (typeof options !== "object" || options === null) {
    throw typeMistake(`${what} takes options or a context`);
  }
  const context = contextOf(options, "server", what);
  if (!context.settings.hasCertificate && context.settings.chooseByName === undefined) {
    throw typeMistake(`${what} needs a certificate: cert and key, or pfx`);
  }
  return context;
}

/** Plans certificates and keys. Returns whether there are any. */
function planIdentity(plan: ContextPlan, options: TlsOptions): boolean {
  const { cert, key, pfx } = options;
  const passphrase = checkedPassphrase(options.passphrase);
  const phrase = addressable(passphrase);
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

/** Plans the checks of the peer. Returns whether its certificate is checked. */
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

/** Plans the contexts that a listener has by name. */
function planServerNames(plan: ContextPlan, sni: unknown, common: TlsOptions): void {
  for (const { name, pattern, value } of checkedNames(sni)) {
    const other = namedContext(value as TlsOptions | TlsContext, common, `sni["${name}"]`);
    plan.add("sni", [pattern, other.settings.parsed.identity], (id) =>
      core.tlsContextServerName(id, pattern, byteLengthOf(pattern), other.id),
    );
  }
}

/** The name that a client sends and checks: the option's, or else the host's. */
export function clientName(
  context: TlsContext,
  option: string | undefined,
  host: string | undefined,
): string | undefined {
  if (option !== undefined) return checkedServerName(option, "serverName");
  if (host !== undefined) return checkedServerName(host, "host");
  if (!context.settings.verifiesPeer) return undefined;
  throw typeMistake("TLS needs a serverName here, to check the peer's certificate against");
}

/** The context that an `sni` function has chosen. Null and undefined keep their meaning. */
function chosenContext(choice: unknown, common: TlsOptions): TlsContext | null | undefined {
  if (choice === null || choice === undefined) return choice;
  return namedContext(choice as TlsOptions | TlsContext, common, "what sni returned");
}

/**
 * A context for one name, which has no names of its own. Its options replace those of the listener
 * one by one.
 */
function namedContext(
  options: TlsOptions | TlsContext,
  common: TlsOptions,
  what: string,
): TlsContext {
  const context = serverContext(
    options instanceof TlsContext ? options : namedOptions(options, common, what),
    what,
  );
  if (context.settings.hasNames) throw typeMistake(`${what} has an sni of its own`);
  context.settings.parsed.notify(noticesFor(common));
  return context;
}

function namedOptions(options: TlsOptions, common: TlsOptions, what: string): TlsOptions {
  const own = ownOptions(options, optionNames.server, what);
  if (own.context !== undefined) return own;
  refuseOptions(own, ["handshakeTimeout"], what);
  return joinedOptions<TlsOptions>(common, own);
}

/** The options of a listener that hold for all its names. */
function withoutIdentity(options: TlsOptions): TlsOptions {
  const { cert, key, pfx, passphrase, sni, ...rest } = options;
  return joinedOptions<TlsOptions>(rest);
}
