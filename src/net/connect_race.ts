/** Connecting to the first of a host's addresses that answers: Happy Eyeballs (RFC 8305, section 5). */

import { Ready, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { attend, type Subscriber, subscribe, unsubscribe } from "../runtime/scheduler.ts";
import { Timer } from "../runtime/timer.ts";
import { type Operation, Wait } from "../runtime/wait.ts";
import { after, type Deadline } from "../values/deadlines.ts";
import {
  codeOf,
  type ErrorDetails,
  endpoint,
  SocketError,
  TimeoutError,
} from "../values/errors.ts";

/** The Connection Attempt Delay: the head start of an address before the next one. */
const attemptDelayMilliseconds = 250;

/** The target of a connect. */
export interface RaceTarget {
  /** The host or the path that the caller has given. */
  readonly host: string;
  readonly port: number | undefined;
  /** At least one, in the order in which they are tried. */
  readonly addresses: readonly string[];
  /** Begins to connect: a handle, or a negated status. */
  begin(address: string): number;
  /** Called when an attempt has failed, or could not begin. */
  failed?(address: string, error: SocketError): void;
  /** Milliseconds of head start, if not those of the RFC. */
  readonly attemptDelay?: number | undefined;
}

/** An attempt to connect to one address. */
class Contender implements Subscriber {
  readonly race: ConnectRace;
  readonly place: number;
  readonly handle: number;

  constructor(race: ConnectRace, place: number, handle: number) {
    this.race = race;
    this.place = place;
    this.handle = handle;
    subscribe(this);
  }

  ready(ready: number): void {
    if (ready & Ready.writable) this.race.hasEnded(this);
  }

  close(): void {
    unsubscribe(this.handle);
    core.close(this.handle);
  }
}

/**
 * Waits for the first connection. An address is tried when the one before has failed, or has had its head
 * start. When one has succeeded, the other attempts are closed.
 */
export class ConnectRace implements Operation {
  readonly syscall = "connect";
  readonly isExternal = true;
  readonly #wait = new Wait<number>(this);
  readonly #target: RaceTarget;
  readonly #deadline: Deadline;
  /** Until the next address is tried too. */
  readonly #delay = new Timer(() => this.proceed());
  readonly #contenders: Contender[] = [];
  /** Indexed by the place of the address. */
  readonly #failures: SocketError[] = [];
  #next = 0;

  constructor(target: RaceTarget, deadline: Deadline) {
    this.#target = target;
    this.#deadline = deadline;
  }

  get attemptDelay(): number {
    return this.#target.attemptDelay ?? attemptDelayMilliseconds;
  }

  details(): ErrorDetails {
    const { host, port, addresses } = this.#target;
    const address = addresses.length === 1 ? addresses[0] : host;
    return { syscall: this.syscall, address, port };
  }

  place(): string {
    const { address = "", port } = this.details();
    const place = endpoint(address, port);
    if (this.#target.addresses.length === 1) return place;
    const addresses = this.#contenders.map((contender) => this.#target.addresses[contender.place]);
    return `${place} (${addresses.join(", ")})`;
  }

  /** Returns the handle of the connection. */
  start(): Promise<number> {
    const connected = this.#wait.begin(this.#deadline);
    if (this.#wait.isOpen) this.proceed();
    return connected;
  }

  /** Tries the next address, and at once the one behind it if that attempt cannot begin. */
  proceed(): void {
    const { length } = this.#target.addresses;
    while (this.#next < length && !this.#tryNext());
    if (this.#contenders.length === 0) this.#lose();
    else if (this.#next < length && this.#delay.start(after(attemptDelayMilliseconds)) < 0) {
      this.proceed();
    }
  }

  #tryNext(): boolean {
    const place = this.#next++;
    const handle = this.#target.begin(this.#target.addresses[place]!);
    if (handle < 0) {
      this.#note(place, -handle);
      return false;
    }
    this.#contenders.push(new Contender(this, place, handle));
    attend();
    return true;
  }

  /** Called when a contender has connected, or has failed. */
  hasEnded(contender: Contender): void {
    const { handle, place } = contender;
    this.#contenders.splice(this.#contenders.indexOf(contender), 1);
    const outcome = core.finishConnect(handle);
    if (outcome >= 0) {
      unsubscribe(handle);
      this.#giveUp();
      this.#wait.succeed(handle);
      return;
    }
    contender.close();
    this.#note(place, -outcome);
    this.#delay.stop();
    this.proceed();
  }

  #note(place: number, status: number): void {
    const { addresses, port } = this.#target;
    const details = { syscall: this.syscall, address: addresses[place], port };
    // Only the zone of a literal can be wrong here.
    const failure =
      status === Status.badAddress
        ? new SocketError("ENODEV", { ...details, reason: "no such network interface" })
        : new SocketError(codeOf(status), details);
    this.#failures[place] = failure;
    this.#target.failed?.(addresses[place]!, failure);
  }

  #lose(): void {
    const failures = this.#failures;
    if (failures.length === 1) {
      this.#wait.fail(failures[0]);
      return;
    }
    const { code } = failures.find((failure) => !waylessCodes.has(failure.code)) ?? failures[0]!;
    this.#wait.fail(new SocketError(code, { ...this.details(), cause: allOf(failures) }));
  }

  errorOf(status: number): Error | undefined {
    const failures = this.#failures.filter((failure) => failure !== undefined);
    if (status !== Status.timedOut || failures.length === 0) return undefined;
    return new TimeoutError({ ...this.details(), cause: allOf(failures) });
  }

  failed(): void {
    this.#giveUp();
  }

  /** Closes all attempts. */
  #giveUp(): void {
    this.#delay.stop();
    for (const contender of this.#contenders.splice(0)) contender.close();
  }
}

/** Codes of addresses without a route from this machine: the errors of the others say more. */
const waylessCodes: ReadonlySet<string> = new Set(["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"]);

function allOf(failures: readonly SocketError[]): AggregateError {
  const tried = failures.map(
    ({ address, port, code }) => `${endpoint(address ?? "", port)}: ${code}`,
  );
  return new AggregateError(failures, tried.join(", "));
}
