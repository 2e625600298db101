/**
 * The core's functions and the memory that it shares. The only file that knows `bun:ffi`.
 *
 * Each function returns a value of 0 or more, or a negated `Status`; zig/boundary/exports.zig and
 * zig/boundary/tls_exports.zig document them.
 */

import { type ConvertFns, dlopen, ptr, toArrayBuffer } from "bun:ffi";
import { drainMicrotasks as drain } from "bun:jsc";
import { abiNumber, Shared, Status, symbols } from "./abi.ts";
import { environmentVariable } from "./environment.ts";
import { abiFailure, findLibrary, type Library, loadFailure } from "./library.ts";

type Exports = ConvertFns<typeof symbols>;
type Prefix = "plait_";
type Core = {
  readonly [Name in keyof Exports as Name extends `${Prefix}${infer Rest}`
    ? Rest
    : never]: Exports[Name];
};

/** Where the library is in memory. Two paths may lead to one file, which is loaded once. */
let libraryAddress: number | undefined;

function load(): Core {
  const found = findLibrary();
  const library = open(found);
  const number = library.symbols.plait_abi();
  if (number !== abiNumber) throw abiFailure(found, number);
  libraryAddress = (library.symbols.plait_abi as { readonly ptr?: number }).ptr;
  const prefix: Prefix = "plait_";
  const isTraced = environmentVariable("PLAIT_TRACE") !== undefined;
  const entries = Object.entries(library.symbols).map(([name, call]) => {
    const short = name.slice(prefix.length);
    return [short, isTraced ? traced(short, call, symbols[name as keyof Exports]) : call];
  });
  return Object.fromEntries(entries) as Core;
}

/** Loads the library. Only `plait_abi` may be called before the number is compared: it never changes. */
function open(found: Library): ReturnType<typeof dlopen<typeof symbols>> {
  try {
    return dlopen(found.path, symbols);
  } catch (error) {
    const { code, message } = error as Error & { readonly code?: string };
    if (code === "ERR_DLOPEN_FAILED") throw loadFailure(found, message);
    // A function is missing.
    throw abiFailure(found, numberOf(found.path));
  }
}

/** The ABI number of a library. Undefined for one without. */
function numberOf(path: string): number | undefined {
  try {
    return dlopen(path, { plait_abi: symbols.plait_abi }).symbols.plait_abi();
  } catch {
    return undefined;
  }
}

/** `PLAIT_TRACE=1`: writes every call of the core with its arguments and its result to stderr. */
function traced(
  name: string,
  call: (...values: never[]) => unknown,
  { args, returns }: { readonly args: readonly string[]; readonly returns: string },
): (...values: never[]) => unknown {
  const write = console.error;
  const statuses = Object.fromEntries(Object.entries(Status).map(([key, value]) => [-value, key]));
  const text = (value: unknown, type: string | undefined): unknown => {
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    return type === "ptr" && value !== null ? `0x${Number(value).toString(16)}` : value;
  };
  return (...values) => {
    const result = call(...values);
    const shown = Number(result) < 0 ? (statuses[Number(result)] ?? result) : text(result, returns);
    const list = values.map((value, index) => text(value, args[index])).join(", ");
    write(`plait: ${name}(${list})${returns === "void" ? "" : ` = ${shown}`}`);
    return result;
  };
}

export const core: Core = load();

/** An evaluation of this module. */
interface Instance {
  readonly module: string;
  retire?: () => void;
}

// A library has a scheduler for each thread, and each Worker evaluates this module anew. `bun --hot` evaluates it
// again in the same thread: then the new scheduler replaces the old one. Another installed copy of plait has a
// library of its own, and so a scheduler beside this one.
const shared: { [key: symbol]: Map<number | undefined, Instance> | undefined } = globalThis;
const instances = (shared[Symbol.for("plait.instances")] ??= new Map());
const instance: Instance = { module: import.meta.path };
const before = instances.get(libraryAddress);
if (before !== undefined && before.module !== instance.module) {
  const copies = `${before.module} and ${instance.module}`;
  throw new Error(
    `plait is loaded twice in this thread, from ${copies}, with one library: let all import one copy (\`bun pm ls --all\` lists them)`,
  );
}
before?.retire?.();
instances.set(libraryAddress, instance);

/** Sets a function that is called when a newer instance of this module replaces this one. */
export function onReplaced(retire: () => void): void {
  instance.retire = retire;
}

if (core.open() < 0) {
  throw new Error("plait: the scheduler could not be made: no descriptors or no memory are left");
}

const sharedPointer = core.shared();
if (sharedPointer === null) throw new Error("plait: the scheduler has no shared memory");
const sharedMemory = toArrayBuffer(sharedPointer, 0, Shared.bytes);

/** The shared block by type; `Shared` has the indices. */
export const sharedInt32 = new Int32Array(sharedMemory);
export const sharedUint32 = new Uint32Array(sharedMemory);
export const sharedFloat64 = new Float64Array(sharedMemory);

/** The address of a view's memory. It is valid until the view is detached or collected. */
export const addressOf = ptr as (view: Uint8Array) => number;

/** Runs all microtasks, and those that they add. */
export const drainMicrotasks: () => void = drain;
