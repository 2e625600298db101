/** Sessions and lines for the key log: from the core to the functions that are to be told. */

import { AsyncLocalStorage } from "node:async_hooks";
import { Shared, TlsText } from "../core/abi.ts";
import { core, sharedUint32 } from "../core/native.ts";
import { onTlsNotices } from "../runtime/scheduler.ts";
import { running } from "../runtime/wait.ts";
import { keyLogFile, logKeys, Notice } from "./key_log.ts";
import { tlsBytes, tlsText } from "./text.ts";

/** Who is to be told of a connection. */
export interface Told {
  readonly onSession: ((session: Uint8Array) => void) | undefined;
  readonly onKeyLog: ((line: string) => void) | undefined;
}

interface ToldInContext extends Told {
  /** Runs a function with the asynchronous context of whoever began the handshake. */
  readonly inContext: ReturnType<typeof AsyncLocalStorage.snapshot>;
}

const told = new Map<number, ToldInContext>();

/** What the core must tell of for somebody to hear it, as bits of `Notice`. */
export function noticesFor({ onSession, onKeyLog }: Partial<Told>): number {
  const wantsKeys = onKeyLog !== undefined || keyLogFile() !== undefined;
  return (onSession ? Notice.session : 0) | (wantsKeys ? Notice.keyLog : 0);
}

/** Tells of a connection from now on. */
export function tellOf(handle: number, who: Told): void {
  if (noticesFor(who) !== 0) told.set(handle, { ...who, inContext: AsyncLocalStorage.snapshot() });
}

/** Tells what there is to tell of any connection. */
export function takeTlsNotices(): void {
  if (sharedUint32[Shared.tlsNoticesUint32] === 0) return;
  for (let notice: number; (notice = core.tlsTakeNotice()) >= 0; ) {
    const handle = Math.floor(notice / 4);
    tell(handle, notice % 4);
  }
}

/** The connection is about to be closed: its last news come now or never. */
export function stopTelling(handle: number): void {
  if (told.size === 0 || !told.has(handle)) return;
  takeTlsNotices();
  told.delete(handle);
}

function tell(handle: number, notices: number): void {
  const who = told.get(handle);
  if (who === undefined) return;
  if (notices & Notice.keyLog) {
    const lines = (tlsText(handle, TlsText.keyLog) ?? "").split("\n").filter((line) => line !== "");
    logKeys(lines);
    for (const line of lines) call(who, who.onKeyLog, line);
  }
  if (notices & Notice.session) {
    const session = tlsBytes(handle, TlsText.session);
    if (session !== undefined && session.byteLength > 0) call(who, who.onSession, session);
  }
}

/** Calls a program's function outside of all fibers. */
function call<T>(
  { inContext }: ToldInContext,
  callback: ((value: T) => void) | undefined,
  value: T,
): void {
  if (callback === undefined) return;
  try {
    inContext(() => running.exit(callback, value));
  } catch (thrown) {
    // A mistake of the callback's own is nobody's here: it becomes an unhandled rejection.
    void Promise.reject(thrown);
  }
}

onTlsNotices(takeTlsNotices);
