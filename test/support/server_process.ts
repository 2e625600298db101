/** A server of another project, as a process that a test starts, kills and starts again. */

import { chmodSync, chownSync, readdirSync, readFileSync, statSync } from "node:fs";
import { connect, deadline } from "../../index.ts";
import { installedProgram } from "./installed_program.ts";
import { pollUntil } from "./poll.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

export interface ServerOptions {
  readonly command: readonly string[];
  /** It listens at this port of 127.0.0.1. */
  readonly port: number;
  /** Its Unix socket, if it has one. */
  readonly path?: string;
  /** Its files, which are removed with it. Its output goes to the file `log`. */
  readonly folder: TemporaryFolder;
  /** A command that succeeds when the server is ready. Without it, it is ready when it listens. */
  readonly isReady?: readonly string[];
}

export class ServerProcess implements AsyncDisposable {
  readonly port: number;
  /** The Unix socket. */
  readonly path: string;
  readonly #command: readonly string[];
  readonly #folder: TemporaryFolder;
  readonly #isReady: readonly string[] | undefined;
  #child: Bun.Subprocess | undefined = undefined;

  constructor({ command, port, path = "", folder, isReady }: ServerOptions) {
    this.port = port;
    this.path = path;
    this.#command = command;
    this.#folder = folder;
    this.#isReady = isReady;
  }

  /** Starts it, and waits until it is ready. */
  async start(): Promise<void> {
    const path = this.#folder.file("log");
    const log = Bun.file(path);
    const child = Bun.spawn([...this.#command], { stdin: "ignore", stdout: log, stderr: log });
    this.#child = child;
    await pollUntil(
      `${this.#command[0]} listens`,
      async () => {
        if (child.exitCode !== null) throw new Error(readFileSync(path, "utf8"));
        try {
          const until = deadline(1000);
          await using _probe = await connect({
            host: "127.0.0.1",
            port: this.port,
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

  /** Ends it, and waits until it has ended. It can be started again. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.#child?.kill(signal);
    await this.#child?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    this.#folder[Symbol.dispose]();
  }
}

/** Starts a server. Nothing is left of one that does not start. */
export async function started<Server extends ServerProcess>(server: Server): Promise<Server> {
  try {
    await server.start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** A folder for the files of a server, which may run as another user. */
export function serverFolder(): TemporaryFolder {
  const folder = new TemporaryFolder();
  chmodSync(folder.path, 0o755);
  return folder;
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
