/**
 * Waits until a condition holds, by checking it repeatedly. Fails when it does not hold within the
 * limit.
 */
export async function pollUntil(
  what: string,
  holds: () => boolean | Promise<boolean>,
  milliseconds = 4000,
): Promise<void> {
  const limit = performance.now() + milliseconds;
  while (!(await holds())) {
    if (performance.now() > limit) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await Bun.sleep(2);
  }
}
