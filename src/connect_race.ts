/** Connecting to the first of a host's addresses that answers: Happy Eyeballs (RFC 8305, section 5). */

import { Status, WaitKind } from "./abi.ts";
import { codeOf, type ErrorDetails, endpoint, SocketError, TimeoutError } from "./errors.ts";
import { core } from "./native.ts";
import { ParkingWait } from "./parking.ts";
import { delist, enlist, notParked, type Parked } from "./scheduler.ts";

/** The Connection Attempt Delay: so much of a head start has an address over the next one. */
const attemptDelayMilliseconds = 250;

/** What is to be connected to. */
export interface RaceTarget {
  /** The host or the path that the caller has named. */
  readonly host: string;
  readonly port: number | undefined;
  /** At least one, in the order in which they are tried. */
  readonly addresses: readonly string[];
  /** Begins to connect: a handle, or a negated status. */
  begin(address: string): number;
}

/** An address that is being tried. */
class Contender implements Parked {
  waiter = notParked;
  readonly keepsAlive = true;
  readonly race: ConnectRace;
  readonly place: number;
  readonly handle: number;

  constructor(race: ConnectRace, place: number, handle: number) {
    this.race = race;
    this.place = place;
    this.handle = handle;
  }

  wake(status: number): void {
    this.race.hasEnded(this, status);
  }
}

/** The time until the next address is tried as well. */
class AttemptDelay implements Parked {
  waiter = notParked;
  readonly keepsAlive = false;
  readonly race: ConnectRace;

  constructor(race: ConnectRace) {
    this.race = race;
  }

  start(): void {
    const waiter = core.sleep(core.now() + attemptDelayMilliseconds);
    if (waiter >= 0) enlist(this, waiter);
    else this.wake();
  }

  wake(): void {
    this.race.proceed();
  }
}

/**
 * Waits for the first connection. An address is tried when the one before has failed, or has had its
 * head start; the others are given up when one has succeeded.
 */
export class ConnectRace extends ParkingWait<number> {
  readonly #target: RaceTarget;
  readonly #deadline: number;
  readonly #delay = new AttemptDelay(this);
  readonly #contenders: Contender[] = [];
  /** By the place of the address. */
  readonly #failures: SocketError[] = [];
  #next = 0;
  #isOver = false;

  constructor(target: RaceTarget, deadline: number) {
    super();
    this.#target = target;
    this.#deadline = deadline;
  }

  override get syscall(): string {
    return "connect";
  }

  override details(): ErrorDetails {
    const { host, port, addresses } = this.#target;
    const address = addresses.length === 1 ? addresses[0] : host;
    return { syscall: this.syscall, address, port };
  }

  override get place(): string {
    if (this.#target.addresses.length === 1) return super.place;
    const addresses = this.#contenders.map(({ place }) => this.#target.addresses[place]);
    return `${super.place} (${addresses.join(", ")})`;
  }

  /** Returns the handle of the connection. */
  start(): Promise<number> {
    const connected = this.begin();
    this.proceed();
    return connected;
  }

  /** The caller does not want it any more. */
  giveUp(): void {
    if (!this.#isOver) this.failNow(Status.cancelled);
  }

  /** Tries the next address; at once the one behind it when that cannot even begin. */
  proceed(): void {
    const { length } = this.#target.addresses;
    while (this.#next < length && !this.#tryNext());
    if (this.#contenders.length === 0) this.#lose();
    else if (this.#next < length) this.#delay.start();
  }

  #tryNext(): boolean {
    const place = this.#next++;
    const handle = this.#target.begin(this.#target.addresses[place]!);
    if (handle < 0) {
      this.#note(place, -handle);
      return false;
    }
    const waiter = core.wait(handle, WaitKind.writable, this.#deadline, 0);
    if (waiter < 0) {
      core.close(handle);
      this.#note(place, -waiter);
      return false;
    }
    const contender = new Contender(this, place, handle);
    this.#contenders.push(contender);
    enlist(contender, waiter);
    return true;
  }

  /** A contender was woken: it has a connection, or has failed. */
  hasEnded(contender: Contender, status: number): void {
    const { handle, place } = contender;
    this.#contenders.splice(this.#contenders.indexOf(contender), 1);
    const outcome = status === Status.ok ? core.finishConnect(handle) : -status;
    if (outcome >= 0) {
      this.forget();
      this.succeed(handle);
      return;
    }
    core.close(handle);
    // The deadline is everybody's.
    if (status === Status.timedOut) {
      this.failNow(status);
      return;
    }
    this.#note(place, -outcome);
    delist(this.#delay);
    this.proceed();
  }

  #note(place: number, status: number): void {
    const { addresses, port } = this.#target;
    const details = { syscall: this.syscall, address: addresses[place], port };
    // Only the zone of a literal can be wrong.
    this.#failures[place] =
      status === Status.badAddress
        ? new SocketError("ENODEV", { ...details, reason: "no such network interface" })
        : new SocketError(codeOf(status), details);
  }

  #lose(): void {
    this.forget();
    const failures = this.#failures;
    if (failures.length === 1) {
      this.fail(failures[0]);
      return;
    }
    const { code } = failures.find((failure) => !waylessCodes.has(failure.code)) ?? failures[0]!;
    this.fail(new SocketError(code, { ...this.details(), cause: allOf(failures) }));
  }

  override errorOf(status: number): Error {
    const failures = this.#failures.filter((failure) => failure !== undefined);
    if (status !== Status.timedOut || failures.length === 0) return super.errorOf(status);
    return new TimeoutError({ ...this.details(), cause: allOf(failures) });
  }

  override forget(): void {
    this.#isOver = true;
    delist(this.#delay);
    for (const contender of this.#contenders.splice(0)) {
      delist(contender);
      core.close(contender.handle);
    }
  }
}

/** This machine has no way to such an address: what the others met with tells more. */
const waylessCodes: ReadonlySet<string> = new Set(["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"]);

function allOf(failures: readonly SocketError[]): AggregateError {
  const tried = failures.map(
    ({ address, port, code }) => `${endpoint(address ?? "", port)}: ${code}`,
  );
  return new AggregateError(failures, tried.join(", "));
}
