/**
 * What programs do with `node:net`, as scenarios that note the events of both ends in their order. The same
 * scenario runs on Node's own net and on plait/net, and the notes must be equal.
 *
 * Run as a program, it prints the notes of all scenarios with the module that its argument names.
 */

import { once } from "node:events";
import { unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { corners } from "./net_corners.mjs";
import {
  closed,
  deadPort,
  host,
  Notes,
  ofServer,
  ofSocket,
  serve,
  states,
  stop,
} from "./net_notes.mjs";
import { places } from "./net_places.mjs";

const usual = {
  async "an echo, ended by the client"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      notes.watch("server", socket, ofSocket);
      socket.on("data", (chunk) => socket.write(chunk));
    });
    const client = net.connect(server.address().port, host);
    notes.watch("client", client, ofSocket);
    client.write("hello");
    client.once("data", () => client.end());
    await closed(client);
    await stop(server);
  },

  async "an answer, ended by the server"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      notes.watch("server", socket, ofSocket);
      socket.end("bye");
    });
    const client = net.connect({ port: server.address().port, host });
    notes.watch("client", client, ofSocket);
    await closed(client);
    notes.add("client", states(client));
    await stop(server);
  },

  async "half open: the server answers after the end"(net, notes) {
    const server = await serve(net, { allowHalfOpen: true }, (socket) => {
      notes.watch("server", socket, ofSocket);
      socket.on("end", () => {
        notes.add("server", socket.readyState);
        setTimeout(() => socket.end("all"), 20);
      });
      socket.resume();
    });
    const client = net.connect(server.address().port, host);
    notes.watch("client", client, ofSocket);
    client.end("question");
    await once(client, "finish");
    notes.add("client", client.readyState);
    await closed(client);
    await stop(server);
  },

  async "half open: the client goes on after the server's end"(net, notes) {
    let received = "";
    const server = await serve(net, { allowHalfOpen: true }, (socket) => {
      socket.end();
      socket.on("data", (chunk) => (received += chunk));
    });
    const client = net.connect({ port: server.address().port, host, allowHalfOpen: true });
    notes.watch("client", client, ofSocket);
    client.resume();
    await once(client, "end");
    notes.add("client", states(client));
    client.write("one");
    client.end("two");
    await closed(client);
    await stop(server);
    notes.add("server", received);
  },

  async "states of a socket"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.resume());
    const client = new net.Socket();
    notes.add("new", states(client), client.address(), client.remoteAddress, client.bytesWritten);
    client.connect(server.address().port, host);
    notes.add("connecting", states(client), client.address());
    client.write("abc");
    client.write("déf");
    notes.add("written", client.bytesWritten, client.bytesRead);
    await once(client, "connect");
    const { address, family } = client.address();
    notes.add("connected", states(client), address, family, client.localFamily);
    notes.add("peer", client.remoteAddress, client.remoteFamily, client.bytesWritten);
    notes.add("port", client.remotePort === server.address().port, client.localPort > 0);
    client.end();
    notes.add("ending", states(client));
    await closed(client);
    notes.add("closed", states(client), client.remoteAddress, client.bytesWritten);
    notes.add("again", client.localAddress, client.address(), client.bufferSize);
    await stop(server);
  },

  async "a connection that is refused"(net, notes) {
    const client = net.connect(await deadPort(net), host);
    notes.watch("client", client, ofSocket);
    await closed(client);
    notes.add("client", states(client));
  },

  async "a path where nothing listens"(net, notes) {
    const client = net.connect(join(tmpdir(), "plait-no-such.sock"));
    notes.watch("client", client, ofSocket);
    await closed(client);
  },

  async "destroyed before connect"(net, notes) {
    const client = new net.Socket();
    notes.watch("client", client, ofSocket);
    client.destroy();
    await closed(client);
    notes.add("client", states(client));
  },

  async "destroyed before connect, with an error"(net, notes) {
    const client = new net.Socket();
    notes.watch("client", client, ofSocket);
    client.destroy(new Error("enough"));
    await closed(client);
  },

  async "destroyed while it connects"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.resume());
    const client = net.connect(server.address().port, host);
    notes.watch("client", client, ofSocket);
    client.write("x", (error) => notes.add("client", "written", error ?? "well"));
    client.destroy();
    notes.add("client", states(client));
    await closed(client);
    await stop(server);
  },

  async "destroyed when it is connected"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      notes.watch("server", socket, ofSocket);
      socket.resume();
    });
    const client = net.connect(server.address().port, host, () => client.destroy());
    notes.watch("client", client, ofSocket);
    await closed(client);
    await stop(server);
  },

  async "destroyed with an error"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      notes.watch("server", socket, ofSocket);
      socket.resume();
    });
    const client = net.connect(server.address().port, host, () =>
      client.destroy(new Error("mine")),
    );
    notes.watch("client", client, ofSocket);
    await closed(client);
    await stop(server);
  },

  async "destroyed in a data event"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      socket.on("error", () => {});
      socket.write("one");
    });
    const client = net.connect(server.address().port, host);
    notes.watch("client", client, ofSocket);
    client.on("data", () => client.destroy());
    await closed(client);
    await stop(server);
  },

  async "destroyed twice, and written to"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.resume());
    const client = net.connect(server.address().port, host);
    await once(client, "connect");
    notes.watch("client", client, ofSocket);
    client.destroy();
    client.destroy(new Error("too late"));
    notes.add(
      "client",
      client.write("x", (error) => notes.add("client", "written", error)),
    );
    await closed(client);
    await stop(server);
  },

  async "reset by the peer"(net, notes) {
    let accepted;
    const server = await serve(net, {}, (socket) => (accepted = socket));
    const client = net.connect(server.address().port, host);
    notes.watch("client", client, ofSocket);
    client.write("x");
    await once(server, "connection");
    notes.watch("server", accepted, ofSocket);
    await once(accepted, "data");
    accepted.resetAndDestroy();
    await closed(client);
    await stop(server);
  },

  async "a reset before connect"(net, notes) {
    const client = new net.Socket();
    notes.watch("client", client, ofSocket);
    client.resetAndDestroy();
    await closed(client);
  },

  async "destroySoon sends what is buffered"(net, notes) {
    let received = 0;
    const server = await serve(net, {}, (socket) => {
      socket.on("data", (chunk) => (received += chunk.length));
    });
    const client = net.connect(server.address().port, host);
    notes.watch("client", client, ofSocket);
    await once(client, "connect");
    client.write(Buffer.alloc(3_000_000));
    client.destroySoon();
    await closed(client);
    await stop(server);
    notes.add("server", received);
  },

  async "a write after the end"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.resume());
    const client = net.connect(server.address().port, host);
    notes.watch("client", client, ofSocket);
    await once(client, "connect");
    client.end();
    client.write("late", (error) => notes.add("client", "written", error));
    await closed(client);
    await stop(server);
  },

  async "a write without connect"(net, notes) {
    const client = new net.Socket();
    notes.watch("client", client, ofSocket);
    client.write("x", (error) => notes.add("client", "written", error));
    await closed(client);
  },

  async "callbacks of writes and of the end"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.resume());
    const client = net.connect(server.address().port, host);
    notes.watch("client", client, ["connect", "finish", "close"]);
    for (const name of ["a", "b", "c"]) client.write(name, () => notes.add("client", name));
    client.end("d", () => notes.add("client", "d"));
    await closed(client);
    await stop(server);
  },

  async "a timeout, and activity after it"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.pipe(socket));
    const client = net.connect({ port: server.address().port, host, timeout: 40 });
    notes.watch("client", client, ofSocket);
    await once(client, "timeout");
    notes.add("client", client.timeout, states(client));
    client.write("x");
    await once(client, "timeout");
    client.setTimeout(0);
    client.end();
    await closed(client);
    await stop(server);
  },

  async "a timeout of a socket that does not connect"(net, notes) {
    const client = new net.Socket();
    client.setTimeout(20, () => notes.add("client", "callback"));
    notes.watch("client", client, ofSocket);
    await once(client, "timeout");
    client.destroy();
    await closed(client);
  },

  async "text in an encoding"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.pipe(socket));
    const client = net.connect(server.address().port, host);
    client.setEncoding("utf8");
    let text = "";
    client.on("data", (chunk) => {
      notes.add("client", typeof chunk);
      text += chunk;
      if (text.length === 6) client.end();
    });
    client.write("c3a9", "hex");
    client.write("6Q==", "base64");
    client.write("é", "latin1");
    client.write("aé€");
    await closed(client);
    notes.add("client", text);
    await stop(server);
    notes.lists.client = [notes.lists.client.at(-1)];
  },

  async "paused on connect"(net, notes) {
    const server = await serve(net, { pauseOnConnect: true }, (socket) => {
      notes.watch("server", socket, ofSocket);
      notes.add("server", socket.isPaused(), socket.bytesRead);
      setTimeout(() => {
        notes.add("server", "resumes", socket.bytesRead);
        socket.resume();
      }, 30);
    });
    const client = net.connect(server.address().port, host);
    client.end("data");
    client.resume();
    await closed(client);
    await stop(server);
  },

  async "pause and resume"(net, notes) {
    let accepted;
    const server = await serve(net, {}, (socket) => (accepted = socket));
    const client = net.connect(server.address().port, host);
    await once(server, "connection");
    notes.watch("client", client, ["data", "end", "close"]);
    client.pause();
    accepted.write("one");
    await new Promise((resolve) => setTimeout(resolve, 30));
    notes.add("client", "resumes");
    client.resume();
    await once(client, "data");
    accepted.end("two");
    await closed(client);
    await stop(server);
  },

  async "a look-up of the program"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.end());
    const lookup = (name, options, callback) => {
      notes.add("lookup", name, options.all === true, options.family);
      if (options.all) process.nextTick(callback, null, [{ address: host, family: 4 }]);
      else process.nextTick(callback, null, host, 4);
    };
    const { port } = server.address();
    for (const more of [{}, { family: 4 }, { autoSelectFamily: false }]) {
      const client = net.connect({ port, host: "plait.example", lookup, ...more });
      notes.watch("client", client, ofSocket);
      client.resume();
      await closed(client);
    }
    await stop(server);
  },

  async "a look-up that fails"(net, notes) {
    const failure = Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
    const lookup = (_name, _options, callback) => process.nextTick(callback, failure);
    const client = net.connect({ port: 80, host: "plait.example", lookup });
    notes.watch("client", client, ofSocket);
    await closed(client);
  },

  async "a look-up without an address"(net, notes) {
    const lookup = (_name, _options, callback) => process.nextTick(callback, null, "nonsense", 4);
    const client = net.connect({ port: 80, host: "plait.example", lookup, family: 4 });
    notes.watch("client", client, ofSocket);
    await closed(client);
  },

  async "a second connection of the same socket"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.end("hi"));
    const client = new net.Socket();
    notes.watch("client", client, ofSocket);
    const { port } = server.address();
    client.connect(port, host);
    await closed(client);
    client.connect(port, host);
    notes.add("client", states(client));
    await closed(client);
    await stop(server);
  },

  async "an aborted connect"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.resume());
    const { port } = server.address();
    const controller = new AbortController();
    const client = net.connect({ port, host, signal: controller.signal });
    notes.watch("client", client, ofSocket);
    controller.abort();
    await closed(client);
    await stop(server);
  },

  async "the life of a server"(net, notes) {
    const server = net.createServer();
    notes.watch("server", server, ofServer);
    notes.add("server", server.listening, server.address());
    server.close((error) => notes.add("server", "close's callback", error));
    await closed(server);
    server.listen(0, () => notes.add("server", "listen's callback"));
    notes.add("server", server.listening, server.address().family, server.address().address);
    await once(server, "listening");
    try {
      server.listen(0);
    } catch (error) {
      notes.add("server", error);
    }
    const client = net.connect(server.address().port, host);
    const [accepted] = await once(server, "connection");
    notes.add("server", accepted.server === server);
    server.getConnections((error, count) => notes.add("server", "connections", error, count));
    server.close((error) => notes.add("server", "close's callback", error ?? "well"));
    notes.add("server", server.listening, server.address());
    accepted.end();
    client.resume();
    await closed(server);
    server.getConnections((error, count) => notes.add("server", "connections", error, count));
    await new Promise(setImmediate);
  },

  async "an address in use"(net, notes) {
    const first = await serve(net, {}, () => {});
    const second = net.createServer();
    notes.watch("second", second, ofServer);
    second.listen(first.address().port, host);
    notes.add("second", second.listening);
    await once(second, "error");
    await stop(first);
  },

  async "an aborted listen"(net, notes) {
    const controller = new AbortController();
    const server = net.createServer();
    notes.watch("server", server, ofServer);
    server.listen({ port: 0, host, signal: controller.signal });
    await once(server, "listening");
    controller.abort();
    await closed(server);
    notes.add("server", server.listening);
  },

  async "connections over the limit"(net, notes) {
    const server = await serve(net, {}, () => {});
    server.maxConnections = 1;
    server.on("drop", (data) => {
      const { localAddress, localFamily, remoteAddress, remoteFamily } = data;
      notes.add("server", "drop", localAddress, localFamily, remoteAddress, remoteFamily);
    });
    const { port } = server.address();
    const first = net.connect(port, host);
    await once(server, "connection");
    const second = net.connect(port, host);
    second.on("error", () => {});
    second.resume();
    await closed(second);
    notes.add("server", "closed");
    first.destroy();
    await stop(server);
  },

  async "a Unix socket"(net, notes) {
    const path = join(tmpdir(), `plait-net-${process.pid}.sock`);
    const server = net.createServer((socket) => {
      notes.add("server", socket.remoteAddress, socket.remotePort, socket.address());
      socket.pipe(socket);
    });
    server.listen(path);
    await once(server, "listening");
    notes.add("server", server.address() === path);
    const client = net.connect({ path });
    notes.watch("client", client, ofSocket);
    await once(client, "connect");
    notes.add("client", client.remoteAddress, client.remoteFamily, client.localPort);
    client.setNoDelay(true).setKeepAlive(true, 1000);
    client.end("text");
    await closed(client);
    await stop(server);
    try {
      unlinkSync(path);
      notes.add("server", "the path is still there");
    } catch (error) {
      notes.add("server", error.code);
    }
  },

  async "wrong arguments"(net, notes) {
    const attempts = {
      "no port": () => net.connect({}),
      "a port above the last": () => net.connect(70_000),
      "a negative port": () => net.connect({ port: -1 }),
      "a port that is an object": () => net.connect({ port: {} }),
      "a port that is text": () => net.connect({ port: "a port", host }),
      "a host that is a number": () => net.connect({ port: 80, host: 5 }),
      "a path that is a number": () => net.connect({ path: 5 }),
      "a local address that is a name": () => net.connect({ port: 80, localAddress: "here" }),
      "a look-up that is text": () => net.connect({ port: 80, host: "a.example", lookup: "x" }),
      "a socket of objects": () => new net.Socket({ objectMode: true }),
      "a time that is text": () => new net.Socket().setTimeout("5"),
      "a negative time": () => new net.Socket().setTimeout(-5),
      "a callback that is text": () => new net.Socket().setTimeout(5, "x"),
      "a listen without anything": () => net.createServer().listen({}),
      "a listen on a bad port": () => net.createServer().listen(65_536),
      "options that are text": () => net.createServer("x"),
      "a write of a number": () => new net.Socket().write(5),
      "a write of null": () => new net.Socket().write(null),
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      try {
        attempt().on("error", () => {});
        notes.add("caller", name, "nothing");
      } catch (error) {
        notes.add("caller", name, error.name, error.code);
      }
    }
  },
};

export const scenarios = { ...usual, ...corners, ...places };

/** Runs all scenarios with a module, one after the other. */
async function runAll(net) {
  const results = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
    const notes = new Notes();
    const bound = setTimeout(() => notes.add("runner", "it hangs"), 5000);
    const late = new Promise((resolve) => setTimeout(resolve, 5000).unref?.());
    try {
      await Promise.race([scenario(net, notes), late]);
    } catch (error) {
      notes.add("runner", error.stack);
    }
    clearTimeout(bound);
    results[name] = notes.lists;
  }
  return results;
}

if (process.argv[1] === import.meta.filename) {
  const { default: net } = await import(process.argv[2]);
  const failures = [];
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error) => failures.push(`${event}: ${error?.stack}`));
  }
  const results = await runAll(net);
  console.log(JSON.stringify({ ...results, failures: { failures } }));
  process.exit(0);
}
