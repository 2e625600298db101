/** nginx with a log of all requests: what it says of a load is the truth. */

import { readFileSync } from "node:fs";
import { type Nginx, startNginx } from "./nginx.ts";
import { pollUntil } from "./poll.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** A line of the log. What nginx does not know is "". */
export interface LoggedRequest {
  readonly status: number;
  /** Bytes of the whole answer, without those of TLS. */
  readonly bytes: number;
  /** Bytes of the whole request, without those of TLS. */
  readonly requestBytes: number;
  readonly method: string;
  /** The path with the query. */
  readonly uri: string;
  readonly address: string;
  /** The number of the connection, and of the request on it, from 1 on. */
  readonly connection: number;
  readonly onConnection: number;
  readonly host: string;
  readonly authorization: string;
  readonly cookie: string;
  readonly agent: string;
  readonly test: string;
  readonly acceptEncoding: string;
  readonly contentType: string;
  readonly protocol: string;
  /** `r` for a session that was resumed, and `.` for a new one. */
  readonly resumed: string;
  readonly serverName: string;
  readonly client: string;
}

const format = `log_format truth escape=json '{
  "status":$status,"bytes":$bytes_sent,"requestBytes":$request_length,"method":"$request_method",
  "uri":"$request_uri","address":"$remote_addr","connection":$connection,
  "onConnection":$connection_requests,"host":"$http_host","authorization":"$http_authorization",
  "cookie":"$http_cookie","agent":"$http_user_agent","test":"$http_x_test",
  "acceptEncoding":"$http_accept_encoding","contentType":"$content_type",
  "protocol":"$ssl_protocol","resumed":"$ssl_session_reused","serverName":"$ssl_server_name",
  "client":"$ssl_client_s_dn"}';`.replaceAll(/\n */g, "");

export class LoggingNginx implements AsyncDisposable {
  readonly port: number;
  /** The path of a Unix socket on which it listens too. */
  readonly path: string;
  /** A log of the same requests in the combined format. */
  readonly combined: string;
  readonly #nginx: Nginx;
  readonly #folder: TemporaryFolder;

  private constructor(nginx: Nginx, folder: TemporaryFolder) {
    this.#nginx = nginx;
    this.#folder = folder;
    this.port = nginx.port;
    this.path = folder.file("socket");
    this.combined = folder.file("combined.log");
  }

  /** As `startNginx`. */
  static async start(
    files: Readonly<Record<string, string | Uint8Array>>,
    ssl?: string,
    more = "",
  ): Promise<LoggingNginx> {
    const folder = new TemporaryFolder();
    try {
      const nginx = await startNginx(
        files,
        ssl,
        `listen unix:${folder.file("socket")} ${ssl === undefined ? "" : "ssl"};
         access_log ${folder.file("truth.log")} truth; access_log ${folder.file("combined.log")} combined;
         ${more}`,
        format,
      );
      return new LoggingNginx(nginx, folder);
    } catch (error) {
      folder[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * The log so far, as soon as it has so many lines.
   *
   * @param agent only those of this User-Agent
   */
  async requests(count: number, agent?: string): Promise<LoggedRequest[]> {
    const path = this.#folder.file("truth.log");
    const read = (): LoggedRequest[] => {
      const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
      const requests = lines.map((line) => JSON.parse(line) as LoggedRequest);
      return requests.filter((request) => agent === undefined || request.agent === agent);
    };
    let requests = read();
    // nginx writes a line when it has sent the answer, and the client may be sooner.
    await pollUntil("nginx has logged all requests", () => (requests = read()).length >= count);
    return requests;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#nginx[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
