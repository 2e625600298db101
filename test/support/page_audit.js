/** What a test asks about a page, from within it: whether it fits the screen, is readable, and has drawn its charts. */

/** By how many pixels the page is wider than the screen. */
function overflow() {
  const { scrollWidth, clientWidth } = document.documentElement;
  return Math.max(scrollWidth - clientWidth, 0);
}

/**
 * Texts whose contrast is below 4.5 to 1 (WCAG 2.2, 1.4.3).
 *
 * @returns {string[]}
 */
function faintTexts() {
  /** @param {string} colour as it was computed: `rgb(...)` or `rgba(...)` */
  const channels = (colour) => {
    const [red = 0, green = 0, blue = 0, alpha = 1] = (colour.match(/[\d.]+/g) ?? []).map(Number);
    return [red, green, blue, alpha];
  };
  /** @param {number[]} colour */
  const luminance = (colour) => {
    const [red = 0, green = 0, blue = 0] = colour.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  /** @param {Element | null} element @returns {number[]} */
  const background = (element) => {
    if (element === null) return [255, 255, 255, 1];
    const colour = channels(getComputedStyle(element).backgroundColor);
    return colour[3] === 0 ? background(element.parentElement) : colour;
  };
  const faint = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
    const element = node.parentElement;
    if (element === null || node.textContent?.trim() === "" || !element.checkVisibility()) continue;
    const colours = [channels(getComputedStyle(element).color), background(element)];
    const both = colours.map(luminance);
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (ratio < 4.5) faint.add(`${element.localName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...faint];
}

/**
 * For each chart its name and how many colours its canvas has: 0 without a canvas, and 1 or 2 if nothing is drawn.
 *
 * @returns {[name: string, colours: number][]}
 */
function drawnColours() {
  const figures = [...document.querySelectorAll("figure.chart")];
  return figures.map((figure) => {
    const { chart, heatMap } = /** @type {HTMLElement} */ (figure).dataset;
    const canvas = figure.querySelector("canvas");
    if (canvas === null) return [chart ?? `heat map ${heatMap}`, 0];
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext("2d", { willReadFrequently: true });
    context?.drawImage(canvas, 0, 0);
    const pixels = context?.getImageData(0, 0, copy.width, copy.height).data;
    const colours = new Set(pixels && new Uint32Array(pixels.buffer));
    return [chart ?? `heat map ${heatMap}`, colours.size];
  });
}
