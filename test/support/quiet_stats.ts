import { type Stats, stats } from "../../index.ts";
import { pollUntil } from "./poll.ts";

/** The counters when no socket of an earlier test lingers any more. */
export async function quietStats(): Promise<Stats> {
  await pollUntil("nothing lingers", () => stats().lingering === 0, 6000);
  return stats();
}
