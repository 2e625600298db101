//! The thread that rings a bell when the scheduler has something to deliver, and that takes the
//! `Thread` apart when the other end of the bell is closed.

const std = @import("std");
const system = @import("../os/system.zig");
const waker_module = @import("waker.zig");
const connections = @import("connections.zig");
const lingering_test = @import("lingering_test.zig");
const CountingAllocator = @import("counting_test.zig").CountingAllocator;
const harness_module = @import("harness_test.zig");
const Harness = harness_module.Harness;
const Waker = waker_module.Waker;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;

const millisecond = std.time.ns_per_ms;

/// What the attached driver has: the waker, and its own end of the bell.
const Attached = struct {
    counting: CountingAllocator = .{},
    harness: Harness = undefined,
    waker: *Waker = undefined,
    bell: system.Descriptor = -1,

    fn start(attached: *Attached) !void {
        attached.harness = try Harness.initWith(attached.counting.allocator());
        attached.waker, attached.bell = try Waker.start(attached.harness.thread);
    }

    fn arm(attached: *Attached) void {
        attached.harness.scheduler.setSpins(.none);
        attached.harness.thread.setTimer();
        attached.waker.alarm.arm();
    }

    /// Waits for one ring, and takes it.
    fn expectRing(attached: *Attached) !void {
        try expect(system.pollOne(attached.bell, false, 5000));
        var byte: [8]u8 = undefined;
        try expectEqual(1, try system.receive(attached.bell, &byte, byte.len));
    }

    fn hasRung(attached: *Attached) bool {
        return system.pollOne(attached.bell, false, 0);
    }

    /// As when the VM ends: its end of the bell is closed, and no calls come any more.
    fn end(attached: *Attached) !void {
        system.close(attached.bell);
        try attached.counting.expectLeft(0);
    }
};

test "it rings for a deadline, and not before it" {
    var attached: Attached = .{};
    try attached.start();
    const deadline = system.nanoseconds() + 2 * millisecond;
    const waiter = attached.harness.sleep(deadline);
    attached.arm();
    try attached.expectRing();
    try expect(system.nanoseconds() >= deadline);
    try attached.harness.expectWoken(&.{.{ waiter, .timed_out }});
    try attached.end();
}

test "it rings for a waiter that a call wakes after it was armed" {
    var attached: Attached = .{};
    try attached.start();
    const waiter = attached.harness.sleep(null);
    attached.arm();
    try expect(!attached.hasRung());
    attached.harness.scheduler.wake(waiter, .ok);
    try attached.expectRing();
    try attached.harness.expectWoken(&.{.{ waiter, .ok }});
    try attached.end();
}

test "it rings for a deadline that is set after it was armed" {
    var attached: Attached = .{};
    try attached.start();
    _ = attached.harness.sleep(system.nanoseconds() + 3600 * std.time.ns_per_s);
    attached.arm();
    const waiter = attached.harness.sleep(system.nanoseconds() + millisecond);
    attached.harness.thread.setTimer();
    try attached.expectRing();
    try attached.harness.expectWoken(&.{.{ waiter, .timed_out }});
    try attached.end();
}

test "it rings once for each time that it is armed" {
    var attached: Attached = .{};
    try attached.start();
    const handle, const peer = try attached.harness.unixPair();
    defer system.close(peer);
    try attached.harness.expectNobody();
    for (0..20) |_| {
        const reader = attached.harness.park(handle, .readable);
        attached.arm();
        try harness_module.sendFromPeer(peer, "x");
        try attached.expectRing();
        // It sleeps until it is armed again, also when more arrives.
        try harness_module.sendFromPeer(peer, "y");
        try attached.harness.expectWoken(&.{.{ reader, .ok }});
        try attached.harness.expectReceived(handle, "xy");
        try expect(!attached.hasRung());
    }
    try attached.end();
}

test "it rings when it is armed after the event" {
    var attached: Attached = .{};
    try attached.start();
    const handle, const peer = try attached.harness.unixPair();
    defer system.close(peer);
    try attached.harness.expectNobody();
    _ = attached.harness.park(handle, .readable);
    try harness_module.sendFromPeer(peer, "x");
    try expect(!attached.hasRung());
    attached.arm();
    try attached.expectRing();
    try attached.end();
}

test "it rings when a name is resolved" {
    var attached: Attached = .{};
    try attached.start();
    const thread = attached.harness.thread;
    const scheduler = attached.harness.scheduler;
    const waiter = try scheduler.park(.resolve, null);
    attached.arm();
    try thread.resolver.start(waiter, "127.0.0.1", .ipv4);
    try attached.expectRing();
    try attached.harness.expectWoken(&.{.{ waiter, .ok }});
    try attached.end();
}

test "when the other end is closed it frees everything and closes the descriptors" {
    for (0..20) |turn| {
        var attached: Attached = .{};
        try attached.start();
        const thread = attached.harness.thread;
        const scheduler = attached.harness.scheduler;
        const handle, const peer = try attached.harness.unixPair();
        defer system.close(peer);
        const fd = attached.harness.socketOf(handle).fd;
        _ = attached.harness.park(handle, .readable);
        const resolving = try scheduler.park(.resolve, null);
        try thread.resolver.start(resolving, "localhost", .unspecified);
        // Armed or not, and with a ring that was not read.
        if (turn % 2 == 0) attached.arm();
        try attached.end();
        try expect(!system.isOpen(fd));
        var byte: [1]u8 = undefined;
        try expectEqual(0, try system.receive(peer, &byte, 1));
    }
}

test "when the other end is closed, what was closed still arrives, and what was open is at its end" {
    var attached: Attached = .{};
    try attached.start();
    const thread = attached.harness.thread;
    const scheduler = attached.harness.scheduler;
    const closed = try lingering_test.burden(&attached.harness);
    defer system.close(closed.peer);
    const open, const other = try attached.harness.tcpPeer();
    defer system.close(other);
    const fd = attached.harness.socketOf(open).fd;
    _ = attached.harness.park(open, .readable);
    const foreign = system.socketPair().?;
    defer for (foreign) |each| system.close(each);
    _ = try attached.harness.thread.watching.wait(foreign[0], .readable, null);
    try connections.close(thread, closed.handle);
    try expectEqual(1, scheduler.shared.lingering);
    try harness_module.sendFromPeer(other, "never read");
    system.close(attached.bell);

    const end = system.nanoseconds() + 10 * std.time.ns_per_s;
    while (system.isOpen(fd)) try expect(system.nanoseconds() < end);
    // As when a process ends: the kernel resets what has unread input.
    try expect(system.pollOne(other, false, 5000));
    var buffer: [256 * 1024]u8 = undefined;
    try expectError(error.ECONNRESET, system.receive(other, &buffer, buffer.len));
    // What comes late does not reset what was closed.
    try harness_module.sendFromPeer(closed.peer, "late");
    var taken: usize = 0;
    while (true) {
        try expect(system.pollOne(closed.peer, false, 10_000));
        const count = try system.receive(closed.peer, &buffer, buffer.len);
        if (count == 0) break;
        taken += count;
    }
    try expectEqual(closed.sent, taken);
    // The peer's end is the last thing that it waits for.
    try expectEqual(0, std.c.shutdown(closed.peer, std.c.SHUT.WR));
    try attached.counting.expectLeft(0);
    try expect(system.isOpen(foreign[0]));
}

test "a retired waker takes its scheduler apart, all but the shared block" {
    var attached: Attached = .{};
    try attached.start();
    const shared = attached.harness.scheduler.shared;
    const number = attached.waker.number;
    var other: Attached = .{};
    try other.start();
    try expect(other.waker.number != number);
    waker_module.retire(number, .keep_shared);
    try attached.counting.expectLeft(1);
    attached.counting.allocator().destroy(shared);
    // What is gone already is not found; the other one goes on.
    waker_module.retire(number, .keep_shared);
    const waiter = other.harness.sleep(1);
    other.arm();
    try other.expectRing();
    try other.harness.expectWoken(&.{.{ waiter, .timed_out }});
    try other.end();
    system.close(attached.bell);
}
