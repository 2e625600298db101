//! The last messages of a handshake are held back for the caller's first data. They are neither lost nor late.

const std = @import("std");
const harness_module = @import("../thread/harness_test.zig");
const handshakes = @import("handshakes.zig");
const openssl = @import("openssl.zig");
const framing = @import("record/framing.zig");
const reports = @import("reports.zig");
const connections = @import("../thread/connections.zig");
const streams = @import("../net/streams.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const Hand = @import("hand_test.zig").Hand;
const WaiterIndex = @import("../core/indices.zig").WaiterIndex;
const Harness = harness_module.Harness;
const TlsConnection = @import("connection.zig").TlsConnection;
const Status = @import("../boundary/abi.zig").Status;
const Wire = @import("wire_test.zig").Wire;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;

/// A wire. One of its ends has just woken its caller, and holds its last messages back.
const Held = struct {
    wire: Wire,
    /// The end that holds messages back, and the other one.
    handle: SocketHandle,
    other: SocketHandle,
    peer: system.Descriptor,
    context: ContextId,

    fn init(harness: *Harness, end: Hand.End) !Held {
        return initWith(harness, end, 1);
    }

    fn initWith(harness: *Harness, end: Hand.End, tickets: usize) !Held {
        const server_context = try tls.serverContext(harness.tls);
        _ = openssl.SSL_CTX_set_num_tickets(tls.contextOf(harness, server_context).raw.?, tickets);
        const client_context = try tls.clientContext(harness.tls);
        var wire: Wire = try .init(harness, server_context, client_context);
        errdefer wire.deinit();
        const held: Held = switch (end) {
            .server => .{ .wire = wire, .handle = wire.server, .other = wire.client, .peer = wire.at_server, .context = server_context },
            .client => .{ .wire = wire, .handle = wire.client, .other = wire.server, .peer = wire.at_client, .context = client_context },
        };
        const waiter = try handshakes.wait(harness.tls, handshakes.find(harness.tls, held.handle).?, null);
        var copy = held;
        for (0..3) |_| {
            try copy.wire.collect();
            const to_owner, const at_owner, const from_owner, const at_other = switch (end) {
                .server => .{ &copy.wire.to_server, wire.at_server, &copy.wire.to_client, wire.at_client },
                .client => .{ &copy.wire.to_client, wire.at_client, &copy.wire.to_server, wire.at_server },
            };
            if (from_owner.items.len > 0) try copy.wire.pass(from_owner, at_other, from_owner.items.len);
            try copy.wire.collect();
            if (to_owner.items.len == 0) continue;
            try harness_module.sendFromPeer(at_owner, to_owner.items);
            to_owner.clearRetainingCapacity();
            // One poll is enough to receive them.
            for (0..3) |_| {
                const woken = try harness.pollFor(10 * std.time.ns_per_ms);
                if (woken.len == 0) continue;
                try std.testing.expectEqualSlices(harness_module.Wakeup, &.{.{ waiter, .ok }}, woken);
                try expect(harness.tls.held.contains(&harness.tls.connections, copy.connection().index) and copy.connection().output.len > 0);
                try expect(!system.pollOne(copy.peer, false, 0));
                return copy;
            }
        }
        return error.NeverHeld;
    }

    fn deinit(held: *Held) void {
        held.wire.deinit();
    }

    fn isHeld(held: *Held) bool {
        const engine = held.wire.harness.tls;
        return engine.held.contains(&engine.connections, held.connection().index);
    }

    fn connection(held: *Held) *TlsConnection {
        return handshakes.find(held.wire.harness.tls, held.handle).?;
    }

    /// What was sent without a poll.
    fn sent(held: *Held, buffer: []u8) ![]u8 {
        if (!system.pollOne(held.peer, false, 0)) return buffer[0..0];
        return buffer[0..try system.receive(held.peer, buffer.ptr, buffer.len)];
    }

    /// Passes everything on to the other end, which ends its handshake.
    fn settle(held: *Held) !void {
        for (0..2) |_| {
            try held.wire.collect();
            try held.wire.passToClient();
            try held.wire.passToServer();
        }
        try handshakes.outcome(held.wire.harness.tls, held.other);
    }

    fn expectGone(held: *Held) !void {
        try expect(!held.isHeld());
        try expectEqual(0, held.connection().output.len);
    }

    /// Data goes both ways.
    fn expectAlive(held: *Held) !void {
        const harness = held.wire.harness;
        for ([_][2]SocketHandle{ .{ held.handle, held.other }, .{ held.other, held.handle } }) |pair| {
            try expectEqual(5, try harness.send(pair[0], "alive"));
            try held.settle();
            var buffer: [5]u8 = undefined;
            try tls.receiveAll(harness, pair[1], &buffer);
            try std.testing.expectEqualStrings("alive", &buffer);
        }
    }
};

const ends = std.enums.values(Hand.End);

test "they leave with the next poll, or when the thread goes to sleep without one" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (ends) |end| for ([_]bool{ true, false }) |polls| {
        var held: Held = try .init(&harness, end);
        defer held.deinit();
        const length = held.connection().output.len;
        // The caller neither reads nor writes.
        var buffer: [2048]u8 = undefined;
        try expectError(error.WouldBlock, harness.receive(held.handle, &buffer));
        try expectEqual(0, (try held.sent(&buffer)).len);
        if (polls) try harness.expectNobody() else harness.thread.setTimer();
        const flight = try held.sent(&buffer);
        try expectEqual(length, flight.len);
        try held.expectGone();
        try harness_module.sendFromPeer(if (end == .server) held.wire.at_client else held.wire.at_server, flight);
        try held.settle();
        try held.expectAlive();
    };
}

test "what is written first leaves in one packet with them, and alone is counted" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (ends) |end| for ([_]bool{ true, false }) |in_parts| {
        var held: Held = try .init(&harness, end);
        defer held.deinit();
        const length = held.connection().output.len;
        if (in_parts) {
            const parts = [_]std.posix.iovec_const{ .{ .base = "hel", .len = 3 }, .{ .base = "lo", .len = 2 } };
            const source: streams.Source = .{ .vector = .{ .parts = &parts, .total = 5 } };
            try expectEqual(5, try harness.sendFrom(held.handle, source));
        } else try expectEqual(5, try harness.send(held.handle, "hello"));
        try held.expectGone();
        var buffer: [2048]u8 = undefined;
        const flight = try held.sent(&buffer);
        try expectEqual(length + 5 + 1 + 5 + 16, flight.len);
        try harness_module.sendFromPeer(if (end == .server) held.wire.at_client else held.wire.at_server, flight);
        try held.settle();
        var got: [5]u8 = undefined;
        try tls.receiveAll(&harness, held.other, &got);
        try std.testing.expectEqualStrings("hello", &got);
        try held.expectAlive();
    };
}

test "a first write that does not fit is counted as any other" {
    var harness = try Harness.init();
    defer harness.deinit();
    const bytes = try std.testing.allocator.alloc(u8, 1 << 20);
    defer std.testing.allocator.free(bytes);
    var random: std.Random.DefaultPrng = .init(5);
    random.random().bytes(bytes);
    const got = try std.testing.allocator.alloc(u8, bytes.len);
    defer std.testing.allocator.free(got);
    for (ends) |end| for ([_]c_int{ 1, 4096, 8192, 30_000 }) |size| {
        // What a server holds back is half as long as a record.
        var held: Held = try .initWith(&harness, end, 30);
        defer held.deinit();
        system.setOption(harness.socketOf(held.handle).fd, std.c.SOL.SOCKET, std.c.SO.SNDBUF, size) catch {};
        const length = held.connection().output.len;
        var counted = try harness.send(held.handle, bytes);
        // The whole records that were sent behind what was held.
        const record = framing.plaintext_bytes + 22;
        const whole = 8 * record + length - held.connection().unsent().len;
        try expectEqual((whole -| length) / record * framing.plaintext_bytes, counted);
        var taken: usize = 0;
        for (0..100_000) |_| {
            if (counted < bytes.len) if (harness.send(held.handle, bytes[counted..])) |count| {
                counted += count;
            } else |failure| try expectEqual(error.WouldBlock, failure);
            try held.settle();
            if (harness.receive(held.other, got[taken..])) |count| {
                taken += count;
            } else |failure| try expectEqual(error.WouldBlock, failure);
            if (taken == bytes.len and counted == bytes.len) break;
        }
        try expectEqual(bytes.len, counted);
        try std.testing.expectEqualSlices(u8, bytes, got[0..taken]);
    };
}

test "they go before anything that ends the connection, but for a reset" {
    var harness = try Harness.init();
    defer harness.deinit();
    const Deed = enum { close, shutdown, close_after_write, break_off_close, break_off_shutdown, reset };
    for (ends) |end| for (std.enums.values(Deed)) |deed| {
        errdefer std.debug.print("{t}, {t}\n", .{ end, deed });
        var held: Held = try .init(&harness, end);
        defer held.deinit();
        switch (deed) {
            .close => try connections.close(harness.thread, held.handle),
            .shutdown => try harness.shutdown(held.handle),
            .close_after_write => {
                try expectEqual(4, try harness.send(held.handle, "last"));
                try connections.close(harness.thread, held.handle);
            },
            .break_off_close, .break_off_shutdown => {
                const chunk: [100_000]u8 = @splat('a');
                system.setOption(harness.socketOf(held.handle).fd, std.c.SOL.SOCKET, std.c.SO.SNDBUF, @as(c_int, 1)) catch {};
                try expect(try harness.send(held.handle, &chunk) < chunk.len);
                const end_stream = if (deed == .break_off_close) &connections.close else &connections.shutdown;
                try end_stream(harness.thread, held.handle);
            },
            .reset => {
                try connections.reset(harness.thread, held.handle);
                try expectEqual(0, harness.tls.held.length);
                var buffer: [64]u8 = undefined;
                try expectError(error.ECONNRESET, system.receive(held.peer, &buffer, buffer.len));
                continue;
            },
        }
        try expectEqual(0, harness.tls.held.length);
        for (0..20) |_| try held.settle();
        // The other end has ended its handshake; then the stream has ended, announced or not.
        const peer_of_other = if (end == .server) held.wire.at_client else held.wire.at_server;
        const is_broken_off = deed == .break_off_close or deed == .break_off_shutdown;
        if (is_broken_off) try expectEqual(0, std.c.shutdown(peer_of_other, std.c.SHUT.WR));
        const expected: Status = if (is_broken_off) .tls_truncated else .ok;
        try expectEqual(expected, try tls.ending(&harness, held.other));
    };
    try harness.pollUntil(harness.scheduler, struct {
        fn holds(scheduler: *@import("../core/scheduler.zig").Scheduler) bool {
            return scheduler.shared.lingering == 0;
        }
    }.holds);
}

test "new keys and answers come behind them" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (ends) |end| {
        var held: Held = try .init(&harness, end);
        defer held.deinit();
        try reports.updateKeys(harness.tls, held.connection(), true);
        try held.expectGone();
        try held.settle();
        try held.expectAlive();
    }
}

test "a peer that is gone by then is gone for the next call" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (ends) |end| for ([_]bool{ true, false }) |writes| {
        var held: Held = try .init(&harness, end);
        defer held.deinit();
        const abort: std.c.linger = .{ .onoff = 1, .linger = 0 };
        try system.setOption(held.peer, std.c.SOL.SOCKET, std.c.SO.LINGER, abort);
        system.close(held.peer);
        if (end == .server) held.wire.at_server = -1 else held.wire.at_client = -1;
        if (writes) try expectError(error.ECONNRESET, harness.send(held.handle, "hello"));
        const reader = harness.park(held.handle, .readable);
        try harness.expectWoken(&.{.{ reader, .ok }});
        var buffer: [64]u8 = undefined;
        try expectError(error.ECONNRESET, harness.receive(held.handle, &buffer));
        try expectError(error.EPIPE, harness.send(held.handle, "hello"));
        try expectEqual(0, harness.tls.held.length);
        try connections.close(harness.thread, held.handle);
    };
}

test "nothing is held back where the peer waits for it" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    try tls.contextOf(&harness, client_context).setVersions(0, 0x0303);
    // In TLS 1.2 the client's handshake ends with the server's last messages.
    const pair = try tls.startPair(&harness, server_context, client_context, "localhost", "");
    var waiters: [2]?WaiterIndex = undefined;
    for ([_]SocketHandle{ pair.server, pair.client }, &waiters) |handle, *waiter| {
        waiter.* = try handshakes.wait(harness.tls, handshakes.find(harness.tls, handle).?, null);
    }
    for (0..100) |_| {
        for (try harness.pollFor(std.time.ns_per_ms)) |wakeup| for (&waiters) |*waiter| {
            if (waiter.* == wakeup[0]) waiter.* = null;
        };
        try expectEqual(0, harness.tls.held.length);
        if (waiters[0] == null and waiters[1] == null) break;
    } else return error.NeverWoken;
    try tls.closeBoth(&harness, pair);
}

test "those who wait, give up or try something else do not keep them back" {
    var harness = try Harness.init();
    defer harness.deinit();
    const Deed = enum { reads, waits_to_write, gives_up, shakes_hands_again };
    for (ends) |end| for (std.enums.values(Deed)) |deed| {
        errdefer std.debug.print("{t}, {t}\n", .{ end, deed });
        var held: Held = try .init(&harness, end);
        defer held.deinit();
        var waiter: ?WaiterIndex = null;
        switch (deed) {
            .reads => waiter = harness.park(held.handle, .readable),
            // It is reported at once, for the socket is writable.
            .waits_to_write => _ = harness.park(held.handle, .writable),
            .gives_up => {
                waiter = harness.parkUntil(held.handle, .readable, system.nanoseconds());
                // Where a short read does not mean that nothing is left, the socket may still be readable.
                const flags = harness.socketOf(held.handle).flags;
                const is_ready = flags.readable or flags.buffered;
                try expect(!is_ready or !system.short_read_empties);
                try harness.expectWoken(&.{.{ waiter.?, if (is_ready) .ok else .timed_out }});
            },
            .shakes_hands_again => try expectError(error.EISCONN, handshakes.start(harness.tls, held.handle, held.context, .{ .is_server = true })),
        }
        _ = try harness.poll();
        try held.expectGone();
        try held.settle();
        // A client has received its ticket.
        if (deed == .reads) _ = harness.cancel(waiter.?, .cancelled);
        _ = try harness.poll();
        try held.expectAlive();
    };
}

test "nothing is held back while the socket takes nothing" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    var wire: Wire = try .init(&harness, server_context, client_context);
    defer wire.deinit();
    const connection = handshakes.find(harness.tls, wire.client).?;
    const waiter = try handshakes.wait(harness.tls, connection, null);
    try wire.collect();
    try wire.passToServer();
    try wire.collect();
    // As if the kernel had no room.
    harness.socketOf(wire.client).flags.writable = false;
    try harness_module.sendFromPeer(wire.at_client, wire.to_client.items);
    wire.to_client.clearRetainingCapacity();
    harness.tls.due.pushBack(&harness.tls.connections, connection.index);
    harness.socketOf(wire.client).flags.readable = true;
    handshakes.run(harness.tls);
    try handshakes.outcome(harness.tls, wire.client);
    try expect(connection.output.len > 0 and !harness.tls.held.contains(&harness.tls.connections, connection.index));
    // What is written later comes behind it, when there is room.
    try expectError(error.WouldBlock, harness.send(wire.client, "hello"));
    harness.socketOf(wire.client).flags.writable = true;
    try harness.expectWoken(&.{.{ waiter, .ok }});
    try expectEqual(5, try harness.send(wire.client, "hello"));
    try wire.collect();
    try wire.passToServer();
    var buffer: [5]u8 = undefined;
    try tls.receiveAll(&harness, wire.server, &buffer);
    try std.testing.expectEqualStrings("hello", &buffer);
}
