//! Transfers: what they count, how a stream ends, and which errors stay.

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const connections = @import("../thread/connections.zig");
const streams = @import("streams.zig");
const system = @import("../os/system.zig");
const harness_module = @import("../thread/harness_test.zig");
const Harness = harness_module.Harness;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const expectError = std.testing.expectError;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

test "what is sent arrives and is counted" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const client = try harness.tcpPair();
    const reader = harness.park(server, .readable);
    try expectEqual(5, try harness.send(client, "hello"));
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(server, "hello");
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
        try expectEqual(bytes.len, try harness.receive(handle, &exact));
        // What was asked for and not more was there: only a further call can tell. It is the only way to
        // tell where a short read proves nothing.
        try expectEqual(bytes.len == exact.len or !system.short_read_empties, flags.readable);
        try expectError(error.WouldBlock, harness.receive(handle, &exact));
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
    try harness.expectReceived(handle, "last");
    for (0..3) |_| try harness.expectReceived(handle, "");
    const reader = harness.park(handle, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(handle, "");
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
    try harness.expectReceived(handle, "last");
    try harness.expectReceived(handle, "");
}

test "an end that comes after the last bytes were read is an event of its own" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const client = try harness.tcpPair();
    try expectEqual(1, try harness.send(client, "x"));
    var reader = harness.park(server, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(server, "x");
    reader = harness.park(server, .readable);
    try harness.shutdown(client);
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(server, "");
}

test "a half closed socket sends no more and receives on" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    try expectEqual(4, try harness.send(handle, "bye!"));
    try harness.shutdown(handle);
    try harness.shutdown(handle);
    try harness_module.expectAtPeer(peer, "bye!");
    var buffer: [8]u8 = undefined;
    try expectEqual(0, try system.receive(peer, &buffer, 8));
    for (0..2) |_| try expectError(error.EPIPE, harness.send(handle, "more"));
    try harness_module.sendFromPeer(peer, "answer");
    try harness.expectNobody();
    try harness.expectReceived(handle, "answer");
    try expectError(error.WouldBlock, harness.receive(handle, &buffer));
}

test "a reset that a read has met is repeated to every later call" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const client = try harness.tcpPair();
    const reader = harness.park(server, .readable);
    try connections.reset(harness.thread, client);
    try harness.expectWoken(&.{.{ reader, .ok }});
    var buffer: [8]u8 = undefined;
    try expectError(error.ECONNRESET, harness.receive(server, &buffer));
    for (0..3) |_| {
        try expectError(error.ECONNRESET, harness.receive(server, &buffer));
        try expectError(error.EPIPE, harness.send(server, "x"));
        try expectError(error.ECONNRESET, harness.shutdown(server));
    }
    const again = harness.park(server, .readable);
    const writer = harness.park(server, .writable);
    try harness.expectWoken(&.{ .{ again, .ok }, .{ writer, .ok } });
    try expectError(error.ECONNRESET, harness.receive(server, &buffer));
    try expectError(error.EPIPE, harness.send(server, "x"));
}

fn hangsUp(socket: *@import("../core/sockets.zig").Socket) bool {
    return socket.flags.special;
}

test "a reset that a write has met is repeated to reads" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const client = try harness.tcpPair();
    try connections.reset(harness.thread, client);
    try harness.pollUntil(harness.socketOf(server), hangsUp);
    // The kernel gives its error to this call, and has none left for the next.
    try expectError(error.ECONNRESET, harness.send(server, "x"));
    var buffer: [8]u8 = undefined;
    for (0..2) |_| try expectError(error.ECONNRESET, harness.receive(server, &buffer));
    try expectError(error.EPIPE, harness.send(server, "x"));
}

test "a failure to send does not hide what the peer sent before it closed" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    try harness_module.sendFromPeer(peer, "farewell");
    system.close(peer);
    try expectError(error.EPIPE, harness.send(handle, "x"));
    try harness.expectReceived(handle, "farewell");
    for (0..2) |_| try harness.expectReceived(handle, "");
    try expectError(error.EPIPE, harness.send(handle, "x"));
}

test "a peer that only sends fails writes, and reads wait for it as ever" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    try expectEqual(0, c.shutdown(peer, c.SHUT.RD));
    try expectError(error.EPIPE, harness.send(handle, "x"));
    var buffer: [8]u8 = undefined;
    try expectError(error.WouldBlock, harness.receive(handle, &buffer));
    // The failure was news for both directions.
    try harness.expectNobody();
    const reader = harness.park(handle, .readable);
    for (0..3) |_| try harness.expectNobody();
    try harness_module.sendFromPeer(peer, "y");
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(handle, "y");
}

test "a reset is not mistaken for an end, even if a write has failed before" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    // A Unix peer that closes with unread input resets the connection (unix(7)).
    try expectEqual(6, try harness.send(handle, "unread"));
    system.close(peer);
    try expectError(error.EPIPE, harness.send(handle, "x"));
    var buffer: [8]u8 = undefined;
    for (0..3) |_| try expectError(error.ECONNRESET, harness.receive(handle, &buffer));
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
    try expectError(error.EFAULT, harness.send(handle, unreadable[0..16]));
    try expectEqual(2, try harness.send(handle, "ok"));
    try harness_module.expectAtPeer(peer, "ok");
}

test "resetting throws away what is on its way" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, const peer = try harness.tcpPeer();
    defer system.close(peer);
    try expectEqual(4, try harness.send(server, "lost"));
    try connections.reset(harness.thread, server);
    try expectEqual(0, harness.scheduler.shared.lingering);
    try expectEqual(0, harness.scheduler.shared.sockets);
    try expect(system.pollOne(peer, false, 5000));
    var buffer: [8]u8 = undefined;
    const failure = while (true) {
        const count = system.receive(peer, &buffer, 8) catch |failure| break failure;
        try expect(count > 0);
    };
    try expectEqual(error.ECONNRESET, failure);
}

test "a closed socket reports nothing more, although another descriptor keeps it open" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const duplicate = c.dup(harness.socketOf(handle).fd);
    defer system.close(duplicate);
    try connections.close(harness.thread, handle);
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectNobody();
    try expectEqual(0, harness.scheduler.shared.events);
    try harness_module.expectAtPeer(duplicate, "x");
}

test "a stale handle reaches nothing" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    const scheduler = harness.scheduler;
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const listener = try harness.listenAt("127.0.0.1");
    try connections.close(thread, handle);
    var buffer: [8]u8 = undefined;
    const endpoints = @import("endpoints.zig");
    for ([_]i32{ @intFromEnum(handle), -1, std.math.maxInt(i32), std.math.minInt(i32) }) |number| {
        const stale: SocketHandle = @enumFromInt(number);
        try expectError(error.StaleHandle, harness.receive(stale, &buffer));
        try expectError(error.StaleHandle, harness.send(stale, "x"));
        try expectError(error.StaleHandle, endpoints.accept(scheduler, stale));
        try expectError(error.StaleHandle, harness.shutdown(stale));
        try expectError(error.StaleHandle, connections.close(thread, stale));
        try expectError(error.StaleHandle, connections.reset(thread, stale));
        try expectError(error.StaleHandle, endpoints.finishConnect(scheduler, stale));
        connections.breakOff(thread, stale);
    }
    // A handle of another kind is no better.
    try expectError(error.StaleHandle, harness.receive(listener, &buffer));
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
    try expectEqual(13, try harness.sendFrom(handle, source));
    try harness_module.expectAtPeer(peer, "one two three");
    try expect(harness.socketOf(handle).flags.writable);
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

    var sent = try harness.send(handle, long);
    try expect(sent > 0 and sent < length);
    try expect(!harness.socketOf(handle).flags.writable);
    var writer = harness.parkAgain(handle, .writable);
    try expectError(error.WouldBlock, harness.send(handle, "second"));
    const second = harness.park(handle, .writable);
    const last = harness.park(handle, .writable);
    try harness.expectNobody();

    var received: usize = 0;
    var buffer: [64 * 1024]u8 = undefined;
    while (sent < length) {
        while (system.pollOne(peer, false, 0)) {
            const count = try system.receive(peer, &buffer, buffer.len);
            try std.testing.expectEqualSlices(u8, long[received..][0..count], buffer[0..count]);
            received += count;
        }
        try harness.expectWoken(&.{.{ writer, .ok }});
        const count = try harness.send(handle, long[sent..]);
        sent += count;
        if (sent < length) writer = harness.parkAgain(handle, .writable);
    }
    while (received < length) {
        const count = try system.receive(peer, &buffer, buffer.len);
        try std.testing.expectEqualSlices(u8, long[received..][0..count], buffer[0..count]);
        received += count;
    }
    try harness.expectWoken(&.{.{ second, .ok }});
    try expectEqual(6, try harness.send(handle, "second"));
    try harness.expectWoken(&.{.{ last, .ok }});
    try harness.shutdown(handle);
    try harness_module.expectAtPeer(peer, "second");
    try expectEqual(0, try system.receive(peer, &buffer, buffer.len));
    try harness.expectNobody();
}

test "a list of buffers that is longer than one call takes leaves its rest to be sent before the next" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const waiting = harness.park(handle, .writable);
    try harness.expectWoken(&.{.{ waiting, .ok }});
    const next = harness.park(handle, .writable);
    const parts = [_]std.posix.iovec_const{ .{ .base = "a", .len = 1 }, .{ .base = "b", .len = 1 } };
    var source: streams.Source = .{ .vector = .{ .parts = &parts, .total = 4 } };
    try expectEqual(2, try harness.sendFrom(handle, source));
    // The socket has room, so the owner of the turn goes on at once, before the next in the queue.
    const again = harness.parkAgain(handle, .writable);
    try harness.expectWoken(&.{.{ again, .ok }});
    source.vector.total = 2;
    try expectEqual(2, try harness.sendFrom(handle, source));
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
    const sent = try harness.sendFrom(handle, source);
    try expect(sent > 0 and sent < 8 * long.len);
    try expect(!harness.socketOf(handle).flags.writable);
    try expectEqual(sent, harness_module.drainPeer(peer));
}

fn file(fd: system.Descriptor, offset: i64, length: usize) streams.Source {
    return .{ .file = .{ .fd = fd, .offset = offset, .length = length } };
}

test "a part of a file is sent, and its end is reported" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    const fd = try harness_module.temporaryFile("0123456789");
    defer system.close(fd);
    try expectEqual(4, try harness.sendFrom(handle, file(fd, 3, 4)));
    try harness_module.expectAtPeer(peer, "3456");
    // Asked for more than there is, it sends what there is; then 0.
    try expectEqual(2, try harness.sendFrom(handle, file(fd, 8, 100)));
    const rest = harness.parkAgain(handle, .writable);
    const next = harness.park(handle, .writable);
    try harness.expectWoken(&.{.{ rest, .ok }});
    try expectEqual(0, try harness.sendFrom(handle, file(fd, 10, 98)));
    try harness.expectWoken(&.{.{ next, .ok }});
    try expectEqual(1, try harness.send(handle, "!"));
    try harness_module.expectAtPeer(peer, "89!");
}

test "a file that cannot be read is not the connection's failure" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    const folder = c.open("/tmp", .{ .DIRECTORY = true });
    defer system.close(folder);
    const write_only = c.open("/dev/null", .{ .ACCMODE = .WRONLY });
    defer system.close(write_only);
    for ([_]system.Descriptor{ -1, folder, write_only, peer }) |fd| {
        if (harness.sendFrom(handle, file(fd, 0, 10))) |_| return error.WasSent else |failure| try expect(failure != error.WouldBlock);
        try expectEqual(null, harness.socketOf(handle).failure);
    }
    try expectEqual(2, try harness.send(handle, "ok"));
    try harness_module.expectAtPeer(peer, "ok");
}

test "a file larger than the socket's buffer is sent in parts" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const content = try std.testing.allocator.alloc(u8, 1024 * 1024);
    defer std.testing.allocator.free(content);
    for (content, 0..) |*byte, place| byte.* = @truncate(place / 7 +% place);
    const fd = try harness_module.temporaryFile(content);
    defer system.close(fd);
    var received: usize = 0;
    var sent: usize = 0;
    var buffer: [64 * 1024]u8 = undefined;
    while (sent < content.len) {
        if (harness.sendFrom(handle, file(fd, @intCast(sent), content.len - sent))) |count| {
            sent += count;
        } else |failure| try expectEqual(error.WouldBlock, failure);
        if (sent == content.len) break;
        while (system.pollOne(peer, false, 0)) {
            const count = try system.receive(peer, &buffer, buffer.len);
            try std.testing.expectEqualSlices(u8, content[received..][0..count], buffer[0..count]);
            received += count;
        }
        const writer = harness.parkAgain(handle, .writable);
        try harness.expectWoken(&.{.{ writer, .ok }});
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
    try harness.expectReceived(server, "before");
    const again = harness.park(server, .readable);
    try harness.expectWoken(&.{.{ again, .ok }});
    try harness.expectReceived(server, "after");
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
    var received = try harness.receive(handle, &buffer);
    while (received < "withwithout".len) {
        reader = harness.park(handle, .readable);
        try harness.expectWoken(&.{.{ reader, .ok }});
        received += try harness.receive(handle, buffer[received..]);
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
