/** Parsing options into contexts, which connections share. */

import { core } from "../core/native.ts";
import {
  checkedInteger,
  checkedSwitch,
  joinedOptions,
  ownOptions,
  refuseOptions,
  typeMistake,
} from "../values/checks.ts";
import {
  checkedNames,
  checkedPassphrase,
  checkedText,
  checkUnparsed,
  clientAuthNumber,
  protocolNames,
  versionRange,
} from "./checks.ts";
import { materialFailure } from "./errors.ts";
import { hasPrivateKey, materialBytes, materialList } from "./material.ts";
import { noticesFor } from "./notices.ts";
import {
  optionNames,
  parsedNames,
  TlsContext,
  type TlsDefaults,
  type TlsOptions,
} from "./options.ts";
import { ContextPlan } from "./parsed.ts";

/** Parses options, which have no prototype. */
function parse(own: TlsOptions): TlsContext {
  const options = joinedOptions<TlsOptions>(defaults, own);
  checkUnparsed(options);
  const { sni } = options;
  const common = withoutIdentity(options);
  const plan = new ContextPlan();
  const hasCertificate = planIdentity(plan, options);
  planTrust(plan, options);
  planSettings(plan, options);
  const verifiesPeer = planVerification(plan, options);
  const chooseByName = typeof sni === "function" ? sni : undefined;
  if (chooseByName !== undefined) plan.add("ask", core.tlsContextAskServerName, [1]);
  else if (sni !== undefined) planServerNames(plan, sni, common);
  const timeout = options.handshakeTimeout ?? 10_000;
  const handshakeTimeout = checkedInteger(timeout, "handshakeTimeout", 0, 0x7fff_ffff);
  return new TlsContext({
    parsed: plan.carryOut(noticesFor(options)),
    hasCertificate,
    verifiesPeer,
    chooseByName,
    chosen: (choice) => chosenContext(choice, common),
    onKeyLog: options.onKeyLog,
    hasNames: sni !== undefined,
    handshakeTimeout,
  });
}

let defaults = joinedOptions<TlsDefaults>();
let plain: TlsContext | undefined;

/** The context of `tls: true`, made on first use. It keeps what the files of the defaults had then. */
export function plainContext(): TlsContext {
  return (plain ??= parse(joinedOptions()));
}

/**
 * Sets options for all contexts that are made from now on, also for `tls: true`. They hold where a
 * context's own options say nothing. Each call replaces what the one before has set.
 *
 * @throws {TypeError} {RangeError} {TlsError} for options that are unknown or cannot be used
 */
export function setTlsDefaults(options: TlsDefaults): void {
  const before = defaults;
  defaults = ownOptions(options, optionNames.defaults, "setTlsDefaults");
  try {
    plain = parse(joinedOptions());
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
  return contextOf(ownTlsOptions(options, optionNames.context, "tlsContext"));
}

/** The options as plait reads them. A context stands for options that have it as their `context`. */
export function ownTlsOptions<Options extends TlsOptions>(
  options: Options | TlsContext,
  known: ReadonlySet<string>,
  what: string,
): Options {
  if (!(options instanceof TlsContext)) return ownOptions(options, known, what);
  return joinedOptions<Options>({ context: options } as Options);
}

/** The context that the options stand for, which have no prototype. */
export function contextOf(own: TlsOptions): TlsContext {
  const { context } = own;
  if (context === undefined) return parse(own);
  if (!(context instanceof TlsContext)) throw typeMistake("context is what tlsContext returned");
  refuseOptions(own, parsedNames, "context");
  checkUnparsed(own);
  return context;
}

/** A context for the server's side. */
export function serverContext(options: TlsOptions | TlsContext, what: string): TlsContext {
  return contextWithCertificate(ownTlsOptions(options, optionNames.server, what), what);
}

/** The context of options that have no prototype, for the server's side, which needs a certificate. */
export function contextWithCertificate(own: TlsOptions, what: string): TlsContext {
  const context = contextOf(own);
  if (!context.settings.hasCertificate && context.settings.chooseByName === undefined) {
    throw typeMistake(`${what} needs a certificate: cert and key, or pfx`);
  }
  return context;
}

/** Plans certificates and keys. Returns whether there are any. */
function planIdentity(plan: ContextPlan, options: TlsOptions): boolean {
  const { cert, key, pfx } = options;
  const passphrase = checkedPassphrase(options.passphrase);
  if (pfx !== undefined) {
    refuseOptions(options, ["cert", "key"], "pfx");
    const bytes = materialBytes(pfx, "pfx");
    plan.add("pfx", core.tlsContextPkcs12, [bytes, passphrase], materialFailure);
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
    if (key === undefined && !hasPrivateKey(bytes)) {
      throw typeMistake("cert needs a key: there is none in its PEM either");
    }
    plan.add("cert", core.tlsContextCertificate, [bytes], materialFailure);
    plan.add("key", core.tlsContextKey, [keys[index]!, passphrase], materialFailure);
  }
  return true;
}

function planTrust(plan: ContextPlan, options: TlsOptions): void {
  const calls = { ca: core.tlsContextAuthorities, crl: core.tlsContextRevocations };
  for (const name of ["ca", "crl"] as const) {
    if (options[name] === undefined) continue;
    for (const bytes of materialList(options[name], name)) {
      plan.add(name, calls[name], [bytes], materialFailure);
    }
  }
}

function planSettings(plan: ContextPlan, options: TlsOptions): void {
  const calls = {
    ciphers: core.tlsContextCiphers,
    cipherSuites: core.tlsContextCipherSuites,
    groups: core.tlsContextGroups,
  };
  for (const name of ["ciphers", "cipherSuites", "groups"] as const) {
    const value = options[name];
    if (value === undefined) continue;
    plan.add(name, calls[name], [checkedText(value, name)], (_, reason) =>
      typeMistake(`${name} is not usable: "${value}" (${reason})`),
    );
  }
  plan.add("versions", core.tlsContextVersions, versionRange(options));
  if (options.alpn !== undefined) {
    plan.add("alpn", core.tlsContextAlpn, [protocolNames(options.alpn)]);
  }
}

/** Plans the checks of the peer. Returns whether its certificate is checked. */
function planVerification(plan: ContextPlan, options: TlsOptions): boolean {
  const verifiesPeer = checkedSwitch(options.verifyPeer, "verifyPeer", true);
  const verifiesIssuer = checkedSwitch(options.verifyIssuer, "verifyIssuer", true);
  const clientAuth = clientAuthNumber(options.clientAuth);
  if (clientAuth !== 0 && verifiesPeer && verifiesIssuer && options.ca === undefined) {
    throw typeMistake("clientAuth needs ca: whose certificates clients may have");
  }
  const given = [verifiesPeer ? 1 : 0, verifiesIssuer ? 1 : 0, clientAuth];
  plan.add("verify", core.tlsContextVerify, given);
  return verifiesPeer;
}

/** Plans the contexts that a listener has by name. */
function planServerNames(plan: ContextPlan, sni: unknown, common: TlsOptions): void {
  for (const { name, pattern, value } of checkedNames(sni)) {
    const other = namedContext(value as TlsOptions | TlsContext, common, `sni["${name}"]`);
    plan.add("sni", core.tlsContextServerName, [pattern, other.settings.parsed]);
  }
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
  const own = ownTlsOptions(options, optionNames.server, what);
  refuseOptions(own, ["handshakeTimeout"], what);
  const isParsed = own.context !== undefined;
  const whole = isParsed ? own : joinedOptions<TlsOptions>(common, own);
  const context = contextWithCertificate(whole, what);
  if (context.settings.hasNames) throw typeMistake(`${what} has an sni of its own`);
  context.settings.parsed.notify(noticesFor(common));
  return context;
}

/** The options of a listener that hold for all its names. */
function withoutIdentity(options: TlsOptions): TlsOptions {
  const { cert, key, pfx, passphrase, sni, ...rest } = options;
  return joinedOptions<TlsOptions>(rest);
}
