/** What the script of a page draws. It is computed when the page is written, so that the script decodes no histogram. */

/** Milliseconds, a rate per second, bytes per second, a count, or a share, where 1 is all. */
export type Unit = "ms" | "/s" | "B/s" | "" | "share";

export interface Line {
  readonly name: string;
  /** The name of a colour of page.css. */
  readonly colour: string;
  /** One for each place on the axis; null where there is nothing to draw. */
  readonly values: readonly (number | null)[];
  readonly dashed?: boolean;
  /** Whether it is wide, so that a line above it does not cover it. */
  readonly wide?: boolean;
  /** Whether the line goes on over places without a value. */
  readonly connected?: boolean;
  /** Whether the area below is filled. */
  readonly filled?: boolean;
  /** Whether it is there only when a reader asks for it. */
  readonly hidden?: boolean;
}

/** Lines that are shown together. A reader chooses between the views of a chart. */
export interface View {
  readonly name: string;
  readonly unit: Unit;
  readonly lines: readonly Line[];
}

export interface Chart {
  readonly axis: string;
  readonly label: string;
  readonly views: readonly View[];
  /** Whether the vertical axis is logarithmic at first. */
  readonly logarithmic: boolean;
}

export interface Axis {
  /** Seconds from the start of the run, or 1 / (1 - quantile): 10 is the 90th percentile, 1000 the 99.9th. */
  readonly kind: "time" | "percentile";
  readonly places: readonly number[];
  /** Of a time axis: where the interval of each place begins and ends, in seconds. */
  readonly starts?: readonly number[];
  readonly ends?: readonly number[];
}

export interface HeatMap {
  readonly label: string;
  /** In seconds, one more than there are columns. */
  readonly times: readonly number[];
  /** In milliseconds, one more than there are rows, the least first. */
  readonly edges: readonly number[];
  readonly views: readonly {
    readonly name: string;
    /** For each column the number of its lowest row that has values, and the counts of the rows from there on. */
    readonly columns: readonly (readonly number[])[];
  }[];
}

export interface PageData {
  readonly axes: Readonly<Record<string, Axis>>;
  readonly charts: Readonly<Record<string, Chart>>;
  readonly heatMaps: Readonly<Record<string, HeatMap>>;
}
