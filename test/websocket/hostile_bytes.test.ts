/** Streams that are valid but for a few bytes: the client judges each as a parser that has all of it at once. */

import { expect, test } from "bun:test";
import { deadline, UnexpectedEndError, yieldNow } from "../../index.ts";
import { WebSocketError } from "../../src/websocket/errors.ts";
import { closing, frame, handPair, opcodes } from "../support/hand_websocket.ts";
import { Random } from "../support/random.ts";
import { isSoak } from "../support/soak.ts";

const mostBytes = 100_000;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What comes of a stream: its messages, and then its end: a code of an error, "closed" or "cut". */
interface Judgement {
  readonly messages: (string | Uint8Array)[];
  end: number | "closed" | "cut";
}

class Failure {
  readonly code: number;
  constructor(code: number) {
    this.code = code;
  }
}

function isText(bytes: Uint8Array): boolean {
  try {
    decoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** RFC 6455, section 5, read for clarity: the whole stream is there. */
function judge(wire: Uint8Array): Judgement {
  const judgement: Judgement = { messages: [], end: "cut" };
  let fragments: Uint8Array[] | undefined;
  let isTextual = false;
  const need = (holds: boolean, code = 1002): void => {
    if (!holds) throw new Failure(code);
  };
  try {
    for (let at = 0; wire.length - at >= 2; ) {
      const view = new DataView(wire.buffer, wire.byteOffset + at, wire.length - at);
      const isFinal = (view.getUint8(0) & 0x80) !== 0;
      const opcode = view.getUint8(0) & 0x0f;
      need((view.getUint8(0) & 0x70) === 0 && view.getUint8(1) < 0x80);
      need([0, 1, 2, 8, 9, 10].includes(opcode));
      let length = view.getUint8(1);
      let header = 2;
      if (opcode >= 8) need(isFinal && length <= 125);
      else {
        need((opcode === 0) === (fragments !== undefined));
        if (length === 126) {
          header = 4;
          if (view.byteLength < header) break;
          length = view.getUint16(2);
          need(length > 125);
        } else if (length === 127) {
          header = 10;
          if (view.byteLength < header) break;
          const long = view.getBigUint64(2);
          need(long > 65_535n && long < 1n << 63n);
          length = Number(long);
        }
        const before = (fragments ?? []).reduce((sum, part) => sum + part.length, 0);
        need(before + length <= mostBytes, 1009);
      }
      if (view.byteLength < header + length) break;
      const payload = wire.subarray(at + header, at + header + length);
      at += header + length;
      if (opcode === 8) {
        if (length > 0) {
          need(length >= 2);
          const code = payload[0]! * 256 + payload[1]!;
          const isKnown = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
          need(isKnown || (code >= 3000 && code <= 4999));
          need(isText(payload.subarray(2)), 1007);
        }
        judgement.end = "closed";
        return judgement;
      }
      if (opcode > 8) continue;
      if (fragments === undefined) isTextual = opcode === 1;
      fragments = [...(fragments ?? []), payload];
      if (!isFinal) continue;
      const whole = new Uint8Array(Buffer.concat(fragments));
      fragments = undefined;
      if (isTextual) need(isText(whole), 1007);
      judgement.messages.push(isTextual ? decoder.decode(whole) : whole);
    }
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    judgement.end = failure.code;
  }
  return judgement;
}

function validStream(random: Random): Uint8Array {
  const frames: Uint8Array[] = [];
  const payload = (most: number): string => "aé€😀".repeat(random.below(most));
  for (let count = random.below(12); count > 0; count--) {
    const opcode = random.pick([opcodes.text, opcodes.binary]);
    const parts = random.pick([0, 0, 1, 3]);
    for (let part = 0; part <= parts; part++) {
      if (random.below(4) === 0) frames.push(frame(opcodes.ping, payload(12)));
      const most = random.pick([1, 12, 30, 7000]);
      frames.push(frame(part === 0 ? opcode : opcodes.continuation, payload(most), part === parts));
    }
  }
  if (random.below(3) === 0) frames.push(frame(opcodes.close, closing(1000, payload(5))));
  return new Uint8Array(Buffer.concat(frames));
}

/** Changes a byte in ten at its likeliest places: a header has a few bytes, and payloads are long. */
function spoil(wire: Uint8Array, random: Random): Uint8Array {
  let spoilt = new Uint8Array(wire);
  for (let changes = random.below(4); changes > 0 && spoilt.length > 0; changes--) {
    const at = random.below(Math.min(spoilt.length, random.pick([20, 200, spoilt.length])));
    switch (random.below(4)) {
      case 0:
        spoilt[at] = random.below(256);
        break;
      case 1:
        spoilt[at]! ^= 1 << random.below(8);
        break;
      case 2:
        spoilt = spoilt.slice(0, at);
        break;
      default:
        spoilt = new Uint8Array([...spoilt.subarray(0, at), ...spoilt.subarray(at + 1)]);
    }
  }
  return spoilt;
}

test("spoilt streams are judged as by the model", async () => {
  const ends = new Set<unknown>();
  const rounds = isSoak ? 3000 : 40;
  for (let round = 0; round < rounds; round++) {
    const random = new Random();
    const wire = spoil(validStream(random), random);
    const wanted = judge(wire);
    await using pair = await handPair({ maxMessageBytes: mostBytes });
    const { ws, server } = pair;
    const most = random.pick([1 + wire.length / 10, 1000, 1_000_000]);
    const sending = (async () => {
      for (let at = 0; at < wire.length; ) {
        const end = at + 1 + random.below(most);
        await server.socket.write(wire.subarray(at, end));
        at = end;
        if (random.below(2) === 0) await yieldNow();
      }
      await server.socket.shutdown();
    })();
    // The client may have closed before all was sent.
    sending.catch(() => {});
    const found: Judgement = { messages: [], end: "closed" };
    try {
      for (;;) {
        const message = await ws.receive(deadline(5000));
        if (message === null) break;
        found.messages.push(message);
      }
    } catch (error) {
      if (error instanceof WebSocketError) found.end = error.closeCode;
      else if (error instanceof UnexpectedEndError) found.end = "cut";
      else throw error;
    }
    expect([random.seed, found]).toEqual([random.seed, wanted]);
    ends.add(found.end);
    server.socket.reset();
    await sending.catch(() => {});
  }
  // The streams were spoilt in these ways at least.
  const least = isSoak ? [1002, 1007, 1009, "closed", "cut"] : [1002, "cut"];
  expect(least.filter((end) => !ends.has(end))).toEqual([]);
}, 200_000);
