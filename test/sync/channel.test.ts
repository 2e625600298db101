/** Channel. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  Channel,
  ChannelClosedError,
  deadline,
  now,
  spawn,
  stats,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { pollUntil } from "../support/poll.ts";
import { untilHeldUp } from "../support/turns.ts";

const numbers = (length: number, first = 0): number[] =>
  Array.from({ length }, (_, index) => first + index);

/** Five hundred senders and as many receivers, which sometimes yield. */
async function contend(capacity: number): Promise<void> {
  const channel = new Channel<[sender: number, item: number]>(capacity);
  const received = Array.from({ length: 500 }, (): number[] => []);
  const senders = numbers(500).map((sender) =>
    spawn(async () => {
      for (let item = 0; item < 10; item++) {
        await channel.send([sender, item]);
        if ((sender + item) % 7 === 0) await yieldNow();
      }
    }),
  );
  const receivers = numbers(500).map(() =>
    spawn(async () => {
      for await (const [sender, item] of channel) {
        received[sender]!.push(item);
        if (item % 3 === 0) await yieldNow();
      }
    }),
  );
  for (const sender of senders) await sender.join();
  channel.close();
  for (const receiver of receivers) await receiver.join();
  for (const items of received) expect(items.sort((a, b) => a - b)).toEqual(numbers(10));
}

describe.each([0, 1, 2, 100])("a channel of capacity %i", (capacity) => {
  test("delivers every item to one of a thousand fibers", () => contend(capacity));

  test("does so in the blocking driver", () => {
    block(() => contend(capacity));
  });

  test("keeps the order of the items, and of the fibers that wait on either side", async () => {
    const channel = new Channel<number>(capacity);
    const sent: number[] = [];
    const senders = numbers(10 + capacity).map((item) =>
      spawn(async () => {
        await channel.send(item);
        sent.push(item);
      }),
    );
    expect(channel.length).toBe(capacity);
    await yieldNow();
    expect(sent).toEqual(numbers(capacity));
    const items: (number | null)[] = [];
    for (const _ of senders) items.push(await channel.receive());
    expect(items).toEqual(numbers(10 + capacity));
    for (const sender of senders) await sender.join();
    expect(sent).toEqual(items as number[]);

    const receivers = numbers(10).map(() => spawn(() => channel.receive()));
    for (const item of numbers(10)) await channel.send(item);
    expect(await Promise.all(receivers.map((receiver) => receiver.join()))).toEqual(numbers(10));
    expect(channel.length).toBe(0);
  });

  test("trySend and tryReceive do not wait, and do not overtake fibers that wait", async () => {
    const channel = new Channel<number>(capacity);
    expect(channel.tryReceive()).toBeUndefined();
    for (const item of numbers(capacity)) expect(channel.trySend(item)).toBe(true);
    expect(channel.trySend(-1)).toBe(false);
    const sender = spawn(() => channel.send(capacity));
    expect(channel.trySend(-1)).toBe(false);
    for (const item of numbers(capacity + 1)) {
      expect(channel.tryReceive()).toBe(item);
    }
    await sender.join();
    expect(channel.tryReceive()).toBeUndefined();
    const receiver = spawn(() => channel.receive());
    expect(channel.trySend(7)).toBe(true);
    expect(channel.tryReceive()).toBeUndefined();
    expect(await receiver.join()).toBe(7);
  });

  test("ends after its items when it is closed, for ever", async () => {
    const channel = new Channel<number>(capacity);
    for (const item of numbers(capacity)) await channel.send(item);
    channel.close();
    channel.close();
    expect(channel.isClosed).toBe(true);
    for (const item of numbers(capacity)) expect(await channel.receive()).toBe(item);
    for (let count = 0; count < 3; count++) {
      expect(await channel.receive()).toBeNull();
      expect(channel.tryReceive()).toBeNull();
    }
    for await (const item of channel) throw new Error(`an item after the end: ${item}`);
  });

  test("refuses the items of senders that wait when it is closed", async () => {
    const channel = new Channel<number>(capacity);
    for (const item of numbers(capacity)) await channel.send(item);
    const senders = numbers(1000).map((item) => spawn(() => channel.send(item)));
    const failures = senders.map((sender) => failureOf(sender.join()));
    channel.close();
    for (const error of await Promise.all(failures)) {
      expect(error).toBeInstanceOf(ChannelClosedError);
      expect(error.code).toBe("ERR_CHANNEL_CLOSED");
      expect(error.syscall).toBe("channel send");
      expect(error.message).toBe("channel send ERR_CHANNEL_CLOSED (the channel is closed)");
    }
    const items: number[] = [];
    for await (const item of channel) items.push(item);
    expect(items).toEqual(numbers(capacity));
    expect(await failureOf(channel.send(1))).toBeInstanceOf(ChannelClosedError);
    expect(thrownBy(() => channel.trySend(1))).toBeInstanceOf(ChannelClosedError);
  });

  test("ends the wait of a thousand receivers when it is closed", async () => {
    const channel = new Channel<number>(capacity);
    const receivers = numbers(1000).map((index) =>
      spawn(async () => {
        if (index % 2 === 0) return channel.receive();
        for await (const item of channel) return item;
        return null;
      }),
    );
    channel.close();
    const ends = await Promise.all(receivers.map((receiver) => receiver.join()));
    expect(ends.every((end) => end === null)).toBe(true);
  });

  test("gives no item to receivers that are cancelled or late", async () => {
    const before = stats();
    const channel = new Channel<number>(capacity);
    const until = deadline(5);
    const receivers = numbers(1000).map((index) =>
      spawn(() => channel.receive(index % 3 === 1 ? until : undefined)),
    );
    receivers.forEach((receiver, index) => {
      if (index % 3 === 2) receiver.cancel();
    });
    const ends = Promise.allSettled(receivers.map((one) => one.join()));
    await pollUntil("their time is up", () => stats().waiters === before.waiters);
    for (const item of numbers(334)) await channel.send(item);
    const results = await ends;
    results.forEach((result, index) => {
      if (result.status === "fulfilled") expect([index % 3, result.value]).toEqual([0, index / 3]);
      else expect(result.reason.constructor).toBe(index % 3 === 1 ? TimeoutError : CancelledError);
    });
    expect(stats().fibers).toBe(before.fibers);
  });

  test("takes no item from senders that are cancelled or late", async () => {
    const before = stats();
    const channel = new Channel<number>(capacity);
    for (const item of numbers(capacity)) await channel.send(item);
    const until = deadline(5);
    const senders = numbers(1000).map((item) =>
      spawn(() => channel.send(capacity + item, item % 3 === 1 ? until : undefined)),
    );
    senders.forEach((sender, item) => {
      if (item % 3 === 2) sender.cancel();
    });
    const ends = Promise.allSettled(senders.map((one) => one.join()));
    await pollUntil("their time is up", () => stats().waiters === before.waiters);
    const expected = numbers(334).map((index) => capacity + 3 * index);
    for (const item of [...numbers(capacity), ...expected]) {
      expect(await channel.receive()).toBe(item);
    }
    const results = await ends;
    results.forEach((result, index) => {
      const error = result.status === "rejected" ? result.reason : undefined;
      expect(error?.constructor).toBe([undefined, TimeoutError, CancelledError][index % 3]);
    });
    expect(channel.tryReceive()).toBeUndefined();
    expect(stats().fibers).toBe(before.fibers);
  });
});

describe("a channel", () => {
  test("has given an item to a receiver whose deadline was not noticed before", async () => {
    const channel = new Channel<string>();
    const until = deadline(1);
    const receiver = spawn(() => channel.receive(until));
    while (now() < until + 1) {
      // The scheduler has no turn in which it could notice the deadline.
    }
    expect(channel.trySend("item")).toBe(true);
    expect(await receiver.join()).toBe("item");
  });

  test("has taken the item of a sender whose deadline was not noticed before", async () => {
    const channel = new Channel<string>();
    const until = deadline(1);
    const sender = spawn(() => channel.send("item", until));
    while (now() < until + 1) {
      // The scheduler has no turn in which it could notice the deadline.
    }
    expect(channel.tryReceive()).toBe("item");
    await sender.join();
  });

  test("has sent the item of a sender that is cancelled when the turn's budget is spent", async () => {
    const channel = new Channel<number>(10_000);
    let sent = 0;
    const sender = spawn(async () => {
      for (;;) {
        await channel.send(sent);
        sent++;
      }
    });
    await untilHeldUp(sender);
    sender.cancel();
    expect(await failureOf(sender.join())).toBeInstanceOf(CancelledError);
    expect(channel.length).toBe(sent);
  });

  test("loses no item to a receiver that is cancelled when the turn's budget is spent", async () => {
    const channel = new Channel<number>(10_000);
    for (const item of numbers(10_000)) await channel.send(item);
    const received: number[] = [];
    const receivers = [
      async () => {
        for (;;) received.push((await channel.receive())!);
      },
      async () => {
        for await (const item of channel) received.push(item);
      },
    ];
    for (const body of receivers) {
      const receiver = spawn(body);
      await untilHeldUp(receiver);
      receiver.cancel();
      expect(await failureOf(receiver.join())).toBeInstanceOf(CancelledError);
    }
    expect(received).toEqual(numbers(10_000 - channel.length));
    expect(await channel.receive()).toBe(received.length);
  });

  test("with room, or with a fiber at its other end, needs no turn and no waiter", async () => {
    const { polls, waiters } = stats();
    const channel = new Channel<number>(1);
    await channel.send(1, deadline(1000));
    const sender = spawn(() => channel.send(2));
    expect(stats().waiters).toBe(waiters);
    expect([await channel.receive(), await channel.receive(deadline(1000))]).toEqual([1, 2]);
    await sender.join();
    expect(stats().polls).toBe(polls);
  });

  test("is closed by using, and not by leaving a loop", async () => {
    const channel = new Channel<number>(3);
    {
      using sending = channel;
      for (const item of numbers(3)) await sending.send(item);
    }
    expect(channel.isClosed).toBe(true);
    for await (const item of channel) {
      expect(item).toBe(0);
      break;
    }
    const rest: number[] = [];
    for await (const item of channel) rest.push(item);
    expect(rest).toEqual([1, 2]);
  });

  test("carries falsy items, and any number of items in order", async () => {
    const channel = new Channel<NonNullable<unknown>>(3);
    for (const item of [0, "", false, Number.NaN]) {
      const sender = spawn(() => channel.send(item));
      expect(await channel.receive()).toBe(item);
      await sender.join();
    }
    const inside: number[] = [];
    for (let item = 0; item < 1000; item++) {
      if (channel.trySend(item)) inside.push(item);
      if (item % 3 > 0) expect(channel.tryReceive()).toBe(inside.shift());
      expect(channel.length).toBe(inside.length);
    }
  });

  test("works outside of fibers", async () => {
    const channel = new Channel<string>();
    const receiving = channel.receive();
    await channel.send("item");
    expect(await receiving).toBe("item");
  });

  test("reports mistakes before anything happens", async () => {
    expectMistake(
      thrownBy(() => new Channel(-1)),
      RangeError,
      /capacity/,
    );
    expectMistake(
      thrownBy(() => new Channel(0.5)),
      TypeError,
      /capacity/,
    );
    expectMistake(
      thrownBy(() => new Channel(Number.POSITIVE_INFINITY)),
      TypeError,
      /capacity/,
    );
    const channel = new Channel<string>(1);
    for (const item of [null, undefined] as unknown as string[]) {
      expectMistake(await mistakeIn(() => channel.send(item)), TypeError, /takes no/);
      expectMistake(
        thrownBy(() => channel.trySend(item)),
        TypeError,
        /takes no/,
      );
    }
    expectMistake(await mistakeIn(() => channel.send("", Number.NaN)), RangeError, /deadline/);
    expectMistake(await mistakeIn(() => channel.receive(-1)), RangeError, /deadline/);
    expect(await failureOf(channel.send("late", now() - 1))).toBeInstanceOf(TimeoutError);
    expect(channel.length).toBe(0);
    channel.trySend("item");
    expect(await failureOf(channel.receive(now() - 1))).toBeInstanceOf(TimeoutError);
    expect(await channel.receive()).toBe("item");
  });
});
