/** Draws the cells of a heat map into the plot that has its axes. */

/** @typedef {import("./data.ts").HeatMap} HeatMap */

/** The steps of the scale of colours, from few to many; page.css has the colours. */
const heatSteps = 8;

/** A cell with a single value still shows. */
const leastHeat = 0.08;

class HeatCells {
  /** @type {HeatMap} */
  #map;
  #columns;
  #most;
  #colours = /** @type {string[]} */ ([]);

  /**
   * @param {HeatMap} map
   * @param {number} view
   */
  constructor(map, view) {
    this.#map = map;
    this.#columns = map.views[view]?.columns ?? [];
    this.#most = Math.max(...this.#columns.map(([, ...counts]) => Math.max(...counts, 1)), 1);
    this.#colours = Array.from({ length: 64 }, (_, index) => mixedColour(index / 63));
  }

  /** @param {uPlot} plot */
  draw(plot) {
    const { ctx, bbox } = plot;
    const { times, edges } = this.#map;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const tops = edges.map((edge) => Math.round(plot.valToPos(edge, "y", true)));
    this.#columns.forEach(([first = 0, ...counts], column) => {
      const left = Math.round(plot.valToPos(times[column] ?? 0, "x", true));
      const right = Math.round(plot.valToPos(times[column + 1] ?? 0, "x", true));
      counts.forEach((count, index) => {
        if (count === 0) return;
        ctx.fillStyle = this.#colours[Math.round(this.#heatOf(count) * 63)] ?? "";
        const [bottom = 0, top = 0] = [tops[first + index], tops[first + index + 1]];
        ctx.fillRect(left, top, Math.max(right - left, 1), Math.max(bottom - top, 1));
      });
    });
    ctx.restore();
  }

  /**
   * What a reader sees of a column: its time, and the rows around a latency.
   *
   * @param {number} column
   * @param {number | undefined} milliseconds
   * @returns {{ title: string, rows: { name: string, value: string }[] }}
   */
  describe(column, milliseconds) {
    const { times, edges } = this.#map;
    const title = `${clockText(times[column] ?? 0)} to ${clockText(times[column + 1] ?? 0)}`;
    const [first = 0, ...counts] = this.#columns[column] ?? [];
    const total = counts.reduce((sum, count) => sum + count, 0);
    const rows = [{ name: "All", value: numberText(total) }];
    if (milliseconds !== undefined) {
      const row = edges.findLastIndex((edge) => edge <= milliseconds);
      if (row >= 0 && row < edges.length - 1) {
        const name = `${texts.ms(edges[row] ?? 0)} to ${texts.ms(edges[row + 1] ?? 0)}`;
        rows.unshift({ name, value: numberText(counts[row - first] ?? 0) });
      }
    }
    return { title, rows };
  }

  /** Logarithmic: a few slow ones among thousands are what a reader looks for. @param {number} count */
  #heatOf(count) {
    const share = Math.log1p(count) / Math.log1p(this.#most);
    return leastHeat + (1 - leastHeat) * share;
  }
}

/**
 * A colour of the scale, as the theme has it now.
 *
 * @param {number} heat from 0 to 1
 */
function mixedColour(heat) {
  const place = heat * (heatSteps - 1);
  const low = Math.min(Math.floor(place), heatSteps - 2);
  const [one, other] = [low, low + 1].map((step) => channelsOf(colourOf(`heat-${step}`)));
  const mixed = [0, 1, 2].map((channel) => {
    const [from = 0, to = 0] = [one?.[channel], other?.[channel]];
    return Math.round(from + (to - from) * (place - low));
  });
  return `rgb(${mixed.join(" ")})`;
}

/** @param {string} colour */
function channelsOf(colour) {
  return (colour.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
}
