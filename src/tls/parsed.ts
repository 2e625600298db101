/**
 * Contexts of the core. Each is made by a plan, which is a list of calls. Two plans with the same calls
 * share a context, so that a client that gives its options anew for each connection parses them once.
 */

import { core } from "../core/native.ts";
import { byteLengthOf } from "../values/views.ts";
import { checkedContext } from "./errors.ts";
import { contextReason } from "./text.ts";
import { loadSystemTrust, systemTrust } from "./trust.ts";

type Call = (id: number) => number;
type Failure = (reason: string) => Error;

interface Step {
  /** Equal for calls that do the same. */
  readonly key: string;
  /** Whether the call affects what is checked of a peer, or which certificate is sent to it. */
  readonly isPolicy: boolean;
  readonly call: Call;
  readonly failure: Failure;
}

const nothing = new Uint8Array(1);

/** The bytes, or an array of one byte in place of none: bun:ffi has no address for an empty array. */
export function addressable(bytes: Uint8Array): Uint8Array {
  return byteLengthOf(bytes) === 0 ? nothing : bytes;
}

const policyCalls: ReadonlySet<string> = new Set(["ca", "crl", "verify", "cert", "pfx"]);

/** The calls that make up a context. */
export class ContextPlan {
  readonly #steps: Step[] = [];
  /** Whether the context has authorities of its own, in place of the system's store. */
  hasAuthorities = false;
  /** Whether the context's store has revocation lists. */
  hasRevocations = false;

  /** Adds a call. `name` and `parts` identify it. */
  add(
    name: string,
    parts: readonly (Uint8Array | number)[],
    call: Call,
    failure: Failure = (reason) => new Error(`plait: ${name}: ${reason}`),
  ): void {
    const key = `${name} ${digestOf(parts)}`;
    this.#steps.push({ key, isPolicy: policyCalls.has(name), call, failure });
  }

  /** The context of this plan: one that is in use already, or a new one. */
  carryOut(): ParsedContext {
    const key = this.#steps.map((step) => step.key).join("\n");
    const shared = contexts.get(key)?.deref();
    if (shared !== undefined) return shared;
    const context = this.#make(key);
    contexts.set(key, new WeakRef(context));
    registry.register(context, { id: context.id, key });
    return context;
  }

  #make(key: string): ParsedContext {
    const id = checkedContext(core.tlsContextCreate());
    const identity = new Bun.CryptoHasher("sha256").update(key).digest();
    this.add("identity", [identity], (context) => core.tlsContextIdentify(context, identity));
    for (const { call, failure } of this.#steps) {
      if (call(id) >= 0) continue;
      const error = failure(contextReason());
      core.tlsContextFree(id);
      throw error;
    }
    const policy = this.#steps.filter((step) => step.isPolicy).map((step) => step.key);
    return new ParsedContext(id, this, identity, policy.join("\n"));
  }
}

function digestOf(parts: readonly (Uint8Array | number)[]): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const part of parts) {
    if (typeof part === "number") hash.update(`${part}\n`);
    else hash.update(`${byteLengthOf(part)}\n`).update(part);
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
    this.#hasRevocations = plan.hasRevocations;
    this.#hasTrust = plan.hasAuthorities;
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
