/** What plait's reader makes of a stream of answers, as the outcomes of other readers are written. */

import { writeSync } from "node:fs";
import { MessageTooLongError, Socket, UnexpectedEndError, yieldNow } from "../../index.ts";
import type { Answer } from "../../src/http/answer.ts";
import { AnswerReader } from "../../src/http/answer_reader.ts";
import { BadAnswerError } from "../../src/http/bad_answer.ts";
import { never } from "../../src/values/deadlines.ts";
import type { AnswerStream } from "./answer_grammar.ts";
import type { AnswerRead, Outcome } from "./answer_peers.ts";
import { DescriptorPair } from "./foreign_descriptors.ts";

const mostBody = 1 << 20;

/** Reads until an answer does not keep the connection, the stream ends, or something is wrong. */
export async function readAnswers({ text, isToHead, portion }: AnswerStream): Promise<Outcome> {
  const pair = DescriptorPair.sockets();
  using socket = Socket.fromFd(pair.first);
  const bytes = Buffer.from(text, "latin1");
  const reader = new AnswerReader(socket);
  const answers: AnswerRead[] = [];
  const reading = (async (): Promise<string> => {
    try {
      let keepsAlive = true;
      while (keepsAlive) {
        const answer = await reader.read("body", isToHead, mostBody, never);
        answers.push(readOf(answer));
        keepsAlive = answer.keepsAlive;
      }
      return "whole";
    } catch (error) {
      if (error instanceof BadAnswerError) return error.reason;
      // A reader without a limit waits for so much.
      if (error instanceof MessageTooLongError) return "incomplete";
      if (!(error instanceof UnexpectedEndError)) throw error;
      return error.partial.length === 0 ? "whole" : "incomplete";
    }
  })();
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  reading.then(over, over);
  for (let start = 0; start < bytes.length && !isOver; start += portion) {
    writeSync(pair.second, bytes.subarray(start, start + portion));
    await yieldNow();
  }
  pair.close(pair.second);
  return { answers, end: await reading };
}

function readOf(answer: Answer): AnswerRead {
  const { status, keepsAlive } = answer;
  const body = Buffer.from(answer.bytes()).toString("latin1");
  const list = (fields: ReadonlyMap<string, readonly string[]>): [string, string][] =>
    [...fields].flatMap(([name, values]) => values.map((value): [string, string] => [name, value]));
  return { status, fields: list(answer.fields), body, trailers: list(answer.trailers), keepsAlive };
}
