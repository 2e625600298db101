//! Memory runs out at any moment of a connection, for good or once. That ends the connection or goes unnoticed,
//! and nothing arrives that was not sent.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const contexts = @import("contexts.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const reports = @import("reports.zig");
const connections = @import("../thread/connections.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const errors = @import("../os/errors.zig");
const Harness = harness_module.Harness;
const Status = abi.Status;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;

const length = 100_000;

const End = struct {
    handle: SocketHandle,
    sent: usize = 0,
    taken: usize = 0,
    is_shut: bool = false,
    outcome: Status = .would_block,
};

/// A connection from its handshake to its end. The outcome of an end is `ok` if it saw the whole.
const Talk = struct {
    harness: *Harness,
    failing: *std.testing.FailingAllocator,
    for_once: bool,
    bytes: *const [length]u8,
    ends: [2]End,

    fn breathe(talk: *Talk) !void {
        if (talk.for_once and talk.failing.has_induced_failure) talk.failing.fail_index = std.math.maxInt(usize);
        _ = try talk.harness.pollFor(0);
    }

    fn shakeHands(talk: *Talk, contexts_of: [2]ContextId) !bool {
        const engine = talk.harness.tls;
        for (&talk.ends, contexts_of, 0..) |*end, context, place| {
            handshakes.start(engine, end.handle, context, .{ .is_server = place == 0, .name = "localhost" }) catch |failure| {
                try expectEqual(error.Exhausted, failure);
                return false;
            };
            _ = handshakes.wait(engine, handshakes.find(engine, end.handle).?, null) catch {};
        }
        for (0..10_000) |_| {
            try talk.breathe();
            const outcomes = [2]?Status{
                harness_module.failureOf(handshakes.outcome(engine, talk.ends[0].handle)),
                harness_module.failureOf(handshakes.outcome(engine, talk.ends[1].handle)),
            };
            if (outcomes[0] == null and outcomes[1] == null) return true;
            for (outcomes) |outcome| if (outcome) |status| if (status != .would_block) return false;
        }
        return error.NeverDone;
    }

    fn converse(talk: *Talk) !void {
        for (0..100_000) |round| {
            for (&talk.ends) |*end| {
                if (end.outcome != .would_block) continue;
                const connection = handshakes.find(talk.harness.tls, end.handle).?;
                if (round % 7 == 3) reports.updateKeys(talk.harness.tls, connection, round % 2 == 0) catch {};
                if (end.sent < length) {
                    if (talk.harness.send(end.handle, talk.bytes[end.sent..])) |count| {
                        end.sent += count;
                    } else |failure| if (failure != error.WouldBlock) {
                        end.outcome = errors.statusOf(failure);
                        continue;
                    }
                } else if (!end.is_shut) end.is_shut = harness_module.failureOf(talk.harness.shutdown(end.handle)) == null;
                var buffer: [20_000]u8 = undefined;
                if (talk.harness.receive(end.handle, buffer[0..if (round % 5 == 0) buffer.len else 3333])) |count| {
                    if (count == 0) end.outcome = if (end.taken == length) .ok else return error.EndedEarly;
                    try expect(end.taken + count <= length);
                    try std.testing.expectEqualSlices(u8, talk.bytes[end.taken..][0..count], buffer[0..count]);
                    end.taken += count;
                } else |failure| if (failure != error.WouldBlock) {
                    end.outcome = errors.statusOf(failure);
                }
            }
            try talk.breathe();
            if (talk.ends[0].outcome != .would_block and talk.ends[1].outcome != .would_block) return;
            // When one end has failed, the other one may wait for ever.
            for (talk.ends) |end| if (end.outcome != .would_block and end.outcome != .ok) return;
        }
        return error.NeverDone;
    }
};

test "memory may run out at any moment" {
    var bytes: [length]u8 = undefined;
    var random: std.Random.DefaultPrng = .init(2);
    random.random().bytes(&bytes);
    var failing: std.testing.FailingAllocator = .init(std.testing.allocator, .{});
    var harness = try Harness.initWith(failing.allocator());
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    // One end logs keys, and the tables have their size.
    contexts.setNotices(tls.contextOf(&harness, server_context), abi.TlsNotices.key_log);
    try tls.closeBoth(&harness, try tls.connected(&harness, server_context, client_context));
    for ([_]bool{ false, true }) |for_once| {
        var succeeded: usize = 0;
        for (0..5000) |moment| {
            errdefer std.debug.print("allocation {d}, for once: {}\n", .{ moment, for_once });
            const server, const client = try harness.tcpPair();
            // With small buffers, output has to be kept as well.
            for ([_]SocketHandle{ server, client }) |handle| {
                system.setOption(harness.socketOf(handle).fd, std.c.SOL.SOCKET, std.c.SO.SNDBUF, @as(c_int, 4096)) catch {};
            }
            var talk: Talk = .{
                .harness = &harness,
                .failing = &failing,
                .for_once = for_once,
                .bytes = &bytes,
                .ends = .{ .{ .handle = server }, .{ .handle = client } },
            };
            failing.has_induced_failure = false;
            failing.fail_index = failing.alloc_index + moment;
            if (try talk.shakeHands(.{ server_context, client_context })) try talk.converse();
            const ran_out = failing.has_induced_failure;
            failing.fail_index = std.math.maxInt(usize);
            for (talk.ends) |end| {
                if (!ran_out) try expectEqual(.ok, end.outcome);
                try connections.close(harness.thread, end.handle);
            }
            for (0..1000) |_| {
                if (harness.scheduler.shared.sockets == 0) break;
                _ = try harness.pollFor(10 * std.time.ns_per_ms);
            }
            try expectEqual(0, harness.scheduler.shared.sockets);
            while ((try harness.poll()).len > 0) {}
            try expectEqual(0, harness.tls.connections.in_use);
            if (ran_out) continue;
            // Twice without a failure: there is no later moment.
            succeeded += 1;
            if (succeeded == 2) break;
        } else return error.NeverEnough;
    }
}
