/** A server that breaks the protocol: each violation fails the connection with the right close code. */

import { describe, expect, test } from "bun:test";
import { deadline, yieldNow } from "../../index.ts";
import { WebSocketError } from "../../src/websocket/errors.ts";
import { failureOf } from "../support/failure.ts";
import { closing, frame, handPair, opcodes } from "../support/hand_websocket.ts";

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(" ", ""), "hex");
const text = (payload: string, isFinal = true): Uint8Array => frame(1, hex(payload), isFinal);
const more = (payload: string, isFinal = true): Uint8Array => frame(0, hex(payload), isFinal);

const violations: [code: number, reason: string, ...wire: Uint8Array[]][] = [
  [1002, "a frame has a reserved bit", hex("c1 00")],
  [1002, "a frame has a reserved bit", hex("a1 00")],
  [1002, "a frame has a reserved bit", hex("91 00")],
  [1002, "a frame has a reserved bit", hex("c9 00")],
  [1002, "a frame has a reserved bit", text("61", false), hex("c0 00")],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [number, string, Uint8Array] => [
    1002,
    `a frame has the opcode ${opcode}`,
    frame(opcode, ""),
  ]),
  [1002, "a frame of the server is masked", hex("81 80 00000000")],
  [1002, "a frame of the server is masked", hex("81 85 37fa213d 7f9f4d5158")],
  [1002, "a frame of the server is masked", hex("8a 80 00000000")],
  [1002, "a control frame is a fragment", frame(opcodes.ping, "a", false)],
  [1002, "a control frame is a fragment", frame(opcodes.pong, "a", false)],
  [1002, "a control frame is a fragment", frame(opcodes.close, "", false)],
  [1002, "a control frame has more than 125 bytes", frame(opcodes.ping, "a".repeat(126))],
  [1002, "a control frame has more than 125 bytes", frame(opcodes.pong, "a".repeat(65_536))],
  [
    1002,
    "a control frame has more than 125 bytes",
    frame(opcodes.close, closing(1000, "a".repeat(124))),
  ],
  [1002, "a frame continues no message", more("61")],
  [1002, "a frame continues no message", text("61"), more("61")],
  [1002, "a message begins within another one", text("61", false), text("61")],
  [1002, "a message begins within another one", text("61", false), frame(2, "a")],
  [1002, "a message begins within another one", text("", false), more("", false), text("")],
  [1002, "a length has more bytes than it needs", hex("81 7e 0000")],
  [1002, "a length has more bytes than it needs", hex("82 7e 007d"), new Uint8Array(125)],
  [1002, "a length has more bytes than it needs", hex("82 7f 0000000000000000")],
  [1002, "a length has more bytes than it needs", hex("82 7f 000000000000ffff")],
  [1002, "the highest bit of a length is set", hex("82 7f 8000000000000000")],
  [1002, "the highest bit of a length is set", hex("82 7f ffffffffffffffff")],
  [1009, "a message is longer than 16777216 bytes", hex("82 7f 7fffffffffffffff")],
  [1009, "a message is longer than 16777216 bytes", hex("82 7f 0000000001000001")],
  [
    1009,
    "a message is longer than 16777216 bytes",
    text("61", false),
    hex("80 7f 0000000001000000"),
  ],
  [1007, "a text is not UTF-8", text("ff")],
  [1007, "a text is not UTF-8", text("80")],
  [1007, "a text is not UTF-8", text("c0af")],
  [1007, "a text is not UTF-8", text("c3")],
  [1007, "a text is not UTF-8", text("e282")],
  [1007, "a text is not UTF-8", text("eda080")],
  [1007, "a text is not UTF-8", text("f4908080")],
  [1007, "a text is not UTF-8", text("61efbfbdff")],
  [1007, "a text is not UTF-8", text("c3", false), more("28")],
  [1007, "a text is not UTF-8", text("e2", false), more("", false), more("82")],
  [1007, "a text is not UTF-8", text("f09f", false), frame(9, "ping"), more("98")],
  [1002, "a Close frame has half of a code", frame(8, hex("03"))],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map(
    (code): [number, string, Uint8Array] => [
      1002,
      `a Close frame has the code ${code}`,
      frame(opcodes.close, closing(code)),
    ],
  ),
  [1007, "the reason of a Close frame is not UTF-8", frame(8, closing(1000, hex("ff")))],
  [1007, "the reason of a Close frame is not UTF-8", frame(8, closing(1000, hex("e282")))],
];

/** What comes before the violation belongs to it, except for whole messages. */
async function untilError(receive: () => Promise<unknown>): Promise<WebSocketError> {
  for (;;) {
    const outcome = await receive().catch((error: unknown) => error);
    if (typeof outcome === "string") continue;
    expect(outcome).toBeInstanceOf(WebSocketError);
    return outcome as WebSocketError;
  }
}

describe.each(["at once", "a byte at a time", "over TLS"])("%s", (way) => {
  test.each(violations)("%p: %s", async (code, reason, ...parts) => {
    await using pair = await handPair({ isTls: way === "over TLS" });
    const { ws, server } = pair;
    const wire = Buffer.concat(parts);
    const receiving = untilError(() => ws.receive(deadline(5000)));
    const portion = way === "a byte at a time" && wire.length < 1000 ? 1 : wire.length;
    for (let at = 0; at < wire.length; at += portion) {
      await server.socket.write(wire.subarray(at, at + portion)).catch(() => {});
      await yieldNow();
    }
    const error = await receiving;
    expect([error.code, error.closeCode, error.reason]).toEqual([
      "ERR_WEBSOCKET_PROTOCOL",
      code,
      reason,
    ]);
    expect(error.message).toContain(`${reason}: ${code}`);
    let read = await server.read();
    while (read.opcode === opcodes.pong) read = await server.read();
    expect(read.opcode).toBe(opcodes.close);
    expect(read.payload).toEqual(closing(code, reason));
    await server.expectEnd();
    expect([ws.socket.closed, ws.closeCode]).toEqual([true, 1006]);
    for (const later of [ws.receive(), ws.send("x"), ws.sendFragments(["x"]), ws.ping()]) {
      expect(await failureOf(later)).toBe(error);
    }
    await ws.close();
  });
});

test("a violation behind messages: these are received first", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  await server.socket.write(Buffer.concat([frame(1, "a"), frame(1, "b"), frame(7, "")]));
  expect([await ws.receive(), await ws.receive()]).toEqual(["a", "b"]);
  expect(await failureOf(ws.receive())).toBeInstanceOf(WebSocketError);
});

test("a violation that several fibers wait for fails all of them with one error", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const calls = [ws.receive(), ws.receive(), ws.ping(), ws.receive()].map(failureOf);
  await server.expect(opcodes.ping);
  await server.send(7, "");
  const errors = new Set(await Promise.all(calls));
  expect(errors.size).toBe(1);
  expect([...errors][0]).toBeInstanceOf(WebSocketError);
});

test("a violation that comes in place of the server's Close frame fails the close", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const end = failureOf(ws.close());
  expect(await server.expectClose()).toEqual([1000, ""]);
  await server.send(7, "");
  expect(await end).toBeInstanceOf(WebSocketError);
  // There is one Close frame at most.
  await server.expectEnd();
  expect(ws.socket.closed).toBe(true);
});

test("a server that reads nothing does not hold the failure up", async () => {
  await using pair = await handPair();
  const { ws, server } = pair;
  const sending = failureOf(ws.send(new Uint8Array(12_000_000)));
  await server.send(7, "");
  const started = performance.now();
  expect(await failureOf(ws.receive())).toBeInstanceOf(WebSocketError);
  expect((await sending).code).toBe("ERR_SOCKET_CLOSED");
  expect(performance.now() - started).toBeLessThan(4000);
  expect(ws.socket.closed).toBe(true);
});
