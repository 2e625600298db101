/** Notices of the core about TLS connections: sessions and lines for the key log, to those who listen. */

import { AsyncLocalStorage } from "node:async_hooks";
import { Shared, TlsNotices, TlsText } from "../core/abi.ts";
import { core, sharedUint32 } from "../core/native.ts";
import { onTlsNotices } from "../runtime/scheduler.ts";
import { running } from "../runtime/wait.ts";
import { callProgram } from "../values/foreign_values.ts";
import { keyLogFile, logKeys } from "./key_log.ts";
import { tlsBytes, tlsText } from "./text.ts";

/** The callbacks of the program for one connection. */
export interface NoticeListeners {
  readonly onSession: ((session: Uint8Array) => void) | undefined;
  readonly onKeyLog: ((line: string) => void) | undefined;
}

interface ConnectionListeners extends NoticeListeners {
  /** Runs a function in the asynchronous context in which the handshake was begun. */
  readonly inContext: ReturnType<typeof AsyncLocalStorage.snapshot>;
}

/** By the connection's handle. */
const connections = new Map<number, ConnectionListeners>();

/** The notices that have a listener, as bits of `TlsNotices`. The core makes no others. */
export function noticesFor({ onSession, onKeyLog }: Partial<NoticeListeners>): number {
  const wantsKeys = onKeyLog !== undefined || keyLogFile() !== undefined;
  return (onSession ? TlsNotices.session : 0) | (wantsKeys ? TlsNotices.keyLog : 0);
}

/** Listens to a connection from now on. */
export function listenToNotices(handle: number, listeners: NoticeListeners): void {
  if (noticesFor(listeners) === 0) return;
  connections.set(handle, { ...listeners, inContext: AsyncLocalStorage.snapshot() });
}

/** Takes the notices of all connections from the core, and calls the functions that listen. */
export function takeTlsNotices(): void {
  if (sharedUint32[Shared.tlsNoticesUint32] === 0) return;
  for (let notice: number; (notice = core.tlsTakeNotice()) >= 0; ) {
    deliver(Math.floor(notice / 4), notice % 4);
  }
}

/** Takes the last notices of a connection that is about to be closed. */
export function endTlsNotices(handle: number): void {
  if (connections.size === 0 || !connections.has(handle)) return;
  takeTlsNotices();
  connections.delete(handle);
}

function deliver(handle: number, notices: number): void {
  const listeners = connections.get(handle);
  if (listeners === undefined) return;
  if (notices & TlsNotices.keyLog) {
    const lines = (tlsText(handle, TlsText.keyLog) ?? "").split("\n").filter((line) => line !== "");
    logKeys(lines);
    for (const line of lines) call(listeners, listeners.onKeyLog, line);
  }
  if (notices & TlsNotices.session) {
    const session = tlsBytes(handle, TlsText.session);
    if (session !== undefined && session.byteLength > 0) {
      call(listeners, listeners.onSession, session);
    }
  }
}

/** Calls a function of the program outside of all fibers. */
function call<T>(
  { inContext }: ConnectionListeners,
  callback: ((value: T) => void) | undefined,
  value: T,
): void {
  if (callback === undefined) return;
  callProgram(() => inContext(() => running.exit(callback, value)));
}

onTlsNotices(takeTlsNotices);
