export const COUNT: number;
export const FIBERS_TOGETHER: number;
export const FIBERS_PER_SCOPE: number;
export const CONTENDERS: number;
export const SLEEP_SAMPLES: number;
/** The median CPU time of one operation in nanoseconds, that of the collector's threads included. */
export function medianCpuNs(
  work: (count: number) => Promise<void>,
  count: number,
  samples?: number,
): Promise<number>;
export function check(done: number, count: number): void;
/** From 1 to 100 ms, the same in every program. */
export function sleepMs(index: number): number;
