/**
 * A Worker that is a thread of a run. To import this file starts it, in a thread whose `workerData` has an assignment,
 * and does nothing in any other: see the end of the file.
 *
 * From the source, this file is the script of the thread (`workerScript` in threads.ts). A bundle has no file of this
 * name: there the scenario's module, or the main module, is the script, and imports this file with "plait/load".
 */

import { reportOf } from "../process/error_reports.ts";
import { block } from "../runtime/block.ts";
import { typeMistake } from "../values/checks.ts";
import {
  assignment,
  handedScenario,
  type LoadAssignment,
  type ScenarioSource,
} from "./assignment.ts";
import type { Scenario } from "./context.ts";
import { loadExtras } from "./extras.ts";
import { Meter } from "./memory.ts";
import { LoadThread } from "./thread.ts";
import type { ThreadMessage } from "./threads.ts";

async function serve(given: LoadAssignment): Promise<void> {
  if (given.isTaken) return;
  given.isTaken = true;
  const { plan, port, thread } = given;
  const tell = (message: ThreadMessage): void => port.postMessage(message);
  try {
    const scenario = await scenarioOf(given.source);
    const extras = await loadExtras(plan);
    const run = new LoadThread(plan, thread, new Meter(given.memory), scenario, extras, {
      ready: (ready) => tell({ kind: "ready", ready }),
      failed: (outcome, example) => tell({ kind: "failure", outcome, example }),
    });
    const end = plan.driver === "blocking" ? block(() => run.run()) : await run.run();
    tell({ kind: "end", end });
  } catch (error) {
    tell({ kind: "error", error: reportOf(error) });
  }
}

async function scenarioOf(source: ScenarioSource): Promise<Scenario | undefined> {
  if (source.kind === "none") return undefined;
  // If the module is the script of this thread, it is still being loaded, and this waits for the end of that.
  const loaded = import(source.module) as Promise<{ default?: unknown }>;
  if (source.kind === "call") {
    // The module waits for its call of `load` for ever: only its failure counts.
    return await Promise.race([handedScenario, loaded.then(() => notCalled(source.call))]);
  }
  const { default: scenario } = await loaded;
  if (typeof scenario !== "function") {
    throw typeMistake(`the default export of ${source.module} is no function, which a scenario is`);
  }
  return scenario as Scenario;
}

function notCalled(call: number): never {
  throw new Error(
    `a Worker has run the main module again, as "threads" wants it, and it did not come to call ${call} of load: put the scenario into a module`,
  );
}

if (assignment !== undefined) void serve(assignment);
