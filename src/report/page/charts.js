/** A chart with its controls: views, the scale, what each line is, and the values under the cursor. */

/** @typedef {import("./data.ts").Chart} Chart */
/** @typedef {import("./data.ts").Axis} Axis */
/** @typedef {import("./data.ts").Line} Line */

/** All plots over time have the same cursor and zoom. */
const timeSync = "time";
/** Below it a logarithmic axis has nothing: a microsecond. */
const leastLogarithmic = 0.001;
const timeSteps = [
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800],
  ...[3600, 7200, 10_800, 21_600, 43_200, 86_400],
];
const axisFont = "12px system-ui, sans-serif";

/** What is common to charts of lines and heat maps. */
class Figure {
  /** @type {HTMLElement} */
  figure;
  /** @type {uPlot | undefined} */
  plot;
  /** Those of the lines. @type {string[]} */
  colours = [];
  view = 0;
  #area = element("div", { class: "plot", tabindex: "0", role: "group" });
  #tip = element("div", { class: "tip", hidden: "" });
  #index = -1;
  #isPointed = false;

  /**
   * @param {HTMLElement} figure
   * @param {string} label
   * @param {{ name: string }[]} views
   * @param {string} description for readers who do not see the picture
   */
  constructor(figure, label, views, description) {
    this.figure = figure;
    const caption = element("figcaption", {}, element("h3", {}, label));
    this.controls = element("div", { class: "controls" });
    caption.append(this.controls);
    this.legend = element("div", { class: "legend" });
    if (views.length > 1) this.controls.append(this.#viewChoice(label, views));
    this.resetButton = element(
      "button",
      { type: "button", class: "reset", hidden: "" },
      "Reset zoom",
    );
    this.resetButton.addEventListener("click", () => this.resetZoom());
    this.controls.append(this.resetButton);
    this.#area.setAttribute("aria-label", `${label}. ${description}`);
    figure.append(caption, this.legend, this.#area);
    this.#area.append(this.#tip);
    this.#area.addEventListener("keydown", (event) => this.#onKey(event));
    this.#area.addEventListener("blur", () => this.#hide());
    this.#area.addEventListener("pointerenter", () => {
      this.#isPointed = true;
    });
    this.#area.addEventListener("pointerleave", () => {
      this.#isPointed = false;
      this.#tip.hidden = true;
    });
    new ResizeObserver(() => this.#resize()).observe(this.#area);
  }

  /** Draws it anew: for another view, another scale, or another theme. */
  build() {
    const zoom = this.plot?.scales.x;
    const { min, max } = zoom ?? {};
    const wasZoomed = !this.resetButton.hidden;
    this.plot?.destroy();
    const { options, data } = this.describe();
    const { width, height } = this.#size();
    this.plot = new uPlot({ ...options, width, height }, data, this.#area);
    // The plot is behind the values under the cursor.
    this.#area.append(this.#tip);
    if (wasZoomed && min !== undefined && max !== undefined) this.plot.setScale("x", { min, max });
  }

  /** @returns {{ options: Omit<uPlot.Options, "width" | "height">, data: uPlot.AlignedData }} */
  describe() {
    throw new Error("a figure has nothing to draw");
  }

  /**
   * @param {number} _index
   * @returns {{ title: string, rows: { name: string, value: string, colour?: string }[] }}
   */
  valuesAt(_index) {
    return { title: "", rows: [] };
  }

  resetZoom() {
    const [first, last] = this.limits();
    for (const plot of this.isOverTime ? uPlot.sync(timeSync).plots : [this.plot]) {
      plot?.setScale("x", { min: first, max: last });
    }
  }

  get isOverTime() {
    return true;
  }

  /**
   * What all plots have in common.
   *
   * @param {Omit<uPlot.Options, "width" | "height">} options
   * @returns {Omit<uPlot.Options, "width" | "height">}
   */
  common(options) {
    return {
      ...options,
      legend: { show: false },
      padding: [10, 22, 0, 0],
      cursor: {
        points: {
          size: 8,
          fill: (_, line) => this.colours[line - 1] ?? "transparent",
        },
        drag: { x: true, y: false, dist: 5 },
        ...(this.isOverTime ? { sync: { key: timeSync, setSeries: false } } : {}),
        ...options.cursor,
      },
      hooks: {
        ...options.hooks,
        setCursor: [() => this.#showValues()],
        setScale: [(_, key) => key === "x" && this.#onZoom()],
      },
    };
  }

  /**
   * The ends of the horizontal axis.
   *
   * @returns {[number, number]}
   */
  limits() {
    throw new Error("a figure has no axis");
  }

  /**
   * What a plot's horizontal axis shows: all of it at first, where a plot proposes the span of its points.
   *
   * @param {uPlot} plot
   * @param {number | null} min
   * @param {number | null} max
   * @returns {[number, number]}
   */
  horizontalRange(plot, min, max) {
    const places = plot.data[0];
    const isWhole = min === places[0] && max === places.at(-1);
    return isWhole || min === null || max === null ? this.limits() : [min, max];
  }

  #onZoom() {
    const [first, last] = this.limits();
    const { min = first, max = last } = this.plot?.scales.x ?? {};
    const slack = (last - first) * 1e-6;
    this.resetButton.hidden = (min ?? first) <= first + slack && (max ?? last) >= last - slack;
  }

  /**
   * @param {string} label
   * @param {{ name: string }[]} views
   */
  #viewChoice(label, views) {
    const group = element("div", {
      class: "choice",
      role: "group",
      "aria-label": `What ${label} shows`,
    });
    const buttons = views.map(({ name }, index) => {
      const button = element(
        "button",
        { type: "button", "aria-pressed": String(index === 0) },
        name,
      );
      button.addEventListener("click", () => {
        this.view = index;
        for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
        this.build();
      });
      return button;
    });
    group.append(...buttons);
    return group;
  }

  #size() {
    const style = getComputedStyle(this.#area);
    return {
      width: Math.max(this.#area.clientWidth, 120),
      height: Number.parseFloat(style.height),
    };
  }

  #resize() {
    const { width, height } = this.#size();
    if (this.plot !== undefined && (width !== this.plot.width || height !== this.plot.height)) {
      this.plot.setSize({ width, height });
    }
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const plot = this.plot;
    const places = plot?.data[0];
    if (plot === undefined || places === undefined || places.length === 0) return;
    const last = places.length - 1;
    const from = plot.cursor.idx ?? this.#index;
    const steps = event.shiftKey ? 10 : 1;
    /** @type {Record<string, number>} */
    const targets = { ArrowLeft: from - steps, ArrowRight: from + steps, Home: 0, End: last };
    if (event.key === "Escape") return this.#hide();
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.#index = Math.min(Math.max(target, 0), last);
    this.#isPointed = true;
    this.#tip.setAttribute("aria-live", "polite");
    const left = plot.valToPos(places[this.#index] ?? 0, "x");
    plot.setCursor({ left, top: plot.over.clientHeight / 3 });
  }

  #hide() {
    this.#isPointed = false;
    this.#tip.hidden = true;
    this.plot?.setCursor({ left: -10, top: -10 });
  }

  #showValues() {
    const { idx, left = -1 } = this.plot?.cursor ?? {};
    if (!this.#isPointed || idx === null || idx === undefined || left < 0 || !this.plot) {
      this.#tip.hidden = true;
      return;
    }
    const { title, rows } = this.valuesAt(idx);
    const list = element("dl");
    for (const { name, value, colour } of rows) {
      const swatch = element("span", { class: "swatch" });
      if (colour === undefined) swatch.hidden = true;
      else swatch.style.background = colour;
      list.append(element("dt", {}, swatch, name), element("dd", {}, value));
    }
    this.#tip.replaceChildren(element("p", {}, title), list);
    this.#tip.hidden = false;
    const over = this.plot.over;
    const room = this.#area.clientWidth;
    const width = this.#tip.offsetWidth;
    const at = over.offsetLeft + left;
    // Beside the cursor, on the side that has more room.
    const wanted = at > room / 2 ? at - width - 14 : at + 14;
    this.#tip.style.left = `${Math.min(Math.max(wanted, 0), Math.max(room - width, 0))}px`;
  }
}

class LineChart extends Figure {
  /** @type {Chart} */
  #chart;
  /** @type {Axis} */
  #axis;
  #isLogarithmic;
  /** The names of lines that a reader has hidden or asked for. @type {Map<string, boolean>} */
  #shown = new Map();

  /**
   * @param {HTMLElement} figure
   * @param {Chart} chart
   * @param {Axis} axis
   */
  constructor(figure, chart, axis) {
    const names = chart.views[0]?.lines.map(({ name }) => name).join(", ") ?? "";
    super(
      figure,
      chart.label,
      [...chart.views],
      `Lines: ${names}. Arrow keys move through the values.`,
    );
    this.#chart = chart;
    this.#axis = axis;
    this.#isLogarithmic = chart.logarithmic;
    if (chart.views.some(({ unit }) => unit === "ms")) this.controls.prepend(this.#scaleChoice());
    this.build();
  }

  /** @override */
  build() {
    super.build();
    this.#buildLegend();
  }

  /** @override */
  get isOverTime() {
    return this.#axis.kind === "time";
  }

  /**
   * @override
   * @returns {[number, number]}
   */
  limits() {
    const { kind, places, starts = places, ends = places } = this.#axis;
    const [first = 0, last = 1] = [starts[0], ends.at(-1)];
    return first < last ? [first, last] : [first, kind === "time" ? first + 1 : first * 2];
  }

  get #view() {
    return /** @type {import("./data.ts").View} */ (this.#chart.views[this.view]);
  }

  /** @param {Line} line */
  #isShown(line) {
    return this.#shown.get(line.name) ?? line.hidden !== true;
  }

  /** @override */
  describe() {
    const { unit, lines } = this.#view;
    const isLogarithmic = this.#isLogarithmic && unit === "ms";
    const isPercentile = this.#axis.kind === "percentile";
    const places = [...this.#axis.places];
    const few = places.length < 40;
    this.colours = lines.map(({ colour }) => colourOf(colour));
    /** @type {uPlot.Series[]} */
    const series = lines.map((line) => ({
      label: line.name,
      show: this.#isShown(line),
      stroke: line.wide ? paleColourOf(line.colour, 0.55) : colourOf(line.colour),
      width: line.wide ? 6 : 1.8,
      ...(line.dashed ? { dash: [6, 4] } : {}),
      spanGaps: line.connected === true,
      ...(line.filled ? { fill: paleColourOf(line.colour, 0.16) } : {}),
      points: { show: few && !isPercentile && !line.dashed, size: 5, fill: colourOf("card") },
    }));
    const options = this.common({
      series: [{}, ...series],
      scales: {
        x: {
          time: false,
          distr: isPercentile ? 3 : 1,
          range: (plot, min, max) => this.horizontalRange(plot, min, max),
        },
        y: isLogarithmic
          ? { distr: 3, range: (_, min, max) => logarithmicRange(min, max) }
          : { range: (_, min, max) => linearRange(unit, min, max) },
      },
      axes: [isPercentile ? percentileAxis() : timeAxis(), valueAxis(unit, isLogarithmic)],
      cursor: { y: false },
    });
    const values = lines.map(({ values }) =>
      isLogarithmic
        ? values.map((value) => (value !== null && value >= leastLogarithmic ? value : null))
        : [...values],
    );
    return { options, data: /** @type {uPlot.AlignedData} */ ([places, ...values]) };
  }

  /**
   * @override
   * @param {number} index
   */
  valuesAt(index) {
    const { kind, places, starts, ends } = this.#axis;
    const { unit, lines } = this.#view;
    const shown = lines.filter((line) => this.#isShown(line));
    const title =
      kind === "percentile"
        ? `Percentile ${percentileText(places[index] ?? 1)}`
        : starts === undefined
          ? clockText(places[index] ?? 0)
          : `${clockText(starts[index] ?? 0)} to ${clockText(ends?.[index] ?? 0)}`;
    const rows = shown.flatMap(({ name, values, colour }) => {
      const value = values[index];
      if (value === null || value === undefined) return [];
      return [{ name, value: texts[unit](value), colour: colourOf(colour) }];
    });
    return { title, rows };
  }

  #scaleChoice() {
    const box = element("input", { type: "checkbox" });
    box.checked = this.#isLogarithmic;
    box.addEventListener("change", () => {
      this.#isLogarithmic = box.checked;
      this.build();
    });
    return element("label", { class: "scale" }, box, "Logarithmic");
  }

  #buildLegend() {
    const { lines } = this.#view;
    this.legend.hidden = lines.length < 2;
    const buttons = lines.map((line, index) => {
      const swatch = element("span", { class: line.dashed ? "swatch dashed" : "swatch" });
      swatch.style.background = colourOf(line.colour);
      const button = element("button", { type: "button", title: "Double click: this one alone" });
      button.append(swatch, line.name);
      const show = (/** @type {boolean} */ isShown) => {
        this.#shown.set(line.name, isShown);
        button.setAttribute("aria-pressed", String(isShown));
        this.plot?.setSeries(index + 1, { show: isShown });
      };
      button.setAttribute("aria-pressed", String(this.#isShown(line)));
      button.addEventListener("click", () => show(!this.#isShown(line)));
      return { line, button, show };
    });
    for (const { line, button } of buttons) {
      button.addEventListener("dblclick", () => {
        for (const each of buttons) each.show(each.line === line);
      });
    }
    this.legend.replaceChildren(...buttons.map(({ button }) => button));
  }
}

class HeatChart extends Figure {
  /** @type {HeatMap} */
  #map;
  /** @type {HeatCells | undefined} */
  #cells;

  /**
   * @param {HTMLElement} figure
   * @param {HeatMap} map
   */
  constructor(figure, map) {
    super(figure, map.label, [...map.views], "A heat map. Arrow keys move through its columns.");
    this.#map = map;
    const steps = Array.from({ length: heatSteps }, (_, step) => {
      const cell = element("span", { class: "heat" });
      cell.style.background = `var(--heat-${step})`;
      return cell;
    });
    const scale = element("span", { class: "heat-scale", "aria-hidden": "true" }, ...steps);
    this.legend.append(element("span", {}, "few"), scale, element("span", {}, "many"));
    this.build();
  }

  /** @override */
  describe() {
    const { times, edges } = this.#map;
    const cells = new HeatCells(this.#map, this.view);
    this.#cells = cells;
    const places = times
      .slice(0, -1)
      .map((time, column) => (time + (times[column + 1] ?? time)) / 2);
    const [low = 0.001, high = 1] = [edges[0], edges.at(-1)];
    const options = this.common({
      series: [{}, { stroke: "transparent", points: { show: false } }],
      scales: {
        x: { time: false, range: (plot, min, max) => this.horizontalRange(plot, min, max) },
        y: { distr: 3, range: () => [low, high] },
      },
      axes: [
        { ...timeAxis(), grid: { show: false } },
        { ...valueAxis("ms", true), grid: { show: false } },
      ],
      cursor: { points: { show: false } },
      hooks: { drawClear: [(plot) => cells.draw(plot)] },
    });
    /** @type {uPlot.AlignedData} */
    const data = [places, places.map(() => null)];
    return { options, data };
  }

  /**
   * @override
   * @returns {[number, number]}
   */
  limits() {
    return [this.#map.times[0] ?? 0, this.#map.times.at(-1) ?? 1];
  }

  /**
   * @override
   * @param {number} index
   */
  valuesAt(index) {
    const top = this.plot?.cursor.top ?? -1;
    const milliseconds = top >= 0 ? this.plot?.posToVal(top, "y") : undefined;
    return this.#cells?.describe(index, milliseconds) ?? { title: "", rows: [] };
  }
}

/**
 * @param {number | null} min
 * @param {number | null} max
 * @returns {[number, number]}
 */
function logarithmicRange(min, max) {
  const low = Math.max(min ?? leastLogarithmic, leastLogarithmic);
  const high = Math.max(max ?? low, low * 1.5);
  // A little room, and a fifth of a decade at least.
  return [low / 1.12, Math.max(high * 1.12, low * 1.6)];
}

/** @returns {uPlot.Axis} */
function plainAxis() {
  return {
    stroke: colourOf("quiet"),
    font: axisFont,
    grid: { stroke: colourOf("grid"), width: 1 },
    ticks: { stroke: colourOf("grid"), width: 1, size: 5 },
  };
}

/** @returns {uPlot.Axis} */
function timeAxis() {
  return {
    ...plainAxis(),
    size: 30,
    space: 56,
    incrs: timeSteps,
    values: (_, splits) => splits.map((split) => clockText(split, (splits.at(-1) ?? 0) >= 120)),
  };
}

/** @returns {uPlot.Axis} */
function percentileAxis() {
  return {
    ...plainAxis(),
    size: 30,
    splits: (plot, _, min, max) => {
      const decades = Math.log10(max / min) || 1;
      const room = plot.bbox.width / devicePixelRatio / decades;
      const marks = [];
      for (let place = 1; place <= max * 1.0001; place *= 10) {
        marks.push(place);
        // Half of the way to the next nine, if there is room.
        if (place === 1 && room > 130) marks.push(2, 4);
        else if (room > 190) marks.push(place * 2, place * 5);
      }
      return marks.filter((mark) => mark >= min && mark <= max);
    },
    filter: (_, splits) => splits,
    values: (_, splits) => splits.map((split) => percentileText(split).replace(" ", "")),
  };
}

/**
 * @param {Unit} unit
 * @param {boolean} isLogarithmic
 * @returns {uPlot.Axis}
 */
function valueAxis(unit, isLogarithmic) {
  return {
    ...plainAxis(),
    size: (_, values) => {
      const longest = Math.max(...(values ?? []).map((value) => value?.length ?? 0), 4);
      return 14 + longest * 6.6;
    },
    values: (_, splits) => splits.map((split) => texts[unit](split)),
    ...(isLogarithmic
      ? {
          splits: (_, __, min, max) => logarithmicMarks(min, max),
          filter: (_, splits) => splits,
        }
      : {}),
  };
}

/**
 * Powers of ten, and 2 and 5 times them where there are few.
 *
 * @param {number} min
 * @param {number} max
 */
function logarithmicMarks(min, max) {
  const decades = Math.log10(max / min);
  const factors =
    decades > 3.2 ? [1] : decades > 0.7 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  const marks = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power++) {
    for (const factor of factors) marks.push(Number((factor * 10 ** power).toPrecision(3)));
  }
  return marks.filter((mark) => mark >= min && mark <= max);
}

/**
 * From 0 on. Shares have an axis to 100 % at least.
 *
 * @param {Unit} unit
 * @param {number | null} min
 * @param {number | null} max
 * @returns {[number, number]}
 */
function linearRange(unit, min, max) {
  const most = (max || 1) * 1.06;
  return [Math.min(min ?? 0, 0), unit === "share" ? Math.max(most, 1) : most];
}
