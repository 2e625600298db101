/** What `load` and the command begin with: the options, and where the scenario comes from. */

import { nameOf } from "../runtime/fiber.ts";
import { typeMistake } from "../values/checks.ts";
import type { ScenarioSource } from "./assignment.ts";
import type { Scenario } from "./context.ts";
import { checkedLoad, type LoadOptions } from "./options.ts";
import { Run, type ScenarioPlace } from "./run.ts";

/**
 * Checks the options of a run.
 *
 * @param call which call of `load` it is in its thread, from 1 on
 * @throws {TypeError} {RangeError} {TlsError}
 */
export function prepareRun(
  options: LoadOptions,
  scenario: Scenario | undefined,
  call: number,
): Run {
  const runsHere = scenario !== undefined && options?.threads === undefined;
  const checked = checkedLoad(options, runsHere);
  const { module, plan } = checked;
  const given = [scenario, module, plan.replayed].filter((each) => each !== undefined);
  if (given.length > 1) throw typeMistake("load takes one of a function, a module and a replay");
  if (given.length === 0 && plan.target.protocol !== "http") {
    throw typeMistake(`the target ${plan.target.text} needs a scenario: a request is HTTP`);
  }
  const place: ScenarioPlace = runsHere
    ? { kind: "here", scenario }
    : { kind: "workers", source: sourceOf(module, scenario, call) };
  let name = `${plan.request.method} ${plan.target.path}`;
  if (scenario !== undefined) name = nameOf(scenario) || "a function";
  else if (module !== undefined)
    name = decodeURIComponent(module.slice(module.lastIndexOf("/") + 1));
  else if (plan.replayed !== undefined) name = `a recording of ${plan.replayed.length} requests`;
  return new Run(checked, name, place);
}

function sourceOf(
  module: string | undefined,
  scenario: Scenario | undefined,
  call: number,
): ScenarioSource {
  if (module !== undefined) return { kind: "module", module };
  if (scenario === undefined) return { kind: "none" };
  return { kind: "call", module: Bun.pathToFileURL(Bun.main).href, call };
}
