/**
 * Reads answers with Node's HTTP client, strict as it is by default. The lines of stdin and stdout are those of
 * http_parser.c. A client reads one answer for its request, so the outcome is that of the first answer. Node
 * has no event for the chunk without data: the trailers come behind a line `C`.
 */

const http = require("node:http");
const { createInterface } = require("node:readline");
const { Duplex } = require("node:stream");

/** Names and values take turns. */
function fieldLines(texts) {
  const hex = (text) => Buffer.from(text, "latin1").toString("hex");
  return texts.map((text, index) => `${index % 2 === 0 ? "N" : "V"} ${hex(text)}`);
}

/** A connection on which the bytes come, in portions, when the request has been sent. */
function connection(bytes, portion) {
  let start = 0;
  let isAsked = false;
  const stream = new Duplex({
    read() {
      if (!isAsked) return;
      const part = bytes.subarray(start, start + portion);
      start += part.length;
      stream.push(part.length > 0 ? part : null);
    },
    write(_chunk, _encoding, done) {
      if (!isAsked) {
        isAsked = true;
        stream.read(0);
        stream._read();
      }
      done();
    },
  });
  return stream;
}

function readStream(method, portion, bytes) {
  return new Promise((resolve) => {
    const lines = [];
    let isOver = false;
    const end = (outcome) => {
      if (isOver) return;
      isOver = true;
      lines.push(`X ${outcome}`);
      request.destroy();
      resolve(lines);
    };
    const agent = new http.Agent({ keepAlive: true });
    agent.createConnection = () => connection(bytes, portion);
    agent.keepSocketAlive = () => false;
    const request = http.request({ method, agent, host: "host", insecureHTTPParser: false });
    const fail = (error) => {
      const isShort = error.code === "ECONNRESET" || error.code === "HPE_INVALID_EOF_STATE";
      end(isShort ? "incomplete" : (error.code ?? error.message));
    };
    request.on("error", fail);
    request.on("upgrade", () => end("upgrade"));
    request.on("response", (answer) => {
      const parts = [];
      answer.on("error", fail);
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => {
        if (isOver) return;
        const { rawHeaders, rawTrailers, statusCode } = answer;
        lines.push(...fieldLines(rawHeaders));
        lines.push(`S ${statusCode}`, `D ${Buffer.concat(parts).toString("hex")}`, "C");
        lines.push(...fieldLines(rawTrailers));
        lines.push(`E ${request.shouldKeepAlive ? 1 : 0}`);
        end("whole");
      });
    });
    request.end();
  });
}

(async () => {
  for await (const line of createInterface({ input: process.stdin })) {
    const [kind, portion, digits = ""] = line.split(" ");
    const method = kind === "H" ? "HEAD" : "GET";
    const lines = await readStream(method, Number(portion), Buffer.from(digits, "hex"));
    process.stdout.write(`${lines.join("\n")}\n`);
  }
})();
