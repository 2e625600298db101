/**
 * Where plait's reader of HTTP answers differs from other readers on purpose, each with an example and the
 * reason. RFC 9112 decides, if it says something.
 */

export type PeerName = "Node's client" | "Bun's fetch" | "libhttp-parser";

/** Something that plait refuses, and a peer takes. */
export interface Refusal {
  /** A part of the reason in plait's error. */
  readonly reason: string;
  readonly peers: readonly PeerName[];
  /** Which streams have it; all if not given. */
  readonly pattern?: RegExp;
  readonly example: string;
  readonly why: string;
}

const all: readonly PeerName[] = ["Node's client", "Bun's fetch", "libhttp-parser"];
const both: readonly PeerName[] = ["Node's client", "libhttp-parser"];
const node: readonly PeerName[] = ["Node's client"];
const library: readonly PeerName[] = ["libhttp-parser"];

const fetch: readonly PeerName[] = ["Bun's fetch"];

const ok = "HTTP/1.1 200 OK\r\n";
const empty = "Content-Length: 0\r\n\r\n";
const chunked = `${ok}Transfer-Encoding: chunked\r\n`;

export const refusals: readonly Refusal[] = [
  {
    reason: "a line ends without CR",
    peers: ["Bun's fetch", "libhttp-parser"],
    example: `HTTP/1.1 200 OK\n${empty}`,
    why: "a recipient may take a bare LF for the end of a line (2.2), and those that do not read other lines",
  },
  {
    reason: "a line ends without CR",
    peers: node,
    example: `\n${ok}${empty}`,
    why: "only a server may skip empty lines (2.2): before an answer they are the rest of another one",
  },
  {
    reason: "incomplete",
    peers: library,
    pattern: /\r(?!\n)/,
    example: `${ok}Content-Length: 0\r\n\rx`,
    why: "a head ends with CR and LF (2.1), and a bare CR makes it invalid (2.2)",
  },
  {
    reason: "a field is folded over two lines",
    peers: library,
    example: `${ok}A: b\r\n c\r\n${empty}`,
    why: "folding is deprecated (5.2), and recipients differ on which field a folded line belongs to",
  },
  {
    reason: "the name of a field has another character",
    peers: library,
    example: `${ok}A B: c\r\n${empty}`,
    why: "a name is a token (5.1), and blanks around it hide the fields of the framing",
  },
  {
    reason: "the name of a trailer has another character",
    peers: ["Bun's fetch", "libhttp-parser"],
    example: `${chunked}\r\n0\r\nA B: c\r\n\r\n`,
    why: "as for the name of a field",
  },
  {
    reason: "a trailer has no colon",
    peers: fetch,
    example: `${chunked}\r\n0\r\nA\r\n\r\n`,
    why: "a trailer is a field (7.1.2)",
  },
  {
    reason: "a trailer has a control character",
    peers: ["Bun's fetch", "libhttp-parser"],
    example: `${chunked}\r\n0\r\nA: \x01\r\n\r\n`,
    why: "as in the head",
  },
  {
    reason: "the head has the control character",
    peers: library,
    example: `${ok}A: \x01\r\n${empty}`,
    why: "a value has none (RFC 9110, 5.5): CR and NUL are dangerous, and the others have no use",
  },
  {
    reason: "the head has the control character",
    peers: node,
    example: `HTTP/1.1 200 O\0K\r\n${empty}`,
    why: "a reason phrase has none (4)",
  },
  {
    reason: "the status is no number of three digits",
    peers: library,
    example: `HTTP/1.1 20 OK\r\n${empty}`,
    why: "a status has three digits (4)",
  },
  {
    reason: "the status is no number of three digits",
    peers: fetch,
    example: `HTTP/1.1  200 OK\r\n${empty}`,
    why: "there is one space before the status (4)",
  },
  {
    reason: "the status line is malformed",
    peers: library,
    example: `HTTP/1.1 099 OK\r\n${empty}`,
    why: "a status is 100 or more (RFC 9110, 15)",
  },
  {
    reason: "the status line is malformed",
    peers: ["Node's client", "Bun's fetch"],
    example: `HTTP/1.1 099 OK\r\n${empty}`,
    why: "a status is 100 or more (RFC 9110, 15); these take it for an answer all the same",
  },
  {
    reason: "the status line is none of HTTP/1.1 or HTTP/1.0",
    peers: ["Bun's fetch", "libhttp-parser"],
    example: `HTTP/1.2 200 OK\r\n${empty}`,
    why: "there is no such version; a client should take a later minor one (RFC 9110, 2.5), but need not",
  },
  {
    reason: "it does not begin with HTTP/1.",
    peers: both,
    example: `HTTP/2.0 200 OK\r\n${empty}`,
    why: "another major version has another framing (RFC 9110, 2.5)",
  },
  {
    reason: "it does not begin with HTTP/1.",
    peers: both,
    example: `\r\n${ok}${empty}`,
    why: "only a server may skip empty lines (2.2): before an answer they are the rest of another one",
  },
  {
    reason: "it changes the protocol unasked",
    peers: both,
    example: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    why: "the client has sent no Upgrade (RFC 9110, 15.2.2)",
  },
  {
    reason: "HTTP/1.0 has no Transfer-Encoding",
    peers: all,
    example: `HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    why: "the framing is faulty, since a recipient of HTTP/1.0 does not know it (6.1)",
  },
  {
    reason: "it has both Transfer-Encoding and Content-Length",
    peers: fetch,
    example: `${chunked}Content-Length: 0\r\n\r\n0\r\n\r\n`,
    why: "it ought to be handled as an error (6.3), since others take the length",
  },
  {
    reason: "it has two of Content-Length",
    peers: fetch,
    example: `${ok}Content-Length: 0\r\n${empty}`,
    why: "a recipient may refuse even lengths that are the same (6.3)",
  },
  {
    reason: "it has two of Transfer-Encoding",
    peers: both,
    example: `${chunked}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    why: "chunked must not be applied twice (7), so the two are no list that a server may send",
  },
  {
    reason: "it has two of Transfer-Encoding",
    peers: fetch,
    example: `${chunked}Transfer-Encoding:\r\n\r\n0\r\n\r\n`,
    why: "elements of a list may be empty (RFC 9110, 5.6.1), but no server sends this one",
  },
  {
    reason: "its Transfer-Encoding is another one than chunked",
    peers: all,
    example: `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    why: "the client has not sent TE, so a server may use chunked alone (7.4)",
  },
  {
    reason: "Content-Length is no number below 10^15",
    peers: all,
    example: `HTTP/1.1 304 Not Modified\r\nContent-Length: 9007199254740993\r\n\r\n`,
    why: "a number that JavaScript cannot hold would be a guess; no body is so long",
  },
  {
    reason: "a CR of the chunked body is without LF",
    peers: library,
    example: `${chunked}\r\n1\r\na\rx0\r\n\r\n`,
    why: "chunks end with CR and LF (7.1)",
  },
  {
    reason: "a CR of the chunked body is without LF",
    peers: fetch,
    example: `${chunked}\r\n0\r\n\r\r\n`,
    why: "the section of trailers ends with CR and LF (7.1.2)",
  },
  {
    reason: "incomplete",
    peers: fetch,
    pattern: /\r\n0/,
    example: `${chunked}\r\n0\r\n`,
    why: "trailers may follow the last chunk, so that a body ends with the empty line behind them (7.1)",
  },
  {
    reason: "a chunk is longer than its length",
    peers: library,
    example: `${chunked}\r\n1\r\nab\n0\r\n\r\n`,
    why: "chunks end with CR and LF (7.1)",
  },
  {
    reason: "a chunk's extension has a control character",
    peers: ["Bun's fetch", "libhttp-parser"],
    example: `${chunked}\r\n0;a\x01\r\n\r\n`,
    why: "an extension consists of tokens and quoted strings (7.1.1)",
  },
  {
    reason: "a chunk's length is no hexadecimal number",
    peers: library,
    example: `${chunked}\r\n0 \r\n\r\n`,
    why: "behind a length there are blanks only before an extension (7.1.1)",
  },
];

/** Something that plait takes, and a peer refuses. */
export interface Acceptance {
  readonly peer: PeerName;
  /** The peer's errors. The example leads to the first one. */
  readonly errors: readonly string[];
  /** Which streams have it. */
  readonly pattern: RegExp;
  readonly example: string;
  readonly why: string;
}

export const acceptances: readonly Acceptance[] = [
  {
    peer: "Node's client",
    errors: ["HPE_INVALID_CONTENT_LENGTH", "HPE_UNEXPECTED_CONTENT_LENGTH"],
    pattern: /\r\n0.*\r\n(.*\r\n)*content-length:/i,
    example: `${chunked}\r\n0\r\nContent-Length: 5\r\n\r\n`,
    why: "a trailer never counts as a field of the head (RFC 9110, 6.5.1), so a length there frames nothing",
  },
  {
    peer: "libhttp-parser",
    errors: ["HPE_INVALID_CONTENT_LENGTH", "HPE_UNEXPECTED_CONTENT_LENGTH"],
    pattern: /\r\n0.*\r\n(.*\r\n)*content-length:/i,
    example: `${chunked}\r\n0\r\nContent-Length: x\r\n\r\n`,
    why: "a trailer never counts as a field of the head (RFC 9110, 6.5.1), so a length there frames nothing",
  },
  {
    peer: "Node's client",
    errors: ["HPE_STRICT"],
    pattern: /\r\n[0-9a-f]+[ \t]*;[^\r\n]*\r\n/i,
    example: `${chunked}\r\n0;\xe9\r\n\r\n`,
    why: "extensions are ignored (7.1.1), and what their characters are changes no framing",
  },
  {
    peer: "Node's client",
    errors: ["HPE_INVALID_CHUNK_SIZE"],
    pattern: /\r\n[0-9a-f]+[ \t]+;/i,
    example: `${chunked}\r\n0 ;name\r\n\r\n`,
    why: "a recipient must take blanks before an extension (7.1.1; RFC 9110, 5.6.3)",
  },
  {
    peer: "Bun's fetch",
    errors: ["InvalidHTTPResponse"],
    pattern: /\r\n0{16}[0-9a-f]+/i,
    example: `${chunked}\r\n00000000000000000001\r\na\r\n0\r\n\r\n`,
    why: "a length may have any number of zeros before it (7.1)",
  },
  {
    peer: "Bun's fetch",
    errors: ["InvalidHTTPResponse"],
    pattern: /\r\n[0-9a-f]+[ \t]+;/i,
    example: `${chunked}\r\n1 ;name\r\na\r\n0\r\n\r\n`,
    why: "a recipient must take blanks before an extension (7.1.1; RFC 9110, 5.6.3)",
  },
  {
    peer: "Node's client",
    errors: ["HPE_CLOSED_CONNECTION"],
    pattern: /connection:.*close/i,
    example: `${ok}Connection: close\r\n${empty}x`,
    why: "the answer is whole, and what follows it on a connection that closes is ignored (9.6)",
  },
];

/** An answer that both read, in different ways. */
export interface Misreading {
  readonly peers: readonly PeerName[];
  readonly pattern: RegExp;
  readonly example: string;
  /** What plait takes for the body. */
  readonly body: string;
  readonly why: string;
}

export const misreadings: readonly Misreading[] = [
  {
    peers: fetch,
    pattern: /HTTP\/1\.. 205/,
    example: `HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nhi`,
    body: "hi",
    why: "a body of 205 must not be sent (RFC 9110, 15.3.6), but is framed as any other (6.3)",
  },
  {
    peers: both,
    pattern: /transfer-encoding:[^\r\n]*chunked[^\r\n]*\t/i,
    example: `${ok}Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n`,
    body: "",
    why: "a tab behind a value does not belong to it (5), so that the body is chunked",
  },
];
