export const COUNT: number;
export const FIBERS_TOGETHER: number;
export const FIBERS_PER_SCOPE: number;
export const CONTENDERS: number;
export const SLEEP_SAMPLES: number;
/** The median CPU time of one operation in nanoseconds, including the garbage collector's threads. */
export function medianCpuNs(
  work: (count: number) => Promise<void>,
  count: number,
  samples?: number,
): Promise<number>;
export function check(done: number, count: number): void;
/** Milliseconds from 1 to 100, the same in every program. */
export function sleepMs(index: number): number;
