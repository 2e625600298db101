/**
 * Contexts of the core. Each is made by a plan, a list of calls; two plans that would do the same share
 * a context, so that a client which gives its options anew for each connection parses them once.
 */

import { core, isCurrent } from "../native.ts";
import { materialFailure } from "./errors.ts";
import { contextReason } from "./text.ts";
import { trustSources } from "./trust.ts";

type Call = (id: number) => number;
type Failure = (reason: string) => Error;

interface Step {
  readonly call: Call;
  readonly failure: Failure;
}

/** bun:ffi has no address for an empty array. */
const nothing = new Uint8Array(1);
const encoder = new TextEncoder();

/** What the core gets for bytes that may be none. */
export function passable(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === 0 ? nothing : bytes;
}

/** The calls that decide what is checked of a peer. */
const policyCalls: ReadonlySet<string> = new Set(["ca", "crl", "verify"]);

/** The calls that make a context what it is to be. */
export class ContextPlan {
  readonly #steps: Step[] = [];
  readonly #hash = new Bun.CryptoHasher("sha256");
  readonly #policy = new Bun.CryptoHasher("sha256");
  /** Whether a context of this kind holds no private key, and may be kept for the next user. */
  isPublic = true;
  /** Whether clients trust whom they are told to, and not the system's store. */
  hasAuthorities = false;

  /** Adds a call. `name` and `parts` tell it apart from others. */
  add(
    name: string,
    parts: readonly (Uint8Array | number)[],
    call: Call,
    failure: Failure = (reason) => new Error(`plait: ${name}: ${reason}`),
  ): void {
    const hashes = policyCalls.has(name) ? [this.#hash, this.#policy] : [this.#hash];
    for (const hash of hashes) {
      hash.update(`${name} ${parts.length}\n`);
      for (const part of parts) {
        const bytes = typeof part === "number" ? encoder.encode(`${part}`) : part;
        hash.update(`${bytes.byteLength}\n`);
        hash.update(bytes);
      }
    }
    this.#steps.push({ call, failure });
  }

  /** A context as planned: one that is in use already, or a new one. */
  carryOut(): ParsedContext {
    const key = this.#hash.digest("hex");
    const shared = contexts.get(key)?.deref();
    const context = shared ?? this.#make();
    if (shared === undefined) {
      contexts.set(key, new WeakRef(context));
      registry.register(context, { id: context.id, key });
    }
    if (this.isPublic) keep(context);
    return context;
  }

  #make(): ParsedContext {
    const id = core.tlsContextCreate();
    if (id < 0) throw new Error(`plait: no TLS context could be made: ${contextReason()}`);
    for (const { call, failure } of this.#steps) {
      if (call(id) >= 0) continue;
      const error = failure(contextReason());
      core.tlsContextFree(id);
      throw error;
    }
    return new ParsedContext(id, this.hasAuthorities, this.#policy.digest("hex"));
  }
}

/** A context of the core, which is freed when nobody has this object any more. */
export class ParsedContext {
  /** The core's number for it. */
  readonly id: number;
  /** Stands for what is checked of a peer: the same for contexts that check the same. */
  readonly policy: string;
  #trustsSomebody: boolean;
  #notices = 0;

  constructor(id: number, hasAuthorities: boolean, policy: string) {
    this.id = id;
    this.policy = policy;
    this.#trustsSomebody = hasAuthorities;
  }

  /** Has the core tell of sessions or lines for the key log from now on. */
  notify(notices: number): void {
    if ((this.#notices & notices) === notices) return;
    this.#notices |= notices;
    core.tlsContextNotices(this.id, this.#notices);
  }

  /** Loads the system's store, which takes some milliseconds, unless the context has its own. */
  loadTrust(): void {
    if (this.#trustsSomebody) return;
    for (const source of trustSources()) {
      let outcome: number;
      if ("bundle" in source) {
        const bytes = encoder.encode(source.bundle);
        outcome = core.tlsContextAuthorities(this.id, bytes, bytes.byteLength);
      } else {
        const path = encoder.encode(source.path);
        const isFolder = source.isFolder ? 1 : 0;
        outcome = core.tlsContextTrustPath(this.id, path, path.byteLength, isFolder);
      }
      if (outcome < 0) {
        const place = "path" in source ? source.path : "Bun's roots";
        throw materialFailure(`the certificates to trust in ${place}`, contextReason());
      }
    }
    this.#trustsSomebody = true;
  }
}

const contexts = new Map<string, WeakRef<ParsedContext>>();

const registry = new FinalizationRegistry(({ id, key }: { id: number; key: string }): void => {
  // The numbers of a retired scheduler are those of other contexts now.
  if (isCurrent()) core.tlsContextFree(id);
  if (contexts.get(key)?.deref() === undefined) contexts.delete(key);
});

/** The last ones that were used and hold no secrets: the store of the system takes long to parse. */
const kept: ParsedContext[] = [];
const keptAtMost = 8;

function keep(context: ParsedContext): void {
  if (kept.at(-1) === context) return;
  const index = kept.indexOf(context);
  if (index >= 0) kept.splice(index, 1);
  else if (kept.length === keptAtMost) kept.shift();
  kept.push(context);
}
