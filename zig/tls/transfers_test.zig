//! Transfers over TLS: what they count, what they keep, and how a stream ends.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const reports = @import("reports.zig");
const connections = @import("../thread/connections.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const transfers = @import("transfers.zig");
const WaiterIndex = @import("../core/indices.zig").WaiterIndex;
const Harness = harness_module.Harness;
const Status = abi.Status;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const expect = std.testing.expect;
const connectionOf = tls.connectionOf;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;

/// Sends all of it as a fiber would, while the other end receives, and compares.
fn expectThrough(harness: *Harness, from: SocketHandle, to: SocketHandle, bytes: []const u8, parts_of: usize) !void {
    const got = try std.testing.allocator.alloc(u8, bytes.len);
    defer std.testing.allocator.free(got);
    var sent: usize = 0;
    var taken: usize = 0;
    var waiter: ?WaiterIndex = null;
    for (0..200_000) |_| {
        if (taken == bytes.len and sent == bytes.len) return std.testing.expectEqualSlices(u8, bytes, got);
        if (sent < bytes.len and waiter == null) {
            const source = bytes[sent..];
            var parts: [abi.Limits.vector_length]std.posix.iovec_const = undefined;
            const outcome = if (parts_of == 0) harness.send(from, source) else blk: {
                var count: usize = 0;
                var offset: usize = 0;
                while (offset < source.len and count < parts.len) : (count += 1) {
                    const length = @min(parts_of, source.len - offset);
                    parts[count] = .{ .base = source.ptr + offset, .len = length };
                    offset += length;
                }
                break :blk harness.sendFrom(from, .{ .vector = .{ .parts = parts[0..count], .total = source.len } });
            };
            if (outcome) |count| {
                sent += count;
            } else |failure| try expectEqual(error.WouldBlock, failure);
            if (sent < bytes.len) waiter = harness.parkAgain(from, .writable);
        }
        if (harness.receive(to, got[taken..][0..@min(got.len - taken, 50_000)])) |count| {
            taken += count;
        } else |failure| try expectEqual(error.WouldBlock, failure);
        for (try harness.pollFor(0)) |wakeup| {
            try expectEqual(waiter.?, wakeup[0]);
            try expectEqual(.ok, wakeup[1]);
            waiter = null;
        }
    }
    return error.NeverThrough;
}

test "megabytes arrive as they were sent, in one buffer or many, through sockets large and small" {
    const bytes = try std.testing.allocator.alloc(u8, 3 * 1024 * 1024 + 17);
    defer std.testing.allocator.free(bytes);
    tls.pattern(bytes, 1);
    for ([_]u32{ 0x0303, 0x0304 }) |version| for ([_]bool{ false, true }) |is_small| {
        var harness = try Harness.init();
        defer harness.deinit();
        const client_context = try tls.clientContext(harness.tls);
        try tls.contextOf(&harness, client_context).setVersions(version, version);
        const pair = try tls.connected(&harness, try tls.serverContext(harness.tls), client_context);
        if (is_small) for ([_]SocketHandle{ pair.server, pair.client }) |handle| {
            // The receiver's window stays: the kernel waits long before it announces a small one anew.
            system.setOption(harness.socketOf(handle).fd, std.c.SOL.SOCKET, std.c.SO.SNDBUF, @as(c_int, 4096)) catch {};
        };
        const length: usize = if (is_small) 400_000 else bytes.len;
        for ([_]usize{ 0, 100, 20_000 }) |parts_of| {
            try expectThrough(&harness, pair.server, pair.client, bytes[0..length], parts_of);
            try expectThrough(&harness, pair.client, pair.server, bytes[0..length], parts_of);
        }
        // Nothing is kept when nothing is under way.
        for ([_]SocketHandle{ pair.server, pair.client }) |handle| {
            try expectEqual(0, connectionOf(&harness, handle).input.len);
            try expectEqual(0, connectionOf(&harness, handle).output.len);
        }
        try tls.closeBoth(&harness, pair);
    };
}

test "records larger than the reader's buffer are read in pieces" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try tls.defaultPair(&harness);
    var bytes: [40_000]u8 = undefined;
    tls.pattern(&bytes, 2);
    try expectEqual(bytes.len, try harness.send(pair.client, &bytes));
    var got: [bytes.len]u8 = undefined;
    var taken: usize = 0;
    while (taken < got.len) {
        const reader = harness.park(pair.server, .readable);
        try harness.expectWoken(&.{.{ reader, .ok }});
        if (harness.receive(pair.server, got[taken..][0..@min(999, got.len - taken)])) |count| {
            taken += count;
        } else |failure| {
            try expectEqual(error.WouldBlock, failure);
            harness.endTurn(pair.server, .readable);
        }
    }
    try std.testing.expectEqualSlices(u8, &bytes, &got);
    if (system.short_read_empties) try expect(!harness.socketOf(pair.server).flags.readable);
}

/// Fills a connection whose peer does not read, until a call ends short.
fn fill(harness: *Harness, handle: SocketHandle, bytes: []const u8) !usize {
    harness_module.shrinkBuffers(harness.socketOf(handle).fd);
    for (0..10_000) |_| {
        const count = try harness.send(handle, bytes);
        if (count < bytes.len) return count;
    }
    return error.NeverFull;
}

test "a writer who gives up leaves a stream that goes on" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]bool{ true, false }) |by_cancelling| {
        const pair = try tls.defaultPair(&harness);
        harness_module.shrinkBuffers(harness.socketOf(pair.client).fd);
        const chunk: [60_000]u8 = @splat('a');
        const count = try fill(&harness, pair.server, &chunk);
        const connection = connectionOf(&harness, pair.server);
        try expect(connection.output.len > 0 and connection.output_plaintext == chunk.len - count);
        try expect(connection.flags.mid_transfer);
        const writer = harness.parkAgain(pair.server, .writable);
        const next = harness.park(pair.server, .writable);
        try harness.expectNobody();
        if (by_cancelling) {
            try expect(harness.cancel(writer, .cancelled));
            try harness.expectWoken(&.{.{ writer, .cancelled }});
        } else {
            _ = harness.cancel(next, .cancelled);
            _ = harness.cancel(writer, .timed_out);
            _ = try harness.poll();
        }
        try expectEqual(0, connection.output_plaintext);
        try expect(!connection.flags.mid_transfer);
        // The peer reads it all; then the next one's bytes follow.
        const after = if (by_cancelling) next else harness.park(pair.server, .writable);
        var buffer: [65536]u8 = undefined;
        var total: usize = 0;
        var is_written = false;
        var waiter = after;
        for (0..10_000) |_| {
            if (harness.receive(pair.client, &buffer)) |length| {
                total += length;
                if (buffer[length - 1] == 'b') break;
            } else |failure| try expectEqual(error.WouldBlock, failure);
            for (try harness.pollFor(std.time.ns_per_ms)) |wakeup| {
                try expectEqual(waiter, wakeup[0]);
                const written = try harness.send(pair.server, "b");
                if (written == 0) waiter = harness.parkAgain(pair.server, .writable) else is_written = true;
            }
        }
        try expect(is_written and total % chunk.len == 1);
        try tls.closeBoth(&harness, pair);
    }
}

test "an end without close_notify is a failure" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try tls.defaultPair(&harness);
    try expectEqual(4, try harness.send(pair.client, "last"));
    // An attacker cannot forge the announcement.
    try expectEqual(0, std.c.shutdown(harness.socketOf(pair.client).fd, std.c.SHUT.WR));
    var buffer: [4]u8 = undefined;
    try tls.receiveAll(&harness, pair.server, &buffer);
    for (0..3) |_| try expectEqual(.tls_truncated, try tls.ending(&harness, pair.server));
    const reader = harness.park(pair.server, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    try expectError(error.TlsTruncated, harness.receive(pair.server, &buffer));
    // The other direction goes on.
    try expectEqual(2, try harness.send(pair.server, "on"));
    try tls.receiveAll(&harness, pair.client, buffer[0..2]);
    try tls.closeBoth(&harness, pair);
}

test "a half closed stream ends for one side only" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try tls.defaultPair(&harness);
    try expectEqual(4, try harness.send(pair.client, "last"));
    try harness.shutdown(pair.client);
    try harness.shutdown(pair.client);
    try expectError(error.EPIPE, harness.send(pair.client, "more"));
    var buffer: [4]u8 = undefined;
    try tls.receiveAll(&harness, pair.server, &buffer);
    for (0..3) |_| try expectEqual(.ok, try tls.ending(&harness, pair.server));
    try expectEqual(4, try harness.send(pair.server, "late"));
    try tls.receiveAll(&harness, pair.client, &buffer);
    try std.testing.expectEqualStrings("late", &buffer);
    try connections.close(harness.thread, pair.server);
    try expectEqual(.ok, try tls.ending(&harness, pair.client));
    try connections.close(harness.thread, pair.client);
}

test "closing sends what is left and announces the end, but not in the middle of a write" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]bool{ true, false }) |breaks_off| {
        const pair = try tls.defaultPair(&harness);
        harness_module.shrinkBuffers(harness.socketOf(pair.client).fd);
        const chunk: [60_000]u8 = @splat('a');
        _ = try fill(&harness, pair.server, &chunk);
        // The writer has ended its transfer, or not.
        if (!breaks_off) harness.endTransfer(pair.server);
        try expect(connectionOf(&harness, pair.server).output.len > 0);
        try connections.close(harness.thread, pair.server);
        try expectEqual(1, harness.scheduler.shared.lingering);
        const expected: Status = if (breaks_off) .tls_truncated else .ok;
        try expectEqual(expected, try tls.ending(&harness, pair.client));
        try connections.close(harness.thread, pair.client);
        try harness.pollUntil(harness.scheduler, struct {
            fn holds(scheduler: *@import("../core/scheduler.zig").Scheduler) bool {
                return scheduler.shared.sockets == 0;
            }
        }.holds);
        try expectEqual(0, harness.tls.connections.in_use);
    }
}

test "closing lets a peer go on that reads only when it has written" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try tls.defaultPair(&harness);
    // More than the kernel takes.
    const upload = try std.testing.allocator.alloc(u8, 16 * 1024 * 1024);
    defer std.testing.allocator.free(upload);
    tls.pattern(upload, 4);
    var download: usize = 0;
    while (connectionOf(&harness, pair.server).output.len == 0) : (download += 100_000) {
        _ = try harness.send(pair.server, upload[0..100_000]);
    }
    harness.endTransfer(pair.server);
    var left = upload.len - try harness.send(pair.client, upload);
    try connections.close(harness.thread, pair.server);
    try expectEqual(1, harness.scheduler.shared.lingering);
    while (left > 0) {
        const writer = harness.parkAgain(pair.client, .writable);
        try harness.expectWoken(&.{.{ writer, .ok }});
        left -= try harness.send(pair.client, upload[upload.len - left ..]);
    }
    // It has ended its side, and still gets everything that was sent to it.
    try harness.shutdown(pair.client);
    try tls.receiveAll(&harness, pair.client, upload[0..download]);
    try expectEqual(.ok, try tls.ending(&harness, pair.client));
    try connections.close(harness.thread, pair.client);
}

test "closing gives a peer more time that goes on reading, while the end is not sent" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]bool{ true, false }) |goes_on| {
        const pair = try tls.defaultPair(&harness);
        harness_module.shrinkBuffers(harness.socketOf(pair.client).fd);
        const chunk: [60_000]u8 = @splat('a');
        _ = try fill(&harness, pair.server, &chunk);
        harness.endTransfer(pair.server);
        const index = harness.indexOf(pair.server);
        try connections.close(harness.thread, pair.server);
        const socket = harness.scheduler.sockets.at(index);
        // As if the peer had acknowledged another byte.
        if (goes_on) transfers.connectionOf(harness.tls, socket).unacknowledged += 1;
        try expect(transfers.hasOutput(harness.tls, socket));
        harness.thread.lingering.expire(index);
        try expectEqual(@intFromBool(goes_on), harness.scheduler.shared.lingering);
        const expected: Status = if (goes_on) .ok else .tls_truncated;
        try expectEqual(expected, try tls.ending(&harness, pair.client));
        try connections.close(harness.thread, pair.client);
    }
}

test "after a write that was broken off neither a half close nor closing announces the end" {
    var harness = try Harness.init();
    defer harness.deinit();
    const chunk: [60_000]u8 = @splat('a');
    for ([_]bool{ false, true }) |is_half_closed| {
        const pair = try tls.defaultPair(&harness);
        harness_module.shrinkBuffers(harness.socketOf(pair.client).fd);
        _ = try fill(&harness, pair.server, &chunk);
        const writer = harness.parkAgain(pair.server, .writable);
        try expect(harness.cancel(writer, .timed_out));
        try harness.expectWoken(&.{.{ writer, .timed_out }});
        if (is_half_closed) try harness.shutdown(pair.server) else try connections.close(harness.thread, pair.server);
        try expectEqual(.tls_truncated, try tls.ending(&harness, pair.client));
        if (is_half_closed) {
            // The other direction goes on.
            try expectError(error.EPIPE, harness.send(pair.server, "more"));
            try expectThrough(&harness, pair.client, pair.server, "answer", 0);
            try connections.close(harness.thread, pair.server);
        }
        try connections.close(harness.thread, pair.client);
    }
}

test "keys are updated in the middle of transfers, by either end" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try tls.defaultPair(&harness);
    var bytes: [300_000]u8 = undefined;
    tls.pattern(&bytes, 3);
    for (0..20) |turn| {
        const from, const to = if (turn % 2 == 0) .{ pair.server, pair.client } else .{ pair.client, pair.server };
        try reports.updateKeys(harness.tls, connectionOf(&harness, from), turn % 3 == 0);
        try expectThrough(&harness, from, to, bytes[0 .. 1000 * (1 + turn * 10)], 0);
        try expectThrough(&harness, to, from, bytes[0 .. 1000 * (1 + turn * 10)], 0);
    }
    const client_context = try tls.clientContext(harness.tls);
    try tls.contextOf(&harness, client_context).setVersions(0, 0x0303);
    const old = try tls.connected(&harness, try tls.serverContext(harness.tls), client_context);
    try expectError(error.EOPNOTSUPP, reports.updateKeys(harness.tls, connectionOf(&harness, old.client), false));
}

test "answers for a peer that does not read are bounded" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try tls.defaultPair(&harness);
    harness_module.shrinkBuffers(harness.socketOf(pair.client).fd);
    const chunk: [60_000]u8 = @splat('a');
    _ = try fill(&harness, pair.server, &chunk);
    harness.endTransfer(pair.server);
    // Each update is a message, like the answers to a peer's requests.
    const connection = connectionOf(&harness, pair.server);
    for (0..20_000) |_| {
        reports.updateKeys(harness.tls, connection, false) catch |failure| {
            try expectEqual(error.TlsFailed, failure);
            try expect(connection.unsent().len > 64 * 1024);
            return tls.closeBoth(&harness, pair);
        };
        try expect(connection.unsent().len < 256 * 1024);
    }
    return error.NeverCutOff;
}

test "a damaged record ends the connection, at both ends, and either version says why" {
    for ([_]u32{ 0x0303, 0x0304 }) |version| {
        var harness = try Harness.init();
        defer harness.deinit();
        const server, const peer = try harness.tcpPeer();
        const client = try harness_module.handleOf(@import("../net/endpoints.zig").adopt(harness.scheduler, peer));
        const pair: tls.Pair = .{ .server = server, .client = client };
        const client_context = try tls.clientContext(harness.tls);
        try tls.contextOf(&harness, client_context).setVersions(version, version);
        try handshakes.start(harness.tls, server, try tls.serverContext(harness.tls), .{ .is_server = true });
        try handshakes.start(harness.tls, client, client_context, .{ .is_server = false });
        try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
        const record = "\x17\x03\x03\x00\x20" ++ "x" ** 32;
        _ = try system.send(peer, record, record.len);
        try expectEqual(.tls_failed, try tls.ending(&harness, server));
        try tls.expectText(&harness, server, .reason, "decryption failed or bad record mac");
        try expectEqual(.tls_failed, try tls.ending(&harness, client));
        try expectEqual(20, tls.alertOf(&harness, client));
        for ([_]SocketHandle{ server, client }) |handle| {
            try expectError(error.TlsFailed, harness.send(handle, "x"));
            try expectError(error.TlsFailed, harness.shutdown(handle));
        }
        try tls.closeBoth(&harness, pair);
    }
}

test "files are not sent by the kernel, and a reset frees everything" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try tls.defaultPair(&harness);
    const fd = try harness_module.temporaryFile("content");
    defer system.close(fd);
    try expectError(error.EOPNOTSUPP, harness.sendFrom(pair.server, .{ .file = .{ .fd = fd, .offset = 0, .length = 7 } }));
    try expectEqual(2, try harness.send(pair.server, "ok"));
    try connections.reset(harness.thread, pair.server);
    try expectEqual(.ECONNRESET, try tls.ending(&harness, pair.client));
    try connections.close(harness.thread, pair.client);
    try expectEqual(0, harness.tls.connections.in_use);
}

/// Makes every call on a socket fail with an error that says nothing about its connection.
fn breakDescriptor(harness: *Harness, handle: SocketHandle) !void {
    const fd = harness.socketOf(handle).fd;
    const file = try harness_module.temporaryFile("");
    defer system.close(file);
    try expect(std.c.dup2(file, fd) == fd);
}

test "what the system refuses is not waited for" {
    var harness = try Harness.init();
    defer harness.deinit();
    var buffer: [64]u8 = undefined;
    {
        const pair = try tls.defaultPair(&harness);
        try breakDescriptor(&harness, pair.server);
        try expectError(error.ENOTSOCK, harness.send(pair.server, "x"));
        try expectError(error.ENOTSOCK, harness.send(pair.server, "x"));
        try tls.closeBoth(&harness, pair);
    }
    {
        const pair = try tls.defaultPair(&harness);
        try breakDescriptor(&harness, pair.server);
        connections.setReady(harness.socketOf(pair.server), .readable);
        try expectError(error.ENOTSOCK, harness.receive(pair.server, &buffer));
        try tls.closeBoth(&harness, pair);
    }
    const server, const client = try harness.tcpPair();
    try breakDescriptor(&harness, client);
    try handshakes.start(harness.tls, client, try tls.clientContext(harness.tls), .{ .is_server = false });
    try expectError(error.ENOTSOCK, handshakes.outcome(harness.tls, client));
    try tls.closeBoth(&harness, .{ .server = server, .client = client });
}

test "a reader learns of a reset that a writer has met" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try tls.defaultPair(&harness);
    try expectEqual(4, try harness.send(pair.client, "last"));
    var buffer: [64]u8 = undefined;
    try tls.receiveAll(&harness, pair.server, buffer[0..4]);
    try connections.reset(harness.thread, pair.client);
    _ = try harness.pollFor(10 * std.time.ns_per_ms);
    // The kernel reports it to the first call.
    try expectError(error.ECONNRESET, harness.send(pair.server, "x"));
    for (0..2) |_| try expectError(error.ECONNRESET, harness.receive(pair.server, &buffer));
    try connections.close(harness.thread, pair.server);
}

test "the whole costs one reception for each wake-up" {
    if (!system.short_read_empties) return error.SkipZigTest; // there a further call is needed
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = try tls.defaultPair(&harness);
    var scratch: [64]u8 = undefined;
    const message: [64]u8 = @splat('m');
    for (0..3) |_| {
        const reader = harness.park(pair.server, .readable);
        try expectEqual(64, try harness.send(pair.client, &message));
        try harness.expectWoken(&.{.{ reader, .ok }});
        try expectEqual(64, try harness.receive(pair.server, &scratch));
        // A short read has shown that nothing is left.
        try expect(!harness.socketOf(pair.server).flags.readable);
    }
    try tls.closeBoth(&harness, pair);
}
