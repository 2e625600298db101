//! Handshakes between two ends in one thread.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const certificates = @import("certificates_test.zig");
const contexts = @import("contexts.zig");
const credentials = @import("credentials.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const connections = @import("../thread/connections.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const Harness = harness_module.Harness;
const Status = abi.Status;
const ContextId = @import("../core/indices.zig").ContextId;
const expect = std.testing.expect;
const verdict = tls.verdict;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;

test "a handshake succeeds, wakes its waiters once, and data goes both ways" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    const pair = try tls.startPair(&harness, server_context, client_context, "localhost", "");
    const connection = handshakes.find(harness.tls, pair.server).?;
    const waiter = try handshakes.wait(harness.tls, connection, null);
    try expectError(error.WouldBlock, harness.send(pair.server, "early"));
    try harness.expectWoken(&.{.{ waiter, .ok }});
    try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
    try tls.expectText(&harness, pair.server, .protocol, "TLSv1.3");
    try tls.expectText(&harness, pair.server, .server_name, "localhost");
    try tls.expectText(&harness, pair.client, .cipher, "TLS_AES_256_GCM_SHA384");

    const reader = harness.park(pair.server, .readable);
    try expectEqual(5, try harness.send(pair.client, "hello"));
    try harness.expectWoken(&.{.{ reader, .ok }});
    try harness.expectReceived(pair.server, "hello");
    try expectEqual(5, try harness.send(pair.server, "world"));
    var answer: [5]u8 = undefined;
    try tls.receiveAll(&harness, pair.client, &answer);
    try std.testing.expectEqualStrings("world", &answer);
    try expectEqual(10, harness.scheduler.shared.bytes_sent);
    try expectEqual(10, harness.scheduler.shared.bytes_received);

    try connections.close(harness.thread, pair.client);
    try expectEqual(.ok, try tls.ending(&harness, pair.server));
    try connections.close(harness.thread, pair.server);
}

fn failedPair(harness: *Harness, server_context: ContextId, client_context: ContextId, name: []const u8) !struct { tls.Pair, [2]?Status } {
    const pair = try tls.startPair(harness, server_context, client_context, name, "");
    return .{ pair, try tls.outcomes(harness, pair) };
}

test "a client refuses an unknown issuer and a wrong name, and says so" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const trusting = try tls.clientContext(harness.tls);
    const strange: ContextId = try contexts.create(harness.tls);
    const lenient: ContextId = try contexts.create(harness.tls);
    tls.contextOf(&harness, lenient).verify_issuer = false;
    const careless: ContextId = try contexts.create(harness.tls);
    tls.contextOf(&harness, careless).verify_peer = false;

    const cases = [_]struct { context: ContextId, name: []const u8, verdict: c_long, fails: bool }{
        .{ .context = trusting, .name = "localhost", .verdict = 0, .fails = false },
        .{ .context = trusting, .name = "LOCALHOST.", .verdict = 0, .fails = false },
        .{ .context = trusting, .name = "a.example.test", .verdict = 0, .fails = false },
        .{ .context = trusting, .name = "a.b.example.test", .verdict = 62, .fails = true },
        .{ .context = trusting, .name = "127.0.0.1", .verdict = 0, .fails = false },
        .{ .context = trusting, .name = "::1", .verdict = 0, .fails = false },
        .{ .context = trusting, .name = "127.0.0.2", .verdict = 64, .fails = true },
        .{ .context = trusting, .name = "", .verdict = 0, .fails = false },
        .{ .context = strange, .name = "localhost", .verdict = 18, .fails = true },
        .{ .context = lenient, .name = "localhost", .verdict = 18, .fails = false },
        .{ .context = lenient, .name = "example.org", .verdict = 62, .fails = true },
        .{ .context = careless, .name = "example.org", .verdict = 18, .fails = false },
    };
    for (cases) |case| {
        const pair, const results = try failedPair(&harness, server_context, case.context, case.name);
        errdefer std.debug.print("context {d}, name {s}\n", .{ case.context, case.name });
        try expectEqual(case.verdict, verdict(&harness, pair.client));
        try expectEqual(if (case.fails) Status.tls_failed else null, results[1]);
        if (case.fails) {
            try tls.expectText(&harness, pair.client, .reason, "certificate verify failed");
            // In TLS 1.3 the server's own handshake is done; an alert ends its connection.
            try expectEqual(.tls_failed, try tls.ending(&harness, pair.server));
            try expect(tls.alertOf(&harness, pair.server) != null);
            // The certificate can be seen nevertheless.
            var der: [1024]u8 = undefined;
            try expect((try tls.text(&harness, pair.client, .certificate, &der)).len > 300);
            try expectError(error.TlsFailed, harness.send(pair.client, "secret"));
        }
        try tls.closeBoth(&harness, pair);
    }
}

test "a server may demand a certificate of its clients" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const server = tls.contextOf(&harness, server_context);
    try credentials.addAuthorities(server, certificates.certificate);
    server.client_authentication = .require;
    const client_context = try tls.clientContext(harness.tls);
    {
        const pair, const results = try failedPair(&harness, server_context, client_context, "localhost");
        try expectEqual(.tls_failed, results[0]);
        try tls.expectText(&harness, pair.server, .reason, "peer did not return a certificate");
        try tls.closeBoth(&harness, pair);
    }
    server.client_authentication = .request;
    try tls.closeBoth(&harness, try tls.connected(&harness, server_context, client_context));

    const client = tls.contextOf(&harness, client_context);
    try credentials.addCertificates(client, certificates.certificate);
    try credentials.setKey(client, certificates.key, "");
    server.client_authentication = .require;
    const pair = try tls.connected(&harness, server_context, client_context);
    var buffer: [4096]u8 = undefined;
    try expect((try tls.text(&harness, pair.server, .certificate, &buffer)).len > 300);
    try tls.closeBoth(&harness, pair);
}

test "the server's order of protocols counts, and no common one is fatal" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    const server = tls.contextOf(&harness, server_context);
    const client = tls.contextOf(&harness, client_context);
    for ([_][]const u8{ "\x00", "\x03ab", "\x02abc" }) |wrong| try std.testing.expectError(error.EINVAL, server.setProtocols(wrong));
    try client.setProtocols("\x08http/1.1\x02h2");
    {
        const pair = try tls.connected(&harness, server_context, client_context);
        try tls.expectText(&harness, pair.client, .alpn, "");
        try tls.closeBoth(&harness, pair);
    }
    try server.setProtocols("\x02h2\x08http/1.1");
    {
        const pair = try tls.connected(&harness, server_context, client_context);
        try tls.expectText(&harness, pair.client, .alpn, "h2");
        try tls.expectText(&harness, pair.server, .alpn, "h2");
        try tls.closeBoth(&harness, pair);
    }
    try server.setProtocols("\x03foo");
    const pair, const results = try failedPair(&harness, server_context, client_context, "localhost");
    try std.testing.expectEqualSlices(?Status, &.{ .tls_failed, .tls_failed }, &results);
    try expectEqual(120, tls.alertOf(&harness, pair.client));
    try tls.closeBoth(&harness, pair);
}

/// A context with the certificate for other.example.
fn otherContext(harness: *Harness) !ContextId {
    const id: ContextId = try contexts.create(harness.tls);
    const context = tls.contextOf(harness, id);
    try credentials.addCertificates(context, certificates.other_certificate);
    try credentials.setKey(context, certificates.other_key, "");
    return id;
}

test "contexts share a store, which outlives the one that it came from" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const trusting = try tls.clientContext(harness.tls);
    const sharing: ContextId = try contexts.create(harness.tls);
    try std.testing.expectError(error.StaleHandle, contexts.shareTrust(tls.contextOf(&harness, sharing), harness.tls, @enumFromInt(77)));
    try contexts.shareTrust(tls.contextOf(&harness, sharing), harness.tls, trusting);
    try contexts.free(harness.tls, trusting);
    for (0..2) |_| try tls.closeBoth(&harness, try tls.connected(&harness, server_context, sharing));
}

test "a server name chooses the context, exactly or by wildcard" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    const client = tls.contextOf(&harness, client_context);
    try credentials.addAuthorities(client, certificates.other_certificate);
    const server = tls.contextOf(&harness, server_context);
    const other = try otherContext(&harness);
    try tls.contextOf(&harness, other).setProtocols("\x05other");
    try client.setProtocols("\x05other\x04main");
    try server.setProtocols("\x04main");
    try contexts.addName(server, harness.tls, "Other.Example", other);
    try contexts.addName(server, harness.tls, "*.wild.test", other);
    try std.testing.expectError(error.EINVAL, contexts.addName(tls.contextOf(&harness, other), harness.tls, "a.b", server_context));
    try std.testing.expectError(error.EINVAL, contexts.addName(server, harness.tls, "self", server_context));
    // Contexts in use stay.
    try contexts.free(harness.tls, other);

    const cases = [_]struct { []const u8, []const u8 }{
        .{ "other.example", "other" }, .{ "OTHER.example", "other" },
        .{ "localhost", "main" },      .{ "127.0.0.1", "main" },
    };
    for (cases) |case| {
        const pair, const results = try failedPair(&harness, server_context, client_context, case[0]);
        try std.testing.expectEqualSlices(?Status, &.{ null, null }, &results);
        try tls.expectText(&harness, pair.client, .alpn, case[1]);
        try tls.closeBoth(&harness, pair);
    }
    client.verify_peer = false;
    for ([_]struct { []const u8, []const u8 }{
        .{ "a.wild.test", "other" }, .{ "a.b.wild.test", "main" }, .{ "wild.test", "main" },
    }) |case| {
        const pair, _ = try failedPair(&harness, server_context, client_context, case[0]);
        try tls.expectText(&harness, pair.client, .alpn, case[1]);
        try tls.expectText(&harness, pair.server, .server_name, case[0]);
        try tls.closeBoth(&harness, pair);
    }
}

test "a handshake pauses for the choice of a context" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    tls.contextOf(&harness, server_context).asks_server_name = true;
    const client_context = try tls.clientContext(harness.tls);
    try credentials.addAuthorities(tls.contextOf(&harness, client_context), certificates.other_certificate);
    const other = try otherContext(&harness);

    for ([_]ContextId{ other, .none, @enumFromInt(-1) }) |choice| {
        const pair = try tls.startPair(&harness, server_context, client_context, "other.example", "");
        const connection = handshakes.find(harness.tls, pair.server).?;
        const waiter = try handshakes.wait(harness.tls, connection, null);
        try harness.expectWoken(&.{.{ waiter, .ok }});
        try expectError(error.TlsServerName, handshakes.outcome(harness.tls, pair.server));
        try tls.expectText(&harness, pair.server, .server_name, "other.example");
        if (@intFromEnum(choice) < 0) {
            // The caller frees it in the meantime.
            try tls.closeBoth(&harness, pair);
            continue;
        }
        try handshakes.chooseContext(harness.tls, pair.server, choice);
        try expectError(error.EALREADY, handshakes.chooseContext(harness.tls, pair.server, choice));
        // A refusal is sent at once, for the caller may close. A step that takes long is left to a poll.
        try expectEqual(@intFromBool(choice != .none), harness.tls.due.length);
        try expect(system.pollOne(harness.scheduler.backend.descriptor(), false, 0));
        const results = try tls.outcomes(&harness, pair);
        if (choice == other) {
            try std.testing.expectEqualSlices(?Status, &.{ null, null }, &results);
        } else {
            try std.testing.expectEqualSlices(?Status, &.{ .tls_failed, .tls_failed }, &results);
            try expectEqual(112, tls.alertOf(&harness, pair.client));
        }
        try tls.closeBoth(&harness, pair);
    }
}

test "a poll does not work on handshakes for long, and other sockets do not wait for them" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    const reader_handle, const writer = try harness.tcpPair();
    var pairs: [60]tls.Pair = undefined;
    for (&pairs) |*pair| {
        const server, const client = try harness.tcpPair();
        pair.* = .{ .server = server, .client = client };
    }
    for (pairs) |pair| {
        try handshakes.start(harness.tls, pair.client, client_context, .{ .is_server = false });
        try handshakes.start(harness.tls, pair.server, server_context, .{ .is_server = true });
    }
    const reader = harness.park(reader_handle, .readable);
    try expectEqual(1, try harness.send(writer, "d"));
    // Sixty answers take far more than the time of a poll.
    try harness.expectWoken(&.{.{ reader, .ok }});
    try expect(harness.tls.due.length > 0);
    try harness.expectReceived(reader_handle, "d");
    for (pairs) |pair| {
        try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
        try tls.closeBoth(&harness, pair);
    }
}

test "what cannot begin is refused" {
    var harness = try Harness.init();
    defer harness.deinit();
    const context = try tls.clientContext(harness.tls);
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const start = handshakes.start;
    const engine = harness.tls;
    for ([_][]const u8{ "a\x00b", ".", "..", ".example.test", "a..b", "a.." }) |name| {
        try std.testing.expectError(error.EINVAL, start(engine, handle, context, .{ .is_server = false, .name = name }));
    }
    try std.testing.expectError(error.StaleHandle, start(engine, handle, @enumFromInt(77), .{ .is_server = false }));
    try std.testing.expectError(error.StaleHandle, start(engine, handle, .none, .{ .is_server = false }));
    // Bytes that are no session are ignored.
    try start(engine, handle, context, .{ .is_server = false, .session = "nonsense" });
    try std.testing.expectError(error.EISCONN, start(engine, handle, context, .{ .is_server = false }));
}

test "the end of a plain conversation is not lost, and what is not TLS is refused" {
    var harness = try Harness.init();
    defer harness.deinit();
    const context = try tls.serverContext(harness.tls);
    for ([_]struct { []const u8, []const u8 }{
        .{ "GET / HTTP/1.1\r\n", "http request" },
        .{ "\x16\x03\x01\x48\x01", "length too long" },
        .{ "SSH-2.0-OpenSSH\r\n", "wrong version number" },
    }) |case| {
        const server, const peer = try harness.tcpPeer();
        defer system.close(peer);
        // It arrives before the handshake begins.
        try harness_module.sendFromPeer(peer, case[0]);
        const reader = harness.park(server, .readable);
        try harness.expectWoken(&.{.{ reader, .ok }});
        harness.endTurn(server, .readable);
        try handshakes.start(harness.tls, server, context, .{ .is_server = true });
        _ = try harness.pollFor(0);
        try expectError(error.TlsFailed, handshakes.outcome(harness.tls, server));
        // OpenSSL 3.0 says "packet length", later ones "data length".
        var buffer: [64]u8 = undefined;
        try expect(std.mem.endsWith(u8, try tls.text(&harness, server, .reason, &buffer), case[1]));
        // An alert was sent.
        try connections.close(harness.thread, server);
    }
}

test "a stream that ends in the middle of a handshake, and a socket that is closed there" {
    var harness = try Harness.init();
    defer harness.deinit();
    const context = try tls.serverContext(harness.tls);
    const server, const peer = try harness.tcpPeer();
    try handshakes.start(harness.tls, server, context, .{ .is_server = true });
    try harness_module.sendFromPeer(peer, "\x16\x03\x01");
    const waiter = try handshakes.wait(harness.tls, handshakes.find(harness.tls, server).?, null);
    try harness.expectNobody();
    try expectError(error.Exhausted, handshakes.wait(harness.tls, handshakes.find(harness.tls, server).?, null));
    system.close(peer);
    try harness.expectWoken(&.{.{ waiter, .ok }});
    try expectError(error.TlsTruncated, handshakes.outcome(harness.tls, server));
    try expectError(error.TlsTruncated, harness.send(server, "x"));
    try connections.close(harness.thread, server);

    const second, const other = try harness.tcpPeer();
    defer system.close(other);
    try handshakes.start(harness.tls, second, context, .{ .is_server = true });
    const soon = system.nanoseconds() + std.time.ns_per_ms;
    const impatient = try handshakes.wait(harness.tls, handshakes.find(harness.tls, second).?, soon);
    try harness.expectWoken(&.{.{ impatient, .timed_out }});
    const patient = try handshakes.wait(harness.tls, handshakes.find(harness.tls, second).?, null);
    try connections.close(harness.thread, second);
    try harness.expectWoken(&.{.{ patient, .closed }});
    try expectError(error.StaleHandle, handshakes.outcome(harness.tls, second));
}

test "a handshake goes on without its waiter, and another one may wait for it" {
    var harness = try Harness.init();
    defer harness.deinit();
    const engine = harness.tls;
    const scheduler = harness.scheduler;
    const pair = try tls.startPair(&harness, try tls.serverContext(engine), try tls.clientContext(engine), "localhost", "");
    const connection = handshakes.find(engine, pair.server).?;
    harness.thread.drop(try handshakes.wait(engine, connection, system.nanoseconds() + 3600 * std.time.ns_per_s));
    try harness_module.checkBooks(harness.thread);
    try expectEqual(null, scheduler.deadlines.earliest());
    const second = try handshakes.wait(engine, connection, null);
    // Its wake-up was not delivered yet.
    harness.thread.wake(second, .cancelled);
    harness.thread.drop(second);
    try harness_module.checkBooks(harness.thread);
    try expectEqual(0, scheduler.shared.waiters);
    const third = try handshakes.wait(engine, connection, null);
    try harness.expectWoken(&.{.{ third, .ok }});
    harness.thread.drop(third);
    try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try tls.outcomes(&harness, pair));
    try tls.closeBoth(&harness, pair);
}

test "a handshake that runs out of memory ends, and wakes its waiter" {
    var failing: std.testing.FailingAllocator = .init(std.testing.allocator, .{});
    var harness = try Harness.initWith(failing.allocator());
    defer harness.deinit();
    const context = try tls.serverContext(harness.tls);
    const server, const peer = try harness.tcpPeer();
    defer system.close(peer);
    try handshakes.start(harness.tls, server, context, .{ .is_server = true });
    const waiter = try handshakes.wait(harness.tls, handshakes.find(harness.tls, server).?, null);
    // There is no room for the part of a record.
    failing.fail_index = failing.alloc_index;
    try harness_module.sendFromPeer(peer, "\x16\x03\x01");
    try harness.expectWoken(&.{.{ waiter, .ok }});
    try expectError(error.Exhausted, handshakes.outcome(harness.tls, server));
    failing.fail_index = std.math.maxInt(usize);
    try connections.close(harness.thread, server);
}

test "keys are not exchanged over finite fields unless a context names them" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    try tls.contextOf(&harness, client_context).setGroups("ffdhe2048:ffdhe3072");
    {
        const pair, const results = try failedPair(&harness, server_context, client_context, "localhost");
        try std.testing.expectEqualSlices(?Status, &.{ .tls_failed, .tls_failed }, &results);
        try tls.closeBoth(&harness, pair);
    }
    try tls.contextOf(&harness, server_context).setGroups("ffdhe3072");
    const pair = try tls.connected(&harness, server_context, client_context);
    try tls.expectText(&harness, pair.client, .group, "ffdhe3072");
    try tls.closeBoth(&harness, pair);
}
