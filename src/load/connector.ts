/** Connections to the target: to all its addresses in turn, from all source addresses in turn. */

import { core } from "../core/native.ts";
import { connect } from "../net/connect.ts";
import { resolve } from "../net/names.ts";
import type { Socket } from "../net/socket.ts";
import { tlsContext } from "../tls/context.ts";
import type { TlsContext } from "../tls/options.ts";
import { after, type Deadline } from "../values/deadlines.ts";
import type { Meter, Series } from "./memory.ts";
import type { Plan } from "./plan.ts";

/** The session of the connection that a user had before, for its next one. */
export interface SessionPlace {
  session: Uint8Array | undefined;
}

export class Connector {
  readonly #plan: Plan;
  readonly #connected: Series;
  readonly #shaken: Series;
  readonly #context: TlsContext | undefined;
  #addresses: readonly string[] = [];
  #next = 0;
  /** Connections that are open. */
  open = 0;
  /** When the attempts began to fail; 0 if the last one has not failed. */
  #failingSince = 0;

  constructor(plan: Plan, meter: Meter, thread: number) {
    this.#plan = plan;
    this.#connected = meter.series("connect");
    this.#shaken = meter.series("handshake");
    this.#next = thread;
    const { serverName: _, ...shared } = plan.tls;
    if (plan.target.isTls) this.#context = tlsContext(shared);
  }

  /** Looks up the target's name. The addresses stay the same for the run. */
  async resolve(): Promise<void> {
    const { place } = this.#plan.target;
    if ("path" in place) return;
    const { family } = this.#plan;
    this.#addresses = await resolve(place.host, { family, deadline: this.#deadline });
  }

  get #deadline(): Deadline {
    return after(this.#plan.connectMilliseconds);
  }

  /** For how long every attempt has failed, in milliseconds; 0 if the last one has not. */
  get deadMilliseconds(): number {
    return this.#failingSince === 0 ? 0 : core.now() - this.#failingSince;
  }

  /** Connects, with TLS if the target has it. */
  async connect(sessions: SessionPlace): Promise<Socket> {
    try {
      const socket = await this.#attempt(sessions);
      this.#failingSince = 0;
      return socket;
    } catch (error) {
      if (this.#failingSince === 0) this.#failingSince = core.now();
      throw error;
    }
  }

  async #attempt(sessions: SessionPlace): Promise<Socket> {
    const { place } = this.#plan.target;
    const deadline = this.#deadline;
    const begin = core.now();
    const turn = this.#next;
    this.#next += this.#plan.threads;
    const { localAddresses } = this.#plan;
    const socket = await connect(
      "path" in place
        ? { path: place.path, deadline }
        : {
            host: this.#addresses[turn % this.#addresses.length],
            port: place.port,
            localAddress: localAddresses[turn % localAddresses.length],
            deadline,
          },
    );
    const middle = core.now();
    this.#connected.record(middle - begin);
    if (this.#context !== undefined) {
      await this.#handshake(socket, this.#context, sessions, deadline);
      this.#shaken.record(core.now() - middle);
    }
    return socket;
  }

  async #handshake(
    socket: Socket,
    context: TlsContext,
    sessions: SessionPlace,
    deadline: Deadline,
  ): Promise<void> {
    const { target, tls, resumesSessions } = this.#plan;
    const { session } = sessions;
    sessions.session = undefined;
    await socket.startTls(
      {
        context,
        serverName: tls.serverName ?? (target.host || undefined),
        session,
        onSession: resumesSessions
          ? (offered) => {
              sessions.session = offered;
            }
          : undefined,
      },
      deadline,
    );
    if (session === undefined || socket.tls?.resumed !== true) return;
    // With TLS 1.2 the server may offer no new one, and the old one is good for further connections.
    if (resumesSessions && socket.tls.protocol === "TLSv1.2") sessions.session ??= session;
  }
}
