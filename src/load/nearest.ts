/** Finds what someone has probably meant by a name that does not exist. */

/** The name that is closest to a wrong one; undefined if none is close. Letters' case does not count. */
export function nearest(wrong: string, names: Iterable<string>): string | undefined {
  const text = wrong.toLowerCase().slice(0, 64);
  // A third of the letters may be wrong: more is another word.
  let least = Math.ceil(text.length / 3) + 1;
  let found: string | undefined;
  for (const name of names) {
    const edits = editsBetween(text, name.toLowerCase());
    if (edits < least) {
      least = edits;
      found = name;
    }
  }
  // Who has typed only the beginning of one name has meant that one.
  if (found !== undefined || text.length < 2) return found;
  const longer = [...names].filter((name) => name.toLowerCase().startsWith(text));
  return longer.length === 1 ? longer[0] : undefined;
}

/** The least number of letters to insert, remove, replace or swap with their neighbours (optimal string alignment). */
function editsBetween(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const edits = [row];
    for (let column = 1; column <= right.length; column++) {
      const isSame = left[row - 1] === right[column - 1];
      let best = Math.min(last[column]!, edits[column - 1]!) + 1;
      best = Math.min(best, last[column - 1]! + (isSame ? 0 : 1));
      const isSwapped =
        row > 1 &&
        column > 1 &&
        left[row - 1] === right[column - 2] &&
        left[row - 2] === right[column - 1];
      if (isSwapped) best = Math.min(best, beforeLast[column - 2]! + 1);
      edits.push(best);
    }
    beforeLast = last;
    last = edits;
  }
  return last[right.length]!;
}
