/** Serves the metrics of a run over HTTP while it goes on, for Prometheus to scrape. */

import type { ProgressListener } from "../load/progress.ts";
import type { Listener } from "../net/listener.ts";
import { deadline } from "../runtime/clock.ts";
import { rangeMistake } from "../values/checks.ts";
import { prometheusText } from "./prometheus.ts";
import { serveText } from "./text_server.ts";

const contentType = "text/plain; version=0.0.4; charset=utf-8";
const path = "/metrics";

/** Serves the figures of a run to Prometheus: its `write` is a listener for `onProgress`. */
export class PrometheusEndpoint {
  #listener: Listener | undefined;
  #text = "";

  private constructor() {}

  /**
   * Listens at an address, such as `:9464` (on the loopback interface), `0.0.0.0:9464`, `[::1]:9464`. The port 0 picks
   * a free one. Until the first interval has ended there are no metrics.
   *
   * @throws {RangeError} if that is no address
   * @throws {SocketError} if it cannot listen there
   */
  static async open(address: string): Promise<PrometheusEndpoint> {
    const { host, port } = addressOf(address);
    const endpoint = new PrometheusEndpoint();
    const text = (): string => endpoint.#text;
    endpoint.#listener = await serveText({ host, port, path, contentType, text });
    return endpoint;
  }

  /** Where the metrics are, such as `http://127.0.0.1:9464/metrics`. */
  get url(): string {
    const { address = "", port } = this.#listener!;
    const host = address.includes(":") ? `[${address}]` : address;
    return `http://${host}:${port}${path}`;
  }

  /** Takes the numbers of an interval. */
  readonly write: ProgressListener = (progress) => {
    this.#text = prometheusText(progress);
  };

  /** Stops to listen. Clients are disconnected. */
  async close(): Promise<void> {
    await this.#listener?.close({ cancel: "the run has ended", deadline: deadline(1000) });
  }
}

/** The host and the port of an address. Without a host, or with a port alone, it is the loopback interface. */
function addressOf(address: string): { host: string; port: number } {
  const [, bracketed, plain, digits] =
    /^(?:(?:\[([^\]]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) {
    throw rangeMistake(
      `Prometheus is served at an address such as :9464 or 0.0.0.0:9464, not ${JSON.stringify(address)}`,
    );
  }
  return { host: bracketed ?? (plain || "127.0.0.1"), port };
}
