import { networkInterfaces } from "node:os";

/**
 * Whether this machine has the address ::1. A test that is skipped without it prints the reason.
 */
export const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === "::1"),
);

if (!hasIpv6) console.warn("skipped: whatever needs IPv6, which this machine does not have");
