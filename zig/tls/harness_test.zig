//! TLS connections under test, with both ends in one thread.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const certificates = @import("certificates_test.zig");
const contexts = @import("contexts.zig");
const credentials = @import("credentials.zig");
const handshakes = @import("handshakes.zig");
const openssl = @import("openssl.zig");
const reports = @import("reports.zig");
const connections = @import("../thread/connections.zig");
const harness_module = @import("../thread/harness_test.zig");
const Context = @import("context.zig").Context;
const errors = @import("../os/errors.zig");
const Harness = harness_module.Harness;
const Engine = @import("engine.zig").Engine;
const Status = abi.Status;
const TlsConnection = @import("connection.zig").TlsConnection;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;

pub const Pair = struct { server: SocketHandle, client: SocketHandle };

/// A context with the test certificate.
pub fn serverContext(engine: *Engine) !ContextId {
    const id: ContextId = try contexts.create(engine);
    const context = contexts.find(engine, id).?;
    try credentials.addCertificates(context, certificates.certificate);
    try credentials.setKey(context, certificates.key, "");
    return id;
}

/// A context that trusts the test certificate.
pub fn clientContext(engine: *Engine) !ContextId {
    const id: ContextId = try contexts.create(engine);
    try credentials.addAuthorities(contexts.find(engine, id).?, certificates.certificate);
    return id;
}

pub fn contextOf(harness: *Harness, id: ContextId) *Context {
    return contexts.find(harness.tls, id).?;
}

/// Starts both handshakes on a TCP connection.
pub fn startPair(harness: *Harness, server_context: ContextId, client_context: ContextId, name: []const u8, session: []const u8) !Pair {
    const server, const client = try harness.tcpPair();
    try handshakes.start(harness.tls, server, server_context, .{ .is_server = true });
    try handshakes.start(harness.tls, client, client_context, .{
        .is_server = false,
        .name = name,
        .session = session,
    });
    return .{ .server = server, .client = client };
}

/// Polls until both handshakes are over and returns how they ended.
pub fn outcomes(harness: *Harness, pair: Pair) ![2]?Status {
    for (0..500) |_| {
        _ = try harness.pollFor(10 * std.time.ns_per_ms);
        const results = [2]?Status{
            harness_module.failureOf(handshakes.outcome(harness.tls, pair.server)),
            harness_module.failureOf(handshakes.outcome(harness.tls, pair.client)),
        };
        if (results[0] != .would_block and results[1] != .would_block) return results;
    }
    return error.HandshakeNeverEnds;
}

/// Both ends of a connection whose handshake has succeeded.
pub fn connected(harness: *Harness, server_context: ContextId, client_context: ContextId) !Pair {
    const pair = try startPair(harness, server_context, client_context, "localhost", "");
    try std.testing.expectEqualSlices(?Status, &.{ null, null }, &try outcomes(harness, pair));
    return pair;
}

pub fn defaultPair(harness: *Harness) !Pair {
    return connected(harness, try serverContext(harness.tls), try clientContext(harness.tls));
}

pub fn expectText(harness: *Harness, handle: SocketHandle, what: abi.TlsText, expected: []const u8) !void {
    var buffer: [256]u8 = undefined;
    try std.testing.expectEqualStrings(expected, try text(harness, handle, what, &buffer));
}

pub fn text(harness: *Harness, handle: SocketHandle, what: abi.TlsText, buffer: []u8) ![]const u8 {
    const length = try reports.report(harness.tls, connectionOf(harness, handle), what, 0, buffer);
    return buffer[0..length];
}

pub fn connectionOf(harness: *Harness, handle: SocketHandle) *TlsConnection {
    return handshakes.find(harness.tls, handle).?;
}

/// OpenSSL's result of verifying the peer's certificate.
pub fn verdict(harness: *Harness, handle: SocketHandle) c_long {
    return reports.verifyResult(connectionOf(harness, handle));
}

/// The peer's alert that has ended a connection, if one has (SSL_AD_REASON_OFFSET).
pub fn alertOf(harness: *Harness, handle: SocketHandle) ?u64 {
    const code = connectionOf(harness, handle).reason;
    const reason = openssl.reasonOf(code);
    if (openssl.libraryOf(code) != openssl.ERR_LIB_SSL or reason < openssl.SSL_AD_REASON_OFFSET) return null;
    const alert = reason - openssl.SSL_AD_REASON_OFFSET;
    return if (alert <= std.math.maxInt(u8)) alert else null;
}

/// Receives until the buffer is full.
pub fn receiveAll(harness: *Harness, handle: SocketHandle, buffer: []u8) !void {
    var taken: usize = 0;
    for (0..100_000) |_| {
        if (taken == buffer.len) return;
        if (harness.receive(handle, buffer[taken..])) |count| {
            if (count == 0) return error.EndedEarly;
            taken += count;
        } else |failure| {
            if (failure != error.WouldBlock) return failure;
            _ = try harness.pollFor(std.time.ns_per_ms);
        }
    }
    return error.NeverReceived;
}

/// Receives until the stream ends or fails. Returns `ok` for an end, and otherwise the failure.
pub fn ending(harness: *Harness, handle: SocketHandle) !Status {
    var buffer: [4096]u8 = undefined;
    for (0..1000) |_| {
        if (harness.receive(handle, &buffer)) |count| {
            if (count == 0) return .ok;
        } else |failure| {
            if (failure != error.WouldBlock) return errors.statusOf(failure);
            _ = try harness.pollFor(std.time.ns_per_ms);
        }
    }
    return error.NeverEnded;
}

pub fn closeBoth(harness: *Harness, pair: Pair) !void {
    try connections.close(harness.thread, pair.client);
    try connections.close(harness.thread, pair.server);
}

/// Fills the buffer with random bytes that depend on the seed.
pub fn pattern(bytes: []u8, seed: u64) void {
    var random: std.Random.DefaultPrng = .init(seed);
    random.random().bytes(bytes);
}
