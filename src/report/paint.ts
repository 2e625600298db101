/** Colours of a terminal (ECMA-48, "select graphic rendition"). */

type Style = (text: string) => string;

export interface Paint {
  readonly heading: Style;
  readonly good: Style;
  readonly bad: Style;
  readonly faint: Style;
}

/** Styles that have an effect only if colours are wanted. */
export function painter(isColored: boolean): Paint {
  const style =
    (code: number): Style =>
    (text) =>
      isColored && text !== "" ? `\x1b[${code}m${text}\x1b[0m` : text;
  return { heading: style(1), good: style(32), bad: style(31), faint: style(2) };
}
