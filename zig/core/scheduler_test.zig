//! Waiting, waking and delivering, without sockets for the most part.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const connections = @import("../thread/connections.zig");
const scheduler_module = @import("scheduler.zig");
const system = @import("../os/system.zig");
const harness_module = @import("../thread/harness_test.zig");
const WaiterIndex = @import("indices.zig").WaiterIndex;
const Harness = harness_module.Harness;
const Thread = @import("../thread/thread.zig").Thread;
const Wakeup = harness_module.Wakeup;
const SocketHandle = @import("indices.zig").SocketHandle;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;

const never = std.math.maxInt(i64);

test "waiters are delivered in the order in which they became ready, not in which they were parked" {
    var harness = try Harness.init();
    defer harness.deinit();
    var waiters: [5]WaiterIndex = undefined;
    for (&waiters) |*waiter| waiter.* = harness.sleep(null);
    harness.scheduler.wake(waiters[3], .ok);
    harness.scheduler.wake(waiters[0], .cancelled);
    harness.scheduler.wake(waiters[4], .timed_out);
    try expectEqual(3, harness.scheduler.shared.ready);
    try expectEqual(5, harness.scheduler.shared.waiters);
    try harness.expectWoken(&.{
        .{ waiters[3], .ok },
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
    harness.scheduler.wake(waiter, .cancelled);
    // Its deadline has passed long since, and was taken off with the wake-up.
    try harness.expectWoken(&.{.{ waiter, .cancelled }});
    try harness.expectNobody();
    try expectEqual(0, harness.scheduler.shared.timeouts);
}

test "what never was a waiter is not dropped" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]u32{ 0, 1, 255, 256, 1 << 22, std.math.maxInt(u32) }) |number| {
        try expectEqual(null, harness.scheduler.waiters.find(number));
    }
    const waiter = harness.sleep(null);
    harness.thread.drop(@enumFromInt(@intFromEnum(waiter) + 1));
    try harness.expectNobody();
    try expectEqual(1, harness.scheduler.shared.waiters);
}

test "a dropped waiter never wakes, its deadline included" {
    var harness = try Harness.init();
    defer harness.deinit();
    const dropped = harness.sleep(1);
    const kept = harness.sleep(2);
    for (0..2) |_| harness.thread.drop(dropped);
    try expectEqual(1, harness.scheduler.shared.waiters);
    try harness.expectWoken(&.{.{ kept, .timed_out }});
    try expectEqual(0, harness.scheduler.shared.waiters);
}

test "a waiter that was woken is dropped before a poll tells of it, and left alone afterwards" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    var waiters: [5]WaiterIndex = undefined;
    for (&waiters) |*waiter| waiter.* = harness.sleep(null);
    for (waiters) |waiter| scheduler.wake(waiter, .ok);
    // The first, the last, and one between them.
    for ([_]usize{ 0, 4, 2 }) |place| {
        thread.drop(waiters[place]);
        try harness_module.checkBooks(thread);
    }
    try harness.expectWoken(&.{ .{ waiters[1], .ok }, .{ waiters[3], .ok } });
    // TypeScript may still come across it in the ring: the number is not free yet.
    thread.drop(waiters[1]);
    try harness_module.checkBooks(thread);
    for (0..300) |_| try expect(harness.sleep(null) != waiters[1]);
    try harness.expectNobody();
    try expectEqual(300, scheduler.waiters.in_use);
}

test "a delivered number is not taken again before the next poll" {
    var harness = try Harness.init();
    defer harness.deinit();
    // The first chunk of the pool, whole: a number that was released would be the next one taken.
    var first: [256]WaiterIndex = undefined;
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
    var waiters: [points.len]WaiterIndex = undefined;
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
    harness.thread.drop(distant);
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

test "a poll does not sleep while a waiter is ready" {
    var harness = try Harness.init();
    defer harness.deinit();
    const waiter = harness.sleep(null);
    harness.scheduler.wake(waiter, .cancelled);
    // Without a timeout and without a deadline it would never return.
    const woken = try harness.pollFor(null);
    try std.testing.expectEqualSlices(Wakeup, &.{.{ waiter, .cancelled }}, woken);
}

test "what does not fit into the ring comes with the next polls, in order" {
    var harness = try Harness.init();
    defer harness.deinit();
    const ring = abi.Limits.waiters_per_poll;
    var waiters: [2 * ring + 100]WaiterIndex = undefined;
    for (&waiters) |*waiter| {
        waiter.* = harness.sleep(null);
        harness.scheduler.wake(waiter.*, .ok);
    }
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

test "the timer is set for an earlier deadline only, and left alone by one that is met" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    thread.setTimer();
    try expectEqual(never, scheduler.timer_nanoseconds);

    const start = system.nanoseconds();
    const distant = start + 3600 * std.time.ns_per_s;
    const near = start + 2 * std.time.ns_per_ms;
    _ = harness.sleep(distant);
    thread.setTimer();
    try expectEqual(distant, scheduler.timer_nanoseconds);
    _ = harness.sleep(distant + 1);
    thread.setTimer();
    try expectEqual(distant, scheduler.timer_nanoseconds);
    const dropped = harness.sleep(near);
    thread.setTimer();
    try expectEqual(near, scheduler.timer_nanoseconds);
    thread.drop(dropped);
    thread.setTimer();
    try expectEqual(near, scheduler.timer_nanoseconds);

    // It goes off for a deadline that is gone: a poll finds nothing, and the next one is set.
    try expect(system.pollOne(scheduler.backend.descriptor(), false, 10_000));
    try expect(system.nanoseconds() >= near);
    try harness.expectNobody();
    try expect(!system.pollOne(scheduler.backend.descriptor(), false, 0));
    try expectEqual(never, scheduler.timer_nanoseconds);
    thread.setTimer();
    try expectEqual(distant, scheduler.timer_nanoseconds);
}

test "a timer that cannot be set leads to a poll too many, not to one too late" {
    if (!system.is_linux) return error.SkipZigTest; // elsewhere it has no descriptor that could be taken away
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    const timer = scheduler.backend.timer;
    scheduler.backend.timer = -1;
    const distant = system.nanoseconds() + 3600 * std.time.ns_per_s;
    _ = harness.sleep(distant);
    thread.setTimer();
    try expect(system.pollOne(scheduler.backend.descriptor(), false, 0));
    try harness.expectNobody();
    // A turn that spins goes without it.
    const start = system.nanoseconds();
    try expectEqual(0, thread.spinPoll(std.time.ns_per_ms));
    try expect(system.nanoseconds() - start < 10 * std.time.ns_per_s);

    scheduler.backend.timer = timer;
    thread.setTimer();
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
    harness.thread.setTimer();
}

test "a waiter for which memory runs out leaves no trace" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    const working = scheduler.allocator;
    scheduler.allocator = std.testing.failing_allocator;
    try std.testing.expectError(error.Exhausted, scheduler.park(.sleep, null));
    scheduler.allocator = working;
    thread.drop(harness.sleep(null));
    scheduler.allocator = std.testing.failing_allocator;
    // There is a waiter now, but no room in the heap of deadlines.
    try std.testing.expectError(error.Exhausted, scheduler.park(.sleep, 1));
    scheduler.allocator = working;
    try harness.expectNobody();
    try expectEqual(0, scheduler.waiters.in_use);
}

test "a thread's parts are made whole or not at all" {
    var failing: usize = 0;
    while (true) : (failing += 1) {
        var allocator: std.testing.FailingAllocator = .init(std.testing.allocator, .{ .fail_index = failing });
        const made = Thread.create(allocator.allocator());
        if (made) |thread| thread.destroy() else |failure| try expectEqual(error.OutOfMemory, failure);
        try expectEqual(allocator.allocations, allocator.deallocations);
        if (made) |_| break else |_| {}
    }
    try expect(failing > 0);
}

// -- Sockets that are ready

/// What one poll tells, as it stands in the ring.
fn expectTold(harness: *Harness, expected: []const struct { i32, i32 }) !void {
    const count = harness.thread.poll(0);
    for (expected, 0..) |pair, place| {
        if (place == count) return error.ToldTooLittle;
        try std.testing.expectEqualSlices(i32, &.{ pair[0], pair[1] }, harness.scheduler.shared.ring[2 * place ..][0..2]);
    }
    try expectEqual(expected.len, count);
    try harness_module.checkBooks(harness.thread);
}

/// A socket without a report that is due. It has room for output, and no input.
fn quietPair(harness: *Harness) !struct { SocketHandle, system.Descriptor } {
    const pair = try harness.unixPair();
    try harness.expectNobody();
    harness.socketOf(pair[0]).flags.readable = false;
    return pair;
}

const both = abi.Ready.readable | abi.Ready.writable;

test "a poll tells of a socket once, with all that it is ready for" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try quietPair(&harness);
    defer system.close(peer);
    const socket = harness.socketOf(handle);
    const scheduler = harness.scheduler;
    // Nothing is announced that is not so.
    scheduler.announce(socket, .readable);
    try expectTold(&harness, &.{});
    for (0..3) |_| scheduler.announce(socket, .writable);
    try expectEqual(1, scheduler.shared.ready);
    try expectTold(&harness, &.{.{ @intFromEnum(handle), abi.Ready.writable }});
    try expectEqual(0, scheduler.shared.ready);
    try expectTold(&harness, &.{});

    // What the kernel has to report is added to it.
    scheduler.announce(socket, .writable);
    try harness_module.sendFromPeer(peer, "x");
    try expectTold(&harness, &.{.{ @intFromEnum(handle), both }});
    try expectTold(&harness, &.{});
    for ([_]abi.Direction{ .readable, .writable, .readable }) |direction| scheduler.announce(socket, direction);
    try expectEqual(1, scheduler.shared.ready);
    try expectTold(&harness, &.{.{ @intFromEnum(handle), both }});
    try harness.expectReceived(handle, "x");
}

test "a socket that is closed before the poll is not reported, nor is its slot's next owner" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    // The numbers of the first chunk are given out anew when all are in use.
    for ([_]bool{ true, false }) |resets| {
        const first, const first_peer = try quietPair(&harness);
        defer system.close(first_peer);
        const second, const second_peer = try quietPair(&harness);
        defer system.close(second_peer);
        const third, const third_peer = try quietPair(&harness);
        defer system.close(third_peer);
        for ([_]SocketHandle{ first, second, third }) |handle| scheduler.announce(harness.socketOf(handle), .writable);
        try expectEqual(3, scheduler.shared.ready);
        try if (resets) connections.reset(thread, second) else connections.close(thread, second);
        try expectEqual(2, scheduler.shared.ready);
        try expectTold(&harness, &.{ .{ @intFromEnum(first), abi.Ready.writable }, .{ @intFromEnum(third), abi.Ready.writable } });
        try connections.close(thread, first);
        try connections.close(thread, third);
    }
}

test "a socket that lingers is not reported" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try @import("../thread/lingering_test.zig").burden(&harness);
    defer system.close(burdened.peer);
    try harness_module.sendFromPeer(burdened.peer, "input");
    const socket = harness.socketOf(burdened.handle);
    socket.flags.writable = true;
    harness.scheduler.announce(socket, .writable);
    try connections.close(harness.thread, burdened.handle);
    try expectEqual(1, harness.scheduler.shared.lingering);
    try expectEqual(0, harness.scheduler.shared.ready);
    try expectTold(&harness, &.{});
}

test "sockets that do not fit into one poll come with the next ones, in order" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    const limit = abi.Limits.sockets_per_poll;
    const handles = try std.testing.allocator.alloc(SocketHandle, 2 * limit + 100);
    defer std.testing.allocator.free(handles);
    // Slots without a descriptor that the kernel knows of: so many may not be had.
    for (handles, 1000..) |*handle, fd| {
        const index = scheduler.sockets.take(scheduler.allocator, @intCast(fd), .watched).?;
        scheduler.sockets.at(index).flags.writable = true;
        handle.* = scheduler.sockets.handle(index);
    }
    defer for (handles) |handle| scheduler.sockets.release(harness.indexOf(handle));
    var generator: std.Random.DefaultPrng = .init(std.testing.random_seed);
    generator.random().shuffle(SocketHandle, handles);
    for (handles) |handle| scheduler.announce(harness.socketOf(handle), .writable);
    const sleeper = harness.sleep(null);
    scheduler.wake(sleeper, .ok);

    var next: usize = 0;
    for ([_]usize{ limit, limit, 100, 0 }) |count| {
        // A poll without a limit does not wait while some are left.
        const has_sleeper = next == 0;
        try expectEqual(count + @intFromBool(has_sleeper), thread.poll(if (count == 0) 0 else null));
        for (0..count) |place| {
            const pair: [2]i32 = .{ @intFromEnum(handles[next]), abi.Ready.writable };
            try std.testing.expectEqualSlices(i32, &pair, scheduler.shared.ring[2 * place ..][0..2]);
            next += 1;
        }
        // Those who wait for something else are not kept waiting by so many sockets.
        const last: [2]i32 = .{ ~@as(i32, @intCast(@intFromEnum(sleeper))), 0 };
        if (has_sleeper) try std.testing.expectEqualSlices(i32, &last, scheduler.shared.ring[2 * count ..][0..2]);
        try expectEqual(handles.len - next, scheduler.shared.ready);
        try expectEqual(handles.len - next, scheduler.changed.length);
    }
    try expectEqual(handles.len + 1, @as(usize, @trunc(scheduler.shared.wakeups)));
}

test "sockets are reported before waiters, so that readiness comes before a deadline" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try quietPair(&harness);
    defer system.close(peer);
    const woken = harness.sleep(null);
    const late = harness.sleep(1);
    harness.scheduler.wake(woken, .cancelled);
    try harness_module.sendFromPeer(peer, "x");
    try expectTold(&harness, &.{
        .{ @intFromEnum(handle), both },
        .{ ~@as(i32, @intCast(@intFromEnum(woken))), @intFromEnum(abi.Status.cancelled) },
        .{ ~@as(i32, @intCast(@intFromEnum(late))), @intFromEnum(abi.Status.timed_out) },
    });
    try harness.expectReceived(handle, "x");

    const reader = harness.parkUntil(handle, .readable, 1);
    try harness_module.sendFromPeer(peer, "y");
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(handle, "y");
    try harness.expectNobody();
}

test "a socket that stays ready is reported again only when it is announced" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try quietPair(&harness);
    defer system.close(peer);
    try harness_module.sendFromPeer(peer, "ab");
    try expectTold(&harness, &.{.{ @intFromEnum(handle), both }});
    var byte: [1]u8 = undefined;
    try expectEqual(1, try connections.receive(harness.thread, handle, &byte, 1));
    // TypeScript knows that there may be more, and tries in its own time.
    try expectTold(&harness, &.{});
    try expect(harness.socketOf(handle).flags.readable);
    try expectEqual(1, try connections.receive(harness.thread, handle, &byte, 1));
    try expectError(error.WouldBlock, connections.receive(harness.thread, handle, &byte, 1));
    try harness_module.sendFromPeer(peer, "c");
    try expectTold(&harness, &.{.{ @intFromEnum(handle), both }});
}

test "an error is reported in both directions" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try quietPair(&harness);
    defer system.close(peer);
    const socket = harness.socketOf(handle);
    socket.flags.writable = false;
    harness.scheduler.endConnection(socket, error.ECONNRESET);
    try expectTold(&harness, &.{.{ @intFromEnum(handle), both }});
    var byte: [1]u8 = undefined;
    try expectError(error.ECONNRESET, connections.receive(harness.thread, handle, &byte, 1));
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
    _ = try harness.thread.watching.wait(foreign[0], .readable, null);
    const owned = [_]system.Descriptor{
        harness.socketOf(handle).fd, harness.socketOf(listener).fd, scheduler.backend.descriptor(),
    };
    harness.deinit();
    for (owned) |fd| try expect(!system.isOpen(fd));
    try expect(system.isOpen(foreign[0]));
}
