/** The addresses of sockets, as text. */

import { Limits, Shared } from "../core/abi.ts";
import { core, sharedUint32 } from "../core/native.ts";

const scratch = new Uint8Array(Limits.addressTextBytes);
const decoder = new TextDecoder();

/** The address of one end of a handle. `addressPort()` has its port until the next call. */
export function addressText(handle: number, end: number): string | undefined {
  const length = core.address(handle, end, scratch);
  return length < 0 ? undefined : decoder.decode(scratch.subarray(0, length));
}

/** The port of the last address; undefined for a path. */
export function addressPort(): number | undefined {
  const port = sharedUint32[Shared.addressPortUint32];
  return port === 0 ? undefined : port;
}
