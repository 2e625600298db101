/** Where a listener listens: the part of its options that opens the listening socket. */

import { Endpoint, ListenFlags } from "../core/abi.ts";
import { core } from "../core/native.ts";
import {
  checkedInteger,
  checkedPort,
  joinedOptions,
  refuseOptions,
  typeMistake,
} from "../values/checks.ts";
import { never } from "../values/deadlines.ts";
import { codeOf, SocketError } from "../values/errors.ts";
import { byteLengthOf } from "../values/views.ts";
import { addressPort, addressText } from "./addresses.ts";
import { checkPath } from "./connect.ts";
import { addressesOf, checkName, literalVersion } from "./names.ts";

/** Where to listen: a port, a path or a descriptor. */
export interface ListenPlace {
  /**
   * The address or name to listen at. If not given, or `::`, all addresses of the machine, IPv6 and IPv4.
   * An IPv4-mapped IPv6 address (`::ffff:127.0.0.1`) accepts the IPv4 clients of that address.
   */
  host?: string | undefined;
  /** 0 picks a free port, which `Listener.port` has. */
  port?: number | undefined;
  /**
   * A Unix socket instead: as for `connect`. The file of a path is removed when the listener is closed,
   * even if a relative path begins at a current folder that has changed by then.
   */
  path?: string | undefined;
  /**
   * A descriptor that listens already, such as one that a service manager passes. It keeps its own
   * backlog unless one is given here.
   */
  fd?: number | undefined;
  /** Connections that the kernel completes ahead of `accept`; as many as the system allows. */
  backlog?: number | undefined;
  /** Lets several processes or Workers listen at the same port (SO_REUSEPORT). */
  reusePort?: boolean | undefined;
}

const encoder = new TextEncoder();
const defaultBacklog = 4096;

/**
 * @internal Reserves an address and a port without listening there. Until the handle is closed, only
 *   listeners with `reusePort` can use them.
 */
export async function reserve(
  options: Pick<ListenPlace, "host" | "port" | "backlog">,
): Promise<{ handle: number; address: string; port: number }> {
  const reserving = joinedOptions<ListenPlace>(options, { reusePort: true });
  const handle = await listeningHandle(reserving, ListenFlags.reserve);
  const address = addressText(handle, Endpoint.local) ?? "";
  return { handle, address, port: addressPort() ?? 0 };
}

/** Opens the listening socket. The options have no prototype, like those of `ownOptions`. */
export async function listeningHandle(options: ListenPlace, furtherFlags = 0): Promise<number> {
  const { host, port, path, fd, reusePort = false } = options;
  const backlog = checkedInteger(options.backlog ?? defaultBacklog, "backlog", 1, 0x7fff_ffff);
  const ways = [path, fd, port].filter((way) => way !== undefined).length;
  if (ways !== 1) throw typeMistake("listen needs one of port, path and fd");
  if (path !== undefined) refuseOptions(options, ["host", "reusePort"], "path");
  if (fd !== undefined) refuseOptions(options, ["host", "reusePort"], "fd");

  if (fd !== undefined) {
    checkedInteger(fd, "a descriptor", 0, 0x7fff_ffff);
    return checkedHandle(
      core.adoptListener(fd, options.backlog === undefined ? 0 : backlog),
      `fd ${fd}`,
      undefined,
    );
  }
  if (path !== undefined) {
    const bytes = encoder.encode(checkPath(path));
    return checkedHandle(core.listenPath(bytes, byteLengthOf(bytes), backlog), path, undefined);
  }
  const checked = checkedPort(port);
  const flags = (reusePort ? ListenFlags.reusePort : 0) | furtherFlags;
  if (host === undefined) {
    const handle = listenAt("::", checked, backlog, flags);
    // A machine without IPv6 has no such address.
    const hasNoIpv6 = ["EAFNOSUPPORT", "EADDRNOTAVAIL"].includes(handle < 0 ? codeOf(-handle) : "");
    if (hasNoIpv6)
      return checkedHandle(listenAt("0.0.0.0", checked, backlog, flags), "0.0.0.0", checked);
    return checkedHandle(handle, "::", checked);
  }
  if (typeof host !== "string" || host === "") throw typeMistake("host is an address or a name");
  if (literalVersion(host) !== 0) {
    // "::" in any of its spellings is every address of both families.
    const kinds = /^[:0]+$/.test(host) ? flags : flags | ListenFlags.ipv6Only;
    return checkedHandle(listenAt(host, checked, backlog, kinds), host, checked);
  }
  checkName(host);
  const addresses = await addressesOf(host, 0, never);
  // For a host with addresses of both families, IPv4 is expected to answer.
  const address = addresses.find((candidate) => literalVersion(candidate) === 4) ?? addresses[0];
  if (address === undefined)
    throw new SocketError("ENOTFOUND", { syscall: "listen", address: host });
  return checkedHandle(listenAt(address, checked, backlog, flags), address, checked);
}

function listenAt(address: string, port: number, backlog: number, flags: number): number {
  const bytes = encoder.encode(address);
  return core.listen(bytes, byteLengthOf(bytes), port, backlog, flags);
}

function checkedHandle(handle: number, address: string, port: number | undefined): number {
  if (handle >= 0) return handle;
  throw new SocketError(codeOf(-handle), { syscall: "listen", address, port });
}
