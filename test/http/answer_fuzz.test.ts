/**
 * Answers at random, right ones and wrong ones, read by plait and by other parsers of HTTP. Where they differ
 * the difference must be one of those of answer_differences.ts.
 */

import { afterAll, describe, expect, test } from "bun:test";
import { acceptances, misreadings, refusals } from "../support/answer_differences.ts";
import { AnswerGrammar, type AnswerStream } from "../support/answer_grammar.ts";
import { AnswerPeer, type AnswerRead, type Outcome } from "../support/answer_peers.ts";
import { readAnswers } from "../support/answers_read.ts";
import { Random } from "../support/random.ts";
import { isSoak } from "../support/soak.ts";

const peers = [AnswerPeer.node(), AnswerPeer.bun(), await AnswerPeer.httpParser()].filter(
  (peer) => peer !== undefined,
);
afterAll(async () => {
  for (const peer of peers) await peer[Symbol.asyncDispose]();
});

const whole = (text: string, isToHead = false): AnswerStream => ({
  text,
  isToHead,
  portion: 100_000,
});

describe.each(refusals)(
  "plait alone refuses that $reason: $why",
  ({ reason, peers: names, example }) => {
    test.each(peers.filter(({ name }) => names.includes(name)))("beside $name", async (peer) => {
      const ours = await readAnswers(whole(example));
      expect(ours.answers).toHaveLength(0);
      expect(ours.end).toContain(reason);
      const [theirs] = await peer.read([whole(example)]);
      expect(theirs!.answers.length > 0 || theirs!.end === "whole").toBe(true);
    });
  },
);

describe.each(acceptances)(
  "plait takes what $peer refuses: $why",
  ({ peer: name, errors, pattern, example }) => {
    test.each(peers.filter((peer) => peer.name === name))("beside $name", async (peer) => {
      expect(example).toMatch(pattern);
      expect((await readAnswers(whole(example))).answers).toHaveLength(1);
      expect(await peer.read([whole(example)])).toEqual([{ answers: [], end: errors[0]! }]);
    });
  },
);

describe.each(misreadings)("plait reads what others misread: $why", (misreading) => {
  const { peers: names, pattern, example, body } = misreading;
  test.each(peers.filter(({ name }) => names.includes(name)))("beside $name", async (peer) => {
    expect(example).toMatch(pattern);
    expect((await readAnswers(whole(example))).answers[0]!.body).toBe(body);
    const [theirs] = await peer.read([whole(example)]);
    expect(theirs!.answers[0]!.body).not.toBe(body);
  });
});

test.each(peers.filter(({ name }) => name === "Node's client"))(
  "an answer to HEAD without a length keeps the connection; $name takes it for one that ends with it",
  async (peer) => {
    const stream = whole("HTTP/1.1 200 OK\r\n\r\n", true);
    expect((await readAnswers(stream)).answers[0]!.keepsAlive).toBe(true);
    const [theirs] = await peer.read([stream]);
    expect(theirs!.answers[0]!.keepsAlive).toBe(false);
  },
);

/** Undefined if the two have read the same, or differ on purpose; otherwise what is unexplained. */
function unexplained(
  { name, readsOne, shows }: AnswerPeer,
  { text, isToHead }: AnswerStream,
  ours: Outcome,
  theirs: Outcome,
): string | undefined {
  if (misreadings.some(({ peers: names, pattern }) => names.includes(name) && pattern.test(text)))
    return undefined;
  const isRefusal = refusals.some(
    ({ reason, peers: names, pattern }) =>
      ours.end.includes(reason) &&
      names.includes(name) &&
      (pattern === undefined || pattern.test(text)),
  );
  for (let index = 0; ; index++) {
    const [our, their] = [ours.answers[index], theirs.answers[index]];
    if (our !== undefined && their !== undefined) {
      const differing = shows.filter(
        (key) => !Bun.deepEquals(sorted(our)[key], sorted(their)[key]),
      );
      const isHead = isToHead && readsOne && differing.join() === "keepsAlive" && our.keepsAlive;
      if (differing.length > 0 && !isHead) return `answer ${index} differs in ${differing}`;
      // What follows an answer that ends the connection, or one that a client has asked for, does not count.
      if (readsOne || !our.keepsAlive) return undefined;
      continue;
    }
    if (our === undefined && their !== undefined) {
      return isRefusal ? undefined : `plait has refused answer ${index}`;
    }
    if (our === undefined) {
      if ((ours.end === "whole") === (theirs.end === "whole")) return undefined;
      // A client expects an answer.
      if (readsOne && theirs.end === "incomplete") return undefined;
      return isRefusal ? undefined : `the end after ${index} answers`;
    }
    // A client that is sent more than the answer it has asked for may give up both.
    const isFollowed = /HTTP\/.*HTTP\//s.test(text) || ours.end !== "whole" || !our.keepsAlive;
    if (readsOne && isFollowed) return undefined;
    const isAcceptance = acceptances.some(
      ({ peer, errors, pattern }) =>
        peer === name && errors.includes(theirs.end) && pattern.test(text),
    );
    return isAcceptance ? undefined : `${name} has refused answer ${index}`;
  }
}

/** Fields of other names may change places. */
function sorted(answer: AnswerRead): AnswerRead {
  const byName = (fields: AnswerRead["fields"]): AnswerRead["fields"] =>
    fields.toSorted(([first], [second]) => (first < second ? -1 : first > second ? 1 : 0));
  return { ...answer, fields: byName(answer.fields), trailers: byName(answer.trailers) };
}

/** How often a part of a stream is wrong. */
const oddness = [0, 0.02, 0.1];
const batch = 500;
/** An ordinary run has the same streams each time, since the table may lack a rare difference. */
const seeds = [1, 2];
const soakMilliseconds = 180_000;

test(
  "streams at random are read alike, however they are cut into portions",
  async () => {
    if (!isSoak) {
      for (const seed of seeds) await compare(new Random(seed));
      return;
    }
    const until = performance.now() + soakMilliseconds;
    do await compare(new Random());
    while (performance.now() < until);
  },
  (isSoak ? soakMilliseconds : 0) + 60_000,
);

async function compare(random: Random): Promise<void> {
  const grammar = oddness.map((often) => new AnswerGrammar(random, often));
  const streams = Array.from({ length: batch }, () => random.pick(grammar).stream());
  const ours: Outcome[] = [];
  for (const [index, stream] of streams.entries()) {
    const outcome = await readAnswers(stream);
    const place = `stream ${index} of seed ${random.seed}: ${JSON.stringify(stream)}`;
    const atOnce = await readAnswers(whole(stream.text, stream.isToHead));
    expect([place, atOnce]).toEqual([place, outcome]);
    ours.push(outcome);
  }
  for (const peer of peers) {
    const theirs = await peer.read(streams);
    for (const [index, stream] of streams.entries()) {
      const what = unexplained(peer, stream, ours[index]!, theirs[index]!);
      if (what === undefined) continue;
      const place = `${what}: stream ${index} of seed ${random.seed}: ${JSON.stringify(stream)}`;
      expect([place, theirs[index]]).toEqual([place, ours[index]]);
    }
  }
}
