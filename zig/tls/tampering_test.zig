//! Conversations through an attacker in the middle, who flips a bit or cuts the stream: at each place of a
//! handshake and of what follows it, in both directions.

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const certificates = @import("certificates_test.zig");
const contexts = @import("contexts.zig");
const credentials = @import("credentials.zig");
const handshakes = @import("handshakes.zig");
const harness_module = @import("../thread/harness_test.zig");
const openssl_memory = @import("memory_test.zig");
const framing = @import("record/framing.zig");
const connections = @import("../thread/connections.zig");
const system = @import("../os/system.zig");
const tls = @import("harness_test.zig");
const Harness = harness_module.Harness;
const Status = abi.Status;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const allocator = std.testing.allocator;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;

const Side = enum(u1) { client, server };

const Change = union(enum) {
    flip: u3,
    /// The stream ends before the byte.
    cut,
};

/// What happens to a byte that a side sends.
const Tampering = struct { sender: Side, offset: usize, change: Change };

/// What one side sends, on its way to the other.
const Direction = struct {
    from: system.Descriptor,
    to: system.Descriptor,
    tampering: ?Tampering,
    passed: std.ArrayList(u8) = .empty,
    is_cut: bool = false,

    /// Passes on what is there. Returns whether there was anything.
    fn pass(direction: *Direction) !bool {
        var buffer: [8192]u8 = undefined;
        const count = system.receive(direction.from, &buffer, buffer.len) catch return false;
        if (direction.is_cut) return count > 0;
        var bytes: []u8 = buffer[0..count];
        const start = direction.passed.items.len;
        if (direction.tampering) |it| if (it.offset >= start and it.offset < start + count) switch (it.change) {
            .flip => |bit| bytes[it.offset - start] ^= @as(u8, 1) << bit,
            .cut => bytes = bytes[0 .. it.offset - start],
        };
        try direction.passed.appendSlice(allocator, bytes);
        if (bytes.len > 0) try harness_module.sendFromPeer(direction.to, bytes);
        if (count == 0 or bytes.len < count) direction.cut();
        return true;
    }

    fn cut(direction: *Direction) void {
        if (!direction.is_cut) _ = c.shutdown(direction.to, c.SHUT.WR);
        direction.is_cut = true;
    }
};

/// How a conversation went, by `Side`.
const Course = struct {
    /// How the handshakes ended; null is success.
    outcomes: [2]?Status,
    /// Whether all data arrived, up to the announced ends of both streams.
    is_whole: bool = false,
    /// What each side has sent, if the caller has asked to keep it; it then owns the bytes.
    passed: [2][]u8 = .{ &.{}, &.{} },
    /// How many bytes of it the other side needed for its handshake.
    needed: [2]usize,
};

/// Both ends of conversations.
const Stage = struct {
    harness: *Harness,
    contexts: [2]ContextId,

    fn init(harness: *Harness, version: u32, needs_client: bool) !Stage {
        var stage: Stage = .{ .harness = harness, .contexts = undefined };
        for (&stage.contexts) |*id| {
            id.* = try contexts.create(harness.tls);
            const context = tls.contextOf(harness, id.*);
            try credentials.addAuthorities(context, certificates.even_certificate);
            try credentials.addCertificates(context, certificates.even_certificate);
            try credentials.setKey(context, certificates.even_key, "");
            try context.setVersions(version, version);
            // The first key share of the default groups would have a kilobyte of random bits.
            try context.setGroups("X25519");
            try context.setProtocols("\x01a");
            if (needs_client) context.client_authentication = .require;
        }
        return stage;
    }

    fn play(stage: Stage, tampering: ?Tampering, keeps_passed: bool) !Course {
        const engine = stage.harness.tls;
        var ends: [2]SocketHandle = undefined;
        var peers: [2]system.Descriptor = undefined;
        for (&ends, &peers) |*end, *peer| end.*, peer.* = try stage.harness.unixPair();
        defer for (peers) |peer| system.close(peer);
        var conversation: Conversation = .{ .harness = stage.harness, .ends = ends, .directions = undefined };
        for (&conversation.directions, [_]Side{ .client, .server }) |*direction, sender| direction.* = .{
            .from = peers[@intFromEnum(sender)],
            .to = peers[1 - @intFromEnum(sender)],
            .tampering = if (tampering) |it| (if (it.sender == sender) it else null) else null,
        };
        defer for (&conversation.directions) |*direction| direction.passed.deinit(allocator);

        for (ends, stage.contexts, [_]bool{ false, true }) |end, context, is_server| {
            const name = if (is_server) "" else "localhost";
            try handshakes.start(engine, end, context, .{ .is_server = is_server, .name = name });
        }
        try conversation.goOn();
        const is_whole = try conversation.talk();
        // An end that still waits gets nothing more.
        for (&conversation.directions) |*direction| direction.cut();
        try conversation.goOn();
        var course: Course = .{ .outcomes = undefined, .is_whole = is_whole, .needed = conversation.needed };
        for (ends, &course.outcomes) |end, *outcome| {
            outcome.* = harness_module.failureOf(handshakes.outcome(engine, end));
            try connections.close(stage.harness.thread, end);
        }
        try expectEqual(0, engine.connections.in_use);
        try expectEqual(0, engine.scheduler.shared.sockets);
        if (keeps_passed) for (&course.passed, &conversation.directions) |*bytes, *direction| {
            bytes.* = try direction.passed.toOwnedSlice(allocator);
        };
        return course;
    }
};

const Conversation = struct {
    harness: *Harness,
    ends: [2]SocketHandle,
    directions: [2]Direction,
    needed: [2]usize = .{ 0, 0 },

    /// Passes everything on until neither side sends anything.
    fn goOn(conversation: *Conversation) !void {
        const engine = conversation.harness.tls;
        var is_moving = true;
        while (is_moving) {
            _ = try conversation.harness.poll();
            for (&conversation.needed, &conversation.directions, 0..) |*needed, *direction, sender| {
                const is_open = harness_module.failureOf(handshakes.outcome(engine, conversation.ends[1 - sender])) == null;
                if (needed.* == 0 and is_open) needed.* = direction.passed.items.len;
            }
            is_moving = engine.due.length > 0;
            for (&conversation.directions) |*direction| if (try direction.pass()) {
                is_moving = true;
            };
        }
    }

    fn talk(conversation: *Conversation) !bool {
        const client, const server = conversation.ends;
        if (!try conversation.says(client, server, "question")) return false;
        if (!try conversation.says(server, client, "answer")) return false;
        for (conversation.ends) |end| {
            conversation.harness.shutdown(end) catch return false;
        }
        try conversation.goOn();
        for (conversation.ends) |end| {
            if (!try conversation.hears(end, "")) return false;
        }
        return true;
    }

    fn says(conversation: *Conversation, from: SocketHandle, to: SocketHandle, text: []const u8) !bool {
        _ = conversation.harness.send(from, text) catch return false;
        try conversation.goOn();
        return conversation.hears(to, text);
    }

    /// Whether an end reads this text. It may fail, and must not read anything else.
    fn hears(conversation: *Conversation, end: SocketHandle, text: []const u8) !bool {
        var buffer: [64]u8 = undefined;
        const count = conversation.harness.receive(end, &buffer) catch return false;
        try std.testing.expectEqualStrings(text, buffer[0..count]);
        return true;
    }
};

/// A place in what a side sends, and the change there.
const Place = struct {
    stage: Stage,
    /// How many bytes of what each side sends the other side needs.
    needed: [2]usize,
    sender: Side,
    offset: usize,
    /// Whether one bit is enough, since the byte is ciphertext.
    is_ciphertext: bool,

    fn tamper(place: Place) !void {
        try place.expectNoticed(.cut);
        for (0..8) |bit| {
            if (place.is_ciphertext and bit != place.offset % 8) continue;
            try place.expectNoticed(.{ .flip = @intCast(bit) });
        }
    }

    fn expectNoticed(place: Place, change: Change) !void {
        errdefer std.debug.print("{t}, byte {d}: {any}\n", .{ place.sender, place.offset, change });
        const course = try place.stage.play(.{ .sender = place.sender, .offset = place.offset, .change = change }, false);
        // A receiver ignores the lower half of the version in the first record (RFC 8446, 5.1). A change of any
        // other bit must be noticed.
        const is_harmless = change == .flip and place.offset == 2;
        try expectEqual(is_harmless, course.is_whole);
        const sender = @intFromEnum(place.sender);
        const receiver = course.outcomes[1 - sender];
        if (is_harmless or place.offset >= place.needed[sender]) return;
        switch (change) {
            .flip => try expect(receiver == .tls_failed or receiver == .tls_truncated),
            .cut => try expectEqual(.tls_truncated, receiver),
        }
    }
};

/// Tampers with each place of what these sides send.
fn expectAllNoticed(stage: Stage, senders: []const Side) !void {
    const clean = try stage.play(null, true);
    defer for (clean.passed) |bytes| allocator.free(bytes);
    try expect(clean.is_whole);
    // The core makes cipher contexts with the first connections, up to a number that these reach.
    for (0..64) |_| try expect((try stage.play(null, false)).is_whole);
    for (senders) |sender| {
        const bytes = clean.passed[@intFromEnum(sender)];
        var is_encrypted = false;
        var start: usize = 0;
        while (start < bytes.len) {
            const length = (try framing.first(bytes[start..])).?;
            const change_cipher_spec = 20;
            const application_data = 23;
            if (bytes[start] == application_data) is_encrypted = true;
            for (start..start + length) |offset| try openssl_memory.expectNoGrowth(Place{
                .stage = stage,
                .needed = clean.needed,
                .sender = sender,
                .offset = offset,
                .is_ciphertext = is_encrypted and offset >= start + framing.header_bytes,
            }, Place.tamper);
            if (bytes[start] == change_cipher_spec) is_encrypted = true;
            start += length;
        }
    }
}

test "every flipped bit and every cut is noticed, in TLS 1.2" {
    var harness = try Harness.init();
    defer harness.deinit();
    try expectAllNoticed(try Stage.init(&harness, 0x0303, false), &.{ .client, .server });
}

test "every flipped bit and every cut is noticed, in TLS 1.3" {
    var harness = try Harness.init();
    defer harness.deinit();
    try expectAllNoticed(try Stage.init(&harness, 0x0304, false), &.{ .client, .server });
}

test "every flipped bit and every cut is noticed, in a client's certificate" {
    var harness = try Harness.init();
    defer harness.deinit();
    try expectAllNoticed(try Stage.init(&harness, 0x0303, true), &.{.client});
}
