/**
 * Contexts of the core. Each is made by a plan, a list of calls; two plans that would do the same share
 * a context, so that a client which gives its options anew for each connection parses them once.
 */

import { core } from "../core/native.ts";
import { byteLengthOf } from "../values/views.ts";
import { checkedContext } from "./errors.ts";
import { contextReason } from "./text.ts";
import { loadSystemTrust, systemTrust } from "./trust.ts";

type Call = (id: number) => number;
type Failure = (reason: string) => Error;

interface Step {
  /** The same for calls that do the same. */
  readonly key: string;
  /** Whether the call decides what is checked of a peer, or who it takes us for. */
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

/** The calls that make a context what it is to be. */
export class ContextPlan {
  readonly #steps: Step[] = [];
  /** Whether clients trust whom they are told to, and not the system's store. */
  hasAuthorities = false;
  /** Whether the context's store has revocation lists. */
  hasRevocations = false;

  /** Adds a call. `name` and `parts` tell it apart from others. */
  add(
    name: string,
    parts: readonly (Uint8Array | number)[],
    call: Call,
    failure: Failure = (reason) => new Error(`plait: ${name}: ${reason}`),
  ): void {
    const key = `${name} ${digestOf(parts)}`;
    this.#steps.push({ key, isPolicy: policyCalls.has(name), call, failure });
  }

  /** A context as planned: one that is in use already, or a new one. */
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

/** A context of the core, which is freed when nobody has this object any more. */
export class ParsedContext {
  /** The core's number for it. */
  readonly id: number;
  /** Stands for all that it is: the same in every thread. */
  readonly identity: Uint8Array;
  /**
   * Stands for what is checked of a peer, and for who it takes us for: the same for contexts that
   * do not differ in that.
   */
  readonly policy: string;
  readonly #hasRevocations: boolean;
  #trustsSomebody: boolean;
  #notices = 0;

  constructor(id: number, plan: ContextPlan, identity: Uint8Array, policy: string) {
    this.id = id;
    this.identity = identity;
    this.policy = policy;
    this.#hasRevocations = plan.hasRevocations;
    this.#trustsSomebody = plan.hasAuthorities;
  }

  /** Has the core tell of sessions or lines for the key log from now on. */
  notify(notices: number): void {
    if ((this.#notices & notices) === notices) return;
    this.#notices |= notices;
    core.tlsContextNotices(this.id, this.#notices);
  }

  /** Trusts whom the system trusts, unless the context has its own. */
  loadTrust(): void {
    if (this.#trustsSomebody) return;
    // Revocation lists are part of the store: others must not have them.
    if (this.#hasRevocations) loadSystemTrust(this.id);
    else core.tlsContextShareTrust(this.id, systemTrust());
    this.#trustsSomebody = true;
  }
}

const contexts = new Map<string, WeakRef<ParsedContext>>();

const registry = new FinalizationRegistry(({ id, key }: { id: number; key: string }): void => {
  // No number is used twice: those of a scheduler that was replaced name nothing any more.
  core.tlsContextFree(id);
  if (contexts.get(key)?.deref() === undefined) contexts.delete(key);
});
