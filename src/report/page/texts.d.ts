/** The files that a page consists of are imported as texts. */

declare module "*/page/page.css" {
  const text: string;
  export default text;
}

declare module "*/page/values.js" {
  const text: string;
  export default text;
}

declare module "*/page/charts.js" {
  const text: string;
  export default text;
}

declare module "*/page/heat_map.js" {
  const text: string;
  export default text;
}

declare module "*/page/page.js" {
  const text: string;
  export default text;
}

declare module "uplot/dist/uPlot.iife.min.js" {
  const text: string;
  export default text;
}

declare module "uplot/dist/uPlot.min.css" {
  const text: string;
  export default text;
}

declare module "uplot/LICENSE" {
  const text: string;
  export default text;
}
