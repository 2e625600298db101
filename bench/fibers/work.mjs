// What the programs in JavaScript share, on Bun and on Node: the amounts of work, and the timing.
// work.d.mts describes it.

/** Operations of each kind in one sample. Sleepers run all at once. */
export const COUNT = 100_000;
export const FIBERS_TOGETHER = 1_000;
export const FIBERS_PER_SCOPE = 4;
export const CONTENDERS = 10;

const WARMUP_SAMPLES = 2;
const SAMPLES = 7;
/** Fewer for sleepers, since each sample of them takes long. */
export const SLEEP_SAMPLES = 3;

/** Throws unless the work was done. */
export function check(done, count) {
  if (done !== count) throw new Error(`${done} of ${count} done`);
}

function median(values) {
  return values.sort((left, right) => left - right)[values.length >> 1];
}

export async function medianCpuNs(work, count, samples = SAMPLES) {
  const samplesNs = [];
  for (let sample = -WARMUP_SAMPLES; sample < samples; sample++) {
    const start = process.cpuUsage();
    await work(count);
    const { user, system } = process.cpuUsage(start);
    if (sample >= 0) samplesNs.push(((user + system) * 1000) / count);
  }
  return median(samplesNs);
}

export function sleepMs(index) {
  return 1 + ((index * 7919) % 100);
}
