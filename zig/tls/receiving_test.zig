//! What a connection receives when the record layer has taken over, from a peer whose records the test makes:
//! content of all lengths, alerts, tickets and key updates, whole and in parts, intact and damaged.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const harness_module = @import("../thread/harness_test.zig");
const primitives = @import("record/primitives.zig");
const quota = @import("record/quota.zig");
const framing = @import("record/framing.zig");
const reports = @import("reports.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const hand_module = @import("hand_test.zig");
const Hand = hand_module.Hand;
const Error = @import("../os/errors.zig").Error;
const Harness = harness_module.Harness;
const Suite = primitives.Suite;
const ContextId = @import("../core/indices.zig").ContextId;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectEqualSlices = std.testing.expectEqualSlices;
const expectError = std.testing.expectError;
const suites = hand_module.suites;

/// Receives all of it in pieces of `size` bytes, and expects that nothing is written beside the buffer.
fn expectInPieces(hand: *Hand, expected: []const u8, size: usize) !void {
    const guard = 16;
    const memory = try std.testing.allocator.alloc(u8, size + 2 * guard);
    defer std.testing.allocator.free(memory);
    var taken: usize = 0;
    while (taken < expected.len) {
        @memset(memory, 0xee);
        const buffer = memory[guard..][0..size];
        const count = try hand.harness.receive(hand.handle, buffer);
        try expectEqual(@min(size, expected.len - taken), count);
        try expectEqualSlices(u8, expected[taken..][0..count], buffer[0..count]);
        try expect(std.mem.allEqual(u8, memory[0..guard], 0xee) and std.mem.allEqual(u8, memory[guard + size ..], 0xee));
        taken += count;
    }
    try expectError(error.WouldBlock, hand.harness.receive(hand.handle, memory[0..1]));
    // Nothing is kept.
    try expectEqual(0, hand.state().content.len + hand.connection().input.len);
}

test "content arrives with any padding and in any buffer" {
    var harness = try Harness.init();
    defer harness.deinit();
    var content: [framing.plaintext_bytes]u8 = undefined;
    tls.pattern(&content, content.len);
    for (suites) |suite| {
        var hand: Hand = try .init(&harness, suite, true);
        defer hand.deinit();
        for ([_]usize{ 0, 1, 5 }) |padding| for (1..40 + 2 * 16 + 8) |size| {
            try hand.sendPadded(.application_data, content[0..40], padding);
            try expectInPieces(&hand, content[0..40], size);
        };
        // Several records at once, with nothing in some of them.
        for ([_]usize{ 1, 7, 40, 41, 57, 80, 119, 120, 121, 150, 1000 }) |size| {
            var start: usize = 0;
            for ([_]usize{ 0, 40, 0, 0, 79, 1 }) |length| {
                try hand.sendPadded(.application_data, content[start..][0..length], start % 5);
                start += length;
            }
            try expectInPieces(&hand, content[0..120], size);
        }
        // As long as a record may be, with its padding or without.
        for ([_]usize{ 1, 2, 300, framing.plaintext_bytes - 1, framing.plaintext_bytes }) |length| {
            for ([_]usize{ 1000, 16_383, 16_384, 16_385, 16_400, 16_401, 16_640, 40_000 }) |size| {
                try hand.sendPadded(.application_data, content[0..length], framing.plaintext_bytes - length);
                try expectInPieces(&hand, content[0..length], size);
            }
        }
        try hand.sendPadded(.application_data, "", framing.plaintext_bytes);
        try expectInPieces(&hand, "", 1000);
        try hand.closeBoth();
    }
}

test "a record comes in parts of any length" {
    var harness = try Harness.init();
    defer harness.deinit();
    var content: [300]u8 = undefined;
    tls.pattern(&content, content.len);
    for (suites) |suite| {
        var hand: Hand = try .init(&harness, suite, false);
        defer hand.deinit();
        var memory: [2 * 400]u8 = undefined;
        for (1..30) |part| {
            const first = hand.writing.seal(.application_data, content[0..100], 3, &memory);
            const second = hand.writing.seal(.application_data, content[100..], 0, memory[first.len..]);
            const both = memory[0 .. first.len + second.len];
            var taken: usize = 0;
            var buffer: [300]u8 = undefined;
            var position: usize = 0;
            while (position < both.len) : (position += part) {
                try hand.pass(both[position..@min(position + part, both.len)]);
                if (harness.receive(hand.handle, buffer[taken..])) |count| {
                    taken += count;
                } else |failure| try expectEqual(error.WouldBlock, failure);
            }
            try expectEqualSlices(u8, &content, buffer[0..taken]);
        }
        try hand.closeBoth();
    }
}

const Behind = enum { nothing, damage, end, alert, fin, reset };

test "the rest of a record that was read in part comes before what is behind it" {
    var harness = try Harness.init();
    defer harness.deinit();
    var content: [200]u8 = undefined;
    tls.pattern(&content, content.len);
    for ([_]bool{ true, false }) |comes_at_once| for (std.enums.values(Behind)) |behind| {
        var hand: Hand = try .init(&harness, .aes_256_gcm_sha384, true);
        defer hand.deinit();
        errdefer std.debug.print("{t}, at once: {}\n", .{ behind, comes_at_once });
        try hand.send(.application_data, &content);
        var buffer: [200]u8 = undefined;
        if (!comes_at_once) try expectEqual(30, try harness.receive(hand.handle, buffer[0..30]));
        const expected: Error!usize = switch (behind) {
            .nothing => error.WouldBlock,
            .damage => blk: {
                try hand.pass("\x17\x03\x03\x00\x20" ++ "x" ** 32);
                break :blk error.TlsFailed;
            },
            .end => blk: {
                try hand.send(.alert, "\x01\x00");
                break :blk 0;
            },
            .alert => blk: {
                try hand.send(.alert, "\x02\x28");
                break :blk error.TlsFailed;
            },
            .fin => blk: {
                try hand.endStream();
                break :blk error.TlsTruncated;
            },
            .reset => blk: {
                // A reset destroys what the kernel has not delivered yet.
                if (comes_at_once) try expectEqual(30, try harness.receive(hand.handle, buffer[0..30]));
                const abort: std.c.linger = .{ .onoff = 1, .linger = 0 };
                try system.setOption(hand.peer, std.c.SOL.SOCKET, std.c.SO.LINGER, abort);
                hand.close();
                _ = try harness.pollFor(0);
                break :blk error.ECONNRESET;
            },
        };
        if (comes_at_once and behind != .reset) try expectEqual(30, try harness.receive(hand.handle, buffer[0..30]));
        for (30..200) |place| {
            try expectEqual(1, try harness.receive(hand.handle, buffer[place..][0..1]));
        }
        try expectEqualSlices(u8, content[30..], buffer[30..]);
        for (0..3) |_| try expectEqual(expected, harness.receive(hand.handle, &buffer));
        try hand.closeBoth();
    };
}

test "alerts of either level end the stream, or say why it was broken off" {
    var harness = try Harness.init();
    defer harness.deinit();
    var buffer: [64]u8 = undefined;
    for (0..256) |number| for ([_]u8{ 0, 1, 2, 255 }) |level| {
        var hand: Hand = try .init(&harness, .chacha20_poly1305_sha256, number % 2 == 0);
        defer hand.deinit();
        errdefer std.debug.print("alert {d} of level {d}\n", .{ number, level });
        try hand.send(.application_data, "data");
        try hand.send(.alert, &.{ level, @intCast(number) });
        try hand.send(.application_data, "late");
        try harness.expectReceived(hand.handle, if (number == 90) "datalate" else "data");
        switch (number) {
            0 => for (0..3) |_| {
                try expectEqual(0, try harness.receive(hand.handle, &buffer));
                // Only one direction has ended.
                try expectEqual(2, try harness.send(hand.handle, "on"));
                try hand.expectRecord(.application_data, "on");
            },
            90 => try expectError(error.WouldBlock, harness.receive(hand.handle, &buffer)),
            else => {
                try expectError(error.TlsFailed, harness.receive(hand.handle, &buffer));
                try expectError(error.TlsFailed, harness.send(hand.handle, "x"));
                try expectEqual(number, tls.alertOf(&harness, hand.handle));
                // The peer gets no answer.
                try hand.expectSilence();
            },
        }
        try hand.closeBoth();
    };
}

const longest_ticket = 4 + 4 + 1 + 255 + 2 + 65_535 + 2 + 65_534;

/// Receives what comes, which must be no data.
fn expectNothing(hand: *Hand) !void {
    var buffer: [64]u8 = undefined;
    try expectError(error.WouldBlock, hand.harness.receive(hand.handle, &buffer));
}

test "a client skips tickets, whole, in parts, and several in one record" {
    var harness = try Harness.init();
    defer harness.deinit();
    var hand: Hand = try .init(&harness, .aes_128_gcm_sha256, false);
    defer hand.deinit();
    const ticket = "\x04\x00\x00\x1f" ++ "t" ** 31;
    for (1..ticket.len) |cut| {
        try hand.send(.handshake, ticket[0..cut]);
        try expectNothing(&hand);
        try hand.send(.handshake, ticket[cut..]);
        try hand.send(.application_data, "data");
        try harness.expectReceived(hand.handle, "data");
    }
    // A record for each byte is accepted for one ticket, and is too much for several.
    for (ticket) |*byte| try hand.send(.handshake, byte[0..1]);
    try hand.send(.application_data, "d");
    var data: [1]u8 = undefined;
    try tls.receiveAll(&harness, hand.handle, &data);
    for (0..quota.ticket_records_at_most / ticket.len + 1) |_| {
        for (ticket) |*byte| try hand.send(.handshake, byte[0..1]);
    }
    try expectEqual(.tls_failed, try tls.ending(&harness, hand.handle));
    try tls.expectText(&harness, hand.handle, .reason, "too many tickets");
    try hand.closeBoth();

    var second: Hand = try .init(&harness, .aes_128_gcm_sha256, false);
    defer second.deinit();
    try second.send(.handshake, ticket ++ ticket ++ ticket ++ "\x04\x00\x00\x00" ++ ticket[0..10]);
    // A key update may follow in the record of a ticket's end.
    try second.send(.handshake, ticket[10..] ++ ticket ++ "\x18\x00\x00\x01\x01");
    second.writing.update();
    try second.send(.application_data, "data");
    try harness.expectReceived(second.handle, "data");
    try second.expectKeyUpdate(false);
    // The longest ticket takes nine records, which arrive one by one.
    const long = try std.testing.allocator.alloc(u8, 4 + longest_ticket);
    defer std.testing.allocator.free(long);
    long[0] = 4;
    std.mem.writeInt(u24, long[1..4], longest_ticket, .big);
    var position: usize = 0;
    while (position < long.len) : (position += framing.plaintext_bytes) {
        try second.send(.handshake, long[position..@min(position + framing.plaintext_bytes, long.len)]);
        try expectNothing(&second);
        try expectEqual(0, second.connection().input.len);
    }
    try second.send(.application_data, "data");
    try harness.expectReceived(second.handle, "data");
    try second.closeBoth();
}

test "new keys are taken, and answered with new keys before anything else is sent" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (suites) |suite| for ([_]bool{ true, false }) |is_server| {
        var hand: Hand = try .init(&harness, suite, is_server);
        defer hand.deinit();
        for (0..5) |_| {
            try hand.updateKeys(false);
            try hand.send(.application_data, "under the new");
            try harness.expectReceived(hand.handle, "under the new");
            try hand.expectSilence();
            try hand.updateKeys(true);
            try hand.send(.application_data, "once more");
            try harness.expectReceived(hand.handle, "once more");
            try hand.expectKeyUpdate(false);
            try hand.expectSilence();
        }
        // One answer is enough for all requests that were read before it.
        for (0..7) |place| try hand.updateKeys(place != 6);
        try expectNothing(&hand);
        try hand.expectKeyUpdate(false);
        try expectEqual(3, try harness.send(hand.handle, "new"));
        try hand.expectRecord(.application_data, "new");
        // Both request at once: each acts upon the request of the other and answers it.
        try reports.updateKeys(harness.tls, hand.connection(), true);
        try hand.updateKeys(true);
        try expectNothing(&hand);
        try hand.expectKeyUpdate(true);
        try hand.expectKeyUpdate(false);
        try hand.updateKeys(false);
        try hand.send(.application_data, "crossed");
        try harness.expectReceived(hand.handle, "crossed");
        // A key update may be cut like any message, and its parts may arrive one by one.
        for (1..5) |cut| {
            const message = "\x18\x00\x00\x01\x01";
            try hand.send(.handshake, message[0..cut]);
            try expectNothing(&hand);
            try hand.expectSilence();
            try hand.send(.handshake, message[cut..]);
            hand.writing.update();
            try hand.send(.application_data, "cut");
            try harness.expectReceived(hand.handle, "cut");
            try hand.expectKeyUpdate(false);
        }
        try hand.closeBoth();
    };
}

test "data under the old key is not taken after the new one" {
    var harness = try Harness.init();
    defer harness.deinit();
    var hand: Hand = try .init(&harness, .aes_128_gcm_sha256, true);
    defer hand.deinit();
    var old = hand.writing;
    try hand.updateKeys(false);
    old.sequence += 1;
    var record: [64]u8 = undefined;
    try hand.pass(old.seal(.application_data, "old", 0, &record));
    try expectEqual(.tls_failed, try tls.ending(&harness, hand.handle));
    try hand.expectAlert(.bad_record_mac);
    try hand.closeBoth();
}

test "a number of records without data in a row is accepted, of each kind" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (std.enums.values(quota.Kind)) |kind| for ([_]usize{ 0, 1 }) |more| for ([_]bool{ true, false }) |comes_at_once| {
        if (kind == .renegotiation) continue;
        const most: usize = if (kind == .ticket) quota.ticket_records_at_most else quota.records_at_most;
        const count = most + more;
        var hand: Hand = try .init(&harness, .aes_128_gcm_sha256, false);
        defer hand.deinit();
        // Records before data do not count.
        for (0..2) |round| {
            for (0..count) |place| {
                switch (kind) {
                    .empty => try hand.sendPadded(.application_data, "", place),
                    .warning => try hand.send(.alert, "\x01\x5a"),
                    .key_update => try hand.updateKeys(false),
                    .ticket => try hand.send(.handshake, "\x04\x00\x00\x01t"),
                    .renegotiation => unreachable,
                }
                if (!comes_at_once and place < most) try expectNothing(&hand);
            }
            if (more > 0) break;
            try hand.send(.application_data, &.{@intCast(round)});
            var byte: [1]u8 = undefined;
            try tls.receiveAll(&harness, hand.handle, &byte);
            try expectEqual(round, byte[0]);
        } else {
            try hand.closeBoth();
            continue;
        }
        try expectEqual(.tls_failed, try tls.ending(&harness, hand.handle));
        try hand.expectAlert(.unexpected_message);
        try tls.expectText(&harness, hand.handle, .reason, switch (kind) {
            .empty => "record too small",
            .warning => "too many warn alerts",
            .key_update => "too many key updates",
            .ticket => "too many tickets",
            .renegotiation => unreachable,
        });
        try hand.closeBoth();
    };
}

test "records without data are accepted for ever at a slow pace" {
    var harness = try Harness.init();
    defer harness.deinit();
    var hand: Hand = try .init(&harness, .aes_128_gcm_sha256, true);
    defer hand.deinit();
    for (0..10) |_| {
        for (0..quota.records_at_most) |_| {
            try hand.updateKeys(false);
            try expectNothing(&hand);
        }
        hand.connection().quota.start_milliseconds -%= quota.period_milliseconds;
    }
    try hand.send(.application_data, "data");
    try harness.expectReceived(hand.handle, "data");
    try hand.closeBoth();
}

test "every bit of a record counts, and the data before it is delivered" {
    var harness = try Harness.init();
    defer harness.deinit();
    const content = "data";
    const length = framing.header_bytes + content.len + 1 + 16;
    const filler: [framing.longest_record]u8 = @splat('x');
    for (suites) |suite| for (0..8 * length) |bit| {
        var hand: Hand = try .init(&harness, suite, bit % 2 == 0);
        defer hand.deinit();
        errdefer std.debug.print("{t}, bit {d} of byte {d}\n", .{ suite, bit % 8, bit / 8 });
        try hand.send(.application_data, "before");
        var memory: [length]u8 = undefined;
        const record = hand.writing.seal(.application_data, content, 0, &memory);
        record[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        try hand.pass(record);
        try harness.expectReceived(hand.handle, "before");
        var buffer: [64]u8 = undefined;
        const claimed = framing.header_bytes + @as(usize, std.mem.readInt(u16, record[3..5], .big));
        if (claimed > length and claimed <= framing.longest_record) {
            // It waits for the rest of the claimed length.
            try expectError(error.WouldBlock, harness.receive(hand.handle, &buffer));
            try hand.pass(filler[0 .. claimed - length]);
        }
        try expectError(error.TlsFailed, harness.receive(hand.handle, &buffer));
        try hand.expectAlert(switch (bit / 8) {
            0 => .unexpected_message,
            1, 2 => .decode_error,
            else => if (claimed > framing.longest_record) .record_overflow else .bad_record_mac,
        });
        try hand.closeBoth();
    };
}

test "a stream that ends anywhere in a record is cut off behind the data before it" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (0..26) |length| for ([_]bool{ false, true }) |comes_at_once| {
        var hand: Hand = try .init(&harness, .chacha20_poly1305_sha256, true);
        defer hand.deinit();
        var memory: [64]u8 = undefined;
        const record = hand.writing.seal(.application_data, "before", 0, &memory);
        const next = hand.writing.seal(.application_data, "data", 0, memory[record.len..]);
        try expectEqual(26, next.len);
        try hand.pass(memory[0 .. record.len + length]);
        if (comes_at_once) try hand.endStream();
        try harness.expectReceived(hand.handle, "before");
        if (!comes_at_once) {
            try expectNothing(&hand);
            try hand.endStream();
        }
        for (0..3) |_| try expectEqual(.tls_truncated, try tls.ending(&harness, hand.handle));
        // The other direction goes on.
        try expectEqual(2, try harness.send(hand.handle, "on"));
        try hand.expectRecord(.application_data, "on");
        try hand.closeBoth();
    };
}

test "records that are repeated, left out or exchanged are no records" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_][]const u8{ "\x00\x00", "\x01", "\x01\x00", "\x00\x02", "\x00\x01\x01" }) |order| {
        var hand: Hand = try .init(&harness, .aes_256_gcm_sha384, true);
        defer hand.deinit();
        var memory: [3][64]u8 = undefined;
        var sealed: [3][]u8 = undefined;
        for (&sealed, &memory, "abc") |*record, *place, letter| record.* = hand.writing.seal(.application_data, &.{letter}, 0, place);
        for (order) |place| try hand.pass(sealed[place]);
        // Records that came in order are data.
        for (order, 0..) |place, position| {
            if (place != position) break;
            var byte: [1]u8 = undefined;
            try expectEqual(1, try harness.receive(hand.handle, &byte));
            try expectEqual("abc"[place], byte[0]);
        }
        try expectEqual(.tls_failed, try tls.ending(&harness, hand.handle));
        try hand.expectAlert(.bad_record_mac);
        try hand.closeBoth();
    }
}

/// Cipher contexts of a suite and direction that have a key.
fn keysKept(harness: *Harness, suite: Suite, direction: primitives.Direction) usize {
    var count: usize = 0;
    for (harness.tls.primitives.ciphers[@intFromEnum(suite)][@intFromEnum(direction)]) |cipher| {
        count += @intFromBool(cipher.key != .none);
    }
    return count;
}

test "keys do not outlive their connection, nor the secrets of a handshake that failed" {
    var harness = try Harness.init();
    defer harness.deinit();
    const engine = harness.tls;
    for (suites) |suite| {
        var first: Hand = try .init(&harness, suite, true);
        defer first.deinit();
        var second: Hand = try .init(&harness, suite, false);
        defer second.deinit();
        for ([_]*Hand{ &first, &second }, 1..) |hand, number| {
            try hand.updateKeys(true);
            try hand.send(.application_data, "data");
            try harness.expectReceived(hand.handle, "data");
            // The key from before the update is gone, and nothing was sent yet under the new one.
            try expectEqual(number, keysKept(&harness, suite, .open));
            try expectEqual(number - 1, keysKept(&harness, suite, .seal));
            try hand.expectKeyUpdate(false);
            try expectEqual(1, try harness.send(hand.handle, "x"));
            try expectEqual(number, keysKept(&harness, suite, .seal));
        }
        for ([_]*Hand{ &first, &second }, [_]usize{ 1, 0 }) |hand, left| {
            try hand.closeBoth();
            for (std.enums.values(primitives.Direction)) |direction| try expectEqual(left, keysKept(&harness, suite, direction));
        }
    }
    // When the client refuses its certificate, the server has a secret already.
    const server_context = try tls.serverContext(harness.tls);
    const stranger: ContextId = try @import("contexts.zig").create(engine);
    const pair = try tls.startPair(&harness, server_context, stranger, "localhost", "");
    _ = try tls.outcomes(&harness, pair);
    try expect(harness.tls.connections.at(harness.socketOf(pair.server).tls).takeover != null);
    try expectEqual(.tls_failed, try tls.ending(&harness, pair.server));
    try tls.closeBoth(&harness, pair);
}
