//! Who may read or write next: callers take turns, in the order in which they came.

const std = @import("std");
const abi = @import("abi.zig");
const streams = @import("streams.zig");
const system = @import("system.zig");
const harness_module = @import("harness_test.zig");
const Harness = harness_module.Harness;
const expectFailure = harness_module.expectFailure;
const valueOf = harness_module.valueOf;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

test "readers have their turns in the order in which they came" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const first = harness.park(handle, .readable);
    const second = harness.park(handle, .readable);
    const third = harness.park(handle, .readable);
    try harness.expectNobody();
    try harness_module.sendFromPeer(peer, "abc");
    var byte: [1]u8 = undefined;
    for ([_]u32{ first, second, third }, "abc") |reader, expected| {
        // One at a time: the next reader's turn begins when this one has received.
        try harness.expectWoken(&.{.{ reader, .ok }});
        try harness.expectNobody();
        try expectEqual(1, try valueOf(harness.receive(handle, &byte, true)));
        try expectEqual(expected, byte[0]);
    }
    try harness.expectNobody();
}

test "nobody overtakes a reader that has the turn, or one that waits for it" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    var buffer: [8]u8 = undefined;
    const first = harness.park(handle, .readable);
    var second = harness.park(handle, .readable);
    try harness_module.sendFromPeer(peer, "one");
    try harness.expectWoken(&.{.{ first, .ok }});
    try expectFailure(.would_block, harness.receive(handle, &buffer, false));
    // A short read: the second one waits on, with nothing to be had. Where it proves nothing, that is found
    // out in a turn.
    try harness.expectReceived(handle, "one", true);
    try expectFailure(.would_block, harness.receive(handle, &buffer, false));
    if (!system.short_read_empties) {
        try harness.expectWoken(&.{.{ second, .ok }});
        try expectFailure(.would_block, harness.receive(handle, &buffer, true));
        second = harness.parkAgain(handle, .readable);
    }
    try harness.expectNobody();
    try harness_module.sendFromPeer(peer, "two");
    try harness.expectWoken(&.{.{ second, .ok }});
    try harness.expectReceived(handle, "two", true);
    const third = harness.park(handle, .readable);
    try harness_module.sendFromPeer(peer, "three");
    try harness.expectWoken(&.{.{ third, .ok }});
    try harness.expectReceived(handle, "three", true);
}

test "a reader that leaves the queue gives way to the next one" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const cancelled = harness.park(handle, .readable);
    const late = harness.parkUntil(handle, .readable, 1);
    const third = harness.park(handle, .readable);
    const fourth = harness.park(handle, .readable);
    try expect(harness.scheduler.cancel(cancelled, .cancelled));
    try harness.expectWoken(&.{ .{ cancelled, .cancelled }, .{ late, .timed_out } });
    try expect(harness.scheduler.cancel(fourth, .cancelled));
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectWoken(&.{ .{ fourth, .cancelled }, .{ third, .ok } });
    try harness.expectReceived(handle, "x", true);
}

test "readiness in the same poll comes before a deadline" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const reader = harness.parkUntil(handle, .readable, 1);
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectWoken(&.{.{ reader, .ok }});
    try expectEqual(0, harness.scheduler.shared.timeouts);
}

test "a turn that was granted cannot be cancelled, but given up" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const first = harness.park(handle, .readable);
    const second = harness.park(handle, .readable);
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectWoken(&.{.{ first, .ok }});
    try expect(!harness.scheduler.cancel(first, .cancelled));
    streams.endTurn(harness.scheduler, handle, .readable);
    try harness.expectWoken(&.{.{ second, .ok }});
    streams.endTurn(harness.scheduler, handle, .readable);
    try harness.expectReceived(handle, "x", false);
}

test "a turn that came to nothing is kept: its owner parks before all others" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    var buffer: [8]u8 = undefined;
    var first = harness.park(handle, .readable);
    const second = harness.park(handle, .readable);
    // What somebody else has read away meanwhile.
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectWoken(&.{.{ first, .ok }});
    try expectEqual(1, try valueOf(system.receive(harness.socketOf(handle).fd, &buffer, 8)));
    try expectFailure(.would_block, harness.receive(handle, &buffer, true));
    first = harness.parkAgain(handle, .readable);
    try harness.expectNobody();
    try harness_module.sendFromPeer(peer, "y");
    try harness.expectWoken(&.{.{ first, .ok }});
    try harness.expectReceived(handle, "y", true);
    try harness_module.sendFromPeer(peer, "z");
    try harness.expectWoken(&.{.{ second, .ok }});
    try harness.expectReceived(handle, "z", true);
}

test "transfers that are sent in parts do not interleave, and the end of the stream is the last" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const length = 1024 * 1024;
    const long = try std.testing.allocator.alloc(u8, length);
    defer std.testing.allocator.free(long);
    for (long, 0..) |*byte, place| byte.* = @truncate(place *% 31 +% place / 251);

    var sent = try valueOf(harness.send(handle, long, false));
    try expect(sent > 0 and sent < length);
    // Before anybody else can call, its owner parks for the rest.
    var writer = harness.parkAgain(handle, .writable);
    try expectFailure(.would_block, harness.send(handle, "second", false));
    const second = harness.park(handle, .writable);
    try expectEqual(.would_block, streams.shutdown(harness.scheduler, handle, false).?);
    const last = harness.park(handle, .writable);
    try expectFailure(.would_block, harness.send(handle, "third", false));
    try harness.expectNobody();

    var received: usize = 0;
    var buffer: [64 * 1024]u8 = undefined;
    while (sent < length) {
        while (system.pollOne(peer, false, 0)) {
            const count = try valueOf(system.receive(peer, &buffer, buffer.len));
            try std.testing.expectEqualSlices(u8, long[received..][0..count], buffer[0..count]);
            received += count;
        }
        try harness.expectWoken(&.{.{ writer, .ok }});
        const count = try valueOf(harness.send(handle, long[sent..], true));
        sent += count;
        if (sent < length) writer = harness.parkAgain(handle, .writable);
    }
    while (received < length) {
        const count = try valueOf(system.receive(peer, &buffer, buffer.len));
        try std.testing.expectEqualSlices(u8, long[received..][0..count], buffer[0..count]);
        received += count;
    }
    try harness.expectWoken(&.{.{ second, .ok }});
    try expectEqual(6, try valueOf(harness.send(handle, "second", true)));
    try harness.expectWoken(&.{.{ last, .ok }});
    try expectEqual(null, streams.shutdown(harness.scheduler, handle, true));
    try harness_module.expectAtPeer(peer, "second");
    try expectEqual(0, try valueOf(system.receive(peer, &buffer, buffer.len)));
    try harness.expectNobody();
}

test "a writer that gives up in the middle lets the next one have the turn" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const long: [1024 * 1024]u8 = @splat('l');
    var sent = try valueOf(harness.send(handle, &long, false));
    const deadline = system.nanoseconds() + std.time.ns_per_ms;
    var writer = harness.scheduler.parkOnSocket(harness.indexOf(handle), .writable, deadline, true).?;
    const second = harness.park(handle, .writable);
    // While the socket is full, a writer's deadline passes.
    try harness.expectWoken(&.{.{ writer, .timed_out }});
    try expectEqual(sent, harness_module.drainPeer(peer));
    try harness.expectWoken(&.{.{ second, .ok }});

    // The other way to give up is between two parts.
    sent = try valueOf(harness.send(handle, &long, true));
    try expect(sent < long.len);
    writer = harness.park(handle, .writable);
    streams.endTurn(harness.scheduler, handle, .writable);
    try harness.expectNobody();
    try expectEqual(sent, harness_module.drainPeer(peer));
    try harness.expectWoken(&.{.{ writer, .ok }});
    try expectEqual(4, try valueOf(harness.send(handle, "last", true)));
    try harness.expectNobody();
}

test "a granted writer that finds the socket full keeps its turn" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const long: [1024 * 1024]u8 = @splat('l');
    _ = try valueOf(harness.send(handle, &long, false));
    streams.endTurn(harness.scheduler, handle, .writable);
    // As an event that is out of date would have it.
    harness.socketOf(handle).flags.writable = true;
    var first = harness.park(handle, .writable);
    const second = harness.park(handle, .writable);
    try harness.expectWoken(&.{.{ first, .ok }});
    try expectFailure(.would_block, harness.send(handle, "first", true));
    first = harness.parkAgain(handle, .writable);
    try harness.expectNobody();
    _ = harness_module.drainPeer(peer);
    try harness.expectWoken(&.{.{ first, .ok }});
    try expectEqual(5, try valueOf(harness.send(handle, "first", true)));
    try harness.expectWoken(&.{.{ second, .ok }});
    try expectEqual(6, try valueOf(harness.send(handle, "second", true)));
    try harness_module.expectAtPeer(peer, "firstsecond");
}

test "reading and writing take turns apart from each other" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const reader = harness.park(handle, .readable);
    try expectEqual(3, try valueOf(harness.send(handle, "out", false)));
    try harness_module.sendFromPeer(peer, "in");
    try harness.expectWoken(&.{.{ reader, .ok }});
    try expectEqual(3, try valueOf(harness.send(handle, "out", false)));
    try harness.expectReceived(handle, "in", true);
    try harness_module.expectAtPeer(peer, "outout");
}

test "one that is ready parks and is woken in its turn" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    harness.scheduler.shared.budget = 0;
    try expectFailure(.would_block, harness.send(handle, "x", false));
    try expectEqual(.would_block, streams.shutdown(harness.scheduler, handle, false).?);
    const writer = harness.park(handle, .writable);
    try harness.expectWoken(&.{.{ writer, .ok }});
    try expectEqual(null, streams.shutdown(harness.scheduler, handle, true));
}

test "closing wakes all who wait, and leaves granted turns to find out" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const long: [1024 * 1024]u8 = @splat('l');
    _ = try valueOf(harness.send(handle, &long, false));
    const granted = harness.park(handle, .readable);
    const reader = harness.park(handle, .readable);
    const late = harness.parkUntil(handle, .readable, 1);
    const writer = harness.parkAgain(handle, .writable);
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectWoken(&.{ .{ granted, .ok }, .{ late, .timed_out } });
    try expectEqual(null, streams.close(harness.scheduler, handle));
    try harness.expectWoken(&.{ .{ reader, .closed }, .{ writer, .closed } });
    var buffer: [8]u8 = undefined;
    try expectFailure(.stale_handle, harness.receive(handle, &buffer, true));
    try expectEqual(0, harness.scheduler.shared.waiters);
}

test "a turn is not lost when there is no room to park for the rest of it" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    var buffer: [8]u8 = undefined;
    const first = harness.park(handle, .readable);
    const second = harness.park(handle, .readable);
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectWoken(&.{.{ first, .ok }});
    try expectEqual(1, try valueOf(system.receive(harness.socketOf(handle).fd, &buffer, 8)));
    try expectFailure(.would_block, harness.receive(handle, &buffer, true));

    const working = scheduler.allocator;
    scheduler.allocator = std.testing.failing_allocator;
    const parked = scheduler.parkOnSocket(harness.indexOf(handle), .readable, 1, true);
    scheduler.allocator = working;
    try expectEqual(null, parked);
    // The caller fails, and has nothing to give up the turn with.
    try harness_module.sendFromPeer(peer, "y");
    try harness.expectWoken(&.{.{ second, .ok }});
}
