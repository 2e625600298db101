/**
 * Contexts of the core. Each is made by a plan, which is a list of calls. Two plans with the same calls
 * share a context, so that a client that gives its options anew for each connection parses them once.
 */

import { core } from "../core/native.ts";
import { byteLengthOf } from "../values/views.ts";
import { checkedContext } from "./errors.ts";
import { contextReason } from "./text.ts";
import { loadSystemTrust, systemTrust } from "./trust.ts";

/** What a call takes beside its context. The core takes bytes with their length, and a context by its number. */
type Argument = Uint8Array | number | ParsedContext;
type Call = (id: number, ...values: never[]) => number;
type Failure = (name: string, reason: string) => Error;

interface Step {
  readonly name: string;
  readonly call: Call;
  readonly given: readonly Argument[];
  readonly failure: Failure;
  /** Equal for calls that do the same. */
  readonly key: string;
}

const nothing = new Uint8Array(1);

/** The bytes, or an array of one byte in place of none: bun:ffi has no address for an empty array. */
export function addressable(bytes: Uint8Array): Uint8Array {
  return byteLengthOf(bytes) === 0 ? nothing : bytes;
}

/** The calls that affect what is checked of a peer, or which certificate is sent to it. */
const policyCalls: ReadonlySet<string> = new Set(["ca", "crl", "verify", "cert", "pfx"]);

function unexpectedFailure(name: string, reason: string): Error {
  return new Error(`plait: ${name}: ${reason}`);
}

/** The calls that make up a context. */
export class ContextPlan {
  readonly #steps: Step[] = [];

  /** Adds a call of the core. `failure` makes its error of OpenSSL's reason. */
  add(
    name: string,
    call: Call,
    given: readonly Argument[],
    failure: Failure = unexpectedFailure,
  ): void {
    this.#steps.push({ name, call, given, failure, key: `${name} ${digestOf(given)}` });
  }

  has(name: string): boolean {
    return this.#steps.some((step) => step.name === name);
  }

  /** The context of this plan, with these notices: one that is in use already, or a new one. */
  carryOut(notices: number): ParsedContext {
    const key = [`notices ${notices}`, ...this.#steps.map((step) => step.key)].join("\n");
    const shared = contexts.get(key)?.deref();
    if (shared !== undefined) return shared;
    const context = this.#make(key);
    context.notify(notices);
    contexts.set(key, new WeakRef(context));
    registry.register(context, { id: context.id, key });
    return context;
  }

  #make(key: string): ParsedContext {
    const id = checkedContext(core.tlsContextCreate());
    const identity = new Bun.CryptoHasher("sha256").update(key).digest();
    this.add("identity", (context) => core.tlsContextIdentify(context, identity), []);
    for (const { name, call, given, failure } of this.#steps) {
      if (call(id, ...(given.flatMap(valuesOf) as never[])) >= 0) continue;
      const error = failure(name, contextReason());
      core.tlsContextFree(id);
      throw error;
    }
    const policy = this.#steps.filter(({ name }) => policyCalls.has(name)).map((step) => step.key);
    return new ParsedContext(id, this, identity, policy.join("\n"));
  }
}

/** An argument as the core takes it. */
function valuesOf(argument: Argument): (Uint8Array | number)[] {
  if (typeof argument === "number") return [argument];
  if (argument instanceof ParsedContext) return [argument.id];
  return [addressable(argument), byteLengthOf(argument)];
}

function digestOf(given: readonly Argument[]): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const argument of given) {
    if (typeof argument === "number") hash.update(`${argument}\n`);
    else {
      const bytes = argument instanceof ParsedContext ? argument.identity : argument;
      hash.update(`${byteLengthOf(bytes)}\n`).update(bytes);
    }
  }
  return hash.digest("hex");
}

/** A context of the core. It is freed when this object is collected. */
export class ParsedContext {
  /** The core's number for it. */
  readonly id: number;
  /** A digest of the whole plan: the same in every thread. */
  readonly identity: Uint8Array;
  /**
   * Identifies what is checked of a peer and which certificate is sent to it: equal for contexts
   * that do not differ in that.
   */
  readonly policy: string;
  readonly #hasRevocations: boolean;
  #hasTrust: boolean;
  #notices = 0;

  constructor(id: number, plan: ContextPlan, identity: Uint8Array, policy: string) {
    this.id = id;
    this.identity = identity;
    this.policy = policy;
    this.#hasRevocations = plan.has("crl");
    this.#hasTrust = plan.has("ca");
  }

  /** Lets the core make notices of sessions or lines for the key log from now on. */
  notify(notices: number): void {
    if ((this.#notices & notices) === notices) return;
    this.#notices |= notices;
    core.tlsContextNotices(this.id, this.#notices);
  }

  /** Loads the system's store, unless the context has authorities of its own. */
  loadTrust(): void {
    if (this.#hasTrust) return;
    // Revocation lists become part of the store, and must not be in one that others share.
    if (this.#hasRevocations) loadSystemTrust(this.id);
    else core.tlsContextShareTrust(this.id, systemTrust());
    this.#hasTrust = true;
  }
}

const contexts = new Map<string, WeakRef<ParsedContext>>();

const registry = new FinalizationRegistry(({ id, key }: { id: number; key: string }): void => {
  // No number is used twice. Those of a scheduler that was replaced mean nothing any more.
  core.tlsContextFree(id);
  if (contexts.get(key)?.deref() === undefined) contexts.delete(key);
});
