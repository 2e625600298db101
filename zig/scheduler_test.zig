//! Waiting, waking and delivering, without sockets for the most part.

const std = @import("std");
const abi = @import("abi.zig");
const endpoints = @import("endpoints.zig");
const scheduler_module = @import("scheduler.zig");
const streams = @import("streams.zig");
const system = @import("system.zig");
const harness_module = @import("harness_test.zig");
const Harness = harness_module.Harness;
const Scheduler = scheduler_module.Scheduler;
const Wakeup = harness_module.Wakeup;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

const never = std.math.maxInt(i64);

test "waiters are delivered in the order in which they became ready, not in which they were parked" {
    var harness = try Harness.init();
    defer harness.deinit();
    var waiters: [5]u32 = undefined;
    for (&waiters) |*waiter| waiter.* = harness.sleep(null);
    harness.scheduler.wake(waiters[3], .ok);
    const yielding = harness.scheduler.park(.yield, null).?;
    harness.scheduler.wake(waiters[0], .cancelled);
    harness.scheduler.wake(waiters[4], .timed_out);
    try expectEqual(4, harness.scheduler.shared.ready);
    try expectEqual(6, harness.scheduler.shared.waiters);
    try harness.expectWoken(&.{
        .{ waiters[3], .ok },
        .{ yielding, .ok },
        .{ waiters[0], .cancelled },
        .{ waiters[4], .timed_out },
    });
    try expectEqual(2, harness.scheduler.shared.waiters);
    try harness.expectNobody();
}

test "a waiter is woken once, by whichever comes first" {
    var harness = try Harness.init();
    defer harness.deinit();
    const waiter = harness.sleep(1);
    try expect(harness.scheduler.cancel(waiter, .cancelled));
    try expect(!harness.scheduler.cancel(waiter, .closed));
    try expect(!harness.scheduler.drop(waiter));
    // Its deadline has passed long since, and was taken off with the wake-up.
    try harness.expectWoken(&.{.{ waiter, .cancelled }});
    try expect(!harness.scheduler.cancel(waiter, .cancelled));
    try expect(!harness.scheduler.drop(waiter));
    try harness.expectNobody();
    try expect(!harness.scheduler.cancel(waiter, .cancelled));
}

test "what never was a waiter is neither cancelled nor dropped" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]u32{ 0, 1, 255, 256, 1 << 22, std.math.maxInt(u32) }) |number| {
        try expect(!harness.scheduler.cancel(number, .cancelled));
        try expect(!harness.scheduler.drop(number));
    }
    _ = harness.sleep(null);
    try expect(!harness.scheduler.cancel(1, .cancelled));
    try expect(!harness.scheduler.drop(1));
}

test "a dropped waiter never wakes, its deadline included" {
    var harness = try Harness.init();
    defer harness.deinit();
    const dropped = harness.sleep(1);
    const kept = harness.sleep(2);
    try expect(harness.scheduler.drop(dropped));
    try expect(!harness.scheduler.drop(dropped));
    try expectEqual(1, harness.scheduler.shared.waiters);
    try harness.expectWoken(&.{.{ kept, .timed_out }});
    try expectEqual(0, harness.scheduler.shared.waiters);
}

test "only a waiter that sleeps, or waits for its turn, can be dropped" {
    var harness = try Harness.init();
    defer harness.deinit();
    const resolving = harness.scheduler.park(.resolve, null).?;
    const yielding = harness.scheduler.park(.yield, null).?;
    for ([_]u32{ resolving, yielding }) |waiter| try expect(!harness.scheduler.drop(waiter));
    try harness.expectWoken(&.{.{ yielding, .ok }});
}

test "a dropped waiter has left its socket's queue" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const first = harness.park(handle, .readable);
    const second = harness.park(handle, .readable);
    try expect(scheduler.drop(first));
    try expectEqual(1, scheduler.shared.waiters);
    try expectEqual(second, harness.socketOf(handle).readers.head);
    try expect(scheduler.drop(second));
    try expect(harness.socketOf(handle).readers.isEmpty());
    try expectEqual(0, scheduler.shared.waiters);
    try harness.expectNobody();

    // Whoever has begun a transfer does not leave it like that.
    const in_turn = scheduler.parkOnSocket(harness.indexOf(handle), .readable, null, true).?;
    try expect(!scheduler.drop(in_turn));
}

test "a delivered number belongs to nobody else before the next poll" {
    var harness = try Harness.init();
    defer harness.deinit();
    // The first chunk of the pool, whole: a number that was released would be the next one taken.
    var first: [256]u32 = undefined;
    for (&first) |*waiter| waiter.* = harness.sleep(null);
    harness.scheduler.wake(first[7], .ok);
    harness.scheduler.wake(first[8], .ok);
    try harness.expectWoken(&.{ .{ first[7], .ok }, .{ first[8], .ok } });
    for (0..256) |_| {
        const waiter = harness.sleep(null);
        try expect(waiter != first[7] and waiter != first[8]);
    }
    try harness.expectNobody();
    try expectEqual(first[7], harness.sleep(null));
    try expectEqual(first[8], harness.sleep(null));
}

test "deadlines that have passed time out in their order, equal ones by age" {
    var harness = try Harness.init();
    defer harness.deinit();
    const points = [_]i64{ 500, 100, 300, 100, never, 200, 500 };
    var waiters: [points.len]u32 = undefined;
    for (&waiters, points) |*waiter, point| waiter.* = harness.sleep(point);
    try harness.expectWoken(&.{
        .{ waiters[1], .timed_out },
        .{ waiters[3], .timed_out },
        .{ waiters[5], .timed_out },
        .{ waiters[2], .timed_out },
        .{ waiters[0], .timed_out },
        .{ waiters[6], .timed_out },
    });
    try expectEqual(6, harness.scheduler.shared.timeouts);
    try expectEqual(1, harness.scheduler.shared.waiters);
    try harness.expectNobody();
}

test "a poll sleeps until the next deadline, and not beyond it" {
    var harness = try Harness.init();
    defer harness.deinit();
    const start = system.nanoseconds();
    const distant = harness.sleep(start + 3600 * std.time.ns_per_s);
    try harness.expectNobody();
    const waiter = harness.sleep(start + 2 * std.time.ns_per_ms);
    // No limit of its own: only the deadline ends it.
    const woken = try harness.pollFor(null);
    try std.testing.expectEqualSlices(Wakeup, &.{.{ waiter, .timed_out }}, woken);
    try expect(system.nanoseconds() >= start + 2 * std.time.ns_per_ms);
    try expect(harness.scheduler.shared.now_milliseconds >= scheduler_module.milliseconds(start) + 2);
    try expect(harness.scheduler.drop(distant));
}

test "a poll's own timeout ends it before a deadline" {
    var harness = try Harness.init();
    defer harness.deinit();
    const start = system.nanoseconds();
    _ = harness.sleep(start + 3600 * std.time.ns_per_s);
    try expectEqual(0, (try harness.pollFor(std.time.ns_per_ms)).len);
    try expect(system.nanoseconds() >= start + std.time.ns_per_ms);
    try expectEqual(0, (try harness.pollFor(-1)).len);
}

test "a poll does not sleep while somebody is ready" {
    var harness = try Harness.init();
    defer harness.deinit();
    const waiter = harness.sleep(null);
    try expect(harness.scheduler.cancel(waiter, .cancelled));
    // Without a timeout and without a deadline it would never return.
    const woken = try harness.pollFor(null);
    try std.testing.expectEqualSlices(Wakeup, &.{.{ waiter, .cancelled }}, woken);
}

test "what does not fit into the ring comes with the next polls, in order" {
    var harness = try Harness.init();
    defer harness.deinit();
    const ring = abi.Limits.wakeups_per_poll;
    var waiters: [2 * ring + 100]u32 = undefined;
    for (&waiters) |*waiter| waiter.* = harness.scheduler.park(.yield, null).?;
    var next: usize = 0;
    for ([_]usize{ ring, ring, 100, 0 }) |count| {
        // Not even a poll without a limit waits while some are left.
        const woken = try harness.pollFor(if (count == 0) 0 else null);
        try expectEqual(count, woken.len);
        for (woken) |wakeup| {
            try expectEqual(Wakeup{ waiters[next], .ok }, wakeup);
            next += 1;
        }
        try expectEqual(waiters.len - next, harness.scheduler.shared.waiters);
    }
    try expectEqual(waiters.len, next);
    try expectEqual(waiters.len, @as(usize, @trunc(harness.scheduler.shared.wakeups)));
}

test "who yields comes behind all that were ready, and before all that become so" {
    var harness = try Harness.init();
    defer harness.deinit();
    const before = harness.sleep(null);
    const after = harness.sleep(null);
    harness.scheduler.wake(before, .ok);
    const yielding = harness.scheduler.park(.yield, null).?;
    harness.scheduler.wake(after, .ok);
    try harness.expectWoken(&.{ .{ before, .ok }, .{ yielding, .ok }, .{ after, .ok } });
}

test "a poll restores the budget, and calls without a grant draw on it" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    for (0..abi.Limits.budget_per_poll) |_| {
        try expectEqual(1, try harness_module.valueOf(harness.send(handle, "x", false)));
    }
    try expectEqual(0, harness.scheduler.shared.budget);
    try expect(!harness.scheduler.spend());
    try harness_module.expectFailure(.would_block, harness.send(handle, "x", false));

    // The caller parks, and has its turn behind those who are ready.
    const yielding = harness.scheduler.park(.yield, null).?;
    const writer = harness.park(handle, .writable);
    try harness.expectWoken(&.{ .{ yielding, .ok }, .{ writer, .ok } });
    try expectEqual(abi.Limits.budget_per_poll, harness.scheduler.shared.budget);
    try expectEqual(1, try harness_module.valueOf(harness.send(handle, "x", true)));
    try expectEqual(abi.Limits.budget_per_poll, harness.scheduler.shared.budget);
    try expect(harness.scheduler.spend());
    try expectEqual(abi.Limits.budget_per_poll - 1, harness.scheduler.shared.budget);
}

test "a call that would wait leaves the budget alone" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    var buffer: [8]u8 = undefined;
    try harness_module.expectFailure(.would_block, harness.receive(handle, &buffer, false));
    try expectEqual(abi.Limits.budget_per_poll, harness.scheduler.shared.budget);
}

test "the timer is set for an earlier deadline only, and left alone by one that is met" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    scheduler.setTimer();
    try expectEqual(never, scheduler.timer_nanoseconds);

    const start = system.nanoseconds();
    const distant = start + 3600 * std.time.ns_per_s;
    const near = start + 2 * std.time.ns_per_ms;
    _ = harness.sleep(distant);
    scheduler.setTimer();
    try expectEqual(distant, scheduler.timer_nanoseconds);
    _ = harness.sleep(distant + 1);
    scheduler.setTimer();
    try expectEqual(distant, scheduler.timer_nanoseconds);
    const dropped = harness.sleep(near);
    scheduler.setTimer();
    try expectEqual(near, scheduler.timer_nanoseconds);
    try expect(scheduler.drop(dropped));
    scheduler.setTimer();
    try expectEqual(near, scheduler.timer_nanoseconds);

    // It goes off for a deadline that is gone: a poll finds nothing, and the next one is set.
    try expect(system.pollOne(scheduler.backend.descriptor(), false, 10_000));
    try expect(system.nanoseconds() >= near);
    try harness.expectNobody();
    try expect(!system.pollOne(scheduler.backend.descriptor(), false, 0));
    try expectEqual(never, scheduler.timer_nanoseconds);
    scheduler.setTimer();
    try expectEqual(distant, scheduler.timer_nanoseconds);
}

test "a timer that cannot be set leads to a poll too many, not to one too late" {
    if (!system.is_linux) return error.SkipZigTest; // elsewhere it has no descriptor that could be taken away
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const timer = scheduler.backend.timer;
    scheduler.backend.timer = -1;
    const distant = system.nanoseconds() + 3600 * std.time.ns_per_s;
    _ = harness.sleep(distant);
    scheduler.setTimer();
    try expect(system.pollOne(scheduler.backend.descriptor(), false, 0));
    try harness.expectNobody();
    // A turn that lingers goes without it.
    scheduler.setLingers(.blocking);
    const start = system.nanoseconds();
    try expectEqual(0, scheduler.lingeringPoll(std.time.ns_per_ms));
    try expect(system.nanoseconds() - start < 10 * std.time.ns_per_s);

    scheduler.backend.timer = timer;
    scheduler.setTimer();
    try expectEqual(distant, scheduler.timer_nanoseconds);
    try expect(!system.pollOne(scheduler.backend.descriptor(), false, 0));
}

test "a deadline of the ABI is a point in milliseconds, and 0 or infinity is never" {
    const convert = scheduler_module.deadlineFromMilliseconds;
    try expectEqual(null, convert(0));
    try expectEqual(null, convert(std.math.inf(f64)));
    try expectEqual(null, convert(std.math.nan(f64)));
    try expectEqual(1_500_000, convert(1.5).?);
    // Never early: a fraction of a nanosecond counts as a whole one.
    try expectEqual(1, convert(1e-9).?);
    try expectEqual(never, convert(1e300).?);
    var harness = try Harness.init();
    defer harness.deinit();
    // The end of the clock's range is a deadline like any other.
    _ = harness.sleep(never);
    try harness.expectNobody();
    harness.scheduler.setTimer();
}

test "a waiter for which memory runs out leaves no trace" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const working = scheduler.allocator;
    scheduler.allocator = std.testing.failing_allocator;
    try expectEqual(null, scheduler.park(.sleep, null));
    scheduler.allocator = working;
    try expect(scheduler.drop(harness.sleep(null)));
    scheduler.allocator = std.testing.failing_allocator;
    // There is a waiter now, but no room in the heap of deadlines.
    try expectEqual(null, scheduler.park(.sleep, 1));
    scheduler.allocator = working;
    try harness.expectNobody();
    try expectEqual(0, scheduler.waiters.in_use);
}

test "a scheduler is made whole or not at all" {
    var failing: usize = 0;
    while (true) : (failing += 1) {
        var allocator: std.testing.FailingAllocator = .init(std.testing.allocator, .{ .fail_index = failing });
        const made = Scheduler.create(allocator.allocator());
        if (made) |scheduler| scheduler.destroy();
        try expectEqual(allocator.allocations, allocator.deallocations);
        if (made != null) break;
    }
    try expect(failing > 0);
}

test "destroying closes every descriptor but those of other libraries" {
    var harness = try Harness.init();
    const scheduler = harness.scheduler;
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const listener = try harness.listenAt("127.0.0.1");
    const foreign = system.socketPair().?;
    defer for (foreign) |fd| system.close(fd);
    _ = harness.park(handle, .readable);
    _ = harness.park(listener, .readable);
    _ = @import("watching.zig").wait(scheduler, foreign[0], .readable, null);
    const owned = [_]system.Descriptor{
        harness.socketOf(handle).fd, harness.socketOf(listener).fd, scheduler.backend.descriptor(),
    };
    harness.deinit();
    for (owned) |fd| try expect(!system.isOpen(fd));
    try expect(system.isOpen(foreign[0]));
}
