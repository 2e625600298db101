/** A server of another project, as a process that a test starts, kills and starts again. */

import { chownSync, readdirSync, readFileSync, statSync } from "node:fs";
import { connect, deadline } from "../../index.ts";
import { installedProgram } from "./installed_program.ts";
import { pollUntil } from "./poll.ts";

/** What a test needs to reach a server. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export class ServerProcess implements AsyncDisposable {
  readonly #command: readonly string[];
  readonly #log: string;
  readonly #port: number;
  readonly #isReady: readonly string[] | undefined;
  #child: Bun.Subprocess | undefined = undefined;

  /**
   * `command` listens at this port of 127.0.0.1 when it is ready, and then the command `isReady`, if there is
   * one, succeeds. It writes to the file `log`.
   */
  constructor(
    command: readonly string[],
    port: number,
    log: string,
    isReady?: readonly string[] | undefined,
  ) {
    this.#command = command;
    this.#port = port;
    this.#log = log;
    this.#isReady = isReady;
  }

  async start(): Promise<void> {
    const log = Bun.file(this.#log);
    const child = Bun.spawn([...this.#command], { stdin: "ignore", stdout: log, stderr: log });
    this.#child = child;
    await pollUntil(
      `${this.#command[0]} listens`,
      async () => {
        if (child.exitCode !== null) throw new Error(readFileSync(this.#log, "utf8"));
        try {
          const until = deadline(1000);
          await using _probe = await connect({
            host: "127.0.0.1",
            port: this.#port,
            deadline: until,
          });
          return this.#isReady === undefined || Bun.spawnSync([...this.#isReady]).exitCode === 0;
        } catch {
          return false;
        }
      },
      30_000,
    );
  }

  /** Ends it, and waits until it has ended. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.#child?.kill(signal);
    await this.#child?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }
}

/** Runs a program to its end. */
export function runToEnd(command: readonly string[]): void {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { stdin: "ignore" });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stdout}${stderr}`);
}

/** A command as it runs as this user, if this process is root's: some servers refuse to be root's. */
export function asUser(user: string, command: readonly string[]): string[] {
  if (process.getuid?.() !== 0) return [...command];
  const identity = ["--reuid", user, "--regid", user, "--clear-groups"];
  return [installedProgram("setpriv"), ...identity, "--", ...command];
}

/** Gives a folder and what is in it to a user, if this process is root's. */
export function giveTo(user: string, folder: string): void {
  if (process.getuid?.() !== 0) return;
  const numberOf = (flag: string): number => {
    const { stdout } = Bun.spawnSync(["id", flag, user]);
    return Number(stdout.toString());
  };
  const [owner, group] = [numberOf("-u"), numberOf("-g")];
  chownSync(folder, owner, group);
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const path = `${folder}/${name}`;
    if (!statSync(path).isSocket()) chownSync(path, owner, group);
  }
}
