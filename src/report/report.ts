/** `plait/load/report`: what shows, writes, reads and merges reports of load tests. See docs/load.md and docs/load_reports.md. */

export type { Progress, ProgressListener } from "../load/progress.ts";
export type { Report } from "../load/report.ts";
export {
  type Change,
  type Comparison,
  compareReports,
  type NamedReport,
  parseReportFile,
  type QuantityComparison,
  type QuantityUnit,
  type ThresholdComparison,
} from "./compare.ts";
export { comparisonHtml } from "./comparison_html.ts";
export { comparisonText } from "./comparison_text.ts";
export { CsvLog } from "./csv.ts";
export { HdrLog } from "./hdr_log.ts";
export { htmlReport } from "./html.ts";
export { parseReport, readReport, reportJson, writeReport } from "./json.ts";
export { type LiveOptions, type LiveOutput, LiveView } from "./live.ts";
export { type MergeOptions, mergeReports } from "./merge.ts";
export { PrometheusEndpoint } from "./prometheus_endpoint.ts";
export { reportText, type TextOptions } from "./text.ts";
