const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const connections = @import("../thread/connections.zig");
const harness_module = @import("../thread/harness_test.zig");
const system = @import("../os/kernel.zig").system;
const Error = @import("../os/errors.zig").Error;
const Harness = harness_module.Harness;
const Socket = @import("../core/sockets.zig").Socket;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;

/// A socket that receives, one that sends, and a kernel pipe between them.
const Way = struct {
    harness: Harness,
    source: SocketHandle,
    source_peer: system.Descriptor,
    target: SocketHandle,
    target_peer: system.Descriptor,
    number: usize,

    fn init() !Way {
        if (!system.is_linux) return error.SkipZigTest; // the system has no splice(2)
        var harness = try Harness.init();
        errdefer harness.deinit();
        const source, const source_peer = try harness.tcpPeer();
        const target, const target_peer = try harness.tcpPeer();
        const number = try harness.thread.kernel_pipes.open();
        return .{
            .harness = harness,
            .source = source,
            .source_peer = source_peer,
            .target = target,
            .target_peer = target_peer,
            .number = number,
        };
    }

    fn deinit(way: *Way) void {
        system.close(way.source_peer);
        system.close(way.target_peer);
        way.harness.deinit();
    }

    fn receive(way: *Way) Error!usize {
        defer way.harness.endTurn(way.source, .readable);
        return connections.receivePiped(way.harness.thread, way.source, way.target, way.number);
    }

    fn send(way: *Way) Error!usize {
        defer way.harness.endTurn(way.target, .writable);
        return connections.sendPiped(way.harness.thread, way.target, way.number);
    }

    fn untilReadable(way: *Way) !void {
        const reader = way.harness.park(way.source, .readable);
        try way.harness.expectWoken(&.{.{ reader, .ok }});
    }
};

test "data moves through a kernel pipe" {
    var way = try Way.init();
    defer way.deinit();
    try harness_module.sendFromPeer(way.source_peer, "question");
    try way.untilReadable();
    try expectEqual(8, try way.receive());
    try expectEqual(8, try way.send());
    try harness_module.expectAtPeer(way.target_peer, "question");
    try expectError(error.WouldBlock, way.receive());
    try harness_module.sendFromPeer(way.source_peer, "more");
    try way.untilReadable();
    try expectEqual(4, try way.receive());
    try expectEqual(4, try way.send());
    try harness_module.expectAtPeer(way.target_peer, "more");
}

test "the end of the stream and a target that is closed are left to receive" {
    var way = try Way.init();
    defer way.deinit();
    try harness_module.sendFromPeer(way.source_peer, "the rest");
    try expectEqual(0, c.shutdown(way.source_peer, c.SHUT.WR));
    try way.harness.pollUntil(way.harness.socketOf(way.source), hasSpecialEvent);
    try expectEqual(8, try way.receive());
    try expectEqual(8, try way.send());
    try expectEqual(0, try way.receive());
    try way.harness.expectReceived(way.source, "");
    try expectEqual(0, try way.receive());
    try connections.reset(way.harness.thread, way.target);
    try expectEqual(0, connections.receivePiped(way.harness.thread, way.source, way.target, way.number));
}

fn hasSpecialEvent(socket: *Socket) bool {
    return socket.flags.special;
}

test "a reset that splice(2) has met is repeated to reads" {
    var way = try Way.init();
    defer way.deinit();
    const server, const client = try way.harness.tcpPair();
    way.source = server;
    try connections.reset(way.harness.thread, client);
    // The socket may still look as if it was only readable.
    way.harness.socketOf(server).flags.readable = true;
    var buffer: [8]u8 = undefined;
    try expectError(error.ECONNRESET, way.receive());
    for (0..2) |_| try expectError(error.ECONNRESET, way.harness.receive(server, &buffer));
    try expectEqual(0, try way.receive());
}

test "urgent data is left to receive, which gets over its mark" {
    var way = try Way.init();
    defer way.deinit();
    try harness_module.sendFromPeer(way.source_peer, "before");
    try way.untilReadable();
    try expectEqual(1, c.send(way.source_peer, "!", 1, c.MSG.OOB));
    try harness_module.sendFromPeer(way.source_peer, "after");
    try expectEqual(6, try way.receive());
    try expectEqual(6, try way.send());
    // No poll has reported the urgent data yet.
    try expectError(error.WouldBlock, way.receive());
    try way.harness.pollUntil(way.harness.socketOf(way.source), hasSpecialEvent);
    try expectEqual(0, try way.receive());
    try way.harness.expectReceived(way.source, "after");
}

test "what a full socket does not take stays in the pipe" {
    var way = try Way.init();
    defer way.deinit();
    harness_module.shrinkBuffers(way.harness.socketOf(way.target).fd);
    var portion: [65_536]u8 = undefined;
    for (&portion, 0..) |*byte, place| byte.* = @truncate(place *% 31);
    var received: usize = 0;
    var sent: usize = 0;
    // Until a portion does not go out whole.
    while (received == sent) {
        _ = c.send(way.source_peer, &portion, portion.len, c.MSG.NOSIGNAL | c.MSG.DONTWAIT);
        received += way.receive() catch |failure| switch (failure) {
            error.WouldBlock => {
                try way.untilReadable();
                continue;
            },
            else => return failure,
        };
        while (sent < received) sent += way.send() catch break;
    }
    try expectError(error.WouldBlock, way.send());
    try expectEqual(received - sent, way.harness.thread.kernel_pipes.slots[way.number].held);
    var arrived: usize = 0;
    while (arrived < received) {
        arrived += harness_module.drainPeer(way.target_peer);
        if (sent == received) continue;
        const writer = way.harness.parkAgain(way.target, .writable);
        try way.harness.expectWoken(&.{.{ writer, .ok }});
        while (sent < received) sent += way.send() catch break;
    }
    try expectEqual(received, arrived);
}

test "a target that is gone is an error and not a signal" {
    var way = try Way.init();
    defer way.deinit();
    const target, const peer = try way.harness.unixPair();
    way.target = target;
    const default: system.SignalAction = .{ .handler = .{ .handler = c.SIG.DFL }, .mask = std.mem.zeroes(c.sigset_t), .flags = 0 };
    const before = try system.setSignalAction(.PIPE, &default);
    defer _ = system.setSignalAction(.PIPE, &before) catch {};
    try harness_module.sendFromPeer(way.source_peer, "lost");
    try way.untilReadable();
    try expectEqual(4, try way.receive());
    system.close(peer);
    for (0..2) |_| try expectError(error.EPIPE, way.send());
}

test "kernel pipes have a limit, and a number that was closed names none" {
    var way = try Way.init();
    defer way.deinit();
    const pipes = &way.harness.thread.kernel_pipes;
    pipes.close(way.number);
    const lowest = c.dup(way.source_peer);
    system.close(lowest);
    for (0..abi.Limits.kernel_pipes) |_| _ = try pipes.open();
    try expectError(error.Exhausted, pipes.open());
    pipes.close(7);
    try expectError(error.StaleHandle, pipes.find(7));
    pipes.close(7);
    try expectEqual(7, try pipes.open());
    for (0..abi.Limits.kernel_pipes) |number| pipes.close(number);
    for ([_]usize{ 0, abi.Limits.kernel_pipes, std.math.maxInt(u32) }) |number| {
        try expectError(error.StaleHandle, pipes.find(number));
    }
    try expectError(error.StaleHandle, way.receive());
    // Every descriptor was closed.
    const again = c.dup(way.source_peer);
    defer system.close(again);
    try expectEqual(lowest, again);
}
