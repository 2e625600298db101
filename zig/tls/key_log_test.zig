//! Key logs after the record layer has taken over: each line is the same as OpenSSL's at the other end.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const contexts = @import("contexts.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const reports = @import("reports.zig");
const tls = @import("harness_test.zig");
const Hand = @import("hand_test.zig").Hand;
const Harness = harness_module.Harness;
const Side = @import("record/side_test.zig").Side;
const Suite = @import("record/primitives.zig").Suite;
const Wire = @import("wire_test.zig").Wire;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

/// The word at this place of the first line with this label.
fn wordOf(log: []const u8, label: []const u8, place: usize) ![]const u8 {
    var lines = std.mem.tokenizeScalar(u8, log, '\n');
    while (lines.next()) |line| {
        var words = std.mem.tokenizeScalar(u8, line, ' ');
        if (!std.mem.eql(u8, words.next().?, label)) continue;
        for (0..place - 1) |_| _ = words.next();
        return words.next() orelse error.NoSuchWord;
    }
    return error.NoSuchLine;
}

test "new keys are logged as OpenSSL logs them" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]Suite{ .aes_128_gcm_sha256, .aes_256_gcm_sha384 }) |suite| for ([_]Hand.End{ .server, .client }) |openssl_end| {
        const server_context = try tls.serverContext(harness.tls);
        const client_context = try tls.clientContext(harness.tls);
        const client = tls.contextOf(&harness, client_context);
        const name = if (suite == .aes_128_gcm_sha256) "TLS_AES_128_GCM_SHA256" else "TLS_AES_256_GCM_SHA384";
        try client.setCipherSuites(name);
        contexts.setNotices(tls.contextOf(&harness, server_context), abi.TlsNotices.key_log);
        const wants_sessions: u32 = if (openssl_end == .client) abi.TlsNotices.session else 0;
        contexts.setNotices(client, abi.TlsNotices.key_log | wants_sessions);
        var wire: Wire = try .init(&harness, server_context, client_context);
        defer wire.deinit();
        wire.server_keeps_openssl = openssl_end == .server;
        try wire.shakeHands();
        var memory: [2][8192]u8 = undefined;
        const first = try tls.text(&harness, wire.client, .key_log, &memory[0]);
        const random = try wordOf(first, "CLIENT_TRAFFIC_SECRET_0", 1);
        var sides: [2]Side = undefined;
        for (&sides, [_][]const u8{ "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0" }) |*side, label| {
            side.* = .{ .suite = suite, .secret = undefined };
            _ = try std.fmt.hexToBytes(&side.secret, try wordOf(first, label, 2));
            try std.testing.expectEqualStrings(random, try wordOf(first, label, 1));
        }
        // The server has logged the same, in another order.
        const same = try tls.text(&harness, wire.server, .key_log, &memory[1]);
        try std.testing.expectEqualStrings(try wordOf(first, "SERVER_TRAFFIC_SECRET_0", 2), try wordOf(same, "SERVER_TRAFFIC_SECRET_0", 2));

        var expected: std.ArrayList(u8) = .empty;
        defer expected.deinit(std.testing.allocator);
        for (0..6) |round| {
            const from, const to = if (round % 2 == 0) .{ wire.client, wire.server } else .{ wire.server, wire.client };
            const asks = round > 2;
            try reports.updateKeys(harness.tls, handshakes.find(harness.tls, from).?, asks);
            for ([_][2]SocketHandle{ .{ from, to }, .{ to, from } }) |pair| {
                try expectEqual(4, try harness.send(pair[0], "data"));
                try wire.collect();
                try wire.passToClient();
                try wire.passToServer();
                var data: [4]u8 = undefined;
                try tls.receiveAll(&harness, pair[1], &data);
            }
            for ([_]SocketHandle{ from, to }) |handle| {
                if (handle == to and !asks) break;
                const is_client = handle == wire.client;
                const side = &sides[if (is_client) 0 else 1];
                side.update();
                const digits = std.fmt.bytesToHex(side.secret, .lower);
                const label = if (is_client) "CLIENT_TRAFFIC_SECRET_N" else "SERVER_TRAFFIC_SECRET_N";
                try expected.print(std.testing.allocator, "{s} {s} {s}\n", .{ label, random, digits[0 .. 2 * suite.digest().length()] });
            }
        }
        for ([_]SocketHandle{ wire.client, wire.server }, &memory) |handle, *buffer| {
            // The caller need not take the lines: those that follow make a notice, too.
            try std.testing.expectEqualStrings(expected.items, try tls.text(&harness, handle, .key_log, buffer));
            try tls.expectText(&harness, handle, .key_log, "");
        }
        // Both have made a notice.
        var notices: usize = 0;
        while (reports.takeNotice(harness.tls)) |notice| : (notices += 1) {
            try expect(notice.kinds & abi.TlsNotices.key_log != 0);
        }
        try expectEqual(2, notices);
        for ([_]SocketHandle{ wire.client, wire.server }) |handle| try @import("../thread/connections.zig").reset(harness.thread, handle);
    };
}
