/** Scenarios of net_scenarios.mjs: servers, addresses, paths, and arguments of every kind. */

import { once } from "node:events";
import { statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closed, deadPort, host, ofServer, serve, stop } from "./net_notes.mjs";

const turn = () => new Promise(setImmediate);

function never() {}

/** A path for a Unix socket that is not there. */
let paths = 0;
function newPath() {
  return join(tmpdir(), `plait-net-${process.pid}-${paths++}.sock`);
}

export const places = {
  async "limits of connections"(net, notes) {
    for (const limit of [1, "1", null, undefined, -1]) {
      const server = await serve(net, {}, (socket) => socket.on("error", never).resume());
      server.maxConnections = limit;
      let drops = 0;
      server.on("drop", () => drops++);
      const clients = [];
      for (let count = 0; count < 2; count++) {
        const client = net.connect(server.address().port, host);
        client.on("error", never).resume();
        clients.push(client);
        await Promise.race([once(server, "connection"), once(server, "drop")]);
      }
      notes.add(String(limit), drops);
      for (const client of clients) client.destroy();
      await stop(server);
    }
    const path = newPath();
    const server = net.createServer(never);
    server.maxConnections = -1;
    server.on("drop", (...data) => notes.add("path", data.length, data));
    server.listen(path);
    await once(server, "listening");
    const client = net.connect(path);
    client.on("error", never).resume();
    await closed(client);
    await stop(server);
  },

  async "closes of a server"(net, notes) {
    const server = net.createServer();
    notes.watch("server", server, ofServer);
    server.listen(0);
    server.close((error) => notes.add("server", "first", error ?? "well"));
    server.close((error) => notes.add("server", "second", error?.code));
    notes.add("server", server.listening, server.address());
    await closed(server);
    await turn();
    const busy = await serve(net, {}, (socket) => {
      socket.on("error", never);
      busy.close(() => notes.add("busy", "closed"));
      socket.on("close", () => notes.add("busy", "the socket"));
      socket.end();
    });
    const client = net.connect(busy.address().port, host).resume();
    await closed(busy);
    notes.add(
      "busy",
      await busy[Symbol.asyncDispose]?.().then(
        () => "disposed",
        (error) => error.code,
      ),
    );
    client.destroy();
    for (const wrong of [undefined, null, 5, "x"]) {
      try {
        net.createServer().close(wrong);
        notes.add("wrong", "nothing");
      } catch (error) {
        notes.add("wrong", error.code);
      }
    }
  },

  async paths(net, notes) {
    for (const path of [newPath(), "/nonexistent/folder/a.sock"]) {
      const client = net.connect({ path });
      client.on("error", (error) => notes.add("connect", error.code, error.syscall));
      await closed(client);
    }
    for (const path of ["/nonexistent/folder/a.sock"]) {
      const server = net.createServer();
      try {
        server.listen(path);
        const [error] = await once(server, "error");
        notes.add("listen", error.code, error.syscall);
      } catch (error) {
        notes.add("listen", "throws", error.code);
      }
    }
    const file = newPath();
    writeFileSync(file, "a file");
    const taken = net.createServer();
    taken.listen(file);
    const [error] = await once(taken, "error");
    notes.add("taken", error.code, taken.listening);
    const path = newPath();
    const open = net.createServer((socket) => socket.end("hi"));
    open.listen({ path, readableAll: true, writableAll: true });
    await once(open, "listening");
    notes.add("mode", (statSync(path).mode & 0o777).toString(8));
    const client = net.connect(path);
    notes.watch("client", client, ["connect", "ready", "end", "error", "close"]);
    client.resume();
    notes.add("client", client.connecting, client.address());
    await closed(client);
    const again = net.createServer();
    again.listen(path);
    const [inUse] = await once(again, "error");
    notes.add("in use", inUse.code);
    await stop(open);
    const hidden = net.createServer((socket) => socket.end("hidden"));
    const name = `\0plait-net-${process.pid}-${globalThis.Bun ? "b" : "n"}`;
    hidden.listen(name);
    await once(hidden, "listening");
    const other = net.connect(name);
    notes.watch("hidden", other, ["data", "end", "error", "close"]);
    await closed(other);
    await stop(hidden);
  },

  async "look-ups that misbehave"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.end());
    const { port } = server.address();
    const lookups = {
      "at once": (_name, { all }, callback) =>
        all ? callback(null, [{ address: host, family: 4 }]) : callback(null, host, 4),
      "with a wrong family": (_name, _options, callback) =>
        process.nextTick(callback, null, [{ address: host, family: 5 }]),
      "with a failure at once": (_name, _options, callback) =>
        callback(Object.assign(new Error("no"), { code: "ENOTFOUND" })),
    };
    for (const [name, lookup] of Object.entries(lookups)) {
      const client = net.connect({ port, host: "plait.example", lookup });
      client.on("connect", () => notes.add(name, "connect"));
      client.on("error", (error) => notes.add(name, error.name, error.code));
      client.resume();
      await closed(client);
    }
    await stop(server);
  },

  async "several addresses"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.end());
    const { port } = server.address();
    const dead = await deadPort(net);
    const lookup = (_name, _options, callback) =>
      process.nextTick(callback, null, [
        { address: "127.0.0.2", family: 4 },
        { address: "127.0.0.1", family: 4 },
      ]);
    for (const place of [port, dead]) {
      const client = net.connect({
        port: place,
        host: "plait.example",
        lookup,
        autoSelectFamily: true,
      });
      const who = place === port ? "one answers" : "none answers";
      notes.watch(who, client, ["lookup", "connect", "ready", "close"]);
      client.on("connectionAttempt", (address, _port, family) =>
        notes.add(who, "connectionAttempt", address, family),
      );
      client.on("connectionAttemptFailed", (address, _port, family, error) =>
        notes.add(who, "connectionAttemptFailed", address, family, error.code),
      );
      client.on("error", (error) => {
        const each = error.errors?.map(({ code, address }) => `${code} ${address}`);
        notes.add(who, error.name, error.code, error.message, each);
      });
      client.resume();
      await closed(client);
      const tried = client.autoSelectFamilyAttemptedAddresses;
      notes.add(
        who,
        tried.map((each) => each.replace(/:\d+$/, "")),
      );
    }
    await stop(server);
  },

  async "more wrong arguments"(net, notes) {
    const attempts = {
      "connect()": () => net.connect(),
      "connect(undefined)": () => net.connect(undefined),
      "connect(null)": () => net.connect(null),
      "connect(NaN)": () => net.connect(Number.NaN, host),
      "connect(1.5)": () => net.connect(1.5, host),
      "connect(true)": () => net.connect(true, host),
      "connect(an empty text)": () => net.connect("", host),
      "connect(port: an empty text)": () => net.connect({ port: "", host }),
      "connect(port: null)": () => net.connect({ port: null, host }),
      "connect(a family)": () => net.connect({ port: 1, host, family: 7 }),
      "connect(hints)": () => net.connect({ port: 1, host: "localhost", hints: 1 << 20 }),
      "connect(a local port)": () => net.connect({ port: 1, host, localPort: "x" }),
      "connect(autoSelectFamily)": () => net.connect({ port: 1, host, autoSelectFamily: "x" }),
      "connect(a delay)": () => net.connect({ port: 1, host, autoSelectFamilyAttemptTimeout: 0 }),
      "connect(timeout)": () => net.connect({ port: 1, host, timeout: "x" }),
      "new Socket(null)": () => new net.Socket(null),
      "new Socket(fd: text)": () => new net.Socket({ fd: "x" }),
      "new Socket(fd: -1)": () => new net.Socket({ fd: -1 }),
      "listen(null)": () => net.createServer().listen(null),
      "listen(undefined)": () => net.createServer().listen(undefined),
      "listen(true)": () => net.createServer().listen(true),
      "listen(NaN)": () => net.createServer().listen(Number.NaN),
      "listen(-1)": () => net.createServer().listen(-1),
      "listen(1.5)": () => net.createServer().listen(1.5),
      "listen(a port as text)": () => net.createServer().listen("0"),
      "listen(port: null)": () => net.createServer().listen({ port: null }),
      "listen(port: undefined)": () => net.createServer().listen({ port: undefined }),
      "listen(path: an empty text)": () => net.createServer().listen({ path: "" }),
      "listen(path: a number)": () => net.createServer().listen({ path: 5 }),
      "listen(fd: text)": () => net.createServer().listen({ fd: "x" }),
      "listen(a function)": () => net.createServer().listen(never),
      "createServer(null)": () => net.createServer(null),
      "createServer(5)": () => net.createServer(5),
      "createServer(no function)": () => net.createServer({}, 5),
      "createServer(a delay)": () => net.createServer({ keepAliveInitialDelay: "x" }),
      "write(undefined)": () => void new net.Socket().write(undefined),
      "write(an object)": () => void new net.Socket().write({}),
      "write(an array)": () => void new net.Socket().write([1]),
      "write(an encoding)": () => void new net.Socket().on("error", never).write("x", "nope"),
      "end(an object)": () => void new net.Socket().on("error", never).end({}),
      setEncoding: () => void new net.Socket().setEncoding("nope"),
      setKeepAlive: () => void new net.Socket().setKeepAlive("x", "y"),
      setNoDelay: () => void new net.Socket().setNoDelay("x"),
      "destroy(text)": () => void new net.Socket().on("error", never).destroy("x"),
      getConnections: () => void net.createServer().getConnections(5),
      isIP: () => void notes.add("isIP", net.isIP(5), net.isIP({}), net.isIPv4(undefined)),
      "family timeout": () => void net.setDefaultAutoSelectFamilyAttemptTimeout("x"),
      family: () => void net.setDefaultAutoSelectFamily("x"),
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      try {
        const made = attempt();
        made?.on("error", never);
        notes.add("caller", name, "nothing");
        if (made?.destroy) made.destroy();
        else made?.close();
      } catch (error) {
        notes.add("caller", name, error.name, error.code);
      }
    }
  },
};
