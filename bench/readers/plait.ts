// Readers on plait's sockets: BufferedReader, and loops over `read` as one writes them by hand.

import { BufferedReader, connect, type Socket } from "../../index.ts";
import { measure, type Way } from "./measure.ts";
import { BLOCK_BYTES, PREFIX_BYTES, units } from "./units.ts";

const BUFFER_BYTES = 65_536;

async function ask(port: number, request: Uint8Array): Promise<Socket> {
  const socket = await connect({ host: "127.0.0.1", port });
  await socket.write(request);
  return socket;
}

const readLine: Way = async (port, request) => {
  await using socket = await ask(port, request);
  const reader = new BufferedReader(socket);
  let count = 0;
  while ((await reader.readLine()) !== null) count++;
  return count;
};

const tryReadLine: Way = async (port, request) => {
  await using socket = await ask(port, request);
  const reader = new BufferedReader(socket);
  let count = 0;
  while ((reader.tryReadLine() ?? (await reader.readLine())) !== null) count++;
  return count;
};

const lines: Way = async (port, request) => {
  await using socket = await ask(port, request);
  let count = 0;
  for await (const _ of new BufferedReader(socket).lines()) count++;
  return count;
};

const readLines: Way = async (port, request) => {
  await using socket = await ask(port, request);
  const reader = new BufferedReader(socket);
  let count = 0;
  for (let batch = await reader.readLines(); batch !== null; batch = await reader.readLines()) {
    for (const line of batch) if (line.length > 0) count++;
  }
  return count;
};

const linesByHand: Way = async (port, request) => {
  await using socket = await ask(port, request);
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(BUFFER_BYTES);
  let count = 0;
  let end = 0;
  for (let received: number; (received = await socket.read(buffer.subarray(end))) > 0; ) {
    end += received;
    const filled = buffer.subarray(0, end);
    let start = 0;
    for (let found: number; (found = filled.indexOf(10, start)) >= 0; start = found + 1) {
      if (decoder.decode(filled.subarray(start, found)).length > 0) count++;
    }
    buffer.copyWithin(0, start, end);
    end -= start;
  }
  return count;
};

const readPrefixed: Way = async (port, request) => {
  await using socket = await ask(port, request);
  const reader = new BufferedReader(socket);
  let count = 0;
  while ((await reader.readPrefixed(PREFIX_BYTES)) !== null) count++;
  return count;
};

const tryReadPrefixed: Way = async (port, request) => {
  await using socket = await ask(port, request);
  const reader = new BufferedReader(socket);
  let count = 0;
  for (;;) {
    const frame = reader.tryReadPrefixed(PREFIX_BYTES) ?? (await reader.readPrefixed(PREFIX_BYTES));
    if (frame === null) return count;
    count++;
  }
};

const framesByHand: Way = async (port, request) => {
  await using socket = await ask(port, request);
  const buffer = new Uint8Array(BUFFER_BYTES);
  const view = new DataView(buffer.buffer);
  let count = 0;
  let end = 0;
  for (let received: number; (received = await socket.read(buffer.subarray(end))) > 0; ) {
    end += received;
    let start = 0;
    while (end - start >= PREFIX_BYTES) {
      const next = start + PREFIX_BYTES + view.getUint32(start);
      if (next > end) break;
      if (buffer.slice(start + PREFIX_BYTES, next).length > 0) count++;
      start = next;
    }
    buffer.copyWithin(0, start, end);
    end -= start;
  }
  return count;
};

const readFull: Way = async (port, request, unit) => {
  await using socket = await ask(port, request);
  const reader = new BufferedReader(socket);
  const block = new Uint8Array(BLOCK_BYTES);
  const { count } = units[unit];
  for (let index = 0; index < count; index++) await reader.readFull(block);
  return count;
};

const blocksByHand: Way = async (port, request) => {
  await using socket = await ask(port, request);
  const block = new Uint8Array(BLOCK_BYTES);
  for (let count = 0; ; count++) {
    let end = 0;
    while (end < BLOCK_BYTES) {
      const received = await socket.read(block.subarray(end));
      if (received === 0) return count;
      end += received;
    }
  }
};

await measure({
  readLine,
  tryReadLine,
  lines,
  readLines,
  linesByHand,
  readPrefixed,
  tryReadPrefixed,
  framesByHand,
  readFull,
  blocksByHand,
});
