//! Peers that keep to the protocol in unusual ways, or do not: the test passes on what they send.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const certificates = @import("certificates_test.zig");
const contexts = @import("contexts.zig");
const credentials = @import("credentials.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const openssl = @import("openssl.zig");
const options = @import("../os/options.zig");
const framing = @import("record/framing.zig");
const reports = @import("reports.zig");
const connections = @import("../thread/connections.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const WaiterIndex = @import("../core/indices.zig").WaiterIndex;
const Harness = harness_module.Harness;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;

/// Two ends that are connected only by what the test passes on.
pub const Wire = struct {
    harness: *Harness,
    server: SocketHandle,
    client: SocketHandle,
    at_server: system.Descriptor,
    at_client: system.Descriptor,
    /// What the server has sent and the client has not received, and the reverse.
    to_client: std.ArrayList(u8) = .empty,
    to_server: std.ArrayList(u8) = .empty,
    /// Whether OpenSSL stays with the server after the handshake.
    server_keeps_openssl: bool = false,
    /// How many bytes are passed on at a time.
    part: usize = std.math.maxInt(usize),

    pub fn init(harness: *Harness, server_context: ContextId, client_context: ContextId) !Wire {
        return initResuming(harness, server_context, client_context, "");
    }

    pub fn initResuming(harness: *Harness, server_context: ContextId, client_context: ContextId, session: []const u8) !Wire {
        const server, const at_server = try harness.tcpPeer();
        const client, const at_client = try harness.tcpPeer();
        // Nothing waits for an acknowledgement of what was passed on before.
        for ([_]system.Descriptor{ at_server, at_client }) |fd| try options.setNoDelay(fd, true);
        try handshakes.start(harness.tls, server, server_context, .{ .is_server = true });
        try handshakes.start(harness.tls, client, client_context, .{
            .is_server = false,
            .name = "localhost",
            .session = session,
        });
        return .{ .harness = harness, .server = server, .client = client, .at_server = at_server, .at_client = at_client };
    }

    pub fn deinit(wire: *Wire) void {
        // A hand may have taken one of them over.
        for ([_]system.Descriptor{ wire.at_server, wire.at_client }) |fd| if (fd >= 0) system.close(fd);
        wire.to_client.deinit(std.testing.allocator);
        wire.to_server.deinit(std.testing.allocator);
    }

    /// Collects what both ends have sent.
    pub fn collect(wire: *Wire) !void {
        _ = try wire.harness.pollFor(std.time.ns_per_ms);
        inline for (.{ .{ wire.at_server, &wire.to_client }, .{ wire.at_client, &wire.to_server } }) |pair| {
            var buffer: [32 * 1024]u8 = undefined;
            while (system.pollOne(pair[0], false, 0)) {
                const count = system.receive(pair[0], &buffer, buffer.len) catch break;
                if (count == 0) break;
                try pair[1].appendSlice(std.testing.allocator, buffer[0..count]);
            }
        }
    }

    pub fn pass(wire: *Wire, waiting: *std.ArrayList(u8), to: system.Descriptor, count: usize) !void {
        if (count > 0) try harness_module.sendFromPeer(to, waiting.items[0..count]);
        waiting.replaceRangeAssumeCapacity(0, count, &.{});
        _ = try wire.harness.pollFor(10 * std.time.ns_per_ms);
    }

    pub fn passToServer(wire: *Wire) !void {
        while (wire.to_server.items.len > 0) {
            try wire.pass(&wire.to_server, wire.at_server, @min(wire.part, wire.to_server.items.len));
        }
    }

    pub fn passToClient(wire: *Wire) !void {
        while (wire.to_client.items.len > 0) {
            try wire.pass(&wire.to_client, wire.at_client, @min(wire.part, wire.to_client.items.len));
        }
    }

    /// Passes on until both handshakes are done. What the server has sent since then is kept.
    pub fn shakeHands(wire: *Wire) !void {
        for (0..100) |_| {
            try wire.collect();
            const client_is_done = harness_module.failureOf(handshakes.outcome(wire.harness.tls, wire.client)) == null;
            const server_is_done = harness_module.failureOf(handshakes.outcome(wire.harness.tls, wire.server)) == null;
            if (client_is_done and server_is_done) return wire.collect();
            // Without the first of two secrets the second is of no use.
            if (wire.server_keeps_openssl and !server_is_done) {
                handshakes.find(wire.harness.tls, wire.server).?.dropTakeover(wire.harness.scheduler.allocator, &wire.harness.tls.primitives);
            }
            if (!client_is_done) try wire.passToClient();
            try wire.passToServer();
        }
        return error.NeverDone;
    }
};

/// A wire whose client has received the first of the two records of its ticket.
fn halfTicket(harness: *Harness) !Wire {
    const server_context = try tls.serverContext(harness.tls);
    const client_context = try tls.clientContext(harness.tls);
    const server = tls.contextOf(harness, server_context);
    const client = tls.contextOf(harness, client_context);
    // OpenSSL stays with clients that want sessions.
    contexts.setNotices(client, abi.TlsNotices.session);
    // The client's certificate makes the ticket long, and the records are as short as possible.
    server.client_authentication = .require;
    try credentials.addAuthorities(server, certificates.certificate);
    try credentials.addCertificates(client, certificates.certificate);
    try credentials.setKey(client, certificates.key, "");
    const set_max_send_fragment = 52;
    try expectEqual(1, openssl.SSL_CTX_ctrl(server.raw.?, set_max_send_fragment, 512, null));
    var wire: Wire = try .init(harness, server_context, client_context);
    errdefer wire.deinit();
    try wire.shakeHands();
    const first = (try framing.first(wire.to_client.items)).?;
    try expect(first < wire.to_client.items.len);
    try wire.pass(&wire.to_client, wire.at_client, first);
    var byte: [1]u8 = undefined;
    try expectError(error.WouldBlock, harness.receive(wire.client, &byte));
    return wire;
}

test "a writer waits while a ticket has arrived in part, and goes on when the rest has come" {
    var harness = try Harness.init();
    defer harness.deinit();
    for ([_]bool{ false, true }) |somebody_reads| {
        var wire = try halfTicket(&harness);
        defer wire.deinit();
        try expectError(error.WouldBlock, harness.send(wire.client, "hello"));
        const writer = harness.park(wire.client, .writable);
        try harness.expectNobody();
        try expectError(error.EBUSY, reports.updateKeys(harness.tls, handshakes.find(harness.tls, wire.client).?, false));
        const reader = if (somebody_reads) harness.park(wire.client, .readable) else null;
        try harness_module.sendFromPeer(wire.at_client, wire.to_client.items);
        var byte: [1]u8 = undefined;
        if (reader) |waiter| {
            try harness.expectWoken(&.{ .{ waiter, .ok }, .{ writer, .ok } });
            try expectError(error.WouldBlock, harness.receive(wire.client, &byte));
        } else try harness.expectWoken(&.{.{ writer, .ok }});
        try expectEqual(5, try harness.send(wire.client, "hello"));
        try wire.collect();
        try wire.passToServer();
        try harness.expectReceived(wire.server, "hello");
    }
}

test "the end of the stream is announced in the middle of a ticket if the rest is there" {
    var harness = try Harness.init();
    defer harness.deinit();
    var wire = try halfTicket(&harness);
    defer wire.deinit();
    try wire.passToClient();
    try connections.close(harness.thread, wire.client);
    try wire.collect();
    try wire.passToServer();
    try expectEqual(.ok, try tls.ending(&harness, wire.server));
}

test "a writer learns that the rest of a ticket will never come" {
    var harness = try Harness.init();
    defer harness.deinit();
    var wire = try halfTicket(&harness);
    defer wire.deinit();
    try expectError(error.WouldBlock, harness.send(wire.client, "hello"));
    const writer = harness.park(wire.client, .writable);
    try expectEqual(0, std.c.shutdown(wire.at_client, std.c.SHUT.WR));
    try harness.expectWoken(&.{.{ writer, .ok }});
    try expectError(error.TlsTruncated, harness.send(wire.client, "hello"));
}

/// Updates the client's keys again and again, and requests the same of the server.
fn updateKeys(harness: *Harness, client: SocketHandle, count: usize, data: []const u8) !void {
    const connection = handshakes.find(harness.tls, client).?;
    for (0..count) |_| {
        try reports.updateKeys(harness.tls, connection, true);
        if (data.len > 0) try expectEqual(data.len, try harness.send(client, data));
    }
}

test "a peer cannot have records without data read for ever" {
    var harness = try Harness.init();
    defer harness.deinit();
    var buffer: [64 * 1024]u8 = undefined;
    {
        const pair = try tls.defaultPair(&harness);
        try updateKeys(&harness, pair.client, 1000, "");
        try expectEqual(.tls_failed, try tls.ending(&harness, pair.server));
        try tls.expectText(&harness, pair.server, .reason, "too many key updates");
        try tls.closeBoth(&harness, pair);
    }
    // With data between them they are accepted, a few at a time.
    const pair = try tls.defaultPair(&harness);
    try updateKeys(&harness, pair.client, 1000, "d");
    _ = try harness.pollFor(10 * std.time.ns_per_ms);
    var taken: usize = 0;
    var calls: usize = 0;
    while (taken < 1000) : (calls += 1) {
        if (harness.receive(pair.server, &buffer)) |count| {
            taken += count;
        } else |failure| {
            try expectEqual(error.WouldBlock, failure);
            _ = try harness.pollFor(10 * std.time.ns_per_ms);
        }
    }
    try expect(calls > 10);
    try tls.closeBoth(&harness, pair);
}

/// One direction of a conversation: the bytes, and how many of them were sent and received.
const Flow = struct {
    bytes: []const u8,
    /// How many bytes the transfer under way still has to send, and how many were sent in all.
    wanted: usize = 0,
    sent: usize = 0,
    received: usize = 0,
    waiter: ?WaiterIndex = null,

    fn send(flow: *Flow, harness: *Harness, handle: SocketHandle, random: std.Random) !void {
        if (flow.waiter != null) return;
        if (flow.wanted == 0) flow.wanted = @min(1 + random.uintLessThan(usize, if (random.boolean()) 100 else 60_000), flow.bytes.len - flow.sent);
        if (flow.wanted == 0) return;
        if (harness.send(handle, flow.bytes[flow.sent..][0..flow.wanted])) |count| {
            flow.sent += count;
            flow.wanted -= count;
        } else |failure| try expectEqual(error.WouldBlock, failure);
        if (flow.wanted > 0) flow.waiter = harness.parkAgain(handle, .writable);
    }

    fn receive(flow: *Flow, harness: *Harness, handle: SocketHandle, random: std.Random) !void {
        var buffer: [40_000]u8 = undefined;
        const length = 1 + random.uintLessThan(usize, if (random.boolean()) 50 else buffer.len);
        if (harness.receive(handle, buffer[0..@min(length, buffer.len)])) |count| {
            try std.testing.expectEqualSlices(u8, flow.bytes[flow.received..][0..count], buffer[0..count]);
            flow.received += count;
        } else |failure| try expectEqual(error.WouldBlock, failure);
    }
};

test "ends with and without OpenSSL understand each other, however records arrive" {
    const bytes = try std.testing.allocator.alloc(u8, 300_000);
    defer std.testing.allocator.free(bytes);
    const seed: u64 = @intCast(system.nanoseconds());
    errdefer std.debug.print("with the seed {d}\n", .{seed});
    var prng: std.Random.DefaultPrng = .init(seed);
    const random = prng.random();
    random.bytes(bytes);
    for ([_][]const u8{ "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256" }) |suite| {
        for ([_]u32{ 0, abi.TlsNotices.session }) |notices| {
            var harness = try Harness.init();
            defer harness.deinit();
            const server_context = try tls.serverContext(harness.tls);
            const client_context = try tls.clientContext(harness.tls);
            for ([_]ContextId{ server_context, client_context }) |context| {
                try tls.contextOf(&harness, context).setCipherSuites(suite);
            }
            contexts.setNotices(tls.contextOf(&harness, client_context), notices);
            var wire: Wire = try .init(&harness, server_context, client_context);
            defer wire.deinit();
            try wire.shakeHands();
            var flows = [2]Flow{ .{ .bytes = bytes }, .{ .bytes = bytes } };
            const ends = [2]SocketHandle{ wire.server, wire.client };
            while (flows[0].received < bytes.len or flows[1].received < bytes.len) {
                for (&flows, ends, [2]SocketHandle{ ends[1], ends[0] }) |*flow, from, to| {
                    try flow.send(&harness, from, random);
                    try flow.receive(&harness, to, random);
                    const connection = handshakes.find(harness.tls, from).?;
                    if (random.uintLessThan(u32, 8) == 0) try reports.updateKeys(harness.tls, connection, random.boolean());
                }
                try wire.collect();
                inline for (.{ .{ &wire.to_client, wire.at_client }, .{ &wire.to_server, wire.at_server } }) |way| {
                    const length = way[0].items.len;
                    if (length > 0) {
                        const count = if (random.boolean()) length else 1 + random.uintLessThan(usize, length);
                        const taken = try system.send(way[1], way[0].items.ptr, count);
                        way[0].replaceRangeAssumeCapacity(0, taken, &.{});
                    }
                }
                for (try harness.pollFor(0)) |wakeup| for (&flows) |*flow| {
                    if (flow.waiter == wakeup[0]) flow.waiter = null;
                };
            }
        }
    }
}
