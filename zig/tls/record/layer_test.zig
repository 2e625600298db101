//! The record layer without a socket: what it opens, refuses and seals.

const std = @import("std");
const framing = @import("framing.zig");
const layer_module = @import("layer.zig");
const openssl = @import("../openssl.zig");
const protection = @import("protection.zig");
const refusals = @import("refusals.zig");
const side_module = @import("side_test.zig");
const Alert = refusals.Alert;
const ContentType = protection.ContentType;
const Opened = layer_module.Opened;
const Primitives = @import("primitives.zig").Primitives;
const RecordLayer = layer_module.RecordLayer;
const Side = side_module.Side;
const Suite = @import("primitives.zig").Suite;
const allocator = std.testing.allocator;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectEqualSlices = std.testing.expectEqualSlices;
const expectError = std.testing.expectError;

const suites = std.enums.values(Suite);

/// A record layer and its peer, with what the layer has sealed and the peer has not opened.
const Pair = struct {
    primitives: Primitives = .{},
    layer: RecordLayer,
    to_layer: Side,
    from_layer: Side,
    sealed: std.ArrayList(u8) = .empty,
    memory: [side_module.record_bytes]u8 = undefined,

    fn init(suite: Suite, is_server: bool) !Pair {
        try expectEqual(1, openssl.OPENSSL_init_ssl(openssl.OPENSSL_INIT_NO_LOAD_CONFIG | openssl.OPENSSL_INIT_NO_ATEXIT, null));
        var pair: Pair = .{
            .layer = .{ .is_server = is_server },
            .to_layer = .{ .suite = suite, .secret = @splat('r') },
            .from_layer = .{ .suite = suite, .secret = @splat('w') },
        };
        const length = suite.digest().length();
        pair.layer.reading.setSecret(pair.to_layer.secret[0..length]);
        pair.layer.writing.setSecret(pair.from_layer.secret[0..length]);
        try pair.layer.start(&pair.primitives, suite);
        return pair;
    }

    fn deinit(pair: *Pair) void {
        pair.layer.deinit(&pair.primitives);
        pair.primitives.deinit();
        pair.sealed.deinit(allocator);
    }

    fn open(pair: *Pair, kind: ContentType, content: []const u8, buffer: []u8) !Opened {
        return pair.layer.open(&pair.primitives, pair.to_layer.seal(kind, content, 0, &pair.memory), buffer);
    }

    fn output(pair: *Pair) layer_module.Output {
        return .{ .allocator = allocator, .bytes = &pair.sealed };
    }

    /// The next record of those that were sealed.
    fn expectRecord(pair: *Pair, kind: ContentType, content: []const u8) !void {
        var memory: [framing.longest_record]u8 = undefined;
        const size = (try framing.first(pair.sealed.items)).?;
        const found, const bytes = try pair.from_layer.open(pair.sealed.items[0..size], &memory);
        pair.sealed.replaceRangeAssumeCapacity(0, size, &.{});
        try expectEqual(kind, found);
        try expectEqualSlices(u8, content, bytes);
    }
};

test "content of any length and padding is opened into a buffer with room for it, or in place" {
    var content: [framing.plaintext_bytes]u8 = undefined;
    for (&content, 0..) |*byte, place| byte.* = @truncate(place * 7);
    for (suites) |suite| for ([_]usize{ 1, 2, 40, 1000, content.len - 1, content.len }) |length| for ([_]usize{ 0, 1, 300 }) |padding| {
        if (length + padding > content.len) continue;
        var pair: Pair = try .init(suite, true);
        defer pair.deinit();
        const inner = length + 1 + padding;
        var memory: [framing.plaintext_bytes + 301]u8 = undefined;
        for ([_]usize{ 0, length, inner - 1, inner, memory.len }) |size| {
            const record = pair.to_layer.seal(.application_data, content[0..length], padding, &pair.memory);
            const buffer = memory[0..size];
            const data = (try pair.layer.open(&pair.primitives, record, buffer)).data;
            try expectEqualSlices(u8, content[0..length], data);
            const is_direct = size >= inner;
            try expectEqual(if (is_direct) buffer.ptr else record.ptr + framing.header_bytes, data.ptr);
        }
        try expectEqual(.empty, (try pair.open(.application_data, "", &memory)).other);
    };
}

test "what is refused, and what the peer gets for it" {
    const Case = struct { ContentType, []const u8, refusals.Refusal, Alert };
    const cases = [_]Case{
        .{ @enumFromInt(0), "", error.UnexpectedRecord, .unexpected_message },
        .{ .change_cipher_spec, "\x01", error.UnexpectedRecord, .unexpected_message },
        .{ @enumFromInt(24), "heartbeat", error.UnexpectedRecord, .unexpected_message },
        .{ .alert, "", error.EmptyMessage, .unexpected_message },
        .{ .alert, "\x01", error.InvalidAlert, .unexpected_message },
        .{ .alert, "\x01\x00\x00", error.InvalidAlert, .unexpected_message },
        .{ .handshake, "", error.EmptyMessage, .unexpected_message },
        .{ .handshake, "\x01\x00\x00\x01x", error.UnexpectedMessage, .unexpected_message },
        .{ .handshake, "\x18\x00\x00\x00", error.KeyUpdateLength, .decode_error },
        .{ .handshake, "\x18\x00\x00\x02\x00\x00", error.KeyUpdateLength, .decode_error },
        .{ .handshake, "\x18\x00\x00\x01\x02", error.KeyUpdateValue, .illegal_parameter },
        .{ .handshake, "\x18\x00\x00\x01\x00\x18", error.NotOnRecordBoundary, .unexpected_message },
        .{ .application_data, &@as([framing.plaintext_bytes + 1]u8, @splat(0)), error.ContentTooLong, .record_overflow },
        .{ .application_data, &@as([framing.plaintext_bytes + 240]u8, @splat(0)), error.RecordTooLong, .record_overflow },
    };
    for (suites) |suite| for (cases) |case| {
        const kind, const content, const refusal, const alert = case;
        var pair: Pair = try .init(suite, true);
        defer pair.deinit();
        try expectError(refusal, pair.open(kind, content, ""));
        try expectEqual(alert, refusals.Failure.of(refusal).alert);
    };
    // Tickets are for clients, and have a longest one.
    var server: Pair = try .init(.aes_128_gcm_sha256, true);
    defer server.deinit();
    try expectError(error.UnexpectedMessage, server.open(.handshake, "\x04\x00\x00\x01t", ""));
    var client: Pair = try .init(.aes_128_gcm_sha256, false);
    defer client.deinit();
    try expectError(error.MessageTooLong, client.open(.handshake, "\x04\x03\x00\x00", ""));
}

test "a record that was changed, or comes out of order, is refused" {
    for (suites) |suite| for (0..8 * (framing.header_bytes + 4 + 1 + 16)) |bit| {
        var pair: Pair = try .init(suite, true);
        defer pair.deinit();
        const record = pair.to_layer.seal(.application_data, "data", 0, &pair.memory);
        record[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        const refusal: refusals.Refusal = switch (bit / 8) {
            0 => error.UnexpectedRecord,
            1, 2 => error.WrongVersion,
            // The claimed length is the caller's to look at (`framing.first`).
            else => error.BadRecord,
        };
        try expectError(refusal, pair.layer.open(&pair.primitives, record, ""));
    };
    var pair: Pair = try .init(.aes_128_gcm_sha256, true);
    defer pair.deinit();
    _ = pair.to_layer.seal(.application_data, "lost", 0, &pair.memory);
    try expectError(error.BadRecord, pair.open(.application_data, "next", ""));
}

test "messages may be cut anywhere, with nothing between their parts" {
    const update = "\x18\x00\x00\x01\x01";
    const ticket = "\x04\x00\x00\x03tkt";
    for (suites) |suite| {
        var pair: Pair = try .init(suite, false);
        defer pair.deinit();
        for (1..ticket.len) |cut| {
            try expectEqual(.ticket, (try pair.open(.handshake, ticket[0..cut], "")).other);
            try expectEqual(.ticket, (try pair.open(.handshake, ticket[cut..], "")).other);
        }
        for (1..update.len) |cut| {
            try expectEqual(.key_update, (try pair.open(.handshake, update[0..cut], "")).other);
            try expect(!pair.layer.owes_update);
            try expectEqual(.key_update, (try pair.open(.handshake, update[cut..], "")).other);
            try expect(pair.layer.owes_update);
            pair.layer.owes_update = false;
            pair.to_layer.update();
        }
        // Several in one record, the key update at its end.
        try expectEqual(.key_update, (try pair.open(.handshake, ticket ++ ticket ++ update, "")).other);
        pair.to_layer.update();
        try expectEqualSlices(u8, "data", (try pair.open(.application_data, "data", "")).data);
        try expectEqual(.ticket, (try pair.open(.handshake, ticket[0..2], "")).other);
        try expectError(error.InterruptedMessage, pair.open(.application_data, "data", ""));
    }
}

test "alerts of any level end the stream, end the connection or warn" {
    for ([_]u8{ 0, 1, 2, 255 }) |level| for (0..256) |number| {
        var pair: Pair = try .init(.aes_128_gcm_sha256, true);
        defer pair.deinit();
        const opened = try pair.open(.alert, &.{ level, @intCast(number) }, "");
        try expectEqual(switch (number) {
            0 => Opened.end_of_stream,
            90 => Opened{ .other = .warning },
            else => Opened{ .alert = @enumFromInt(number) },
        }, opened);
    };
}

test "new keys are announced before anything else, when the peer asks and when the old ones are used up" {
    for (suites) |suite| {
        var pair: Pair = try .init(suite, true);
        defer pair.deinit();
        try pair.layer.seal(&pair.primitives, pair.output(), "old");
        try pair.expectRecord(.application_data, "old");
        // One answer does for all that have asked.
        for (0..3) |_| {
            _ = try pair.open(.handshake, "\x18\x00\x00\x01\x01", "");
            pair.to_layer.update();
        }
        try pair.layer.seal(&pair.primitives, pair.output(), "new");
        try pair.expectRecord(.handshake, "\x18\x00\x00\x01\x00");
        pair.from_layer.update();
        try pair.expectRecord(.application_data, "new");
        pair.layer.writing.sequence = protection.records_per_key;
        pair.from_layer.sequence = protection.records_per_key;
        try pair.layer.seal(&pair.primitives, pair.output(), "newer");
        try pair.expectRecord(.handshake, "\x18\x00\x00\x01\x00");
        pair.from_layer.update();
        try pair.expectRecord(.application_data, "newer");
        try pair.layer.sealKeyUpdate(&pair.primitives, pair.output(), true);
        try pair.expectRecord(.handshake, "\x18\x00\x00\x01\x01");
        pair.from_layer.update();
        try pair.layer.sealAlert(&pair.primitives, pair.output(), .close_notify);
        try pair.expectRecord(.alert, "\x01\x00");
        try pair.layer.sealAlert(&pair.primitives, pair.output(), .bad_record_mac);
        try pair.expectRecord(.alert, "\x02\x14");
        try expectEqual(0, pair.sealed.items.len);
    }
}

test "without memory nothing is sealed, and the keys stay" {
    var pair: Pair = try .init(.aes_128_gcm_sha256, true);
    defer pair.deinit();
    var failing: std.testing.FailingAllocator = .init(allocator, .{ .fail_index = 0 });
    const output: layer_module.Output = .{ .allocator = failing.allocator(), .bytes = &pair.sealed };
    try expectError(error.OutOfMemory, pair.layer.seal(&pair.primitives, output, "data"));
    try expectError(error.OutOfMemory, pair.layer.sealKeyUpdate(&pair.primitives, output, true));
    try expectEqual(0, pair.sealed.items.len);
    try pair.layer.seal(&pair.primitives, pair.output(), "data");
    try pair.expectRecord(.application_data, "data");
}
