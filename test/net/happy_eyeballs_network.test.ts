/** Happy Eyeballs with addresses that are truly silent, or have no route: in private networks. */

import { describe, expect, test } from "bun:test";
import {
  hasPrivateNetworks,
  runInPrivateNetwork,
  silentIpv4,
  silentIpv6,
  zonedIpv6,
} from "../support/private_network.ts";

async function linesOf(hosts: readonly string[], source: string, bound = 8000): Promise<string[]> {
  const result = await runInPrivateNetwork(hosts, source, { bound });
  expect(result.stderr).toBe("");
  expect(result.exitCode).toBe(0);
  return result.stdout.split("\n");
}

const halfDead = [`${silentIpv6} half-dead.test`, "127.0.0.1 half-dead.test"];

describe.skipIf(!hasPrivateNetworks)("a host", () => {
  test.each([
    ["attached", "await main()"],
    ["blocking", "block(main)"],
  ])(
    "with a dead IPv6 and a live IPv4 address is reached in under 400 ms: %s",
    async (_name, run) => {
      const [order, result] = await linesOf(
        halfDead,
        `
        async function main() {
          const listener = await listen({ host: "127.0.0.1", port: 0 }, (socket) => socket.write("here"));
          const target = { host: "half-dead.test", port: listener.port };
          console.log((await resolve(target.host)).join(" "));
          // Other programs of the machine may spoil one try, but not all of them.
          let best = Infinity;
          let text = "";
          for (let attempt = 0; attempt < 5 && best >= 400; attempt++) {
            const before = now();
            const socket = await connect(target);
            best = Math.min(best, now() - before);
            text = new TextDecoder().decode(await socket.next());
            text += " " + socket.remoteAddress + " " + stats().waiters;
            socket.close();
          }
          console.log(JSON.stringify({ best, text }));
          await listener.close();
        }
        ${run};
      `,
      );
      expect(order).toBe(`${silentIpv6} 127.0.0.1`);
      const { best, text } = JSON.parse(result!) as { best: number; text: string };
      expect(text).toBe("here 127.0.0.1 1");
      expect(best).toBeGreaterThanOrEqual(250);
      expect(best).toBeLessThan(400);
    },
  );

  test("whose addresses have no route fails at once, however many there are", async () => {
    const addresses = Array.from({ length: 300 }, (_, index) => `2001:db8:1::${index + 1}`);
    const [line] = await linesOf(
      [...addresses, "198.51.100.1"].map((address) => `${address} nowhere.test`),
      `
        // With a head start for each address, it would take 75 s.
        const late = { host: "nowhere.test", port: 80, deadline: deadline(5000) };
        const error = await connect(late).catch((error) => error);
        const codes = new Set(error.cause.errors.map(({ code }) => code));
        console.log(error.code, error.address, error.cause.errors.length, ...codes);
      `,
    );
    expect(line).toBe("ENETUNREACH nowhere.test 301 ENETUNREACH");
  });

  test("with one address that has a route fails with the error of that address", async () => {
    const [line] = await linesOf(
      ["2001:db8:1::1 mixed.test", "127.0.0.1 mixed.test", "198.51.100.1 mixed.test"],
      `
        const error = await connect({ host: "mixed.test", port: 9 }).catch((error) => error);
        const tried = error.cause.errors.map(({ address, code }) => address + " " + code);
        console.log(error.code + ": " + tried.toSorted().join(", "));
      `,
    );
    expect(line).toBe(
      "ECONNREFUSED: 127.0.0.1 ECONNREFUSED, 198.51.100.1 ENETUNREACH, 2001:db8:1::1 ENETUNREACH",
    );
  });

  test("that has an address twice is tried there once", async () => {
    const lines = await linesOf(
      [...halfDead, ...halfDead, `${silentIpv4} half-dead.test`],
      `
        console.log((await resolve("half-dead.test")).toSorted().join(" "));
        console.log((await resolve("half-dead.test", { family: 4 })).toSorted().join(" "));
        console.log((await resolve("half-dead.test", { family: 6 })).toSorted().join(" "));
      `,
    );
    expect(lines).toEqual([
      `127.0.0.1 ${silentIpv4} ${silentIpv6}`,
      `127.0.0.1 ${silentIpv4}`,
      silentIpv6,
    ]);
  });

  test("that is a literal with a zone is connected to; a missing zone is an error", async () => {
    const lines = await linesOf(
      [],
      `
        const host = ${JSON.stringify(zonedIpv6)};
        const listener = await listen({ host: "::", port: 0 }, (socket) => socket.write("here"));
        const { port } = listener;
        console.log(...(await resolve(host)));
        const socket = await connect({ host, port });
        console.log(socket.remoteAddress);
        socket.close();
        const error = await connect({ host: "fe80::1%gone0", port }).catch((error) => error);
        console.log(error.name, error.code, error.address);
        await listener.close();
      `,
    );
    expect(lines).toEqual([zonedIpv6, zonedIpv6, "SocketError ENODEV fe80::1%gone0"]);
  });
});

describe.skipIf(!hasPrivateNetworks)("a name server's answer", () => {
  test("has Node's code when there is no address", async () => {
    // Response codes: RFC 1035, section 4.1.1.
    const lines = await linesOf(
      [],
      `
        const codes = { refused: 5, broken: 2, missing: 3, empty: 0 };
        const server = await Bun.udpSocket({
          hostname: "127.0.0.1",
          port: 53,
          socket: {
            data(socket, query, port, address) {
              const label = query.subarray(13, 13 + query[12]).toString();
              if (label === "silent") return;
              const answer = Buffer.from(query);
              answer[2] |= 0x80;
              answer[3] = 0x80 | codes[label];
              socket.send(answer, port, address);
            },
          },
        });
        const tell = async (host, options) => {
          const error = await resolve(host, options).catch((error) => error);
          console.log(host, error.name, error.code, error.syscall, error.address);
        };
        await tell("missing.example.test");
        await tell("empty.example.test");
        await tell("broken.example.test");
        await tell("silent.example.test", { deadline: deadline(20) });
        await tell("silent.example.test");
        server.close();
        await tell("missing.example.test");
        process.exit();
      `,
    );
    expect(lines).toEqual([
      "missing.example.test SocketError ENOTFOUND getaddrinfo missing.example.test",
      "empty.example.test SocketError ENOTFOUND getaddrinfo empty.example.test",
      "broken.example.test SocketError EAI_AGAIN getaddrinfo broken.example.test",
      "silent.example.test TimeoutError ETIMEDOUT getaddrinfo silent.example.test",
      "silent.example.test SocketError EAI_AGAIN getaddrinfo silent.example.test",
      "missing.example.test SocketError EAI_AGAIN getaddrinfo missing.example.test",
    ]);
  });
});
