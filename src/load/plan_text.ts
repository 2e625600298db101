/** The shape of a run in words. */

import { duration } from "./durations.ts";
import type { Plan } from "./plan.ts";

/** Such as `closed loop, 10 s`, `20000/s, Poisson, 30 s`, `10 s to 1000/s, 30 s to 20000/s`. */
export function shapeText({ shape, iterations }: Plan): string {
  const most = iterations === Number.MAX_SAFE_INTEGER ? [] : [`${iterations} iterations`];
  const time = (ms: number): string[] => (Number.isFinite(ms) ? [duration(ms)] : []);
  switch (shape.kind) {
    case "closed":
      return ["closed loop", ...time(shape.milliseconds), ...most].join(", ");
    case "times":
      return [`replay of ${shape.times.length}`, ...time(shape.times.at(-1) ?? 0)].join(", ");
    case "connections": {
      const stages = shape.stages.map(
        ({ milliseconds, to }) => `${duration(milliseconds)} to ${to}`,
      );
      return ["closed loop", `${stages.join(", ")} connections`, ...most].join(", ");
    }
    case "rate": {
      const poisson = shape.isPoisson ? ["Poisson"] : [];
      const [first] = shape.stages;
      if (shape.stages.length === 1 && first !== undefined && first.from === first.to) {
        return [`${first.to}/s`, ...poisson, ...time(first.milliseconds), ...most].join(", ");
      }
      const stages = shape.stages.map(
        ({ milliseconds, to }) => `${duration(milliseconds)} to ${to}/s`,
      );
      return [...stages, ...poisson, ...most].join(", ");
    }
  }
}
