// Measures the CPU time that a client's process takes for each command, and prints it in microseconds.

/** A connection to the server, as the measurement uses it. */
export interface Client {
  get(key: string): Promise<unknown>;
  close(): unknown;
}

export interface Task {
  readonly port: number;
  /** Loops that share the connection, each with one command in flight. */
  readonly loops: number;
}

export const KEY = "bench:value";
export const VALUE = "v".repeat(64);

const MEASURED_MS = 1500;
const WARMUP_COMMANDS = 20_000;

/** The task of the command line: `port loops`, behind the name of the client. */
export function taskOf([port = "", loops = ""]: readonly string[]): Task {
  return { port: Number(port), loops: Number(loops) };
}

export async function measure(client: Client, { loops }: Task): Promise<void> {
  const run = async (isOver: (done: number) => boolean): Promise<number> => {
    let done = 0;
    const loop = async (): Promise<void> => {
      while (!isOver(done)) {
        if ((await client.get(KEY)) !== VALUE) throw new Error("the value is another one");
        done++;
      }
    };
    await Promise.all(Array.from({ length: loops }, loop));
    return done;
  };
  await run((done) => done >= WARMUP_COMMANDS);
  const before = process.cpuUsage();
  const start = performance.now();
  const commands = await run((done) => done % 64 === 0 && performance.now() > start + MEASURED_MS);
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - start) / 1000;
  await client.close();
  console.log(
    JSON.stringify({
      cpuUs: (user + system) / commands,
      userUs: user / commands,
      commandsPerSecond: commands / seconds,
    }),
  );
}
