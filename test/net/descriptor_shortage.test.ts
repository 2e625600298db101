import { expect, test } from "bun:test";
import { join } from "node:path";
import { connect, deadline, type Socket } from "../../index.ts";
import { linesOf } from "../support/lines.ts";

const program = join(import.meta.dir, "..", "support", "descriptor_shortage.ts");
const limited = 'ulimit -n 64 && exec "$0" "$@"';

test.each(["handler", "accept"])(
  "a listener outlasts a shortage of descriptors: %s",
  async (mode) => {
    const child = Bun.spawn(["sh", "-c", limited, process.execPath, program, mode], {
      stdout: "pipe",
      stderr: "inherit",
    });
    await using held = new AsyncDisposableStack();
    try {
      const lines = linesOf(child.stdout);
      const news = async (): Promise<Record<string, unknown>> => {
        const { value } = await lines.next();
        if (typeof value !== "string") throw new Error("the server has ended");
        return JSON.parse(value) as Record<string, unknown>;
      };
      const { port } = await news();

      const clients: Socket[] = [];
      for (let count = 0; count < 100; count++) {
        clients.push(held.use(await connect({ host: "127.0.0.1", port: Number(port) })));
      }
      const { promise: isOver, resolve: endShortage } = Promise.withResolvers<void>();
      let answered = 0;
      const answers = Promise.all(
        clients.map(async (client) => {
          await client.write("x");
          expect(await client.read(new Uint8Array(8), deadline(8000))).toBe(1);
          answered++;
          // Each connection that ends makes room for another one.
          await isOver;
          client.close();
        }),
      );
      // They also end when the test fails before it awaits them.
      answers.catch(() => {});
      expect(await news()).toEqual({ code: "EMFILE", syscall: "accept", hasSocket: false });
      const { refused, cpu, connections } = await news();
      expect(refused).toBe("EMFILE");
      // A listener that tried again without a pause would take a whole processor.
      expect(cpu).toBeLessThan(0.25);
      // The connections that it has are served all the time.
      expect(answered).toBe(Number(connections));
      expect(answered).toBeGreaterThan(0);
      expect(answered).toBeLessThan(64);
      endShortage();
      await answers;
      expect(answered).toBe(100);
    } finally {
      child.kill();
      await child.exited;
    }
  },
  15_000,
);
