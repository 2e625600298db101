/** Decompression of answers. */

import { afterAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  brotliCompressSync,
  constants,
  createZstdCompress,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import { connect, MessageTooLongError } from "../../index.ts";
import { Answer } from "../../src/http/answer.ts";
import { AnswerReader } from "../../src/http/answer_reader.ts";
import { acceptedEncodings, BadContentError, decoded } from "../../src/http/decoding.ts";
import { isWholeZstd } from "../../src/http/zstd_frames.ts";
import { after } from "../../src/values/deadlines.ts";
import { thrownBy } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { startNginx } from "../support/nginx.ts";
import { runCommand } from "../support/run_command.ts";

const text = "Some text, some text, and more of it: grün. ".repeat(100);
const plain = Buffer.from(text);

/** An answer as it is read. */
function answerOf(body: Uint8Array, ...codings: string[]): Answer {
  const fields = codings.map((coding) => `Content-Encoding: ${coding}\r\n`).join("");
  const head = Buffer.from(`HTTP/1.1 200 OK\r\n${fields}\r\n`, "latin1");
  const bytes = Buffer.concat([head, body]);
  return new Answer(200, true, body.length, bytes, head.length);
}

const codings: [name: string, coding: string, encode: (bytes: Uint8Array) => Uint8Array][] = [
  ["gzip", "gzip", gzipSync],
  ["x-gzip", "X-Gzip", gzipSync],
  [
    "several members of gzip",
    "gzip",
    (bytes) => Buffer.concat([gzipSync(bytes.subarray(0, 9)), gzipSync(bytes.subarray(9))]),
  ],
  ["zlib's deflate", "deflate", deflateSync],
  ["raw deflate", "deflate", deflateRawSync],
  ["Brotli", "br", brotliCompressSync],
  ["zstd", "zstd", zstdCompressSync],
  [
    "several frames of zstd",
    "zstd",
    (bytes) =>
      Buffer.concat([zstdCompressSync(bytes.subarray(0, 9)), zstdCompressSync(bytes.subarray(9))]),
  ],
];

describe.each(codings)("%s", (_name, coding, encode) => {
  test("is decoded", () => {
    for (const body of [plain, plain.subarray(0, 20), Buffer.alloc(0), randomBytes(70_000)]) {
      expect(Buffer.from(decoded(answerOf(encode(body), coding)))).toEqual(Buffer.from(body));
    }
  });

  test("is an error where it was cut off", () => {
    const body = Buffer.from(encode(plain));
    // Of several members the first one is whole.
    const first = Buffer.from(
      (coding === "zstd" ? zstdCompressSync : gzipSync)(plain.subarray(0, 9)),
    );
    for (let length = 1; length < body.length; length++) {
      const part = answerOf(body.subarray(0, length), coding);
      if (body.subarray(0, length).equals(first)) {
        expect(decoded(part)).toHaveLength(9);
        continue;
      }
      const error = thrownBy(() => decoded(part));
      expect([length, error.name]).toEqual([length, "BadContentError"]);
    }
  });

  test("has a limit, which is exact", () => {
    const answer = answerOf(encode(plain), coding);
    expect(decoded(answer, plain.length)).toHaveLength(plain.length);
    for (const most of [plain.length - 1, 1, 0]) {
      const error = thrownBy(() => decoded(answer, most));
      expect(error).toBeInstanceOf(MessageTooLongError);
      expect((error as MessageTooLongError).maxLength).toBe(most);
    }
  });
});

describe("an answer", () => {
  test("without a coding has its body as it is", () => {
    for (const names of [[], ["identity"], [""]]) {
      expect(Buffer.from(decoded(answerOf(plain, ...names), 0))).toEqual(plain);
    }
  });

  test("with several codings is decoded in their reverse order", () => {
    const body = brotliCompressSync(gzipSync(plain));
    for (const names of [["gzip, br"], ["gzip", "br"], ["identity, GZIP ,, Br"]]) {
      expect(Buffer.from(decoded(answerOf(body, ...names)))).toEqual(plain);
    }
    const twice = gzipSync(gzipSync(Buffer.alloc(1 << 22)));
    expect(decoded(answerOf(twice, "gzip, gzip"), 1 << 22)).toHaveLength(1 << 22);
    const error = thrownBy(() => decoded(answerOf(twice, "gzip, gzip"), 1 << 20));
    expect(error).toBeInstanceOf(MessageTooLongError);
  });

  test.each([
    ["unknown", plain, "compress"],
    ["unknown", plain, "gzip, aes128gcm"],
    ["5 codings", plain, "gzip, gzip, gzip, gzip, gzip"],
    ["no gzip", plain, "gzip"],
    ["no zstd", plain, "zstd"],
    ["no zstd", Buffer.concat([zstdCompressSync(plain), plain]), "zstd"],
    ["no br", gzipSync(plain), "br"],
    ["no deflate", gzipSync(plain), "deflate"],
  ])("that is bad is an error: %s", (words, body, coding) => {
    const error = thrownBy(() => decoded(answerOf(body, coding)));
    expect(error).toBeInstanceOf(BadContentError);
    expect(error.code).toBe("ERR_HTTP_BAD_CONTENT");
    expect(error.message).toContain(words);
  });

  test("whose body was not kept is a mistake", () => {
    const error = thrownBy(() => decoded(new Answer(200, true, 5)));
    expect([error.name, error.message]).toEqual([
      "TypeError",
      "the body of the answer was not kept",
    ]);
    expect(thrownBy(() => decoded(answerOf(plain), -1)).name).toBe("RangeError");
  });

  test("that is a bomb takes no more memory than its limit", () => {
    const bomb = gzipSync(Buffer.alloc(48 << 20), { level: 1 });
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    for (let count = 0; count < 5; count++) {
      const error = thrownBy(() => decoded(answerOf(bomb, "gzip"), 1 << 20));
      expect(error).toBeInstanceOf(MessageTooLongError);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(30 << 20);
  });
});

describe("the end of zstd's data is found", () => {
  test.each([
    ["with a checksum", { [constants.ZSTD_c_checksumFlag]: 1 }],
    ["without a size", { [constants.ZSTD_c_contentSizeFlag]: 0 }],
  ])("in a frame %s", (_name, params) => {
    for (const length of [0, 1, 255, 256, 65_791, 65_792, 300_000]) {
      const body = zstdCompressSync(randomBytes(length), { params });
      expect([length, isWholeZstd(body)]).toEqual([length, true]);
      expect([length, isWholeZstd(body.subarray(0, -1))]).toEqual([length, false]);
      expect([length, isWholeZstd(Buffer.concat([body, body.subarray(0, 3)]))]).toEqual([
        length,
        false,
      ]);
    }
  });

  test("in blocks that repeat a byte, in a stream, and behind a frame to skip", async () => {
    const skipped = Buffer.from("502a4d18030000006162635f2a4d1800000000", "hex");
    const zeros = zstdCompressSync(Buffer.alloc(1_000_000));
    const compressor = createZstdCompress();
    compressor.write("a".repeat(100_000));
    compressor.end("b");
    const streamed = Buffer.concat(await compressor.toArray());
    for (const body of [zeros, streamed, Buffer.concat([skipped, zeros, skipped, streamed])]) {
      expect([isWholeZstd(body), isWholeZstd(body.subarray(0, -1))]).toEqual([true, false]);
    }
  });

  test.if(isInstalled("zstd"))("in the data of another encoder", async () => {
    for (const options of [["-1"], ["-9"], ["--no-check"], ["--no-content-size"]]) {
      const { stdout, exitCode } = await runCommand(["zstd", "-c", ...options], text.repeat(100));
      expect(exitCode).toBe(0);
      expect([options, isWholeZstd(stdout), isWholeZstd(stdout.subarray(0, -1))]).toEqual([
        options,
        true,
        false,
      ]);
      expect(Buffer.from(decoded(answerOf(stdout, "zstd"))).toString()).toBe(text.repeat(100));
    }
  });
});

test.if(isInstalled("nginx"))("what nginx compresses is decoded", async () => {
  const settings = "gzip on; gzip_min_length 0; gzip_types *;";
  await using nginx = await startNginx({ "file.txt": text }, undefined, settings);
  using socket = await connect({ host: "127.0.0.1", port: nginx.port });
  const reader = new AnswerReader(socket);
  for (const encodings of [acceptedEncodings, "identity"]) {
    await socket.write(
      `GET /file.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: ${encodings}\r\n\r\n`,
    );
    const answer = await reader.read("body", false, 1 << 20, after(5000));
    expect(answer.header("content-encoding")).toBe(encodings === "identity" ? undefined : "gzip");
    expect(Buffer.from(decoded(answer)).toString()).toBe(text);
  }
});

describe("what Bun.serve compresses", () => {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const coding = new URL(request.url).pathname.slice(1);
      const [, , encode] = codings.find(([, name]) => name === coding)!;
      return new Response(encode(plain), { headers: { "Content-Encoding": coding } });
    },
  });
  afterAll(() => server.stop(true));

  test.each(["gzip", "deflate", "br", "zstd"])("by %s is decoded", async (coding) => {
    using socket = await connect({ host: "127.0.0.1", port: server.port! });
    const reader = new AnswerReader(socket);
    await socket.write(`GET /${coding} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: ${coding}\r\n\r\n`);
    const answer = await reader.read("body", false, 1 << 20, after(5000));
    expect(answer.header("content-encoding")).toBe(coding);
    expect(Buffer.from(decoded(answer)).toString()).toBe(text);
  });
});
