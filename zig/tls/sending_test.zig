//! What a connection sends when the record layer has taken over, opened by a peer that the test plays: data in
//! records, key updates, alerts and the end of the stream, also while the peer does not read.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const harness_module = @import("../thread/harness_test.zig");
const protection = @import("record/protection.zig");
const framing = @import("record/framing.zig");
const reports = @import("reports.zig");
const connections = @import("../thread/connections.zig");
const streams = @import("../net/streams.zig");
const tls = @import("harness_test.zig");
const ContentType = protection.ContentType;
const hand_module = @import("hand_test.zig");
const Hand = hand_module.Hand;
const Harness = harness_module.Harness;
const Status = abi.Status;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectEqualSlices = std.testing.expectEqualSlices;
const expectError = std.testing.expectError;
const suites = hand_module.suites;

/// Reads data until all of it is there, and returns the lengths of its records.
fn expectData(hand: *Hand, expected: []const u8, lengths: []usize) ![]usize {
    var memory: [framing.longest_record]u8 = undefined;
    var taken: usize = 0;
    var count: usize = 0;
    while (taken < expected.len) : (count += 1) {
        const kind, const content = try hand.next(&memory) orelse return error.EndedEarly;
        try expectEqual(.application_data, kind);
        try expect(content.len <= expected.len - taken);
        try expectEqualSlices(u8, expected[taken..][0..content.len], content);
        taken += content.len;
        lengths[count] = content.len;
    }
    return lengths[0..count];
}

test "data leaves in as few records as it takes" {
    var harness = try Harness.init();
    defer harness.deinit();
    var bytes: [100_000]u8 = undefined;
    tls.pattern(&bytes, bytes.len);
    var lengths: [100]usize = undefined;
    for (suites) |suite| for ([_]bool{ true, false }) |is_server| {
        var hand: Hand = try .init(&harness, suite, is_server);
        defer hand.deinit();
        // Short ones are sealed in one call, longer ones in two.
        for ([_]usize{ 1, 2, 15, 16, 1023, 1024, 1025, 2048, 16_383, 16_384, 16_385, 40_000, 100_000 }) |length| {
            try expectEqual(length, try harness.send(hand.handle, bytes[0..length]));
            const found = try expectData(&hand, bytes[0..length], &lengths);
            try expectEqual(std.math.divCeil(usize, length, framing.plaintext_bytes), found.len);
        }
        // Small parts are gathered.
        var parts: [100]std.posix.iovec_const = undefined;
        for (&parts, 0..) |*part, place| part.* = .{ .base = bytes[place * 200 ..].ptr, .len = 200 };
        const source: streams.Source = .{ .vector = .{ .parts = &parts, .total = 20_000 } };
        try expectEqual(20_000, try harness.sendFrom(hand.handle, source));
        try expectEqualSlices(usize, &.{ 16_384, 3616 }, try expectData(&hand, bytes[0..20_000], &lengths));
        try hand.closeBoth();
    };
}

test "keys are changed before they have protected more than they may" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (suites) |suite| {
        var hand: Hand = try .init(&harness, suite, true);
        defer hand.deinit();
        const last = protection.records_per_key - 1;
        hand.state().layer.writing.sequence = last;
        hand.reading.sequence = last;
        // The change comes in the middle of one call, which counts the data alone.
        var bytes: [60_000]u8 = undefined;
        tls.pattern(&bytes, bytes.len);
        try expectEqual(bytes.len, try harness.send(hand.handle, &bytes));
        try hand.expectRecord(.application_data, bytes[0..framing.plaintext_bytes]);
        try hand.expectKeyUpdate(false);
        var lengths: [10]usize = undefined;
        _ = try expectData(&hand, bytes[framing.plaintext_bytes..], &lengths);
        try expectEqual(3, hand.state().layer.writing.sequence);
        // The peer's keys do not change.
        try hand.send(.application_data, "old");
        try harness.expectReceived(hand.handle, "old");
        try hand.closeBoth();
    }
}

/// Sends chunks until the kernel takes no more. Returns what was counted of the last one, and how many were sent
/// before it.
fn fill(hand: *Hand, chunk: []const u8) !struct { usize, usize } {
    harness_module.shrinkBuffers(hand.harness.socketOf(hand.handle).fd);
    for (0..10_000) |number| {
        const count = try hand.harness.send(hand.handle, chunk);
        if (count < chunk.len) return .{ count, number };
    }
    return error.NeverFull;
}

/// Reads records up to one that is no data. Returns the length of the data, and that record.
fn countData(hand: *Hand, chunk: []const u8, buffer: []u8) !struct { usize, ContentType, []u8 } {
    var total: usize = 0;
    while (try hand.next(buffer)) |record| {
        const kind, const content = record;
        if (kind != .application_data) return .{ total, kind, content };
        for (content, total..) |byte, position| if (byte != chunk[position % chunk.len]) return error.WrongData;
        total += content.len;
    }
    return error.EndedEarly;
}

test "a request for new keys is answered behind what is under way, and before what follows" {
    var harness = try Harness.init();
    defer harness.deinit();
    var chunk: [60_000]u8 = undefined;
    tls.pattern(&chunk, chunk.len);
    for (suites) |suite| {
        var hand: Hand = try .initOverUnix(&harness, suite, true);
        defer hand.deinit();
        const counted, const before = try fill(&hand, &chunk);
        const kept = hand.connection().unsent().len;
        try hand.updateKeys(true);
        var buffer: [framing.longest_record]u8 = undefined;
        try expectError(error.WouldBlock, harness.receive(hand.handle, &buffer));
        try expectEqual(kept + 5 + protection.overhead_bytes, hand.connection().unsent().len);
        const data, const kind, const message = try countData(&hand, &chunk, &buffer);
        try expectEqual((before + 1) * chunk.len, data);
        try expectEqual(.handshake, kind);
        try expectEqualSlices(u8, "\x18\x00\x00\x01\x00", message);
        hand.reading.update();
        // The writer learns that all of its data was sent; the answer does not count.
        try expectEqual(chunk.len - counted, try harness.send(hand.handle, chunk[counted..]));
        try expectEqual(3, try harness.send(hand.handle, "new"));
        try hand.expectRecord(.application_data, "new");
        try hand.closeBoth();
    }
}

test "the end is announced once, behind all that was sent" {
    var harness = try Harness.init();
    defer harness.deinit();
    var chunk: [60_000]u8 = undefined;
    tls.pattern(&chunk, chunk.len);
    var buffer: [framing.longest_record]u8 = undefined;
    for ([_]bool{ true, false }) |by_closing| {
        var hand: Hand = try .initOverUnix(&harness, .aes_128_gcm_sha256, true);
        defer hand.deinit();
        _, const before = try fill(&hand, &chunk);
        harness.endTransfer(hand.handle);
        if (!by_closing) for (0..2) |_| try harness.shutdown(hand.handle);
        if (by_closing) try connections.close(harness.thread, hand.handle);
        const data, const kind, const alert = try countData(&hand, &chunk, &buffer);
        try expectEqual((before + 1) * chunk.len, data);
        try expectEqual(.alert, kind);
        try expectEqualSlices(u8, "\x01\x00", alert);
        try hand.expectStreamEnd();
        if (!by_closing) {
            // It goes on receiving until it is closed, which sends nothing more.
            try hand.send(.application_data, "late");
            try harness.expectReceived(hand.handle, "late");
            try hand.closeBoth();
        }
    }
}

test "nothing is sent after the end was announced" {
    var harness = try Harness.init();
    defer harness.deinit();
    var chunk: [60_000]u8 = undefined;
    tls.pattern(&chunk, chunk.len);
    var buffer: [framing.longest_record]u8 = undefined;
    for ([_]bool{ false, true }) |is_full| for ([_]bool{ false, true }) |is_damaged| {
        var hand: Hand = try .initOverUnix(&harness, .chacha20_poly1305_sha256, true);
        defer hand.deinit();
        errdefer std.debug.print("full: {}, damaged: {}\n", .{ is_full, is_damaged });
        if (is_full) _ = try fill(&hand, &chunk) else try expectEqual(chunk.len, try harness.send(hand.handle, &chunk));
        harness.endTransfer(hand.handle);
        try harness.shutdown(hand.handle);
        try expectError(error.EPIPE, reports.updateKeys(harness.tls, hand.connection(), true));
        // It requests a key update, which cannot be answered any more.
        try hand.updateKeys(true);
        try hand.send(.application_data, "data");
        try harness.expectReceived(hand.handle, "data");
        if (is_damaged) {
            try hand.pass("\x17\x03\x03\x00\x20" ++ "x" ** 32);
            try expectEqual(.tls_failed, try tls.ending(&harness, hand.handle));
        }
        _, const kind, const alert = try countData(&hand, &chunk, &buffer);
        try expectEqual(.alert, kind);
        try expectEqualSlices(u8, "\x01\x00", alert);
        try hand.expectStreamEnd();
        try hand.closeBoth();
    };
}

test "a connection whose peer has ended goes on sending" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]bool{ false, true }) |is_announced| {
        var hand: Hand = try .init(&harness, .aes_256_gcm_sha384, true);
        defer hand.deinit();
        // Its last request is still answered.
        try hand.updateKeys(true);
        if (is_announced) try hand.send(.alert, "\x01\x00");
        try hand.endStream();
        try expectEqual(if (is_announced) Status.ok else .tls_truncated, try tls.ending(&harness, hand.handle));
        try hand.expectKeyUpdate(false);
        var bytes: [40_000]u8 = undefined;
        tls.pattern(&bytes, bytes.len);
        try expectEqual(bytes.len, try harness.send(hand.handle, &bytes));
        var lengths: [10]usize = undefined;
        _ = try expectData(&hand, &bytes, &lengths);
        try reports.updateKeys(harness.tls, hand.connection(), false);
        try hand.expectKeyUpdate(false);
        try harness.shutdown(hand.handle);
        try hand.expectAlert(.close_notify);
        try hand.expectStreamEnd();
        try hand.closeBoth();
    }
}
