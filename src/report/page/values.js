/** Elements, colours, and how values are written. The scripts of the page share one scope, in the order of document.ts. */

/** @typedef {import("./data.ts").PageData} PageData */
/** @typedef {import("./data.ts").Unit} Unit */

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} content
 * @returns {HTMLElementTagNameMap[Name]}
 */
function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...content);
  return made;
}

const probe = element("span", { hidden: "" });

/**
 * A colour of page.css as the theme has it now.
 *
 * @param {string} name
 * @returns {string}
 */
function colourOf(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/**
 * The same colour, partly transparent.
 *
 * @param {string} name
 * @param {number} alpha
 * @returns {string}
 */
function paleColourOf(name, alpha) {
  return `color-mix(in srgb, ${colourOf(name)} ${alpha * 100}%, transparent)`;
}

const threeDigits = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** @type {Record<Unit, (value: number) => string>} */
const texts = {
  ms: (value) => {
    if (value === 0) return "0 ms";
    if (value < 0.9995) return `${threeDigits.format(value * 1000)} µs`;
    if (value < 999.5) return `${threeDigits.format(value)} ms`;
    return `${threeDigits.format(value / 1000)} s`;
  },
  "/s": (value) => `${numberText(value)}/s`,
  "B/s": (value) => `${bytesText(value)}/s`,
  "": numberText,
  share: (value) => `${threeDigits.format(value * 100)} %`,
};

/** @param {number} value */
function numberText(value) {
  return Math.abs(value) < 100 ? threeDigits.format(value) : whole.format(value);
}

/** @param {number} value */
function bytesText(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let rest = value;
  for (; rest >= 999.5 && unit < units.length - 1; unit++) rest /= 1000;
  return `${threeDigits.format(rest)} ${units[unit]}`;
}

/**
 * A time from the start of the run. Below two minutes it is in seconds, if it does not stand among longer ones.
 *
 * @param {number} seconds
 * @param {boolean} isLong
 */
function clockText(seconds, isLong = seconds >= 120) {
  if (!isLong) return `${Number(seconds.toFixed(3))} s`;
  const rest = Math.round(seconds);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const minutes = `${two(Math.floor((rest % 3600) / 60))}:${two(rest % 60)}`;
  return rest < 3600 ? minutes : `${Math.floor(rest / 3600)}:${minutes}`;
}

/**
 * The percentile at a place of its axis: 1000 is 99.9 %.
 *
 * @param {number} place
 */
function percentileText(place) {
  const percent = 100 * (1 - 1 / place);
  const digits = Math.max(Math.ceil(Math.log10(place) - 1e-9), 1);
  return `${Number(percent.toFixed(digits))} %`;
}
