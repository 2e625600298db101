//! The attached driver's wait for more: it ends when its time is up, when a waiter is woken, or when
//! the loop that it shares the thread with has something to do.

const std = @import("std");
const c = std.c;
const backend = @import("../os/backend.zig");
const system = @import("../os/system.zig");
const harness_module = @import("harness_test.zig");
const Backend = backend.Backend;
const Harness = harness_module.Harness;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

const millisecond = std.time.ns_per_ms;
const second = std.time.ns_per_s;

/// A scheduler beside a loop that stands for Bun's.
const Attached = struct {
    harness: Harness,
    loop: Backend,
    bell: [2]system.Descriptor,

    fn init() !Attached {
        const harness = try Harness.init();
        errdefer harness.thread.destroy();
        const loop = try Backend.open();
        errdefer loop.close();
        const bell = system.socketPair() orelse return error.NoBell;
        try loop.watch(bell[1], 1, .{ .readable = true, .writable = false }, true);
        harness.scheduler.bell = bell[1];
        return .{ .harness = harness, .loop = loop, .bell = bell };
    }

    fn deinit(attached: *Attached) void {
        attached.harness.deinit();
        attached.loop.close();
        for (attached.bell) |fd| system.close(fd);
    }

    /// Begins a turn; skips the test where the system does not tell where the bell is.
    fn begin(attached: *Attached) !void {
        attached.harness.scheduler.setSpins(.attached);
        if (!attached.harness.scheduler.spins) return error.SkipZigTest;
    }

    fn giveLoopWork(attached: *Attached) !void {
        try harness_module.sendFromPeer(attached.bell[0], "!");
    }
};

test "it waits for its time, and not longer" {
    var attached = try Attached.init();
    defer attached.deinit();
    try attached.begin();
    const thread = attached.harness.thread;
    const scheduler = attached.harness.scheduler;
    _ = try attached.harness.poll();
    const start = system.nanoseconds();
    try expectEqual(0, thread.spinPoll(2 * millisecond));
    try expect(system.nanoseconds() - start >= millisecond);
    try expectEqual(0, scheduler.shared.host_is_ready);
    // Again, with the timer where the last one has left it.
    try expectEqual(0, thread.spinPoll(2 * millisecond));
    try expect(system.nanoseconds() - start < second);
}

test "a wake-up ends it" {
    var attached = try Attached.init();
    defer attached.deinit();
    try attached.begin();
    const thread = attached.harness.thread;
    const scheduler = attached.harness.scheduler;
    const handle, const peer = try attached.harness.unixPair();
    defer system.close(peer);
    try harness_module.sendFromPeer(peer, "x");
    const start = system.nanoseconds();
    try expectEqual(1, thread.spinPoll(3600 * second));
    try expectEqual(@intFromEnum(handle), scheduler.shared.ring[0]);
    _ = attached.harness.sleep(system.nanoseconds() + millisecond);
    try expectEqual(1, thread.spinPoll(3600 * second));
    try expect(system.nanoseconds() - start < second);
}

test "the loop's work ends it, until the next turn begins" {
    var attached = try Attached.init();
    defer attached.deinit();
    try attached.begin();
    const thread = attached.harness.thread;
    const scheduler = attached.harness.scheduler;
    try attached.giveLoopWork();
    const start = system.nanoseconds();
    try expectEqual(0, thread.spinPoll(2 * second));
    try expectEqual(1, scheduler.shared.host_is_ready);
    try expect(system.nanoseconds() - start < second);
    try attached.begin();
    try expectEqual(0, scheduler.shared.host_is_ready);
}

test "work that the loop had before a poll ends the wait after it" {
    var attached = try Attached.init();
    defer attached.deinit();
    try attached.begin();
    const thread = attached.harness.thread;
    const scheduler = attached.harness.scheduler;
    try attached.giveLoopWork();
    // The first poll of a turn does not wait, and takes the report along with the rest.
    try attached.harness.expectNobody();
    const start = system.nanoseconds();
    try expectEqual(0, thread.spinPoll(2 * second));
    try expectEqual(1, scheduler.shared.host_is_ready);
    try expect(system.nanoseconds() - start < second);
}

test "events that wake no waiter do not prolong it" {
    if (!system.is_linux) return error.SkipZigTest;
    var attached = try Attached.init();
    defer attached.deinit();
    try attached.begin();
    const thread = attached.harness.thread;
    const scheduler = attached.harness.scheduler;
    // Stands for a peer that never stops sending to a socket that is not read: every wait ends
    // at once, and wakes no waiter.
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    const unknown_token = 1;
    var event: std.os.linux.epoll_event = .{ .events = std.os.linux.EPOLL.OUT, .data = .{ .u64 = unknown_token } };
    const descriptor = scheduler.backend.descriptor();
    try expectEqual(0, c.epoll_ctl(descriptor, std.os.linux.EPOLL.CTL_ADD, pair[0], &event));
    // A wait that goes on ends here at the latest.
    const late = attached.harness.sleep(system.nanoseconds() + second);
    try expectEqual(0, thread.spinPoll(2 * millisecond));
    thread.drop(late);
}

test "without a loop that can be found it waits for a moment only" {
    var harness = try Harness.init();
    defer harness.deinit();
    harness.scheduler.setSpins(.attached);
    try expect(!harness.scheduler.spins);
    const start = system.nanoseconds();
    try expectEqual(0, harness.thread.spinPoll(3600 * second));
    try expect(system.nanoseconds() - start < second);
}
