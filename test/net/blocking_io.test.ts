import { expect, test } from "bun:test";
import { type Handler, listen } from "../../index.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { runProgram } from "../support/programs.ts";
import { drain, readText } from "../support/receiving.ts";

/**
 * Runs a client in a process of its own, since its thread blocks; the server is this process. The
 * program has `client`, and its last value is its result.
 */
async function resultOf(handler: Handler, program: string): Promise<unknown> {
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, handler);
  const { stdout, stderr, exitCode } = await runProgram(`
    const client = await connect({ host: "127.0.0.1", port: ${listener.port} });
    const failureOf = (call: () => unknown) => {
      try {
        return { returned: call() };
      } catch ({ name, code, syscall, bytesWritten }) {
        return { name, code, syscall, bytesWritten };
      }
    };
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const tell = (result: unknown) => console.log(JSON.stringify(result));
    ${program}
  `);
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  return JSON.parse(stdout) as unknown;
}

const echo: Handler = async (socket) => {
  for await (const chunk of socket) await socket.write(chunk);
};

test("a dialogue by writeSync and readSync", async () => {
  const result = await resultOf(
    echo,
    `
    const answers: unknown[] = [];
    const buffer = new Uint8Array(64);
    for (const data of ["grüße", new Uint8Array([65, 66]), new Uint16Array([0x4443]).buffer]) {
      answers.push(client.writeSync(data));
      answers.push(text(buffer.subarray(0, client.readSync(buffer))));
    }
    answers.push(client.writeSync(""), client.bytesWritten, client.bytesRead);
    tell(answers);
    `,
  );
  expect(result).toEqual([7, "grüße", 2, "AB", 2, "CD", 0, 11, 11]);
});

test("writeSync waits for a peer that reads slowly, and sends everything", async () => {
  const length = 24 * 1024 * 1024;
  const result = await resultOf(
    async (socket) => {
      await socket.write(JSON.stringify(await drain(socket)));
    },
    `
    const numbers = new Float64Array(${length / 8});
    for (let index = 0; index < numbers.length; index++) numbers[index] = index + 0.5;
    const sent = client.writeSync(numbers);
    await client.shutdown();
    const buffer = new Uint8Array(200);
    let answer = "";
    for (let count; (count = client.readSync(buffer)) > 0; ) answer += text(buffer.subarray(0, count));
    tell({ sent, eof: client.eof, again: client.readSync(buffer), ...JSON.parse(answer) });
    `,
  );
  const hash = hashOf(distinctBytes(length));
  expect(result).toEqual({ sent: length, eof: true, again: 0, bytes: length, hash });
});

test("readSync gives up at its deadline, and loses no data", async () => {
  const result = await resultOf(
    async (socket) => {
      await socket.next();
      await socket.write("at last");
    },
    `
    const buffer = new Uint8Array(64);
    const end = deadline(50);
    const failure = failureOf(() => client.readSync(buffer, end));
    const isLate = now() >= end;
    client.writeSync("now");
    const count = client.readSync(buffer, deadline(3000));
    tell({ failure, isLate, answer: text(buffer.subarray(0, count)) });
    `,
  );
  const failure = { name: "TimeoutError", code: "ETIMEDOUT", syscall: "read" };
  expect(result).toEqual({ failure, isLate: true, answer: "at last" });
});

test("writeSync gives up at its deadline with the exact number of bytes", async () => {
  const { promise: isOver, resolve: end } = Promise.withResolvers<void>();
  // The client connects here to say that it has given up: nothing is read before.
  await using signal = await listen({ host: "127.0.0.1", port: 0 }, () => end());
  const result = await resultOf(
    async (socket) => {
      await isOver;
      await socket.write(`${(await drain(socket)).bytes}`);
    },
    `
    const failure = failureOf(() => client.writeSync(new Uint8Array(64 << 20), deadline(100)));
    const { bytesWritten } = client;
    await connect({ host: "127.0.0.1", port: ${signal.port} });
    // The next read goes on at the right byte.
    const more = await client.write("more");
    await client.shutdown();
    tell({ failure, bytesWritten, more, received: Number(text((await client.next())!)) });
    `,
  );
  const { bytesWritten } = result as { bytesWritten: number };
  expect(result).toEqual({
    failure: { name: "TimeoutError", code: "ETIMEDOUT", syscall: "write", bytesWritten },
    bytesWritten,
    more: 4,
    received: bytesWritten + 4,
  });
  expect(bytesWritten).toBeGreaterThan(0);
});

test("both report a reset, and do so again", async () => {
  const result = await resultOf(
    async (socket) => {
      await socket.next();
      socket.reset();
    },
    `
    const buffer = new Uint8Array(64);
    client.writeSync("hello");
    const failures = [1, 2].map(() => failureOf(() => client.readSync(buffer)));
    tell([...failures, failureOf(() => client.writeSync("more"))]);
    `,
  );
  const reset = { name: "SocketError", code: "ECONNRESET", syscall: "read" };
  const broken = { name: "SocketError", code: "EPIPE", syscall: "write", bytesWritten: 0 };
  expect(result).toEqual([reset, reset, broken]);
});

test("waiting calls and blocking calls may alternate", async () => {
  const result = await resultOf(
    echo,
    `
    const buffer = new Uint8Array(64);
    const answers: string[] = [];
    for (let turn = 0; turn < 4; turn++) {
      if (turn % 2 === 0) client.writeSync(\`turn \${turn}\`);
      else await client.write(\`turn \${turn}\`);
      const count = turn < 2 ? client.readSync(buffer) : await client.read(buffer);
      answers.push(text(buffer.subarray(0, count)));
    }
    const blocked = block(async () => {
      client.writeSync("in a fiber");
      return client.readSync(buffer);
    });
    answers.push(text(buffer.subarray(0, blocked)));
    tell(answers);
    `,
  );
  expect(result).toEqual(["turn 0", "turn 1", "turn 2", "turn 3", "in a fiber"]);
});

test("they do not use the processor while they wait", async () => {
  const result = await resultOf(
    async (socket) => {
      await socket.next();
      await socket.write("done");
    },
    `
    const before = process.cpuUsage();
    failureOf(() => client.readSync(new Uint8Array(8), deadline(300)));
    const { user, system } = process.cpuUsage(before);
    client.writeSync("x");
    client.readSync(new Uint8Array(8));
    tell((user + system) / 1000 < 150);
    `,
  );
  expect(result).toBe(true);
});

test("more calls than a turn's budget succeed without waiting", async () => {
  const text = "0123456789".repeat(2000);
  const result = await resultOf(
    async (socket) => {
      await socket.write(`${(await readText(socket)) === text}`);
    },
    `
    let sent = 0;
    for (let count = 0; count < 2000; count++) sent += client.writeSync("0123456789");
    await client.shutdown();
    const buffer = new Uint8Array(1);
    let answer = "";
    while (client.readSync(buffer) > 0) answer += text(buffer);
    tell({ sent, answer });
    `,
  );
  expect(result).toEqual({ sent: 20_000, answer: "true" });
});
