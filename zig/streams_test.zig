//! Transfers: what they count, how a stream ends, and which errors stay.

const std = @import("std");
const c = std.c;
const abi = @import("abi.zig");
const streams = @import("streams.zig");
const system = @import("system.zig");
const harness_module = @import("harness_test.zig");
const Harness = harness_module.Harness;
const Status = abi.Status;
const expectFailure = harness_module.expectFailure;
const valueOf = harness_module.valueOf;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

test "what is sent arrives and is counted" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const client = try harness.tcpPair();
    const reader = harness.park(server, .readable);
    try expectEqual(5, try valueOf(harness.send(client, "hello", false)));
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(server, "hello", true);
    try expectEqual(5, harness.scheduler.shared.bytes_sent);
    try expectEqual(5, harness.scheduler.shared.bytes_received);
}

test "a short read tells that nothing is left, without a call to find out" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    const flags = &harness.socketOf(handle).flags;
    var exact: [4]u8 = undefined;
    for ([_][]const u8{ "abcd", "ef" }) |bytes| {
        const reader = harness.park(handle, .readable);
        try harness_module.sendFromPeer(peer, bytes);
        try harness.expectWoken(&.{.{ reader, .ok }});
        try expectEqual(bytes.len, try valueOf(harness.receive(handle, &exact, true)));
        // What was asked for and not more was there: only a further call can tell. It is the only way to
        // tell where a short read proves nothing.
        try expectEqual(bytes.len == exact.len or !system.short_read_empties, flags.readable);
        try expectFailure(.would_block, harness.receive(handle, &exact, false));
        try expect(!flags.readable);
    }
}

test "after a hang-up a short read is followed by the end, and the end stays" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    try harness_module.sendFromPeer(peer, "last");
    system.close(peer);
    try harness.expectNobody();
    // No event comes any more: both calls must succeed at once.
    try harness.expectReceived(handle, "last", false);
    for (0..3) |_| try harness.expectReceived(handle, "", false);
    const reader = harness.park(handle, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(handle, "", true);
}

test "an end that comes together with the last bytes is not forgotten after a short read" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.tcpPeer();
    try harness_module.sendFromPeer(peer, "last");
    system.close(peer);
    // Both have arrived before the scheduler looks.
    const fd = harness.socketOf(handle).fd;
    const hangup: i16 = if (system.is_linux) 0x2000 else c.POLL.HUP;
    var entry = [1]c.pollfd{.{ .fd = fd, .events = hangup, .revents = 0 }};
    try expectEqual(1, c.poll(&entry, 1, 5000));
    try harness.expectNobody();
    try harness.expectReceived(handle, "last", false);
    try harness.expectReceived(handle, "", false);
}

test "an end that comes after the last bytes were read is an event of its own" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const client = try harness.tcpPair();
    try expectEqual(1, try valueOf(harness.send(client, "x", false)));
    var reader = harness.park(server, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(server, "x", true);
    reader = harness.park(server, .readable);
    try expectEqual(null, streams.shutdown(harness.scheduler, client, false));
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(server, "", true);
}

test "a half closed socket sends no more and receives on" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    try expectEqual(4, try valueOf(harness.send(handle, "bye!", false)));
    try expectEqual(null, streams.shutdown(harness.scheduler, handle, false));
    try expectEqual(null, streams.shutdown(harness.scheduler, handle, false));
    try harness_module.expectAtPeer(peer, "bye!");
    var buffer: [8]u8 = undefined;
    try expectEqual(0, try valueOf(system.receive(peer, &buffer, 8)));
    for (0..2) |_| try expectFailure(.EPIPE, harness.send(handle, "more", false));
    try harness_module.sendFromPeer(peer, "answer");
    try harness.expectNobody();
    try harness.expectReceived(handle, "answer", false);
    try expectFailure(.would_block, harness.receive(handle, &buffer, false));
}

test "a reset that a read has met is repeated to every later call" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const client = try harness.tcpPair();
    const reader = harness.park(server, .readable);
    try expectEqual(null, streams.reset(harness.scheduler, client));
    try harness.expectWoken(&.{.{ reader, .ok }});
    var buffer: [8]u8 = undefined;
    try expectFailure(.ECONNRESET, harness.receive(server, &buffer, true));
    for (0..3) |_| {
        try expectFailure(.ECONNRESET, harness.receive(server, &buffer, false));
        try expectFailure(.EPIPE, harness.send(server, "x", false));
        try expectEqual(Status.ECONNRESET, streams.shutdown(harness.scheduler, server, false).?);
    }
    const again = harness.park(server, .readable);
    const writer = harness.park(server, .writable);
    try harness.expectWoken(&.{ .{ again, .ok }, .{ writer, .ok } });
    try expectFailure(.ECONNRESET, harness.receive(server, &buffer, true));
    try expectFailure(.EPIPE, harness.send(server, "x", true));
}

fn hangsUp(socket: *@import("sockets.zig").Socket) bool {
    return socket.flags.special;
}

test "a reset that a write has met is repeated to reads" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const client = try harness.tcpPair();
    try expectEqual(null, streams.reset(harness.scheduler, client));
    try harness.pollUntil(harness.socketOf(server), hangsUp);
    // The kernel gives its error to this call, and has none left for the next.
    try expectFailure(.ECONNRESET, harness.send(server, "x", false));
    var buffer: [8]u8 = undefined;
    for (0..2) |_| try expectFailure(.ECONNRESET, harness.receive(server, &buffer, false));
    try expectFailure(.EPIPE, harness.send(server, "x", false));
}

test "a failure to send does not hide what the peer sent before it closed" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    try harness_module.sendFromPeer(peer, "farewell");
    system.close(peer);
    try expectFailure(.EPIPE, harness.send(handle, "x", false));
    try harness.expectReceived(handle, "farewell", false);
    for (0..2) |_| try harness.expectReceived(handle, "", false);
    try expectFailure(.EPIPE, harness.send(handle, "x", false));
}

test "a peer that only sends fails writes, and reads wait for it as ever" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    try expectEqual(0, c.shutdown(peer, c.SHUT.RD));
    try expectFailure(.EPIPE, harness.send(handle, "x", false));
    var buffer: [8]u8 = undefined;
    try expectFailure(.would_block, harness.receive(handle, &buffer, false));
    const reader = harness.park(handle, .readable);
    for (0..3) |_| try harness.expectNobody();
    try harness_module.sendFromPeer(peer, "y");
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(handle, "y", true);
}

test "a reset is not mistaken for an end, even if a write has failed before" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    // A Unix peer that closes with unread input resets the connection (unix(7)).
    try expectEqual(6, try valueOf(harness.send(handle, "unread", false)));
    system.close(peer);
    try expectFailure(.EPIPE, harness.send(handle, "x", false));
    var buffer: [8]u8 = undefined;
    for (0..3) |_| try expectFailure(.ECONNRESET, harness.receive(handle, &buffer, false));
}

test "an error of the caller's buffer is not the connection's" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const page = std.heap.pageSize();
    const memory = c.mmap(null, page, .{}, .{ .TYPE = .PRIVATE, .ANONYMOUS = true }, -1, 0);
    defer _ = c.munmap(@alignCast(memory), page);
    const unreadable: [*]const u8 = @ptrCast(memory);
    try expectFailure(.EFAULT, harness.send(handle, unreadable[0..16], false));
    try expectEqual(2, try valueOf(harness.send(handle, "ok", false)));
    try harness_module.expectAtPeer(peer, "ok");
}

test "resetting throws away what is on its way" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const peer = try harness.tcpPeer();
    defer system.close(peer);
    const reader = harness.park(server, .readable);
    try expectEqual(4, try valueOf(harness.send(server, "lost", false)));
    try expectEqual(null, streams.reset(harness.scheduler, server));
    try harness.expectWoken(&.{.{ reader, .closed }});
    try expectEqual(0, harness.scheduler.shared.lingering);
    try expectEqual(0, harness.scheduler.shared.sockets);
    try expect(system.pollOne(peer, false, 5000));
    var buffer: [8]u8 = undefined;
    const outcome = while (true) switch (system.receive(peer, &buffer, 8)) {
        .value => |count| try expect(count > 0),
        .failure => |status| break status,
    };
    try expectEqual(.ECONNRESET, outcome);
}

test "a closed socket reports nothing more, although another descriptor keeps it open" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const duplicate = c.dup(harness.socketOf(handle).fd);
    defer system.close(duplicate);
    try expectEqual(null, streams.close(harness.scheduler, handle));
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectNobody();
    try expectEqual(0, harness.scheduler.shared.events);
    try harness_module.expectAtPeer(duplicate, "x");
}

test "a stale handle reaches nothing" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const listener = try harness.listenAt("127.0.0.1");
    try expectEqual(null, streams.close(scheduler, handle));
    var buffer: [8]u8 = undefined;
    const endpoints = @import("endpoints.zig");
    for ([_]i32{ handle, -1, std.math.maxInt(i32), std.math.minInt(i32) }) |stale| {
        try expectFailure(.stale_handle, harness.receive(stale, &buffer, false));
        try expectFailure(.stale_handle, harness.send(stale, "x", true));
        try expectFailure(.stale_handle, endpoints.accept(scheduler, stale));
        for ([_]?Status{
            streams.shutdown(scheduler, stale, false), streams.close(scheduler, stale),
            streams.reset(scheduler, stale),           endpoints.finishConnect(scheduler, stale),
        }) |status| try expectEqual(.stale_handle, status.?);
        streams.endTurn(scheduler, stale, .writable);
        endpoints.endAccept(scheduler, stale);
    }
    // A handle of another kind is no better.
    try expectFailure(.stale_handle, harness.receive(listener, &buffer, false));
    try expectEqual(1, scheduler.shared.sockets);
    try harness.expectNobody();
}

test "several buffers are sent as one" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const parts = [_]std.posix.iovec_const{
        .{ .base = "one ", .len = 4 }, .{ .base = "two ", .len = 4 }, .{ .base = "three", .len = 5 },
    };
    const source: streams.Source = .{ .vector = .{ .parts = &parts, .total = 13 } };
    try expectEqual(13, try valueOf(streams.send(harness.scheduler, handle, source, false)));
    try harness_module.expectAtPeer(peer, "one two three");
    try expect(harness.socketOf(handle).flags.writable);
}

test "a list of buffers that is longer than one call takes keeps the turn for its rest" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const waiting = harness.park(handle, .writable);
    try harness.expectWoken(&.{.{ waiting, .ok }});
    const next = harness.park(handle, .writable);
    const parts = [_]std.posix.iovec_const{ .{ .base = "a", .len = 1 }, .{ .base = "b", .len = 1 } };
    var source: streams.Source = .{ .vector = .{ .parts = &parts, .total = 4 } };
    try expectEqual(2, try valueOf(streams.send(harness.scheduler, handle, source, true)));
    // The socket has room, so the owner of the turn goes on at once, before the next in the queue.
    const again = harness.parkAgain(handle, .writable);
    try harness.expectWoken(&.{.{ again, .ok }});
    source.vector.total = 2;
    try expectEqual(2, try valueOf(streams.send(harness.scheduler, handle, source, true)));
    try harness.expectWoken(&.{.{ next, .ok }});
    try harness_module.expectAtPeer(peer, "abab");
}

test "several buffers fill a socket as far as it goes" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const long: [512 * 1024]u8 = @splat('v');
    const parts: [8]std.posix.iovec_const = @splat(.{ .base = &long, .len = long.len });
    const source: streams.Source = .{ .vector = .{ .parts = &parts, .total = 8 * long.len } };
    const sent = try valueOf(streams.send(harness.scheduler, handle, source, false));
    try expect(sent > 0 and sent < 8 * long.len);
    try expect(!harness.socketOf(handle).flags.writable);
    try expectEqual(sent, harness_module.drainPeer(peer));
}

fn file(fd: system.Descriptor, offset: i64, length: usize) streams.Source {
    return .{ .file = .{ .fd = fd, .offset = offset, .length = length } };
}

test "a part of a file is sent, and its end is told" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    const fd = try harness_module.temporaryFile("0123456789");
    defer system.close(fd);
    try expectEqual(4, try valueOf(streams.send(scheduler, handle, file(fd, 3, 4), false)));
    try harness_module.expectAtPeer(peer, "3456");
    // Asked for more than there is, it sends what there is; then 0, which leaves the turn.
    try expectEqual(2, try valueOf(streams.send(scheduler, handle, file(fd, 8, 100), false)));
    const rest = harness.parkAgain(handle, .writable);
    const next = harness.park(handle, .writable);
    try harness.expectWoken(&.{.{ rest, .ok }});
    try expectEqual(0, try valueOf(streams.send(scheduler, handle, file(fd, 10, 98), true)));
    try harness.expectNobody();
    streams.endTurn(scheduler, handle, .writable);
    try harness.expectWoken(&.{.{ next, .ok }});
    try expectEqual(1, try valueOf(harness.send(handle, "!", true)));
    try harness_module.expectAtPeer(peer, "89!");
}

test "a file that cannot be read is not the connection's failure" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    const folder = c.open("/tmp", .{ .DIRECTORY = true });
    defer system.close(folder);
    const write_only = c.open("/dev/null", .{ .ACCMODE = .WRONLY });
    defer system.close(write_only);
    for ([_]system.Descriptor{ -1, folder, write_only, peer }) |fd| {
        switch (streams.send(scheduler, handle, file(fd, 0, 10), false)) {
            .value => return error.WasSent,
            .failure => |status| try expect(status != .would_block),
        }
        try expectEqual(.ok, harness.socketOf(handle).failure);
    }
    try expectEqual(2, try valueOf(harness.send(handle, "ok", false)));
    try harness_module.expectAtPeer(peer, "ok");
}

test "a file larger than the socket's buffer is sent in parts" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const content = try std.testing.allocator.alloc(u8, 1024 * 1024);
    defer std.testing.allocator.free(content);
    for (content, 0..) |*byte, place| byte.* = @truncate(place / 7 +% place);
    const fd = try harness_module.temporaryFile(content);
    defer system.close(fd);
    var received: usize = 0;
    var sent: usize = 0;
    var granted = false;
    var buffer: [64 * 1024]u8 = undefined;
    while (sent < content.len) {
        switch (streams.send(scheduler, handle, file(fd, @intCast(sent), content.len - sent), granted)) {
            .value => |count| sent += count,
            .failure => |status| try expectEqual(.would_block, status),
        }
        if (sent == content.len) break;
        while (system.pollOne(peer, false, 0)) {
            const count = try valueOf(system.receive(peer, &buffer, buffer.len));
            try std.testing.expectEqualSlices(u8, content[received..][0..count], buffer[0..count]);
            received += count;
        }
        const writer = harness.parkAgain(handle, .writable);
        try harness.expectWoken(&.{.{ writer, .ok }});
        granted = true;
    }
    try harness_module.expectAtPeer(peer, content[received..]);
}

test "bytes behind urgent data are not forgotten" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const peer = try harness.tcpPeer();
    defer system.close(peer);
    // A read stops at the urgent mark (tcp(7)): it is short, although there is more.
    try harness_module.sendFromPeer(peer, "before");
    try expectEqual(1, c.send(peer, "!", 1, c.MSG.OOB));
    try harness_module.sendFromPeer(peer, "after");
    const reader = harness.park(server, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(server, "before", true);
    const again = harness.park(server, .readable);
    try harness.expectWoken(&.{.{ again, .ok }});
    try harness.expectReceived(server, "after", true);
}

test "bytes behind a descriptor that was sent along are not forgotten" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    try sendDescriptor(peer, "with", peer);
    try harness_module.sendFromPeer(peer, "without");
    var reader = harness.park(handle, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    // Linux ends a read behind the bytes that carry a descriptor; other systems may not.
    var buffer: [64]u8 = undefined;
    var received = try valueOf(harness.receive(handle, &buffer, true));
    while (received < "withwithout".len) {
        reader = harness.park(handle, .readable);
        try harness.expectWoken(&.{.{ reader, .ok }});
        received += try valueOf(harness.receive(handle, buffer[received..], true));
    }
    try std.testing.expectEqualStrings("withwithout", buffer[0..received]);
}

/// Sends bytes with a descriptor (unix(7), SCM_RIGHTS).
fn sendDescriptor(through: system.Descriptor, bytes: []const u8, fd: system.Descriptor) !void {
    const Control = extern struct { header: c.cmsghdr, fd: system.Descriptor, padding: u32 = 0 };
    const length = @sizeOf(c.cmsghdr) + @sizeOf(system.Descriptor);
    const control: Control = .{ .header = .{ .len = length, .level = c.SOL.SOCKET, .type = c.SCM.RIGHTS }, .fd = fd };
    const part = [_]std.posix.iovec_const{.{ .base = bytes.ptr, .len = bytes.len }};
    const message: c.msghdr_const = .{
        .name = null,
        .namelen = 0,
        .iov = &part,
        .iovlen = 1,
        .control = &control,
        .controllen = @sizeOf(Control),
        .flags = 0,
    };
    try expectEqual(@as(isize, @intCast(bytes.len)), c.sendmsg(through, &message, 0));
}
