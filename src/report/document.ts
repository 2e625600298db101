/// <reference path="./page/texts.d.ts" />
/** A page as one file that needs no other: its style, its script, its plots, and the reports that it shows. */

import plotScript from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import plotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import plotLicence from "uplot/LICENSE" with { type: "text" };
import { html, Markup, scriptJson } from "./markup.ts";
import charts from "./page/charts.js" with { type: "text" };
import type { PageData } from "./page/data.ts";
import heatMap from "./page/heat_map.js" with { type: "text" };
import style from "./page/page.css" with { type: "text" };
import main from "./page/page.js" with { type: "text" };
import values from "./page/values.js" with { type: "text" };

/** The page may load nothing, and run and show nothing but what is in it. */
const policy =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

export interface DocumentParts {
  readonly title: string;
  /** The sections, by the names of their anchors, in order. */
  readonly sections: readonly Section[];
  /** What stands above all sections. */
  readonly head: Markup;
  readonly data: PageData;
  /** The JSON of each report that the page has in it. */
  readonly reports: readonly string[];
}

export interface Section {
  readonly anchor: string;
  readonly title: string;
  readonly content: Markup;
}

export function documentText(parts: DocumentParts): string {
  const { title, sections, head, data, reports } = parts;
  // As classic scripts in one function they share their names, and leave none behind.
  const script = `"use strict";\n(() => {\n${[values, heatMap, charts, main].join("\n")}\n})();`;
  const links = sections.map(
    ({ anchor, title }) => html`<li><a href="#${anchor}">${title}</a></li>`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>
${new Markup(plotStyle)}
${new Markup(style)}
</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="bar">
<strong class="name">plait <span>load</span></strong>
<nav aria-label="Sections"><ul>${links}</ul></nav>
<button type="button" class="theme" hidden><span class="sign" aria-hidden="true"></span><span class="word"></span></button>
</header>
<main id="content" tabindex="-1">
${head}
<noscript><p class="note">The charts need JavaScript. The texts and tables do not.</p></noscript>
${sections.map(
  (section) => html`
<section id="${section.anchor}" aria-labelledby="${section.anchor}-title">
<h2 id="${section.anchor}-title">${section.title}</h2>
${section.content}
</section>
`,
)}
</main>
${reports.map(
  (report) => html`<script type="application/json" class="report">${scriptJson(report)}</script>
`,
)}<script type="application/json" id="data">${scriptJson(JSON.stringify(data))}</script>
<script>
/*
${new Markup(plotLicence)}*/
${new Markup(plotScript)}
${new Markup(script)}
</script>
</body>
</html>
`.text;
}

/** A table that scrolls by itself where it is wider than the screen. Titles of numbers begin with `#`. */
export function table(titles: readonly string[], rows: readonly Markup[], caption: string): Markup {
  const heads = titles.map((title) =>
    title.startsWith("#")
      ? html`<th scope="col" class="number">${title.slice(1)}</th>`
      : html`<th scope="col">${title}</th>`,
  );
  return html`<div class="table" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr>${heads}</tr></thead>
<tbody>
${rows}
</tbody></table></div>`;
}

/** Where the script draws the chart of this name. */
export function chartFigure(name: string, size = ""): Markup {
  return html`<figure class="chart ${size}" data-chart="${name}"></figure>`;
}

export function heatMapFigure(name: string): Markup {
  return html`<figure class="chart" data-heat-map="${name}"></figure>`;
}

/**
 * The JSON of the reports in a page that `documentText` has written; none if the text is another page.
 */
export function embeddedReports(page: string): readonly string[] {
  const pattern = /<script type="application\/json" class="report">([^<]*)<\/script>/g;
  return [...page.matchAll(pattern)].map(([, json]) => json!);
}
