/** Requests with `Expect: 100-continue` (RFC 9110, section 10.1.1): the server sees the head before the body comes. */

import type { Socket } from "../net/socket.ts";
import { after, type Deadline, hasPassed, never } from "../values/deadlines.ts";
import { TimeoutError } from "../values/errors.ts";
import type { AnswerReader } from "./answer_reader.ts";
import type { Body } from "./body.ts";

/** How long a client waits for 100 (Continue) in milliseconds before it sends the body all the same. */
export const continueMilliseconds = 1000;

/**
 * Sends a head that has `Expect: 100-continue`. The body follows when the server answers with 100, or has not
 * answered in time: servers that do not know the expectation wait for the body. It is not sent once a final
 * answer has come.
 *
 * @param milliseconds how long it waits for 100
 * @returns whether the body was sent. If not, the server may still wait for it: so the connection can be
 *   used for the answer alone, and is to be closed then.
 * @throws as `AnswerReader.readContinue` and `Body.send`
 */
export async function sendExpecting(
  socket: Socket,
  reader: AnswerReader,
  head: Uint8Array,
  body: Body,
  deadline: Deadline,
  milliseconds = continueMilliseconds,
): Promise<boolean> {
  await socket.write(head, deadline);
  if (!(await isInvited(reader, deadline, milliseconds))) return false;
  await body.send(socket, undefined, deadline);
  return true;
}

async function isInvited(
  reader: AnswerReader,
  deadline: Deadline,
  milliseconds: number,
): Promise<boolean> {
  const own = after(milliseconds);
  const isSooner = own !== never && (deadline === never || own < deadline);
  try {
    return await reader.readContinue(isSooner ? own : deadline);
  } catch (error) {
    if (error instanceof TimeoutError && !hasPassed(deadline)) return true;
    throw error;
  }
}
