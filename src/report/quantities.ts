/** How pages and comparisons write times, counts, rates and sizes. */

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const threeDigits = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

/** A time in milliseconds, with three digits and the unit that suits: `730 µs`, `12.3 ms`, `1.05 s`, `2 min 5 s`. */
export function timeText(milliseconds: number): string {
  if (milliseconds === 0) return "0 ms";
  const size = Math.abs(milliseconds);
  if (size < 0.9995) return `${threeDigits.format(milliseconds * 1000)} µs`;
  if (size < 999.5) return `${threeDigits.format(milliseconds)} ms`;
  if (size < 119_500) return `${threeDigits.format(milliseconds / 1000)} s`;
  const seconds = Math.round(milliseconds / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}

export function countText(count: number): string {
  return whole.format(count);
}

/** Per second. Small rates have a fraction. */
export function rateText(perSecond: number): string {
  return `${numberText(perSecond)}/s`;
}

export function numberText(value: number): string {
  return Math.abs(value) < 100 ? threeDigits.format(value) : whole.format(value);
}

/** A share of which 1 is all: `0.42 %`. What is not all is never called 100 %, and what is some never 0 %. */
export function shareText(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 0.001) return "< 0.001 %";
  if (percent < 100 && percent >= 99.95)
    return `${(Math.floor(percent * 1000) / 1000).toString()} %`;
  return `${threeDigits.format(percent)} %`;
}

export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${threeDigits.format(value)} ${units[unit]}`;
}
