import { connect } from "../../index.ts";
import { freePort } from "./free_port.ts";
import { installedProgram } from "./installed_program.ts";
import { pollUntil } from "./poll.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  /** Ends the server at once, in the middle of everything. */
  kill(): Promise<void>;
}

/** Runs a redis-server on the loopback interface, which keeps everything in memory. */
export async function startRedis(...options: readonly string[]): Promise<RedisServer> {
  const folder = new TemporaryFolder();
  const port = await freePort();
  const place = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder.path];
  const command = [installedProgram("redis-server"), ...place, "--save", "", "--appendonly", "no"];
  const child = Bun.spawn([...command, ...options], { stdout: "pipe", stderr: "ignore" });
  const kill = async () => {
    child.kill("SIGKILL");
    await child.exited;
    folder[Symbol.dispose]();
  };
  try {
    await pollUntil("redis-server listens", async () => {
      if (child.exitCode !== null) throw new Error(await new Response(child.stdout).text());
      try {
        await using _probe = await connect({ host: "127.0.0.1", port });
        return true;
      } catch {
        return false;
      }
    });
  } catch (error) {
    await kill();
    throw error;
  }
  return { port, kill, [Symbol.asyncDispose]: kill };
}
