//! Connections with random ends, suites, writes, reads, key updates and half closes, over a wire that
//! passes on random parts. What arrives is compared byte for byte.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const contexts = @import("contexts.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const reports = @import("reports.zig");
const connections = @import("../thread/connections.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const Harness = harness_module.Harness;
const Wire = @import("wire_test.zig").Wire;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;

const streams_at_once = 40;
const steps = 400;
/// The most bytes that are written and not read.
const under_way_at_most = 300_000;
/// Key updates between two writes (`quota.records_at_most`).
const updates_at_most = 8;

/// One direction: a stream whose bytes depend on their place and on its number.
const Stream = struct {
    from: SocketHandle,
    to: SocketHandle,
    salt: u64,
    sent: usize = 0,
    taken: usize = 0,
    /// Bytes that were not reported as sent, and that the writer offers again.
    pending: usize = 0,
    is_shut: bool = false,
    has_ended: bool = false,

    fn fill(stream: *const Stream, start: usize, bytes: []u8) void {
        for (bytes, start..) |*byte, place| byte.* = @truncate((place *% 0x9e37_79b9_7f4a_7c15 +% stream.salt) >> 29);
    }

    fn write(stream: *Stream, harness: *Harness, length: usize) !void {
        if (stream.is_shut) return;
        if (stream.pending == 0) stream.pending = length;
        var bytes: [40_000]u8 = undefined;
        stream.fill(stream.sent, bytes[0..stream.pending]);
        if (harness.send(stream.from, bytes[0..stream.pending])) |count| {
            stream.sent += count;
            stream.pending -= count;
        } else |failure| try expectEqual(error.WouldBlock, failure);
    }

    fn read(stream: *Stream, harness: *Harness, size: usize) !void {
        var buffer: [60_000]u8 = undefined;
        var expected: [buffer.len]u8 = undefined;
        const count = harness.receive(stream.to, buffer[0..size]) catch |failure| return expectEqual(error.WouldBlock, failure);
        if (count == 0) {
            try expect(stream.is_shut);
            try expectEqual(stream.sent, stream.taken);
            stream.has_ended = true;
        }
        try expect(!stream.has_ended or count == 0);
        stream.fill(stream.taken, expected[0..count]);
        try std.testing.expectEqualSlices(u8, expected[0..count], buffer[0..count]);
        stream.taken += count;
        try expect(stream.taken <= stream.sent + stream.pending);
    }

    fn shut(stream: *Stream, harness: *Harness) !void {
        if (stream.is_shut or stream.pending > 0) return;
        try harness.shutdown(stream.from);
        stream.is_shut = true;
    }
};

fn converse(harness: *Harness, random: std.Random, server_context: ContextId, client_context: ContextId) !void {
    const client = tls.contextOf(harness, client_context);
    const names = [_][]const u8{ "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" };
    try client.setCipherSuites(names[random.uintLessThan(usize, names.len)]);
    contexts.setNotices(client, if (random.uintLessThan(u8, 3) == 0) abi.TlsNotices.session else 0);
    var wire: Wire = try .init(harness, server_context, client_context);
    defer wire.deinit();
    wire.server_keeps_openssl = random.uintLessThan(u8, 3) == 0;
    try wire.shakeHands();
    if (random.boolean()) for ([_]SocketHandle{ wire.server, wire.client }) |handle| {
        system.setOption(harness.socketOf(handle).fd, std.c.SOL.SOCKET, std.c.SO.SNDBUF, @as(c_int, 4096)) catch {};
    };
    var directions = [2]Stream{
        .{ .from = wire.server, .to = wire.client, .salt = random.int(u64) },
        .{ .from = wire.client, .to = wire.server, .salt = random.int(u64) },
    };
    var updates: usize = 0;
    for (0..steps) |step| {
        const stream = &directions[random.uintLessThan(usize, 2)];
        const length = switch (random.uintLessThan(u8, 4)) {
            0 => random.intRangeAtMost(usize, 1, 40_000),
            1 => random.intRangeAtMost(usize, 16_380, 16_390),
            else => random.intRangeAtMost(usize, 1, 300),
        };
        switch (random.uintLessThan(u8, 16)) {
            0...3 => if (stream.sent + stream.pending - stream.taken < under_way_at_most) try stream.write(harness, length),
            4...8 => try stream.read(harness, length),
            9 => if (updates < updates_at_most and !stream.is_shut) {
                const connection = handshakes.find(harness.tls, stream.from).?;
                // OpenSSL refuses in the middle of a message.
                reports.updateKeys(harness.tls, connection, random.boolean()) catch |failure| try expectEqual(error.EBUSY, failure);
                updates += 1;
            },
            10 => if (step > steps * 3 / 4) try stream.shut(harness),
            11 => try wire.collect(),
            else => {
                const waiting, const peer = if (stream == &directions[0])
                    .{ &wire.to_client, wire.at_client }
                else
                    .{ &wire.to_server, wire.at_server };
                const part = @min(if (random.boolean()) length else random.uintLessThan(usize, 40), waiting.items.len);
                if (part > 0 and system.pollOne(peer, true, 0)) {
                    const passed = try system.send(peer, waiting.items.ptr, part);
                    waiting.replaceRangeAssumeCapacity(0, passed, &.{});
                }
                _ = try harness.pollFor(0);
            },
        }
        if (step % 16 == 0) updates = 0;
        // Updates in a row are bounded by data in either direction.
        if (updates == updates_at_most) for (&directions) |*other| try other.write(harness, 1);
    }
    for (0..10_000) |_| {
        try wire.collect();
        for ([_]*std.ArrayList(u8){ &wire.to_client, &wire.to_server }, [_]system.Descriptor{ wire.at_client, wire.at_server }) |waiting, peer| {
            if (waiting.items.len == 0 or !system.pollOne(peer, true, 0)) continue;
            const passed = try system.send(peer, waiting.items.ptr, waiting.items.len);
            waiting.replaceRangeAssumeCapacity(0, passed, &.{});
        }
        _ = try harness.pollFor(0);
        for (&directions) |*stream| {
            if (stream.pending > 0) try stream.write(harness, 0) else try stream.shut(harness);
            try stream.read(harness, random.intRangeAtMost(usize, 1, 60_000));
        }
        if (directions[0].has_ended and directions[1].has_ended) break;
    } else return error.NeverEnded;
    for (directions) |stream| {
        try expectEqual(stream.sent, stream.taken);
        const connection = handshakes.find(harness.tls, stream.to).?;
        try expectEqual(0, connection.output.len);
        if (connection.takeover) |takeover| try expectEqual(0, takeover.content.len);
        try connections.close(harness.thread, stream.to);
    }
}

test "what arrives is what was sent, in any order of events" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    for (0..streams_at_once) |number| {
        const seed = @as(u64, std.testing.random_seed) + number;
        errdefer std.debug.print("seed {d}\n", .{seed});
        var random: std.Random.DefaultPrng = .init(seed);
        try converse(&harness, random.random(), server_context, client_context);
    }
}
