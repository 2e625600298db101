/** Java's tool for logs of HdrHistogram (Debian's libhdrhistogram-java), as another reader of what plait writes. */

import { existsSync } from "node:fs";
import { javaHistogram } from "../../scripts/peers.ts";
import { isInstalled } from "./installed_program.ts";
import { runCommand } from "./run_command.ts";

/** Whether it can be run. A test that is skipped without it prints the reason. */
export function isJavaHistogramInstalled(): boolean {
  const hasLibrary = existsSync(javaHistogram);
  if (!hasLibrary) console.warn(`skipped: ${javaHistogram} is not installed`);
  return isInstalled("java") && hasLibrary;
}

/** Runs HistogramLogProcessor. The machine's compiler would take longer than the work. */
export async function processLog(...options: string[]): Promise<string> {
  const java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"];
  const tool = ["-cp", javaHistogram, "org.HdrHistogram.HistogramLogProcessor"];
  const { text, stderr, exitCode } = await runCommand(
    [...java, ...tool, ...options],
    undefined,
    60_000,
  );
  if (exitCode !== 0) throw new Error(`HistogramLogProcessor: ${stderr}`);
  return text;
}
