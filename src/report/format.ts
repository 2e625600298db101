/** Numbers as people read them, and tables of them, in plain text. */

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A count with a comma between thousands. */
export function shownCount(count: number): string {
  return grouped.format(count);
}

/** A rate with three digits or more; nothing is 0. */
export function shownRate(perSecond: number): string {
  if (perSecond === 0) return "0/s";
  return `${perSecond >= 999.5 ? shownCount(perSecond) : threeDigits(perSecond)}/s`;
}

/** A time in the unit that suits it, with three digits. */
export function shownTime(milliseconds: number): string {
  if (milliseconds === 0) return "0 ms";
  return inUnits(milliseconds * 1e6, ["ns", "us", "ms", "s"]);
}

/** Bytes in decimal units: 1 kB is 1,000 bytes. */
export function shownBytes(bytes: number): string {
  return bytes < 1000 ? `${Math.round(bytes)} B` : inUnits(bytes, ["B", "kB", "MB", "GB", "TB"]);
}

/** A part of a whole. Only nothing is shown as 0 %, and only the whole as 100 %. */
export function shownShare(part: number, whole: number): string {
  if (whole === 0) return "-";
  return shownPercent((part / whole) * 100);
}

export function shownPercent(percent: number): string {
  if (percent === 0 || percent === 100) return `${percent} %`;
  if (percent > 0 && percent < 0.01) return "<0.01 %";
  if (percent > 99.99 && percent < 100) return ">99.99 %";
  return `${percent.toFixed(2)} %`;
}

/** The units are each a thousand times the one before. */
function inUnits(value: number, units: readonly string[]): string {
  let scaled = value;
  let unit = 0;
  // 999.5 would be shown as 1000.
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${scaled >= 999.5 ? shownCount(scaled) : threeDigits(scaled)} ${units[unit]}`;
}

function threeDigits(value: number): string {
  return value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
}

/**
 * Text that came from elsewhere, such as a message of the target, in one line without control characters: they would
 * change what a terminal shows.
 */
export function printable(text: string): string {
  // Controls, and what makes a terminal write from right to left.
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
}

/** Text of at most so many columns; what is cut ends with dots. */
export function fitted(text: string, columns: number): string {
  if (Bun.stringWidth(text) <= columns) return text;
  return `${start(text, columns - 3)}...`;
}

/**
 * Words in lines of at most so many columns. The first line has one indent, the others have another. A word that is
 * longer than a line is cut.
 */
export function wrapped(text: string, columns: number, first = "", later = first): string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (let word of text.split(/ +/)) {
    if (!isEmpty && Bun.stringWidth(`${line} ${word}`) > columns) {
      lines.push(line);
      line = later;
      isEmpty = true;
    }
    for (; isEmpty && Bun.stringWidth(line + word) > columns; line = later) {
      const part = start(word, columns - Bun.stringWidth(line));
      lines.push(line + part);
      word = word.slice(part.length);
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}

/** The first characters of a text: as many as so many columns have room for, and at least one. */
function start(text: string, columns: number): string {
  let kept = "";
  for (const character of text) {
    if (kept !== "" && Bun.stringWidth(kept + character) > columns) break;
    kept += character;
  }
  return kept;
}

/**
 * Rows in columns, two spaces apart. The first one is text and starts at the left; it gets `first` columns, or fewer if
 * the lines would be longer than `columns`. The others end at the right.
 */
export function table(
  rows: readonly (readonly string[])[],
  first: number,
  columns: number,
): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, Bun.stringWidth(cell));
    }
  }
  const others = widths.slice(1).reduce((sum, width) => sum + 2 + width, 0);
  widths[0] = Math.max(Math.min(first, columns - others), leastFirst);
  return rows.map((row) => {
    const cells = row.map((cell, index) => {
      const text = index === 0 ? fitted(cell, widths[0]!) : cell;
      const space = " ".repeat(Math.max(widths[index]! - Bun.stringWidth(text), 0));
      return index === 0 ? text + space : space + text;
    });
    return cells.join("  ").trimEnd();
  });
}

/** A first column is never narrower. */
const leastFirst = 8;
