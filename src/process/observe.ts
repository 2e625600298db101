/** The counters of a scheduler, and what every fiber waits for. */

import { Shared } from "../core/abi.ts";
import { core, sharedFloat64, sharedUint32 } from "../core/native.ts";
import { Fiber, fiberCounts, fibers } from "../runtime/fiber.ts";
import { ownDescriptorCount, waitCounts } from "../runtime/scheduler.ts";
import { type Scope, ScopeEnd, scopeOwner } from "../runtime/scope.ts";
import { outside, type WaitOwner, waitsOf } from "../runtime/wait.ts";
import { siteOf } from "../runtime/wait_sites.ts";
import { droppedHandshakes } from "../tls/handshake_places.ts";

/** Counters of the thread's scheduler. Those that only grow count from the start of the thread. */
export interface Stats {
  /** Fibers that have not ended. */
  fibers: number;
  /** Fibers that have started, those that have ended included. */
  fibersStarted: number;
  /** Waits that something outside of the thread can end, such as a socket or a deadline. */
  waiters: number;
  /** Open sockets, listeners, and descriptors of `waitReadable` and `waitWritable`. */
  sockets: number;
  /** Closed sockets that still deliver their last bytes. */
  lingering: number;
  /** How often the core has asked the kernel for events. */
  polls: number;
  /** Events that the kernel has reported. */
  events: number;
  /** Waits of that kind that have ended. */
  wakeups: number;
  /** Waits that have ended by their deadline, sleeps included. */
  timeouts: number;
  /** Connections that listeners have accepted. */
  accepted: number;
  /** Connections that `connect` has made. */
  connected: number;
  /** Bytes of all connections; with TLS, those within the records. */
  bytesReceived: number;
  /** As `bytesReceived`. */
  bytesSent: number;
  /** TLS handshakes that listeners gave up for newer ones (`maxHandshakes`). */
  handshakesDropped: number;
}

/** The counters of this thread, as they are now. Those of events and bytes count from its start. */
export function stats(): Stats {
  const { live, started } = fiberCounts();
  const { waiting, ended } = waitCounts();
  return {
    fibers: live,
    fibersStarted: started,
    waiters: waiting,
    sockets: sharedUint32[Shared.socketsUint32]! - ownDescriptorCount(),
    lingering: sharedUint32[Shared.lingeringUint32]!,
    polls: sharedFloat64[Shared.pollsFloat64]!,
    events: sharedFloat64[Shared.eventsFloat64]!,
    wakeups: ended,
    timeouts: sharedFloat64[Shared.timeoutsFloat64]!,
    accepted: sharedFloat64[Shared.acceptedFloat64]!,
    connected: sharedFloat64[Shared.connectedFloat64]!,
    bytesReceived: sharedFloat64[Shared.bytesReceivedFloat64]!,
    bytesSent: sharedFloat64[Shared.bytesSentFloat64]!,
    handshakesDropped: droppedHandshakes(),
  };
}

/**
 * Describes each live fiber in a line, the oldest first: its id and name, the peer if it is the handler
 * of a listener, its state, and for each of its waits the call, the peer, and the seconds so far. Below a
 * fiber that waits for a scope stand the fibers of that scope, indented. Waits outside of all fibers come
 * last, with their scopes. In a process that was started with `PLAIT_STACKS=1` each wait also shows its
 * line in the program, and errors of waits have the program's stack. Both cost more than most waits do.
 *
 *     #2 echo 127.0.0.1:40112 waiting: read 127.0.0.1:40112, 3.250 s
 *     #3 crawler waiting: scope crawl, 1.500 s
 *       #4 crawl waiting: join, 1.500 s
 *       #5 fetch waiting: connect 127.0.0.1:80, 1.500 s
 */
export function dump(): string {
  const time = core.now();
  const lines: string[] = [];
  // A name may be a getter of the program, which may start and end fibers.
  for (const fiber of [...fibers()]) {
    const owner = scopeOwner(fiber);
    const isShownElsewhere = owner === outside || (owner instanceof Fiber && !owner.hasEnded);
    if (!isShownElsewhere) describeTree([fiber], 0, time, lines);
  }
  const others = describeWaits(outside, time);
  if (others !== "") lines.push(`outside of fibers: ${others}`);
  describeTree(membersBelow(outside), 1, time, lines);
  return lines.join("\n");
}

/** A bound on the blanks, for scopes that nest without end. */
const deepestIndent = 50;

/**
 * Adds the lines of fibers and of all those below them. It does not recurse: scopes may nest deeper
 * than the stack.
 */
function describeTree(
  roots: Fiber<unknown>[],
  rootDepth: number,
  time: number,
  lines: string[],
): void {
  const remaining = roots.map((fiber) => ({ fiber, depth: rootDepth })).reverse();
  for (let next = remaining.pop(); next !== undefined; next = remaining.pop()) {
    const { fiber, depth } = next;
    lines.push("  ".repeat(Math.min(depth, deepestIndent)) + describeFiber(fiber, time));
    for (const member of membersBelow(fiber).reverse()) {
      remaining.push({ fiber: member, depth: depth + 1 });
    }
  }
}

/** The fibers of the scopes that an owner waits for, those of the oldest scope first. */
function membersBelow(owner: WaitOwner): Fiber<unknown>[] {
  const scopes: Scope[] = [];
  for (const { operation } of waitsOf(owner)) {
    if (operation instanceof ScopeEnd) scopes.push(operation.scope);
  }
  return scopes.flatMap((scope) => [...scope.members()]);
}

function describeFiber(fiber: Fiber<unknown>, time: number): string {
  const name = `${fiber.name || "(anonymous)"} ${fiber.place}`.trimEnd();
  const state = fiber.isCancelled ? `${fiber.state}, cancelled` : fiber.state;
  const waits = describeWaits(fiber, time);
  return waits === "" ? `#${fiber.id} ${name} ${state}` : `#${fiber.id} ${name} ${state}: ${waits}`;
}

function describeWaits(owner: WaitOwner, time: number): string {
  const waits: string[] = [];
  for (const wait of waitsOf(owner)) {
    const place = wait.place === "" ? "" : ` ${wait.place}`;
    const seconds = Math.max(time - wait.since, 0) / 1000;
    const { syscall } = wait.operation;
    waits.push(`${syscall}${place}, ${seconds.toFixed(3)} s ${siteOf(wait)}`.trimEnd());
  }
  return waits.join("; ");
}
