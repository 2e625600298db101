/** Scenarios of net_scenarios.mjs in the corners of `node:net`: the states of sockets, and what ends them. */

import { once } from "node:events";
import { finished, pipeline, Readable, Writable } from "node:stream";
import { closed, deadPort, host, ofServer, ofSocket, serve, states, stop } from "./net_notes.mjs";

const turn = () => new Promise(setImmediate);
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function never() {}

export const corners = {
  async "destroyed in each event"(net, notes) {
    for (const event of ["connect", "ready", "data", "end", "finish"]) {
      const server = await serve(net, {}, (socket) => {
        socket.on("error", never).resume();
        socket.end("data");
      });
      const client = net.connect(server.address().port, host);
      notes.watch(event, client, ofSocket);
      client.on(event, () => client.destroy());
      client.resume();
      client.write("x", (error) => notes.add(`${event}: write`, error));
      client.end(() => notes.add(`${event}: end`, "called"));
      await closed(client);
      await turn();
      notes.add(event, states(client));
      await stop(server);
    }
  },

  async "writes that wait when it is destroyed"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.on("error", never).pause());
    for (const error of [undefined, new Error("enough")]) {
      const client = net.connect(server.address().port, host);
      await once(client, "connect");
      notes.watch("client", client, ofSocket);
      for (const [index, size] of [20_000_000, 10, 20].entries()) {
        client.write(Buffer.alloc(size), (failure) => notes.add("write", index, failure));
      }
      client.end("last", (failure) => notes.add("end", failure));
      await turn();
      client.destroy(error);
      await closed(client);
      await turn();
    }
    server.close();
  },

  async "writes and an end when the connect is refused"(net, notes) {
    const client = net.connect(await deadPort(net), host);
    notes.watch("client", client, ofSocket);
    client.write("one", (error) => notes.add("write", error));
    client.write("two", (error) => notes.add("write", error));
    client.end("three", (error) => notes.add("end", error));
    notes.add("written", client.bytesWritten);
    await closed(client);
    await turn();
  },

  async "writes when it is destroyed while it connects"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.on("error", never).resume());
    for (const error of [undefined, new Error("enough")]) {
      const client = net.connect(server.address().port, host);
      notes.watch("client", client, ofSocket);
      client.write("one", (failure) => notes.add("write", failure));
      client.write("two", (failure) => notes.add("write", failure));
      client.end((failure) => notes.add("end", failure));
      client.destroy(error);
      await closed(client);
      await turn();
    }
    await stop(server);
  },

  async "corked while it connects"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      socket.on("data", (data) => notes.add("server", "data", String(data)));
    });
    const client = net.connect(server.address().port, host);
    notes.watch("client", client, ofSocket);
    client.cork();
    client.write("a");
    client.write("é", "latin1");
    client.write("6263", "hex");
    notes.add("written", client.bytesWritten, client.writableLength, client.bufferSize);
    await once(client, "connect");
    await sleep(10);
    notes.add("written", client.bytesWritten, client.writableCorked);
    client.uncork();
    client.cork();
    client.write("d");
    client.end("e");
    await closed(client);
    notes.add("written", client.bytesWritten);
    await stop(server);
  },

  async "a write after the connection is gone"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      socket.on("error", never);
      socket.on("data", () => socket.resetAndDestroy());
    });
    const client = net.connect(server.address().port, host);
    client.on("error", (error) => notes.add("client", "error", error.code));
    client.on("close", (hadError) => notes.add("client", "close", hadError));
    client.write("x");
    await closed(client);
    client.write("y", (error) => notes.add("write", error));
    client.end("z", (error) => notes.add("end", error));
    await sleep(5);
    await stop(server);
  },

  async "writes to a destroyed socket and behind the end"(net, notes) {
    const server = await serve(net, { allowHalfOpen: true }, (socket) => {
      socket.on("error", never).resume();
      socket.on("end", () => setTimeout(() => socket.end(), 30));
    });
    const client = net.connect(server.address().port, host);
    await once(client, "connect");
    notes.watch("client", client, ofSocket);
    client.end("x", (error) => notes.add("end", error));
    client.end((error) => notes.add("second end", error));
    notes.add(
      "write",
      client.write("y", (error) => notes.add("write", error)),
    );
    await closed(client);
    notes.add(
      "write",
      client.write("y", (error) => notes.add("write", error)),
    );
    client.end((error) => notes.add("third end", error));
    await sleep(5);
    server.close();
  },

  async "resets in every state"(net, notes) {
    const server = await serve(net, {}, (socket) => socket.on("error", never).resume());
    const { port } = server.address();
    for (const state of ["new", "connecting", "connected", "writing", "ended", "destroyed"]) {
      const client = new net.Socket();
      notes.watch(state, client, ofSocket);
      if (state !== "new") client.connect(port, host);
      if (state !== "new" && state !== "connecting") {
        await Promise.all([once(client, "connect"), once(server, "connection")]);
      }
      if (state === "writing") client.write("text", (error) => notes.add(state, "write", error));
      if (state === "ended") client.end();
      if (state === "destroyed") client.destroy();
      if (state === "ended") await once(client, "finish");
      notes.add(state, client.resetAndDestroy() === client);
      await closed(client);
      notes.add(state, states(client));
      await sleep(5);
    }
    server.close();
    await closed(server);
  },

  async "a timeout while it connects and while it writes"(net, notes) {
    const lookup = () => {};
    const waiting = net.connect({ port: 1, host: "plait.example", lookup, timeout: 30 });
    notes.watch("connecting", waiting, ofSocket);
    notes.add("connecting", waiting.timeout);
    await once(waiting, "timeout");
    notes.add("connecting", states(waiting));
    waiting.destroy();
    await closed(waiting);
    const server = await serve(net, {}, (socket) => socket.on("error", never).pause());
    const client = net.connect(server.address().port, host);
    notes.watch("writing", client, ofSocket);
    await once(client, "connect");
    client.write(Buffer.alloc(30_000_000), (error) => notes.add("writing", "write", error?.code));
    client.setTimeout(60, () => notes.add("writing", "the callback"));
    await once(client, "timeout");
    notes.add("writing", states(client), client.timeout);
    client.setTimeout(0);
    notes.add("writing", client.timeout);
    client.destroy();
    await closed(client);
    notes.add("writing", client.setTimeout(10) === client);
    server.close();
  },

  async "callbacks of setTimeout"(net, notes) {
    const client = new net.Socket();
    const callback = () => notes.add("client", "callback");
    client.setTimeout(10, callback);
    await once(client, "timeout");
    client.setTimeout(10, callback);
    client.setTimeout(0, callback);
    await sleep(30);
    notes.add("client", client.listenerCount("timeout"));
    for (const milliseconds of [Number.NaN, Number.POSITIVE_INFINITY, -1, "1", undefined, null]) {
      try {
        client.setTimeout(milliseconds);
        notes.add("client", "nothing");
      } catch (error) {
        notes.add("client", error);
      }
    }
    client.destroy();
  },

  async signals(net, notes) {
    const server = await serve(net, {}, (socket) => socket.on("error", never).resume());
    const { port } = server.address();
    const reason = new Error("the reason");
    const controller = new AbortController();
    const client = net.connect({ port, host, signal: controller.signal });
    notes.watch("connected", client, ofSocket);
    client.on("error", (error) => notes.add("connected", error.cause === reason));
    await once(client, "connect");
    client.write(Buffer.alloc(10), () => controller.abort(reason));
    await closed(client);
    for (const signal of [5, {}, null, "x"]) {
      try {
        new net.Socket({ signal }).on("error", never);
        notes.add("wrong", "nothing");
      } catch (error) {
        notes.add("wrong", error.name, error.code);
      }
      try {
        const listening = net.createServer().listen({ port: 0, host, signal });
        notes.add("wrong", "nothing");
        listening.close();
      } catch (error) {
        notes.add("wrong", error.name, error.code);
      }
    }
    await stop(server);
    const aborted = net.createServer();
    notes.watch("aborted", aborted, ofServer);
    aborted.listen({ port: 0, host, signal: AbortSignal.abort() });
    await closed(aborted);
  },

  async "an iteration"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      socket.on("error", never);
      socket.write("one");
      socket.end("two");
    });
    const { port } = server.address();
    const whole = net.connect(port, host);
    notes.watch("whole", whole, ["end", "error", "close"]);
    let text = "";
    for await (const chunk of whole) text += chunk;
    notes.add("whole", text, whole.destroyed);
    const left = net.connect(port, host);
    notes.watch("left", left, ["error", "close"]);
    for await (const _ of left) break;
    notes.add("left", left.destroyed);
    const refused = net.connect(await deadPort(net), host);
    try {
      for await (const _ of refused);
    } catch (error) {
      notes.add("refused", error.code);
    }
    const destroyed = net.connect(port, host);
    setTimeout(() => destroyed.destroy(), 1);
    const { server: silent } = { server: await serve(net, {}, never) };
    const other = net.connect(silent.address().port, host);
    other.on("connect", () => other.destroy());
    try {
      for await (const _ of other);
      notes.add("destroyed", "it ends");
    } catch (error) {
      notes.add("destroyed", error.code);
    }
    await stop(server);
    server.close();
    silent.close();
  },

  async pipelines(net, notes) {
    const server = await serve(net, {}, (socket) => {
      socket.on("error", never);
      socket.resume();
    });
    const { port } = server.address();
    const endless = () =>
      new Readable({
        read() {
          this.push(Buffer.alloc(65_536));
        },
      });
    for (const how of ["destroy", "reset", "source", "end"]) {
      const client = net.connect(port, host);
      const source = how === "end" ? Readable.from(["a", "b"]) : endless();
      const done = new Promise((resolve) => pipeline(source, client, resolve));
      await Promise.all([once(client, "connect"), once(server, "connection")]);
      await sleep(10);
      if (how === "destroy") client.destroy();
      if (how === "reset") client.resetAndDestroy();
      if (how === "source") source.destroy(new Error("of the source"));
      const error = await done;
      notes.add(how, error?.code ?? error?.message, source.destroyed);
      if (!client.closed) await closed(client);
      notes.add(how, client.destroyed);
    }
    const client = net.connect(port, host);
    finished(client, (error) => notes.add("finished", error));
    await once(client, "connect");
    client.destroy();
    await closed(client);
    await turn();
    await stop(server);
  },

  async "a stream of 50 MB that is cut"(net, notes) {
    const total = 50_000_000;
    const server = await serve(net, {}, (socket) => {
      socket.on("error", (error) => notes.add("server", error.code));
      const source = Readable.from(
        (function* () {
          for (let sent = 0; sent < total; sent += 1_000_000) yield Buffer.alloc(1_000_000);
        })(),
      );
      pipeline(source, socket, (error) => {
        notes.add("server", "pipeline", error !== undefined, source.destroyed, socket.destroyed);
      });
    });
    const client = net.connect(server.address().port, host);
    let received = 0;
    const sink = new Writable({
      write(chunk, _encoding, callback) {
        received += chunk.length;
        if (received > 5_000_000 && !client.destroyed) client.destroy();
        setImmediate(callback);
      },
    });
    client.on("close", (hadError) => notes.add("client", "close", hadError));
    await new Promise((resolve) =>
      pipeline(client, sink, (error) => {
        notes.add("client", "pipeline", error?.code, sink.destroyed);
        resolve();
      }),
    );
    await stop(server);
  },

  async "options of the stream"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      socket.on("error", never);
      socket.resume();
      socket.end("text");
    });
    const { port } = server.address();
    for (const options of [{ readable: false }, { writable: false }, { allowHalfOpen: true }]) {
      const client = new net.Socket(options);
      const who = JSON.stringify(options);
      notes.add(who, states(client), client.allowHalfOpen);
      client.destroy();
    }
    const text = net.connect(port, host);
    text.setEncoding("hex");
    notes.watch("hex", text, ["data", "end", "close"]);
    await closed(text);
    const byHand = net.connect(port, host);
    byHand.once("readable", () => {
      notes.add("read", String(byHand.read(1)), byHand.readableLength);
      byHand.unshift("X");
      notes.add("read", String(byHand.read(2)), String(byHand.read()), byHand.read());
      byHand.resume();
    });
    await closed(byHand);
    notes.add("read", byHand.bytesRead);
    await stop(server);
  },

  async "half open is decided at the end"(net, notes) {
    const server = await serve(net, { allowHalfOpen: true }, (socket) => {
      socket.on("data", (data) => notes.add("server", String(data)));
      socket.on("error", never).end("bye");
    });
    for (const allowHalfOpen of [true, false]) {
      const client = net.connect({ port: server.address().port, host, allowHalfOpen });
      client.allowHalfOpen = !allowHalfOpen;
      notes.watch("client", client, ofSocket);
      client.resume();
      client.on("end", () => notes.add("client", client.readyState, client.writable));
      await once(client, "end");
      if (client.allowHalfOpen) client.end("rest");
      await closed(client);
    }
    await stop(server);
  },

  async "destroySoon in each state"(net, notes) {
    const server = await serve(net, {}, (socket) => {
      socket.on("error", never);
      socket.on("data", (data) => notes.add("server", String(data)));
    });
    for (const state of ["connecting", "connected", "ended"]) {
      const client = new net.Socket();
      notes.watch(state, client, ofSocket);
      client.connect(server.address().port, host);
      if (state === "connected" || state === "ended") await once(client, "connect");
      client.write(`of ${state}`);
      if (state === "ended") client.end();
      client.destroySoon();
      await closed(client);
      notes.add(state, states(client));
    }
    await stop(server);
  },

  async onread(net, notes) {
    const server = await serve(net, {}, (socket) => socket.on("error", never).end("0123456789"));
    const { port } = server.address();
    const cases = {
      "a buffer": { buffer: Buffer.alloc(4) },
      "a function": { buffer: () => Buffer.alloc(3) },
      null: null,
    };
    for (const [name, onread] of Object.entries(cases)) {
      const callback = (count, buffer) => {
        notes.add(name, count, String(buffer.subarray(0, count)));
        return true;
      };
      const client = net.connect({ port, host, onread: onread && { ...onread, callback } });
      notes.watch(name, client, ["data", "end", "error", "close"]);
      await closed(client);
      notes.add(name, client.bytesRead);
    }
    await stop(server);
  },

  async "an end before connect"(net, notes) {
    const server = await serve(net, { allowHalfOpen: true }, (socket) => {
      notes.watch("server", socket, ["data", "end"]);
      socket.on("end", () => setTimeout(() => socket.end("hi"), 20));
    });
    const client = new net.Socket();
    notes.watch("client", client, ["connect", "ready", "data", "end", "error", "close"]);
    client.end();
    await sleep(5);
    notes.add("client", states(client));
    client.connect(server.address().port, host);
    await closed(client);
    await stop(server);
  },
};
