/** Listening handles, made as `net.Server` asks for them. */

import { ListenFlags, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { addressesOf, literalVersion } from "../net/names.ts";
import { never } from "../values/deadlines.ts";
import { codeOf } from "../values/errors.ts";
import { byteLengthOf } from "../values/views.ts";
import { checkedPath } from "./arguments.ts";
import { connectError, meaningOf, systemError } from "./errors.ts";

/** The target of a listen, checked: one of `fd`, `path` and `port`. */
export interface ListenTarget {
  readonly fd: number | undefined;
  readonly path: string | undefined;
  /** An address, or undefined for all addresses of the machine. */
  readonly host: string | undefined;
  readonly port: number;
  readonly backlog: number | undefined;
  readonly ipv6Only: boolean;
  readonly reusePort: boolean;
  /** Permissions of the path beside those that the process gives to new files. */
  readonly mode: number | undefined;
}

/** As Node's. */
const defaultBacklog = 511;
const encoder = new TextEncoder();

/** The address of a host name to listen at. */
export async function lookUpHost(host: string): Promise<string> {
  try {
    const addresses = await addressesOf(host, 0, never);
    // For a host with addresses of both families, IPv4 is expected to answer.
    return addresses.find((address) => literalVersion(address) === 4) ?? addresses[0]!;
  } catch (error) {
    throw connectError(error);
  }
}

/** Listens, and returns the handle. */
export function listeningHandle(target: ListenTarget): number {
  const { fd, path, port, host, backlog = defaultBacklog } = target;
  if (fd !== undefined) return checked(core.adoptListener(fd, target.backlog ?? 0), undefined, -1);
  if (path !== undefined) {
    const bytes = encoder.encode(checkedPath(path, "listen"));
    const handle = core.listenPath(bytes, byteLengthOf(bytes), backlog);
    // As libuv reports it: a folder is missing.
    return checked(-handle === Status.ENOENT ? -Status.EACCES : handle, path, -1);
  }
  let flags = target.reusePort ? ListenFlags.reusePort : 0;
  if (host === undefined) {
    const handle = listenAt(
      "::",
      port,
      backlog,
      target.ipv6Only ? flags | ListenFlags.ipv6Only : flags,
    );
    const code = handle < 0 ? codeOf(-handle) : "";
    // A machine without IPv6 has no such address.
    if (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL") return checked(handle, "::", port);
    return checked(listenAt("0.0.0.0", port, backlog, flags), "0.0.0.0", port);
  }
  const isEveryAddress = /^[:0]+$/.test(host);
  if (target.ipv6Only || (literalVersion(host) === 6 && !isEveryAddress))
    flags |= ListenFlags.ipv6Only;
  return checked(listenAt(host, port, backlog, flags), host, port);
}

function listenAt(address: string, port: number, backlog: number, flags: number): number {
  const bytes = encoder.encode(address);
  return core.listen(bytes, byteLengthOf(bytes), port, backlog, flags);
}

function checked(handle: number, address: string | undefined, port: number): number {
  if (handle >= 0) return handle;
  const code = codeOf(-handle);
  const place = { address, port: port < 0 ? undefined : port };
  throw systemError(code, "listen", place, meaningOf(code));
}
