/** Thresholds on what has changed between two runs: `p99<+5%`, `rate>-2%`, `errors<+0.1%`, `service.p50<+3ms`. */

export interface DifferenceThreshold {
  readonly text: string;
  /** The name of what is compared, such as `p99` or `service.mean`. */
  readonly quantity: string;
  /** Whether the limit is in percent. Of `errors` these are percentage points. */
  readonly isPercent: boolean;
  /** Whether a change holds it: in percent, or in milliseconds or per second. */
  holds(change: number): boolean;
}

const pattern =
  /^\s*(?<quantity>[a-z][\w.]*)\s*(?<operator><=|>=|<|>)\s*(?<limit>[+-]?\d+(?:\.\d+)?)\s*(?<unit>%|ms|us|s|\/s)?\s*$/;

/** Milliseconds of each unit of time. */
const scales: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };

/** @throws {RangeError} if the text is no such threshold, in a sentence that says what is right */
export function parseDifferenceThreshold(text: string): DifferenceThreshold {
  const { quantity, operator, limit, unit } = pattern.exec(text)?.groups ?? {};
  if (quantity === undefined || operator === undefined) {
    throw wrong(text, "write one like p99<+5%, rate>-2% or errors<+0.1%");
  }
  const name = quantity.replace(/^response\./, "");
  if (!isQuantity(name)) {
    throw wrong(text, `${quantity} is not rate, errors, mean, max or a percentile such as p99`);
  }
  const units = name === "rate" ? ["%", "/s"] : name === "errors" ? ["%"] : ["%", "ms", "us", "s"];
  if (unit === undefined || !units.includes(unit)) {
    throw wrong(text, `the limit of ${quantity} is in ${units.join(" or ")}`);
  }
  const bound = Number(limit) * (scales[unit] ?? 1);
  return { text, quantity: name, isPercent: unit === "%", holds: comparison(operator, bound) };
}

function isQuantity(name: string): boolean {
  if (name === "rate" || name === "errors") return true;
  const rest = name.replace(/^(service|wait)\./, "");
  if (rest === "mean" || rest === "max") return true;
  const percent = /^p(\d+(?:\.\d+)?)$/.exec(rest)?.[1];
  return percent !== undefined && Number(percent) > 0 && Number(percent) <= 100;
}

function comparison(operator: string, bound: number): (change: number) => boolean {
  if (operator === "<") return (change) => change < bound;
  if (operator === "<=") return (change) => change <= bound;
  return operator === ">" ? (change) => change > bound : (change) => change >= bound;
}

function wrong(text: string, advice: string): RangeError {
  return new RangeError(`"${text}" is no threshold on a difference: ${advice}`);
}
