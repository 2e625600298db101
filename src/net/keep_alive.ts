/** Settings of the kernel's keep-alive probes. */

import { checkedInteger, ownOptions } from "../values/checks.ts";

export interface KeepAliveOptions {
  /** Seconds of silence before the first probe. */
  idle?: number | undefined;
  /** Seconds between probes. */
  interval?: number | undefined;
  /** Probes without an answer that end the connection. */
  count?: number | undefined;
}

const keepAliveOptions: ReadonlySet<string> = new Set(["idle", "interval", "count"]);

/** Keep-alive settings as the core takes them: 0 is the default of the system. */
export function checkedKeepAlive(
  on: boolean | KeepAliveOptions,
): Record<keyof KeepAliveOptions, number> {
  if (typeof on === "boolean") return { idle: 0, interval: 0, count: 0 };
  const { idle = 0, interval = 0, count = 0 } = ownOptions(on, keepAliveOptions, "keepAlive");
  return {
    idle: checkedInteger(idle, "idle", 0, 32_767),
    interval: checkedInteger(interval, "interval", 0, 32_767),
    count: checkedInteger(count, "count", 0, 127),
  };
}
