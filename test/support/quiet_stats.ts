import { type Stats, stats } from "../../index.ts";
import { pollUntil } from "./poll.ts";

/** The counters once no socket of an earlier test lingers, which would be gone a moment later. */
export async function quietStats(): Promise<Stats> {
  await pollUntil("nothing lingers", () => stats().lingering === 0, 6000);
  return stats();
}
