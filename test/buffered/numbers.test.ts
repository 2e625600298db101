/** Numbers and prefixed messages from a socket. */

import { describe, expect, test } from "bun:test";
import { failureOf } from "../support/failure.ts";
import { readerSubject, text } from "../support/reader_subject.ts";

describe("numbers", () => {
  const bytes = new Uint8Array([0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10]);
  const view = new DataView(bytes.buffer);
  const names = [
    "Uint16",
    "Int16",
    "Uint32",
    "Int32",
    "BigUint64",
    "BigInt64",
    "Float32",
    "Float64",
  ] as const;
  const methods: [method: string, expected: unknown][] = [
    ["readUint8", view.getUint8(0)],
    ["readInt8", view.getInt8(0)],
    ...names.flatMap((name): [string, unknown][] => [
      [`read${name}BE`, view[`get${name}`](0)],
      [`read${name}LE`, view[`get${name}`](0, true)],
    ]),
  ];

  test.each(methods)("%s", async (method, expected) => {
    await using it = await readerSubject(bytes);
    const read = it.reader[method as "readUint8"].bind(it.reader);
    expect<unknown>(await read()).toBe(expected);
    const size = 8 - it.reader.buffered;
    expect(method).toContain(String(size * 8));
  });

  test.each([
    [[0x00], 0],
    [[0x7f], 127],
    [[0x80, 0x01], 128],
    [[0xac, 0x02], 300],
    [[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], Number.MAX_SAFE_INTEGER],
    [[0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 5],
  ])("the varint %p", async (encoded, expected) => {
    await using it = await readerSubject(new Uint8Array([...encoded, 9]));
    expect(await it.reader.readVarint()).toBe(expected);
    expect(await it.reader.readUint8()).toBe(9);
  });

  test.each([
    [[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]],
    [[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]],
  ])("the varint %p is too large, and stays unread", async (encoded) => {
    await using it = await readerSubject(new Uint8Array(encoded));
    for (let time = 0; time < 2; time++) {
      expect((await failureOf(it.reader.readVarint())).code).toBe("EOVERFLOW");
    }
    expect(it.reader.buffered).toBe(encoded.length);
  });

  test("a prefix of each size and order", async () => {
    for (let size = 1; size <= 6; size++) {
      const big = new Uint8Array(size);
      big[size - 1] = 3;
      const little = big.toReversed();
      await using it = await readerSubject(
        Buffer.concat([big, Buffer.from("abc"), little, Buffer.from("def")]),
      );
      expect(text(await it.reader.readPrefixed(size))).toBe("abc");
      expect(text(await it.reader.readPrefixed(size, { littleEndian: true }))).toBe("def");
    }
  });
});
