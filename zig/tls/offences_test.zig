//! What a peer must not send after the handshake: each offence is answered with the right alert and ends the
//! connection, behind the data that came before it. OpenSSL gets the same bytes, for comparison.

const std = @import("std");
const harness_module = @import("../thread/harness_test.zig");
const tls = @import("harness_test.zig");
const Alert = @import("record/refusals.zig").Alert;
const ContentType = @import("record/protection.zig").ContentType;
const Hand = @import("hand_test.zig").Hand;
const Harness = harness_module.Harness;
const Suite = @import("record/primitives.zig").Suite;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;

const Step = union(enum) {
    sealed: struct { kind: ContentType, content: []const u8, padding: usize = 0 },
    /// Content, type and padding together.
    inner: []const u8,
    /// Sealed under another type and version.
    under: [3]u8,
    raw: []const u8,
};

const Offence = struct {
    steps: []const Step,
    alert: Alert,
    reason: []const u8,
    openssl: Verdict = .same,
    /// The end to which it is sent, if not to both.
    to: ?Hand.End = null,

    /// What OpenSSL does: `answers` is an alert for another reason; `varies` depends on its version.
    const Verdict = union(enum) { same, ignores, ends, answers: Alert, varies };

    fn orOpenssl(offence: Offence, verdict: Verdict) Offence {
        var copy = offence;
        copy.openssl = verdict;
        return copy;
    }

    fn only(offence: Offence, to: Hand.End) Offence {
        var copy = offence;
        copy.to = to;
        return copy;
    }
};

fn refused(steps: []const Step, alert: Alert, reason: []const u8) Offence {
    return .{ .steps = steps, .alert = alert, .reason = reason };
}

const zeros: [17 * 1024]u8 = @splat(0);

fn sealed(comptime kind: ContentType, comptime content: []const u8) []const Step {
    return &.{.{ .sealed = .{ .kind = kind, .content = content } }};
}

fn padded(comptime content: []const u8, comptime padding: usize) []const Step {
    return &.{.{ .sealed = .{ .kind = .application_data, .content = content, .padding = padding } }};
}

fn raw(comptime bytes: []const u8) []const Step {
    return &.{.{ .raw = bytes }};
}

fn kindOf(comptime number: u8) ContentType {
    return @enumFromInt(number);
}

/// The beginning of a ticket of 32 bytes, in a record of its own.
const opening: Step = .{ .sealed = .{ .kind = .handshake, .content = "\x04\x00\x00\x20abc" } };

const offences = [_]Offence{
    // Records.
    refused(raw("\x17\x03\x03\x00\x00"), .bad_record_mac, "decryption failed or bad record mac"),
    refused(raw("\x17\x03\x03\x00\x01x"), .bad_record_mac, "decryption failed or bad record mac"),
    refused(raw("\x17\x03\x03\x00\x10" ++ "x" ** 16), .bad_record_mac, "decryption failed or bad record mac"),
    refused(raw("\x17\x03\x03\x00\x11" ++ "x" ** 17), .bad_record_mac, "decryption failed or bad record mac"),
    refused(raw("\x14\x03\x03\x00\x01\x01"), .unexpected_message, "bad record type").only(.server),
    refused(raw("\x14\x03\x03\x00\x01\x01"), .unexpected_message, "bad record type").only(.client).orOpenssl(.varies),
    refused(raw("\x15\x03\x03\x00\x02\x02\x28"), .unexpected_message, "bad record type"),
    refused(raw("\x15\x03\x03\x00\x02\x01\x00"), .unexpected_message, "bad record type"),
    refused(raw("\x16\x03\x03\x00\x05\x18\x00\x00\x01\x00"), .unexpected_message, "bad record type"),
    refused(raw("\x18\x03\x03\x00\x01x"), .unexpected_message, "bad record type"),
    refused(raw("GET / HTTP/1.1\r\n"), .unexpected_message, "bad record type").orOpenssl(.varies),
    refused(raw("\x17\x02\x00\x00\x11" ++ "x" ** 17), .decode_error, "wrong version number").orOpenssl(.varies),
    refused(&.{.{ .under = .{ 23, 3, 1 } }}, .decode_error, "wrong version number"),
    refused(&.{.{ .under = .{ 23, 3, 4 } }}, .decode_error, "wrong version number"),
    refused(&.{.{ .under = .{ 22, 3, 3 } }}, .unexpected_message, "bad record type"),
    // Lengths: beyond 2^14 + 256 the header is enough to refuse a record, and beyond 2^14 + 320 the rest is not awaited.
    refused(padded(zeros[0 .. 16 * 1024 + 1], 0), .record_overflow, "data length too long"),
    refused(padded("", 16 * 1024 + 1), .record_overflow, "data length too long").orOpenssl(.ignores),
    refused(padded(zeros[0 .. 16 * 1024 + 239], 0), .record_overflow, "data length too long"),
    refused(padded(zeros[0 .. 16 * 1024 + 240], 0), .record_overflow, "encrypted length too long"),
    refused(padded(zeros[0 .. 16 * 1024 + 303], 0), .record_overflow, "encrypted length too long"),
    refused(raw("\x17\x03\x03\x41\x41"), .record_overflow, "encrypted length too long"),
    refused(raw("\x17\x03\x03\xff\xff"), .record_overflow, "encrypted length too long").orOpenssl(.{ .answers = .record_overflow }),
    // Types.
    refused(&.{.{ .inner = zeros[0..1] }}, .unexpected_message, "bad record type"),
    refused(&.{.{ .inner = zeros[0 .. 16 * 1024 + 1] }}, .unexpected_message, "bad record type"),
    refused(sealed(.change_cipher_spec, "\x01"), .unexpected_message, "bad record type"),
    refused(sealed(kindOf(24), "heartbeat"), .unexpected_message, "bad record type"),
    refused(sealed(kindOf(255), ""), .unexpected_message, "bad record type"),
    // Alerts are two bytes, and one to a record.
    refused(sealed(.alert, ""), .unexpected_message, "bad length"),
    refused(sealed(.alert, "\x01"), .unexpected_message, "invalid alert"),
    refused(sealed(.alert, "\x01\x00\x00"), .unexpected_message, "invalid alert"),
    refused(sealed(.alert, "\x01\x00\x01\x00"), .unexpected_message, "invalid alert"),
    // Messages that do not belong after a handshake.
    refused(sealed(.handshake, ""), .unexpected_message, "bad length"),
    refused(sealed(.handshake, "\x00\x00\x00\x00"), .unexpected_message, "unexpected message"),
    refused(sealed(.handshake, "\x01\x00\x00\x01x"), .unexpected_message, "unexpected message"),
    refused(sealed(.handshake, "\x05\x00\x00\x00"), .unexpected_message, "unexpected message"),
    refused(sealed(.handshake, "\x0b\x00\x00\x01x"), .unexpected_message, "unexpected message"),
    refused(sealed(.handshake, "\x0d\x00\x00\x01x"), .unexpected_message, "unexpected message"),
    refused(sealed(.handshake, "\x14\x00\x00\x20" ++ "x" ** 32), .unexpected_message, "unexpected message"),
    refused(sealed(.handshake, "\xfe\x00\x00\x00"), .unexpected_message, "unexpected message"),
    refused(sealed(.handshake, "\x04\x00\x00\x20" ++ "x" ** 32), .unexpected_message, "unexpected message").only(.server),
    refused(sealed(.handshake, "\x04\x03\x00\x00"), .illegal_parameter, "excessive message size").only(.client),
    // Key updates.
    refused(sealed(.handshake, "\x18\x00\x00\x00"), .decode_error, "bad key update"),
    refused(sealed(.handshake, "\x18\x00\x00\x02\x00\x00"), .decode_error, "bad key update").orOpenssl(.{ .answers = .illegal_parameter }),
    refused(sealed(.handshake, "\x18\x00\x00\x01\x02"), .illegal_parameter, "bad key update"),
    refused(sealed(.handshake, "\x18\x00\x00\x01\xff"), .illegal_parameter, "bad key update"),
    refused(sealed(.handshake, "\x18\x00\x00\x01\x00\x18"), .unexpected_message, "not on record boundary"),
    refused(sealed(.handshake, "\x18\x00\x00\x01\x00\x18\x00\x00\x01\x00"), .unexpected_message, "not on record boundary"),
    // A record between the parts of a message, which may be cut anywhere.
    refused(&.{
        .{ .sealed = .{ .kind = .handshake, .content = "\x18" } },
        .{ .sealed = .{ .kind = .application_data, .content = "data" } },
    }, .unexpected_message, "mixed handshake and non handshake data"),
    refused(&.{
        .{ .sealed = .{ .kind = .handshake, .content = "\x18\x00\x00\x01" } },
        .{ .sealed = .{ .kind = .application_data, .content = "data" } },
    }, .unexpected_message, "mixed handshake and non handshake data").orOpenssl(.{ .answers = .unexpected_message }),
    refused(&.{ opening, .{ .sealed = .{ .kind = .application_data, .content = "" } } }, .unexpected_message, "mixed handshake and non handshake data").orOpenssl(.{ .answers = .unexpected_message }).only(.client),
    refused(&.{ opening, .{ .sealed = .{ .kind = .handshake, .content = "" } } }, .unexpected_message, "bad length").only(.client),
    refused(&.{ opening, .{ .sealed = .{ .kind = .alert, .content = "\x01\x00" } } }, .unexpected_message, "mixed handshake and non handshake data").orOpenssl(.ends).only(.client),
};

fn commit(hand: *Hand, steps: []const Step) !void {
    for (steps) |step| switch (step) {
        .sealed => |record| try hand.sendPadded(record.kind, record.content, record.padding),
        .inner => |inner| try hand.sendInner(inner),
        .under => |start| {
            var record: [64]u8 = undefined;
            try hand.pass(hand.writing.sealUnder(start, "data\x17", &record));
        },
        .raw => |bytes| try hand.pass(bytes),
    };
}

test "each offence is answered and ends the connection behind the data before it" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (std.enums.values(Suite)) |suite| for (std.enums.values(Hand.End)) |end| for (offences, 0..) |offence, number| {
        if (offence.to != null and offence.to != end) continue;
        errdefer std.debug.print("offence {d}, {t}, {t}\n", .{ number, suite, end });
        var hand: Hand = try .init(&harness, suite, end == .server);
        defer hand.deinit();
        try hand.send(.application_data, "before");
        try commit(&hand, offence.steps);
        try harness.expectReceived(hand.handle, "before");
        var buffer: [64]u8 = undefined;
        try expectError(error.TlsFailed, harness.receive(hand.handle, &buffer));
        try tls.expectText(&harness, hand.handle, .reason, offence.reason);
        try hand.expectAlert(offence.alert);
        // Both directions have ended for good.
        try hand.expectSilence();
        try expectError(error.TlsFailed, harness.send(hand.handle, "more"));
        try expectError(error.TlsFailed, harness.shutdown(hand.handle));
        try hand.send(.application_data, "after");
        try expectEqual(.tls_failed, try tls.ending(&harness, hand.handle));
        try hand.closeBoth();
    };
}

test "OpenSSL answers the same, where it is not more lenient" {
    var harness = try Harness.init();
    defer harness.deinit();
    const suite: Suite = .aes_128_gcm_sha256;
    for (std.enums.values(Hand.End)) |end| for (offences, 0..) |offence, number| {
        if (offence.to != null and offence.to != end) continue;
        errdefer std.debug.print("offence {d}, {t}\n", .{ number, end });
        var hand: Hand = try .shaken(&harness, end, suite, true);
        defer hand.deinit();
        var buffer: [4096]u8 = undefined;
        if (end == .server) try expectEqual(.handshake, (try hand.next(&buffer)).?[0]);
        try hand.send(.application_data, "before");
        try commit(&hand, offence.steps);
        try harness.expectReceived(hand.handle, "before");
        switch (offence.openssl) {
            .same, .answers => {
                try expectError(error.TlsFailed, harness.receive(hand.handle, &buffer));
                if (offence.openssl == .same) try tls.expectText(&harness, hand.handle, .reason, offence.reason);
                try hand.expectAlert(if (offence.openssl == .answers) offence.openssl.answers else offence.alert);
            },
            .ignores => try expectError(error.WouldBlock, harness.receive(hand.handle, &buffer)),
            .varies => {},
            .ends => try expectEqual(0, try harness.receive(hand.handle, &buffer)),
        }
        try hand.closeBoth();
    };
}
