/** The messages of errors. */

import { expect, test } from "bun:test";
import { SocketError, TimeoutError } from "../../index.ts";

test("the kernel's ETIMEDOUT is a silent peer, and not a deadline of the program", () => {
  const details = { syscall: "read", address: "192.0.2.1", port: 80 };
  const ofKernel = new SocketError("ETIMEDOUT", details);
  expect(ofKernel.message).toBe("read ETIMEDOUT (the peer does not answer) 192.0.2.1:80");
  const ofDeadline = new TimeoutError(details);
  expect(ofDeadline.message).toBe("read ETIMEDOUT (the deadline has passed) 192.0.2.1:80");
});
