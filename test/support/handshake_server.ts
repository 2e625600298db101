/** A program with listeners of several kinds, for handshake_clients.ts. */

import { type Handler, listen, tlsContext } from "../../index.ts";
import { certificates } from "./certificates.ts";
import { answer, measure } from "./measured_program.ts";
import { pollUntil } from "./poll.ts";
import { echo, presenting, serveTls } from "./tls_pair.ts";

const made = certificates();
const usual = presenting(made.p256);
const named = tlsContext(presenting(made.named));
let failures = 0;
const options = {
  onError: () => {
    failures++;
  },
};

const upgrade: Handler = async (socket) => {
  await socket.startTls(usual);
  await echo(socket);
};

const listeners = {
  plain: await serveTls(echo, usual, options),
  guarded: await serveTls(echo, { ...usual, ca: made.root, clientAuth: "require" }, options),
  named: await serveTls(
    echo,
    {
      ...usual,
      alpn: ["known"],
      async sni(name) {
        await Promise.resolve();
        return name === "good.example" ? named : name === "localhost" ? undefined : null;
      },
    },
    options,
  ),
  upgraded: await listen({ host: "127.0.0.1", port: 0, ...options }, upgrade),
};

export type Ports = { readonly [Name in keyof typeof listeners]: number };

await answer({
  ports: () =>
    Object.fromEntries(Object.entries(listeners).map(([name, { port }]) => [name, port])),
  // A name that no client sends makes it another context.
  renew: (text) => listeners.plain.setTls({ ...usual, sni: { [`${text}.example`]: named } }),
  failures: () => failures,
  async measure() {
    const open = (): boolean => Object.values(listeners).some(({ connections }) => connections > 0);
    await pollUntil("all connections are closed", () => !open(), 8000);
    return await measure();
  },
});
