/** The options of `plait load` and its commands: their names, what they take, and what help says of them. */

export interface Option {
  readonly name: string;
  /** One letter or digit. */
  readonly short: string | undefined;
  /** What it takes, as help shows it; a switch takes nothing. */
  readonly value: string | undefined;
  /** One that may be given several times. */
  readonly isMany: boolean;
  readonly help: string;
}

export interface OptionGroup {
  readonly title: string;
  readonly options: readonly Option[];
}

const option = (names: string, help: string, isMany = false): Option => {
  const found = /^(?:-(\w), )?--([\w-]+)(?: (.+))?$/.exec(names);
  if (found === null) throw new Error(`no option: ${names}`);
  const [, short, name, value] = found;
  return { name: name!, short, value, isMany, help };
};

const thresholds: Option = option(
  "--threshold TEXT...",
  "what must hold, or the exit code is 1; several may follow one flag. See below",
  true,
);

const reports: readonly Option[] = [
  option("--json FILE", "the report as JSON; - is the standard output"),
  option("--html FILE", "the report as one page, which needs no network"),
  option("--hlog FILE", "histograms as an HdrHistogram log, version 1.3"),
  option("--csv FILE", "a line for each second"),
];

const general: OptionGroup = {
  title: "General",
  options: [
    option("-h, --help", "this text"),
    option("--version", "the version of plait"),
    option("--no-color", "no colours; NO_COLOR in the environment does the same"),
  ],
};

export const loadOptions: readonly OptionGroup[] = [
  {
    title: "How much load",
    options: [
      option("-c, --connections N", "how many connections are open at a time: 64 by default"),
      option(
        "-d, --duration TIME",
        "for how long new work is begun, such as 30s or 1h30m: 10s by default",
      ),
      option("-n, --iterations N", "how many iterations (or requests) there are, such as 10k"),
      option("-t, --threads N", "how many threads make the load"),
      option(
        "-r, --rate RATE",
        "an open loop: so many iterations are due per second, however long the answers take, such as 20000, 20k or 100/m",
      ),
      option("--poisson", "random arrivals at that rate, in place of evenly spaced ones"),
      option(
        "--stages LIST",
        "a rate over time: 10s:1000,30s:20k goes up to 1,000 in 10 s and on to 20,000 in 30 s; 30s=500 stays at 500; 0s:500 jumps",
      ),
      option("--connection-stages LIST", "a closed loop whose connections change so over time"),
      option(
        "--search FROM:TO",
        "finds the highest rate between the two that meets all thresholds; --duration is the time of each trial",
      ),
      option(
        "--overload queue|grow|drop",
        "when an iteration of an open loop is due and every connection is busy: it waits (queue, the default), gets one more connection (grow), or is dropped and counted (drop)",
      ),
      option("--max-connections N", "how far grow goes"),
      option("--catch-up", "makes up in a burst what the generator itself was late with"),
      option("--grace-period TIME", "how long the end waits for answers that are under way"),
      option("--seed N", "repeats all random numbers of a run: arrivals, rows, c.random"),
    ],
  },
  {
    title: "The requests",
    options: [
      option("-m, --method NAME", "GET by default; POST if there is a body"),
      option("-H, --header 'NAME: VALUE'", "a header of each request", true),
      option("-b, --body TEXT|@FILE", "the body of each request; @@ is a text that begins with @"),
      option("--expect LIST", "the statuses that are no failure, such as 200,3xx,404"),
      option("--timeout TIME", "how long an answer may take before it is a failure"),
      option("--connect-timeout TIME", "how long a connection may take, with TLS"),
      option("--pipeline N", "how many requests a connection has under way"),
      option("--no-keep-alive", "a new connection for each request"),
      option("--redirects N", "follows up to so many redirects for each request"),
      option("--cookies", "keeps the cookies of each connection; needs tough-cookie"),
      option("--decompress", "decompresses bodies"),
    ],
  },
  {
    title: "Recorded requests and data",
    options: [
      option(
        "--har FILE",
        "replays the requests of a HAR file at their times; with a URL all of them go there",
      ),
      option("--access-log FILE", "replays a log in the common or combined format"),
      option("--speed N|max", "so many times as fast as recorded; max is a closed loop"),
      option(
        "--data NAME=FILE",
        "rows for the scenario from a .csv or .json file; :random or :once behind it is their order",
        true,
      ),
    ],
  },
  {
    title: "Connections",
    options: [
      option(
        "--connect-to [FROM:]TO",
        "connects elsewhere: HOST:PORT or unix:PATH for all, or FROM-HOST:PORT:TO-HOST:PORT",
        true,
      ),
      option("-4, --ipv4", "IPv4 alone"),
      option("-6, --ipv6", "IPv6 alone"),
      option("--source ADDRESS", "connects from this address; several take turns", true),
      option(
        "--driver blocking|attached",
        "attached is for scenarios that await what is not plait's",
      ),
    ],
  },
  {
    title: "TLS",
    options: [
      option("--sni NAME", "the name that is asked for and checked, in place of the URL's"),
      option("--ca FILE", "certificates to trust, in PEM"),
      option("--cert FILE", "the client's own certificate, in PEM"),
      option("--key FILE", "its key, in PEM"),
      option("--insecure", "checks no certificates"),
      option("--tls-min 1.2|1.3", "the oldest version that is used"),
      option("--tls-max 1.2|1.3", "the newest version that is used"),
      option("--no-resume", "a full handshake each time, without resumed sessions"),
    ],
  },
  {
    title: "Results",
    options: [
      thresholds,
      ...reports,
      option("--prometheus [HOST]:PORT", "serves figures to Prometheus while it runs"),
      option("--quiet", "no live view; the report alone"),
    ],
  },
  general,
];

export const compareOptions: readonly OptionGroup[] = [
  { title: "Results", options: [thresholds, ...reports.slice(0, 2)] },
  general,
];

export const mergeOptions: readonly OptionGroup[] = [
  { title: "Results", options: [thresholds, ...reports.slice(0, 2)] },
  general,
];

export function optionsOf(groups: readonly OptionGroup[]): Option[] {
  return groups.flatMap(({ options }) => options);
}
