//! Sessions that are resumed, and sessions that must not be.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const certificates = @import("certificates_test.zig");
const contexts = @import("contexts.zig");
const credentials = @import("credentials.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const reports = @import("reports.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const Harness = harness_module.Harness;
const Status = abi.Status;
const expect = std.testing.expect;
const verdict = tls.verdict;
const expectEqual = std.testing.expectEqual;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;

/// Makes a connection and returns the session that its client was given.
fn resumable(harness: *Harness, server_context: ContextId, client_context: ContextId, buffer: []u8) ![]const u8 {
    contexts.setNotices(tls.contextOf(harness, client_context), abi.TlsNotices.session | abi.TlsNotices.key_log);
    const pair = try tls.connected(harness, server_context, client_context);
    // In TLS 1.3 a ticket comes after the handshake, and is read with the data.
    _ = try harness.send(pair.server, "x");
    var byte: [1]u8 = undefined;
    try tls.receiveAll(harness, pair.client, &byte);
    const notice = reports.takeNotice(harness.tls).?;
    try expectEqual(pair.client, notice.handle);
    try expectEqual(3, notice.kinds);
    try expectEqual(null, reports.takeNotice(harness.tls));
    var log: [4096]u8 = undefined;
    try expect(std.mem.indexOf(u8, try tls.text(harness, pair.client, .key_log, &log), "CLIENT_") != null);
    try tls.expectText(harness, pair.client, .key_log, "");
    const session = try tls.text(harness, pair.client, .session, buffer);
    try tls.closeBoth(harness, pair);
    return session;
}

fn isResumed(harness: *Harness, handle: SocketHandle) bool {
    return reports.isResumed(handshakes.find(harness.tls, handle).?);
}

test "a session is resumed, for the name that it was verified for" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]u32{ 0x0303, 0x0304 }) |version| {
        const server_context = try tls.serverContext(harness.tls);
        const client_context = try tls.clientContext(harness.tls);
        try tls.contextOf(&harness, client_context).setVersions(version, version);
        var buffer: [4096]u8 = undefined;
        const session = try resumable(&harness, server_context, client_context, &buffer);
        try expect(session.len > 50);
        for ([_]struct { []const u8, c_long }{ .{ "localhost", 0 }, .{ "example.org", 62 }, .{ "127.0.0.2", 64 } }) |case| {
            const pair = try tls.startPair(&harness, server_context, client_context, case[0], session);
            const results = try tls.outcomes(&harness, pair);
            try expectEqual(case[1] == 0, isResumed(&harness, pair.client));
            try expectEqual(if (case[1] == 0) null else Status.tls_failed, results[1]);
            try expectEqual(case[1], verdict(&harness, pair.client));
            try tls.closeBoth(&harness, pair);
        }
        // A client may resume under another context, and a server may not.
        {
            const another = try tls.clientContext(harness.tls);
            try tls.contextOf(&harness, another).setVersions(version, version);
            const pair = try tls.startPair(&harness, server_context, another, "localhost", session);
            try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
            try expect(isResumed(&harness, pair.client));
            try tls.closeBoth(&harness, pair);
        }
        const other = try tls.serverContext(harness.tls);
        const pair = try tls.startPair(&harness, other, client_context, "localhost", session);
        try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
        try expect(!isResumed(&harness, pair.client));
        try tls.closeBoth(&harness, pair);
    }
}

test "contexts that are the same resume each other's sessions, also when their keys have changed" {
    var harness = try Harness.init();
    defer harness.deinit();
    const client_context = try tls.clientContext(harness.tls);
    var servers: [3]ContextId = undefined;
    for (&servers, [_]u8{ 1, 1, 2 }) |*server, identity| {
        server.* = try tls.serverContext(harness.tls);
        try tls.contextOf(&harness, server.*).identify(@splat(identity));
    }
    for (0..2) |_| {
        var buffer: [4096]u8 = undefined;
        const session = try resumable(&harness, servers[0], client_context, &buffer);
        for (servers, [_]bool{ true, true, false }) |server, resumes| {
            const pair = try tls.startPair(&harness, server, client_context, "localhost", session);
            try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
            try expectEqual(resumes, isResumed(&harness, pair.client));
            try tls.closeBoth(&harness, pair);
        }
        // The second context gets the new keys in its next handshake.
        const keys = tls.contextOf(&harness, servers[0]).ticket_keys.?;
        try expectEqual(keys, tls.contextOf(&harness, servers[1]).ticket_keys.?);
        keys.since.store(system.nanoseconds() - 13 * std.time.ns_per_hour, .monotonic);
    }
}

test "tickets from before a change of the server's keys are not accepted" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    const server = tls.contextOf(&harness, server_context);
    try server.identify(@splat(7));
    var buffer: [4096]u8 = undefined;
    const session = try resumable(&harness, server_context, client_context, &buffer);
    for ([_]struct { i64, bool }{ .{ 11, true }, .{ 13, false } }) |case| {
        const hours, const resumes = case;
        const since = system.nanoseconds() - hours * std.time.ns_per_hour;
        server.ticket_keys.?.since.store(since, .monotonic);
        const pair = try tls.startPair(&harness, server_context, client_context, "localhost", session);
        try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
        try expectEqual(resumes, isResumed(&harness, pair.client));
        try expectEqual(resumes, server.ticket_keys.?.since.load(.monotonic) == since);
        try tls.closeBoth(&harness, pair);
    }
    // Tickets with the new keys are accepted.
    var fresh_buffer: [4096]u8 = undefined;
    const fresh = try resumable(&harness, server_context, client_context, &fresh_buffer);
    const pair = try tls.startPair(&harness, server_context, client_context, "localhost", fresh);
    try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
    try expect(isResumed(&harness, pair.client));
    try tls.closeBoth(&harness, pair);
}

test "a session whose certificate would be refused is not resumed" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_][]const u8{ certificates.certificate, certificates.expired_certificate }) |certificate| {
        const server_context: ContextId = try contexts.create(harness.tls);
        const server = tls.contextOf(&harness, server_context);
        try credentials.addCertificates(server, certificate);
        try credentials.setKey(server, certificates.key, "");
        const careless: ContextId = try contexts.create(harness.tls);
        tls.contextOf(&harness, careless).verify_peer = false;
        var buffer: [4096]u8 = undefined;
        const session = try resumable(&harness, server_context, careless, &buffer);

        const lenient: ContextId = try contexts.create(harness.tls);
        tls.contextOf(&harness, lenient).verify_issuer = false;
        const strict: ContextId = try contexts.create(harness.tls);
        const is_expired = certificate.ptr == certificates.expired_certificate;
        for ([_]struct { ContextId, bool, c_long }{
            .{ careless, true, 18 },
            .{ lenient, !is_expired, if (is_expired) 10 else 18 },
            .{ strict, false, 18 },
        }) |case| {
            const pair = try tls.startPair(&harness, server_context, case[0], "localhost", session);
            _ = try tls.outcomes(&harness, pair);
            try expectEqual(case[1], isResumed(&harness, pair.client));
            try expectEqual(case[2], verdict(&harness, pair.client));
            try tls.closeBoth(&harness, pair);
        }
    }
}

test "a client does not outlive its certificate by resuming" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]u32{ 0x0303, 0x0304 }) |version| {
        const server_context = try tls.serverContext(harness.tls);
        const server = tls.contextOf(&harness, server_context);
        server.client_authentication = .require;
        try server.setVersions(version, version);
        try credentials.addAuthorities(server, certificates.expired_certificate);
        const client_context = try tls.clientContext(harness.tls);
        const client = tls.contextOf(&harness, client_context);
        try credentials.addCertificates(client, certificates.expired_certificate);
        try credentials.setKey(client, certificates.key, "");
        // As if the certificate had been valid then.
        server.verify_peer = false;
        var buffer: [4096]u8 = undefined;
        const session = try resumable(&harness, server_context, client_context, &buffer);
        for ([_]bool{ false, true }) |verify_peer| {
            server.verify_peer = verify_peer;
            const pair = try tls.startPair(&harness, server_context, client_context, "localhost", session);
            const results = try tls.outcomes(&harness, pair);
            try expectEqual(!verify_peer, isResumed(&harness, pair.server));
            try expectEqual(if (verify_peer) Status.tls_failed else null, results[0]);
            if (verify_peer) try expectEqual(10, verdict(&harness, pair.server));
            try tls.closeBoth(&harness, pair);
        }
    }
}
