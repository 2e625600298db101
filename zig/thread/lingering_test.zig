//! Closing sockets whose last bytes are still on their way.

const std = @import("std");
const c = std.c;
const connections = @import("connections.zig");
const endpoints = @import("../net/endpoints.zig");
const system = @import("../os/system.zig");
const harness_module = @import("harness_test.zig");
const Harness = harness_module.Harness;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const expectError = std.testing.expectError;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

/// A server's socket with more sent than its peer has taken, and how much that is.
pub const Burdened = struct { handle: SocketHandle, peer: system.Descriptor, sent: usize };

pub fn burden(harness: *Harness) !Burdened {
    const handle, const peer = try harness.tcpPeer();
    const bytes = try std.testing.allocator.alloc(u8, 16 * 1024 * 1024);
    defer std.testing.allocator.free(bytes);
    @memset(bytes, 'b');
    var sent: usize = 0;
    while (sent < bytes.len) sent += harness.send(handle, bytes[sent..]) catch |failure| {
        try expectEqual(error.WouldBlock, failure);
        break;
    };
    try expect(sent < bytes.len);
    return .{ .handle = handle, .peer = peer, .sent = sent };
}

fn close(harness: *Harness, handle: SocketHandle) !void {
    try connections.close(harness.thread, handle);
}

fn nobodyLingers(scheduler: *Scheduler) bool {
    return scheduler.shared.lingering == 0;
}

/// Polls while the peer reads, until it has so many bytes, and then the end of the stream.
fn expectAllAndEnd(harness: *Harness, peer: system.Descriptor, expected: usize) !void {
    var taken: usize = 0;
    for (0..20_000) |_| {
        try harness.expectNobody();
        if (!system.pollOne(peer, false, 1)) continue;
        var buffer: [256 * 1024]u8 = undefined;
        const count = try system.receive(peer, &buffer, buffer.len);
        if (count == 0) return expectEqual(expected, taken);
        taken += count;
    }
    return error.NoEnd;
}

test "unread input does not destroy what the peer has not read yet" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try burden(&harness);
    try harness_module.sendFromPeer(burdened.peer, "never read");
    try harness.expectNobody();
    try close(&harness, burdened.handle);
    try expectEqual(1, harness.scheduler.shared.lingering);
    try expectEqual(0, harness.scheduler.shared.waiters);
    try expectAllAndEnd(&harness, burdened.peer, burdened.sent);
    // Until the peer has closed too, more input could still provoke a reset.
    try expectEqual(1, harness.scheduler.shared.lingering);
    try harness_module.sendFromPeer(burdened.peer, "late");
    system.close(burdened.peer);
    try harness.pollUntil(harness.scheduler, nobodyLingers);
    try expectEqual(0, harness.scheduler.shared.sockets);
}

test "unread input does not turn the end of the stream into a reset" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    try harness_module.sendFromPeer(peer, "a request and more than was read of it");
    const reader = harness.park(handle, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    var request: [9]u8 = undefined;
    try expectEqual(9, try harness.receive(handle, &request));
    try expectEqual(6, try harness.send(handle, "answer"));
    // The peer's system has acknowledged it by now, its program has not read it.
    try close(&harness, handle);
    try expectAllAndEnd(&harness, peer, 6);
}

test "input that has all arrived is thrown away to its end, for which no event comes any more" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    // Many times what is thrown away at one go, in tests.
    const input: [48 * 1024]u8 = @splat('i');
    try harness_module.sendFromPeer(peer, &input);
    try expectEqual(0, c.shutdown(peer, c.SHUT.WR));
    try harness.expectNobody();
    try expectEqual(6, try harness.send(handle, "answer"));
    const start = system.nanoseconds();
    try close(&harness, handle);
    try expectEqual(1, harness.scheduler.shared.lingering);
    try harness.pollUntil(harness.scheduler, nobodyLingers);
    // Not when its time was up.
    try expect(system.nanoseconds() - start < 4 * std.time.ns_per_s);
    try expectAllAndEnd(&harness, peer, 6);
}

test "a socket without anything on its way is closed at once" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    const fd = harness.socketOf(handle).fd;
    try close(&harness, handle);
    try expectEqual(0, harness.scheduler.shared.lingering);
    try expect(!system.isOpen(fd));
    try expectAllAndEnd(&harness, peer, 0);
}

test "a Unix socket does not linger" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const bytes: [1024 * 1024]u8 = @splat('u');
    const sent = try harness.send(handle, &bytes);
    try close(&harness, handle);
    try expectEqual(0, harness.scheduler.shared.sockets);
    try expectAllAndEnd(&harness, peer, sent);
}

test "a peer that goes on sending is heard out, and still gets everything" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try burden(&harness);
    defer system.close(burdened.peer);
    try close(&harness, burdened.handle);
    var taken: usize = 0;
    const input: [2048]u8 = @splat('i');
    var poured: usize = 0;
    var buffer: [16 * 1024]u8 = undefined;
    while (taken < burdened.sent) {
        if (system.send(burdened.peer, &input, input.len)) |count| {
            poured += count;
        } else |failure| try expectEqual(error.WouldBlock, failure);
        try harness.expectNobody();
        if (!system.pollOne(burdened.peer, false, 1)) continue;
        taken += try system.receive(burdened.peer, &buffer, buffer.len);
    }
    try expect(poured > 10 * input.len);
    try expectEqual(1, harness.scheduler.shared.lingering);
}

/// Sends more, from a thread of its own, than is thrown away at one go.
const Upload = struct {
    const length = 64 * 1024 * 1024;
    peer: system.Descriptor,
    sent: std.atomic.Value(usize) = .init(0),

    fn run(upload: *Upload) void {
        const bytes: [256 * 1024]u8 = @splat('u');
        while (upload.sent.load(.monotonic) < length) {
            const count = system.send(upload.peer, &bytes, bytes.len) catch |failure| {
                if (failure != error.WouldBlock or !system.pollOne(upload.peer, true, 5000)) return;
                continue;
            };
            _ = upload.sent.fetchAdd(count, .release);
        }
    }

    fn isOver(upload: *const Upload) bool {
        return upload.sent.load(.acquire) >= length;
    }
};

test "a fast upload is thrown away to its end, and its peer has the answer" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try burden(&harness);
    defer system.close(burdened.peer);
    try close(&harness, burdened.handle);
    var upload: Upload = .{ .peer = burdened.peer };
    const thread = try std.Thread.spawn(.{}, Upload.run, .{&upload});
    defer thread.join();
    try harness.pollUntil(&upload, Upload.isOver);
    try expectAllAndEnd(&harness, burdened.peer, burdened.sent);
}

test "the peer's end of the stream ends it" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try burden(&harness);
    defer system.close(burdened.peer);
    try expectEqual(0, c.shutdown(burdened.peer, c.SHUT.WR));
    try harness.expectNobody();
    try close(&harness, burdened.handle);
    // What is left the system delivers by itself: no input can provoke a reset any more.
    try expectEqual(0, harness.scheduler.shared.lingering);
    try expectAllAndEnd(&harness, burdened.peer, burdened.sent);
}

test "the peer's reset ends it" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try burden(&harness);
    try close(&harness, burdened.handle);
    const abort: c.linger = .{ .onoff = 1, .linger = 0 };
    try system.setOption(burdened.peer, c.SOL.SOCKET, c.SO.LINGER, abort);
    system.close(burdened.peer);
    try harness.pollUntil(harness.scheduler, nobodyLingers);
    try expectEqual(0, harness.scheduler.shared.sockets);
}

test "the limit ends it, and no waiter is woken" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const burdened = try burden(&harness);
    defer system.close(burdened.peer);
    const index = harness.indexOf(burdened.handle);
    const fd = harness.socketOf(burdened.handle).fd;
    try close(&harness, burdened.handle);
    const socket = scheduler.sockets.at(index);
    try harness.expectNobody();
    try expectEqual(1, scheduler.shared.lingering);
    // As if the time had passed.
    scheduler.deadlines.remove(&socket.deadline_index);
    try scheduler.deadlines.add(scheduler.allocator, .{ .socket = index }, &socket.deadline_index, 1);
    try harness.expectNobody();
    try expectEqual(0, scheduler.shared.lingering + scheduler.shared.sockets);
    try expectEqual(0, scheduler.shared.timeouts);
    try expect(!system.isOpen(fd));
}

test "the limit is the one that was set" {
    var harness = try Harness.init();
    defer harness.deinit();
    const second = std.time.ns_per_s;
    for ([_]u16{ 0, 1, 3600 }, [_]i64{ 5, 1, 3600 }) |set, expected| {
        const burdened = try burden(&harness);
        harness.socketOf(burdened.handle).linger_seconds = set;
        const before = system.nanoseconds();
        try close(&harness, burdened.handle);
        const deadline = harness.scheduler.deadlines.earliest().?;
        try expect(deadline >= before + expected * second);
        try expect(deadline <= system.nanoseconds() + expected * second);
        system.close(burdened.peer);
        try harness.pollUntil(harness.scheduler, nobodyLingers);
    }
}

test "a socket that was half closed before lingers as well" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try burden(&harness);
    defer system.close(burdened.peer);
    try harness.shutdown(burdened.handle);
    try harness_module.sendFromPeer(burdened.peer, "never read");
    try close(&harness, burdened.handle);
    try expectEqual(1, harness.scheduler.shared.lingering);
    try expectAllAndEnd(&harness, burdened.peer, burdened.sent);
}

test "bytes that were sent before a socket was adopted arrive as well" {
    var harness = try Harness.init();
    defer harness.deinit();
    const far, const fd = try harness.tcpPeer();
    const peer: system.Descriptor = try harness_module.releaseDescriptor(harness.scheduler, far);
    defer system.close(peer);
    var sent: usize = 0;
    const bytes: [64 * 1024]u8 = @splat('b');
    while (true) sent += system.send(fd, &bytes, bytes.len) catch break;
    const handle = try harness_module.handleOf(endpoints.adopt(harness.scheduler, fd));
    try harness_module.sendFromPeer(peer, "never read");
    try harness.expectNobody();
    try close(&harness, handle);
    try expectAllAndEnd(&harness, peer, sent);
}

test "the handle is stale while it lingers" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try burden(&harness);
    defer system.close(burdened.peer);
    try close(&harness, burdened.handle);
    try harness.expectNobody();
    var buffer: [8]u8 = undefined;
    try expectError(error.StaleHandle, harness.receive(burdened.handle, &buffer));
    try expectError(error.StaleHandle, harness.send(burdened.handle, "x"));
    try expectError(error.StaleHandle, connections.close(harness.thread, burdened.handle));
    try expectError(error.StaleHandle, connections.reset(harness.thread, burdened.handle));
    try expectEqual(1, harness.scheduler.shared.lingering);
}

test "a reset does not linger" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try burden(&harness);
    defer system.close(burdened.peer);
    try connections.reset(harness.thread, burdened.handle);
    try expectEqual(0, harness.scheduler.shared.sockets);
}

test "what cannot linger for want of memory is closed" {
    var harness = try Harness.init();
    defer harness.deinit();
    const burdened = try burden(&harness);
    defer system.close(burdened.peer);
    const working = harness.scheduler.allocator;
    harness.scheduler.allocator = std.testing.failing_allocator;
    const closed = connections.close(harness.thread, burdened.handle);
    harness.scheduler.allocator = working;
    try closed;
    try expectEqual(0, harness.scheduler.shared.sockets + harness.scheduler.shared.lingering);
    // Nothing was unread, so the system delivers it all.
    try expectAllAndEnd(&harness, burdened.peer, burdened.sent);
}

test "a scheduler that ends closes what lingers" {
    var harness = try Harness.init();
    const burdened = try burden(&harness);
    defer system.close(burdened.peer);
    const fd = harness.socketOf(burdened.handle).fd;
    try close(&harness, burdened.handle);
    harness.deinit();
    try expect(!system.isOpen(fd));
}
