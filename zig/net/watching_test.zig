//! Waiting for descriptors that belong to other libraries.

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const system = @import("../os/system.zig");
const harness_module = @import("../thread/harness_test.zig");
const WaiterIndex = @import("../core/indices.zig").WaiterIndex;
const Harness = harness_module.Harness;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;

fn watch(harness: *Harness, fd: system.Descriptor, kind: abi.Direction) !WaiterIndex {
    return watchUntil(harness, fd, kind, null);
}

fn watchUntil(harness: *Harness, fd: system.Descriptor, kind: abi.Direction, deadline: ?i64) !WaiterIndex {
    return harness.thread.watching.wait(fd, kind, deadline);
}

/// A pair whose first descriptor has no room to send.
fn fullPair() ![2]system.Descriptor {
    const pair = system.socketPair() orelse return error.NoSocketPair;
    for (pair) |fd| harness_module.shrinkBuffers(fd);
    const bytes: [64 * 1024]u8 = @splat(0);
    while (system.send(pair[0], &bytes, bytes.len)) |_| {} else |_| {}
    return pair;
}

test "a descriptor that is ready now is woken for in its turn, and is not entered anywhere" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    const file = try harness_module.temporaryFile("a regular file is always ready");
    defer system.close(file);
    const before = harness.sleep(null);
    harness.scheduler.wake(before, .ok);
    const writable = try watch(&harness, pair[0], .writable);
    const regular = try watch(&harness, file, .readable);
    try expectEqual(0, harness.scheduler.shared.sockets);
    try harness.expectWoken(&.{ .{ before, .ok }, .{ writable, .ok }, .{ regular, .ok } });
}

test "waiting in both directions of one descriptor, each is woken for its own" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try fullPair();
    defer for (pair) |fd| system.close(fd);
    const reader = try watch(&harness, pair[0], .readable);
    const writer = try watch(&harness, pair[0], .writable);
    try expectEqual(1, harness.scheduler.shared.sockets);
    try harness.expectNobody();
    try harness_module.sendFromPeer(pair[1], "x");
    try harness.expectWoken(&.{.{ reader, .ok }});
    // No waiter waits for input now, which must not wake the writer.
    try harness.expectNobody();
    _ = harness_module.drainPeer(pair[1]);
    try harness.expectWoken(&.{.{ writer, .ok }});
    try expectEqual(0, harness.scheduler.shared.sockets);
}

test "all waiters for the same are woken, and waiting again works" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    for (0..3) |_| {
        const first = try watch(&harness, pair[0], .readable);
        const second = try watch(&harness, pair[0], .readable);
        try expectEqual(1, harness.scheduler.shared.sockets);
        try harness.expectNobody();
        try harness_module.sendFromPeer(pair[1], "x");
        try harness.expectWoken(&.{ .{ first, .ok }, .{ second, .ok } });
        try expectEqual(0, harness.scheduler.shared.sockets);
        try harness_module.expectAtPeer(pair[0], "x");
    }
}

test "a descriptor is reported once, and again only to who waits again" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try fullPair();
    defer for (pair) |fd| system.close(fd);
    const writer = try watch(&harness, pair[0], .writable);
    const reader = try watch(&harness, pair[0], .readable);
    try harness_module.sendFromPeer(pair[1], "x");
    try harness.expectWoken(&.{.{ reader, .ok }});
    // Unread input is still there, and is no event while no waiter waits for it.
    const events = harness.scheduler.shared.events;
    try harness.expectNobody();
    try expectEqual(events, harness.scheduler.shared.events);
    const again = try watch(&harness, pair[0], .readable);
    try harness.expectWoken(&.{.{ again, .ok }});
    try expect(harness.cancel(writer, .cancelled));
    try harness.expectWoken(&.{.{ writer, .cancelled }});
}

test "the last to leave takes the registration along" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    const cancelled = try watch(&harness, pair[0], .readable);
    const late = try watchUntil(&harness, pair[0], .readable, 1);
    try expect(harness.cancel(cancelled, .cancelled));
    try expectEqual(1, harness.scheduler.shared.sockets);
    try harness.expectWoken(&.{ .{ cancelled, .cancelled }, .{ late, .timed_out } });
    try expectEqual(0, harness.scheduler.shared.sockets);
    try expect(harness.thread.watching.watches.get(pair[0]) == null);
    try harness_module.sendFromPeer(pair[1], "x");
    const events = harness.scheduler.shared.events;
    try harness.expectNobody();
    try expectEqual(events, harness.scheduler.shared.events);
}

test "a dropped watcher leaves, and the last one takes the registration along" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    const pair = try fullPair();
    defer for (pair) |fd| system.close(fd);
    const first = try watchUntil(&harness, pair[0], .readable, std.math.maxInt(i64));
    const second = try watch(&harness, pair[0], .readable);
    const writer = try watch(&harness, pair[0], .writable);
    thread.drop(second);
    try harness_module.checkBooks(thread);
    thread.drop(writer);
    try harness_module.checkBooks(thread);
    // No waiter waits for the room that there is now.
    _ = harness_module.drainPeer(pair[1]);
    try harness.expectNobody();
    thread.drop(first);
    try harness_module.checkBooks(thread);
    try expectEqual(0, scheduler.shared.sockets + scheduler.shared.waiters);
    try expect(thread.watching.watches.get(pair[0]) == null);
    try expectEqual(null, scheduler.deadlines.earliest());
    try harness_module.sendFromPeer(pair[1], "x");
    const events = scheduler.shared.events;
    try harness.expectNobody();
    try expectEqual(events, scheduler.shared.events);
}

test "a watcher that was woken is dropped before it is reported, and the descriptor watched anew" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    const woken = try watch(&harness, pair[0], .readable);
    thread.wake(woken, .cancelled);
    try expectEqual(0, scheduler.shared.sockets);
    const next = try watch(&harness, pair[0], .readable);
    thread.drop(woken);
    try harness_module.checkBooks(thread);
    try harness_module.sendFromPeer(pair[1], "x");
    try harness.expectWoken(&.{.{ next, .ok }});
    // It was told of: what is done about it changes nothing.
    thread.drop(next);
    const ready = try watch(&harness, pair[0], .readable);
    thread.drop(ready);
    try harness.expectNobody();
    try expectEqual(0, scheduler.waiters.in_use);
}

test "the end of the peer wakes both directions" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try fullPair();
    defer system.close(pair[0]);
    const reader = try watch(&harness, pair[0], .readable);
    const writer = try watch(&harness, pair[0], .writable);
    system.close(pair[1]);
    try harness.expectWoken(&.{ .{ reader, .ok }, .{ writer, .ok } });
}

test "a descriptor's number may come back as another descriptor" {
    var harness = try Harness.init();
    defer harness.deinit();
    var pair = system.socketPair().?;
    const first = try watch(&harness, pair[0], .readable);
    try expect(harness.cancel(first, .cancelled));
    for (pair) |fd| system.close(fd);
    pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    const second = try watch(&harness, pair[0], .readable);
    try harness.expectWoken(&.{.{ first, .cancelled }});
    try harness_module.sendFromPeer(pair[1], "x");
    try harness.expectWoken(&.{.{ second, .ok }});
}

test "a pipe's end is an end for its reader" {
    var harness = try Harness.init();
    defer harness.deinit();
    var pipe: [2]system.Descriptor = undefined;
    try expectEqual(0, c.pipe(&pipe));
    defer system.close(pipe[0]);
    const reader = try watch(&harness, pipe[0], .readable);
    try harness.expectNobody();
    system.close(pipe[1]);
    try harness.expectWoken(&.{.{ reader, .ok }});
}

test "a closed descriptor is refused" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = system.socketPair().?;
    for (pair) |fd| system.close(fd);
    for ([_]system.Descriptor{ pair[0], -1, std.math.maxInt(i32) }) |fd| {
        const refused = harness.thread.watching.wait(fd, .readable, null);
        try expectError(error.EBADF, refused);
    }
    try expectEqual(0, harness.scheduler.shared.waiters);
}

test "a descriptor of the scheduler's own is refused, and works on" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const reader = harness.park(handle, .readable);
    const refused = harness.thread.watching.wait(harness.socketOf(handle).fd, .readable, null);
    try expectError(error.EEXIST, refused);
    try expectEqual(1, harness.scheduler.shared.sockets);
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(handle, "x");
}

test "what memory runs out for is not watched" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    var failing: usize = 0;
    const working = scheduler.allocator;
    const waiter = while (failing < 100) : (failing += 1) {
        var allocator: std.testing.FailingAllocator = .init(working, .{ .fail_index = failing });
        scheduler.allocator = allocator.allocator();
        defer scheduler.allocator = working;
        if (thread.watching.wait(pair[0], .readable, std.math.maxInt(i64))) |waiter| break waiter else |failure| {
            try expectEqual(error.Exhausted, failure);
        }
        try harness_module.checkBooks(thread);
        try expectEqual(0, scheduler.shared.sockets);
    } else return error.NeverWorked;
    try expect(failing > 2);
    try harness_module.sendFromPeer(pair[1], "x");
    try harness.expectWoken(&.{.{ waiter, .ok }});
}
