import { listen } from "../../index.ts";

/**
 * A port of 127.0.0.1 that was free a moment ago, for programs that cannot pick one and report it.
 */
export async function freePort(): Promise<number> {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  return listener.port;
}
