//! A peer whose records the test makes: it seals what a test wants, allowed or not, and opens what the connection
//! under test sends.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const contexts = @import("contexts.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const framing = @import("record/framing.zig");
const connections = @import("../thread/connections.zig");
const side_module = @import("record/side_test.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const Alert = @import("record/refusals.zig").Alert;
const ContentType = @import("record/protection.zig").ContentType;
const Harness = harness_module.Harness;
const Side = side_module.Side;
const TlsConnection = @import("connection.zig").TlsConnection;
const Suite = @import("record/primitives.zig").Suite;
const Takeover = @import("takeover.zig").Takeover;
const Wire = @import("wire_test.zig").Wire;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;

pub const suites = std.enums.values(Suite);

/// A direction with the secret from a key log.
fn loggedSide(log: []const u8, label: []const u8, suite: Suite) !Side {
    const start = label.len + (std.mem.indexOf(u8, log, label) orelse return error.NotLogged);
    var words = std.mem.tokenizeAny(u8, log[start..], " \n");
    _ = words.next();
    var side: Side = .{ .suite = suite, .secret = @splat(0) };
    const secret = try std.fmt.hexToBytes(&side.secret, words.next() orelse return error.NotLogged);
    try expectEqual(suite.digest().length(), secret.len);
    return side;
}

pub const Hand = struct {
    harness: *Harness,
    /// The connection under test, and the descriptor at the hand's end.
    handle: SocketHandle,
    peer: system.Descriptor,
    writing: Side,
    reading: Side,
    /// What the connection has sent and was not opened yet.
    received: std.ArrayList(u8) = .empty,

    /// A connection in the state after a handshake, which did not take place.
    pub fn init(harness: *Harness, suite: Suite, is_server: bool) !Hand {
        const handle, const peer = try harness.tcpPeer();
        try @import("../os/options.zig").setNoDelay(peer, true);
        return initOver(harness, handle, peer, suite, is_server);
    }

    /// The same over a Unix socket, whose buffer does not grow.
    pub fn initOverUnix(harness: *Harness, suite: Suite, is_server: bool) !Hand {
        const handle, const peer = try harness.unixPair();
        return initOver(harness, handle, peer, suite, is_server);
    }

    fn initOver(harness: *Harness, handle: SocketHandle, peer: system.Descriptor, suite: Suite, is_server: bool) !Hand {
        errdefer system.close(peer);
        const engine = harness.tls;
        // OpenSSL has no texts for its reasons before there is a context.
        if (engine.contexts.in_use == 0) _ = try contexts.create(engine);
        try engine.prepareBuffers();
        var to_session: Side = .{ .suite = suite, .secret = @splat(0) };
        var from_session = to_session;
        const length = suite.digest().length();
        @memset(to_session.secret[0..length], 'r');
        @memset(from_session.secret[0..length], 'w');
        const made: *Takeover = try .create(engine.allocator, is_server);
        made.layer.reading.setSecret(to_session.secret[0..length]);
        made.layer.writing.setSecret(from_session.secret[0..length]);
        try made.layer.start(&engine.primitives, suite);

        const place = engine.connections.take(engine.allocator, .{}).?;
        const ours = engine.connections.at(place);
        ours.* = .{ .index = place, .socket = harness.indexOf(handle), .state = .open, .takeover = made };
        ours.flags.is_server = is_server;
        harness.socketOf(handle).tls = place;
        return .{ .harness = harness, .handle = handle, .peer = peer, .writing = to_session, .reading = from_session };
    }

    pub const End = enum { server, client };

    /// After a real handshake, whose one end is the hand's from then on. At the other end the record layer
    /// has taken over, or OpenSSL has stayed.
    pub fn shaken(harness: *Harness, end: End, suite: Suite, keeps_openssl: bool) !Hand {
        const engine = harness.tls;
        const server_context = try tls.serverContext(harness.tls);
        const client_context = try tls.clientContext(harness.tls);
        defer for ([_]ContextId{ server_context, client_context }) |id| contexts.free(engine, id) catch unreachable;
        const name = switch (suite) {
            .aes_128_gcm_sha256 => "TLS_AES_128_GCM_SHA256",
            .aes_256_gcm_sha384 => "TLS_AES_256_GCM_SHA384",
            .chacha20_poly1305_sha256 => "TLS_CHACHA20_POLY1305_SHA256",
        };
        try tls.contextOf(harness, client_context).setCipherSuites(name);
        // OpenSSL stays with clients that want sessions.
        const more: u32 = if (keeps_openssl and end == .client) abi.TlsNotices.session else 0;
        const logs_keys = tls.contextOf(harness, if (end == .server) server_context else client_context);
        contexts.setNotices(logs_keys, abi.TlsNotices.key_log | more);
        var wire: Wire = try .init(harness, server_context, client_context);
        defer wire.deinit();
        wire.server_keeps_openssl = keeps_openssl and end == .server;
        try wire.shakeHands();
        var hand: Hand = try .fromWire(&wire, end, suite);
        errdefer hand.deinit();
        try expectEqual(keeps_openssl, hand.connection().takenOver() == null);
        return hand;
    }

    /// Takes the place of the other end after the handshake. The end under test logs its keys.
    pub fn fromWire(wire: *Wire, end: End, suite: Suite) !Hand {
        const harness = wire.harness;
        const handle, const peer, const other, const waiting = switch (end) {
            .server => .{ wire.server, &wire.at_server, wire.client, &wire.to_client },
            .client => .{ wire.client, &wire.at_client, wire.server, &wire.to_server },
        };
        const logged = handshakes.find(harness.tls, handle).?.extra.?.key_log.items;
        const clients = try loggedSide(logged, "CLIENT_TRAFFIC_SECRET_0 ", suite);
        const servers = try loggedSide(logged, "SERVER_TRAFFIC_SECRET_0 ", suite);
        try connections.reset(harness.thread, other);
        defer peer.* = -1;
        defer waiting.* = .empty;
        return .{
            .harness = harness,
            .handle = handle,
            .peer = peer.*,
            .writing = if (end == .server) clients else servers,
            .reading = if (end == .server) servers else clients,
            .received = waiting.*,
        };
    }

    pub fn deinit(hand: *Hand) void {
        hand.close();
        hand.received.deinit(std.testing.allocator);
    }

    pub fn close(hand: *Hand) void {
        if (hand.peer >= 0) system.close(hand.peer);
        hand.peer = -1;
    }

    /// Closes both ends. Nothing is left of the connection.
    pub fn closeBoth(hand: *Hand) !void {
        const engine = hand.harness.tls;
        const before = engine.connections.in_use;
        try connections.close(hand.harness.thread, hand.handle);
        hand.close();
        for (0..500) |_| {
            if (engine.connections.in_use < before) return;
            _ = try hand.harness.pollFor(10 * std.time.ns_per_ms);
        }
        return error.NeverClosed;
    }

    pub fn connection(hand: *Hand) *TlsConnection {
        return hand.harness.tls.connections.at(hand.harness.socketOf(hand.handle).tls);
    }

    pub fn state(hand: *Hand) *Takeover {
        return hand.connection().takeover.?;
    }

    // -- To the connection

    pub fn send(hand: *Hand, kind: ContentType, content: []const u8) !void {
        try hand.sendPadded(kind, content, 0);
    }

    pub fn sendPadded(hand: *Hand, kind: ContentType, content: []const u8, padding: usize) !void {
        var record: [side_module.record_bytes]u8 = undefined;
        try hand.pass(hand.writing.seal(kind, content, padding, &record));
    }

    pub fn sendInner(hand: *Hand, inner: []const u8) !void {
        var record: [side_module.record_bytes]u8 = undefined;
        try hand.pass(hand.writing.sealInner(inner, &record));
    }

    /// Changes the hand's keys, and requests the same of the connection if `asks` is true.
    pub fn updateKeys(hand: *Hand, asks: bool) !void {
        try hand.send(.handshake, &.{ 24, 0, 0, 1, @intFromBool(asks) });
        hand.writing.update();
    }

    /// Sends bytes as they are, and polls once.
    pub fn pass(hand: *Hand, bytes: []const u8) !void {
        try harness_module.sendFromPeer(hand.peer, bytes);
        _ = try hand.harness.pollFor(0);
    }

    pub fn endStream(hand: *Hand) !void {
        try expectEqual(0, std.c.shutdown(hand.peer, std.c.SHUT.WR));
        _ = try hand.harness.pollFor(0);
    }

    // -- From the connection

    /// The next record, opened to `output`; null at the end of the stream.
    pub fn next(hand: *Hand, output: []u8) !?struct { ContentType, []u8 } {
        while (true) {
            const bytes = hand.received.items;
            if (try framing.first(bytes)) |size| {
                const opened = try hand.reading.open(bytes[0..size], output);
                hand.received.replaceRangeAssumeCapacity(0, size, &.{});
                return .{ opened[0], opened[1] };
            }
            if (try hand.receive()) continue;
            try expectEqual(0, hand.received.items.len);
            return null;
        }
    }

    fn receive(hand: *Hand) !bool {
        var buffer: [64 * 1024]u8 = undefined;
        for (0..500) |_| {
            if (system.pollOne(hand.peer, false, 10)) break;
            _ = try hand.harness.pollFor(0);
        } else return error.NothingCame;
        const count = try system.receive(hand.peer, &buffer, buffer.len);
        try hand.received.appendSlice(std.testing.allocator, buffer[0..count]);
        return count > 0;
    }

    pub fn expectRecord(hand: *Hand, kind: ContentType, content: []const u8) !void {
        var buffer: [side_module.record_bytes]u8 = undefined;
        const found = try hand.next(&buffer) orelse return error.StreamEnded;
        try expectEqual(kind, found[0]);
        try std.testing.expectEqualSlices(u8, content, found[1]);
    }

    pub fn expectAlert(hand: *Hand, alert: Alert) !void {
        try hand.expectRecord(.alert, &.{ if (alert == .close_notify) 1 else 2, @intFromEnum(alert) });
    }

    /// The connection announces new keys; what follows is under them.
    pub fn expectKeyUpdate(hand: *Hand, asks: bool) !void {
        try hand.expectRecord(.handshake, &.{ 24, 0, 0, 1, @intFromBool(asks) });
        hand.reading.update();
    }

    /// Everything that the connection has sent was opened.
    pub fn expectSilence(hand: *Hand) !void {
        _ = try hand.harness.pollFor(0);
        try expectEqual(0, hand.received.items.len);
        try expect(!system.pollOne(hand.peer, false, 0));
    }

    pub fn expectStreamEnd(hand: *Hand) !void {
        var buffer: [side_module.record_bytes]u8 = undefined;
        try expectEqual(null, try hand.next(&buffer));
    }
};
