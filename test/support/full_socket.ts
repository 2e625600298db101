import type { Socket } from "../../index.ts";
import { pollUntil } from "./poll.ts";

/**
 * Waits until the kernels on the way take no more of what a socket writes, because its peer does not read.
 * Returns the number of bytes that they have taken.
 */
export async function untilFull(socket: Socket): Promise<number> {
  let before = -1;
  await pollUntil(
    "the kernel takes no more",
    async () => {
      const { bytesWritten } = socket;
      const isFull = bytesWritten > 0 && bytesWritten === before;
      before = bytesWritten;
      // The buffers grow for a while after they are full for the first time.
      await Bun.sleep(30);
      return isFull;
    },
    10_000,
  );
  return socket.bytesWritten;
}
