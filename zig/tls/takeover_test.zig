//! Which connections the record layer takes over from OpenSSL, and that they go on where OpenSSL was: with OpenSSL
//! at the other end, after handshakes of each kind.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const certificates = @import("certificates_test.zig");
const contexts = @import("contexts.zig");
const credentials = @import("credentials.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const openssl = @import("openssl.zig");
const framing = @import("record/framing.zig");
const reports = @import("reports.zig");
const connections = @import("../thread/connections.zig");
const tls = @import("harness_test.zig");
const Context = @import("context.zig").Context;
const Harness = harness_module.Harness;
const Wire = @import("wire_test.zig").Wire;
const expect = std.testing.expect;
const connectionOf = tls.connectionOf;
const expectEqual = std.testing.expectEqual;
const expectEqualSlices = std.testing.expectEqualSlices;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;

extern "c" fn SSL_CTX_set_tlsext_max_fragment_length(context: *openssl.SSL_CTX, mode: u8) c_int;
const set_max_send_fragment = 52;

fn isTakenOver(harness: *Harness, handle: SocketHandle) bool {
    return connectionOf(harness, handle).takenOver() != null;
}

/// Sends more than one record each way.
fn expectBothWays(harness: *Harness, pair: tls.Pair) !void {
    var bytes: [40_000]u8 = undefined;
    var got: [bytes.len]u8 = undefined;
    var random: std.Random.DefaultPrng = .init(7);
    random.random().bytes(&bytes);
    for ([_][2]SocketHandle{ .{ pair.server, pair.client }, .{ pair.client, pair.server } }) |ends| {
        try expectEqual(bytes.len, try harness.send(ends[0], &bytes));
        try tls.receiveAll(harness, ends[1], &got);
        try expectEqualSlices(u8, &bytes, &got);
    }
}

test "the record layer takes over, but where OpenSSL is needed" {
    var harness = try Harness.init();
    defer harness.deinit();
    const Case = enum { usual, logged, wants_sessions, old, ccm, short_records };
    for (std.enums.values(Case)) |case| {
        errdefer std.debug.print("{t}\n", .{case});
        const server_context = try tls.serverContext(harness.tls);
        const client_context = try tls.clientContext(harness.tls);
        const server = tls.contextOf(&harness, server_context);
        const client = tls.contextOf(&harness, client_context);
        switch (case) {
            .usual => {},
            .logged => for ([_]*Context{ server, client }) |context| contexts.setNotices(context, abi.TlsNotices.key_log),
            // For a server it makes no difference, for only clients get sessions.
            .wants_sessions => for ([_]*Context{ server, client }) |context| contexts.setNotices(context, abi.TlsNotices.session),
            .old => try client.setVersions(0, 0x0303),
            .ccm => for ([_]*Context{ server, client }) |context| {
                try context.setCipherSuites("TLS_AES_128_CCM_SHA256");
            },
            .short_records => try expectEqual(1, SSL_CTX_set_tlsext_max_fragment_length(client.raw.?, 1)),
        }
        const pair = try tls.connected(&harness, server_context, client_context);
        const server_is, const client_is = switch (case) {
            .usual, .logged => .{ true, true },
            .wants_sessions => .{ true, false },
            .old, .ccm, .short_records => .{ false, false },
        };
        try expectEqual(server_is, isTakenOver(&harness, pair.server));
        try expectEqual(client_is, isTakenOver(&harness, pair.client));
        try expectBothWays(&harness, pair);
        try tls.closeBoth(&harness, pair);
    }
}

test "a client that takes short records only gets no others" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    const client = tls.contextOf(&harness, client_context);
    contexts.setNotices(client, abi.TlsNotices.session);
    try expectEqual(1, SSL_CTX_set_tlsext_max_fragment_length(client.raw.?, 1));
    var memory: [4096]u8 = undefined;
    var session: []const u8 = "";
    // The second one is resumed.
    for (0..2) |_| {
        var wire: Wire = try .initResuming(&harness, server_context, client_context, session);
        defer wire.deinit();
        try wire.shakeHands();
        try expectEqual(session.len > 0, reports.isResumed(connectionOf(&harness, wire.client)));
        try expect(!isTakenOver(&harness, wire.server));
        const bytes: [3000]u8 = @splat('b');
        try expectEqual(bytes.len, try harness.send(wire.server, &bytes));
        try wire.collect();
        var rest: []const u8 = wire.to_client.items;
        while (rest.len > 0) {
            const size = (try framing.first(rest)).?;
            try expect(size <= framing.header_bytes + 512 + 1 + 16);
            rest = rest[size..];
        }
        try wire.passToClient();
        var got: [bytes.len]u8 = undefined;
        try tls.receiveAll(&harness, wire.client, &got);
        try expectEqualSlices(u8, &bytes, &got);
        session = try tls.text(&harness, wire.client, .session, &memory);
        try expect(session.len > 0);
    }
}

const Openssl = enum { nowhere, at_server, at_client };

const Kind = struct {
    tickets: usize = 1,
    fragment: c_long = 0,
    with_certificate: bool = false,
    retries: bool = false,
    resumes: bool = false,
    part: usize = std.math.maxInt(usize),
};

const kinds = [_]Kind{
    .{},
    .{ .part = 50 },
    .{ .tickets = 0 },
    .{ .tickets = 2 },
    .{ .tickets = 20 },
    .{ .with_certificate = true },
    .{ .with_certificate = true, .fragment = 512, .tickets = 3 },
    .{ .with_certificate = true, .fragment = 512, .tickets = 3, .part = 211 },
    .{ .retries = true },
    .{ .retries = true, .with_certificate = true, .tickets = 2, .part = 500 },
    .{ .resumes = true },
    .{ .resumes = true, .retries = true, .tickets = 2 },
    .{ .resumes = true, .with_certificate = true, .fragment = 512 },
};

fn configure(kind: Kind, server: *Context, client: *Context) !void {
    _ = openssl.SSL_CTX_set_num_tickets(server.raw.?, kind.tickets);
    if (kind.fragment > 0) for ([_]*Context{ server, client }) |context| {
        try expectEqual(1, openssl.SSL_CTX_ctrl(context.raw.?, set_max_send_fragment, kind.fragment, null));
    };
    if (kind.with_certificate) {
        server.client_authentication = .require;
        try credentials.addAuthorities(server, certificates.certificate);
        try credentials.addCertificates(client, certificates.certificate);
        try credentials.setKey(client, certificates.key, "");
    }
    if (!kind.retries) return;
    // The client sends a key share of the group that it prefers, and no other.
    try client.setGroups("X25519:P-256");
    try server.setGroups("P-256");
}

/// Data, new keys and the end of the stream from one end to the other.
fn expectThrough(wire: *Wire, from: SocketHandle, to: SocketHandle, bytes: []const u8) !void {
    const harness = wire.harness;
    for (0..3) |round| {
        if (round > 0) try reports.updateKeys(harness.tls, connectionOf(harness, from), round == 2);
        try expectEqual(bytes.len, try harness.send(from, bytes));
        try wire.collect();
        try wire.passToClient();
        try wire.passToServer();
        const got = try std.testing.allocator.alloc(u8, bytes.len);
        defer std.testing.allocator.free(got);
        try tls.receiveAll(harness, to, got);
        try expectEqualSlices(u8, bytes, got);
    }
}

/// Makes a connection and returns a session for resumption.
fn sessionFor(harness: *Harness, server_context: ContextId, client_context: ContextId, buffer: []u8) ![]const u8 {
    const client = tls.contextOf(harness, client_context);
    const before = client.notices;
    contexts.setNotices(client, abi.TlsNotices.session);
    defer contexts.setNotices(client, before);
    const pair = try tls.connected(harness, server_context, client_context);
    try expectBothWays(harness, pair);
    const session = try tls.text(harness, pair.client, .session, buffer);
    try expect(session.len > 0);
    try tls.closeBoth(harness, pair);
    return session;
}

test "both ends go on where OpenSSL was, and understand an OpenSSL at the other" {
    var harness = try Harness.init();
    defer harness.deinit();
    var bytes: [20_000]u8 = undefined;
    var random: std.Random.DefaultPrng = .init(3);
    random.random().bytes(&bytes);
    for (kinds, 0..) |kind, number| for (std.enums.values(Openssl)) |stays| {
        errdefer std.debug.print("kind {d}, OpenSSL {t}\n", .{ number, stays });
        const server_context = try tls.serverContext(harness.tls);
        const client_context = try tls.clientContext(harness.tls);
        try configure(kind, tls.contextOf(&harness, server_context), tls.contextOf(&harness, client_context));
        var memory: [8192]u8 = undefined;
        const session = if (kind.resumes) try sessionFor(&harness, server_context, client_context, &memory) else "";
        if (stays == .at_client) contexts.setNotices(tls.contextOf(&harness, client_context), abi.TlsNotices.session);
        var wire: Wire = try .initResuming(&harness, server_context, client_context, session);
        defer wire.deinit();
        wire.server_keeps_openssl = stays == .at_server;
        wire.part = kind.part;
        try wire.shakeHands();
        try expectEqual(kind.resumes, reports.isResumed(connectionOf(&harness, wire.server)));
        try expectEqual(stays != .at_server, isTakenOver(&harness, wire.server));
        try expectEqual(stays != .at_client, isTakenOver(&harness, wire.client));
        wire.part = std.math.maxInt(usize);
        // The client's first data may come before the tickets are read, or after.
        if (number % 2 == 0) try expectThrough(&wire, wire.client, wire.server, &bytes);
        try expectThrough(&wire, wire.server, wire.client, &bytes);
        try expectThrough(&wire, wire.client, wire.server, &bytes);
        for ([_]SocketHandle{ wire.server, wire.client }) |handle| try harness.shutdown(handle);
        try wire.collect();
        try wire.passToClient();
        try wire.passToServer();
        for ([_]SocketHandle{ wire.server, wire.client }) |handle| try expectEqual(.ok, try tls.ending(&harness, handle));
        for ([_]SocketHandle{ wire.server, wire.client }) |handle| try connections.reset(harness.thread, handle);
        for ([_]ContextId{ server_context, client_context }) |id| try contexts.free(harness.tls, id);
    };
    try expectEqual(0, harness.tls.connections.in_use);
    try expectEqual(0, harness.tls.contexts.in_use);
}

test "the properties of a connection do not depend on who has its keys" {
    var harness = try Harness.init();
    defer harness.deinit();
    for (kinds) |kind| {
        const server_context = try tls.serverContext(harness.tls);
        const client_context = try tls.clientContext(harness.tls);
        const server = tls.contextOf(&harness, server_context);
        const client = tls.contextOf(&harness, client_context);
        try configure(kind, server, client);
        try server.setProtocols("\x02h2\x01x");
        try client.setProtocols("\x01x");
        client.verify_issuer = false;
        var memory: [8192]u8 = undefined;
        const session = if (kind.resumes) try sessionFor(&harness, server_context, client_context, &memory) else "";
        const texts_told = [_]abi.TlsText{ .protocol, .cipher, .group, .alpn, .server_name };
        var texts: [3][2][5][64]u8 = @splat(@splat(@splat(@splat(0))));
        var certificate: [3][2][2048]u8 = @splat(@splat(@splat(0)));
        var verdicts: [3][2]i32 = undefined;
        for (std.enums.values(Openssl), &texts, &certificate, &verdicts) |stays, *told, *ders, *results| {
            contexts.setNotices(client, if (stays == .at_client) abi.TlsNotices.session else 0);
            var wire: Wire = try .initResuming(&harness, server_context, client_context, session);
            defer wire.deinit();
            wire.server_keeps_openssl = stays == .at_server;
            try wire.shakeHands();
            for ([_]SocketHandle{ wire.server, wire.client }, told, ders, results) |handle, *lines, *der, *result| {
                for (texts_told, lines) |what, *line| {
                    _ = try tls.text(&harness, handle, what, line);
                }
                result.* = reports.verifyResult(connectionOf(&harness, handle));
                var count: u32 = 0;
                var position: usize = 0;
                while (true) : (count += 1) {
                    position += reports.report(harness.tls, connectionOf(&harness, handle), .certificate, count, der[position..]) catch |failure|
                        break try expectEqual(error.ENOENT, failure);
                }
                try expectEqual(@as(u32, if (handle == wire.client or kind.with_certificate) 1 else 0), count);
                try connections.reset(harness.thread, handle);
            }
        }
        for (1..3) |place| {
            try std.testing.expectEqualDeep(texts[0], texts[place]);
            try std.testing.expectEqualDeep(verdicts[0], verdicts[place]);
            try expect(std.mem.eql(u8, std.mem.asBytes(&certificate[0]), std.mem.asBytes(&certificate[place])));
        }
        try std.testing.expectEqualStrings("localhost", std.mem.sliceTo(&texts[0][0][4], 0));
        try std.testing.expectEqualStrings("x", std.mem.sliceTo(&texts[0][1][3], 0));
    }
}
