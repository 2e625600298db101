//! The parts of a first ClientHello that a second one must repeat.
//!
//! After a HelloRetryRequest a client sends the same hello with another key share, without early data, with
//! other padding, and with the same tickets or some of them (RFC 8446, 4.1.2). OpenSSL compares the two only
//! in what concerns the key exchange, but the context was chosen for the first one.

const std = @import("std");
const openssl = @import("openssl.zig");
const Sha256 = std.crypto.hash.sha2.Sha256;

/// A handshake message begins with its type and three bytes of its length.
const header_bytes = 4;

/// An extension (RFC 9849, 5) that OpenSSL does not know.
const encrypted_client_hello = 0xfe0d;

pub const FirstHello = struct {
    /// Of everything that must stay the same.
    digest: [Sha256.digest_length]u8,
    /// The tickets that it offers and their ages, as they came.
    identities: []u8,

    pub fn init(allocator: std.mem.Allocator, message: []const u8) !FirstHello {
        const parts = try Parts.of(message);
        return .{ .digest = parts.digest, .identities = try allocator.dupe(u8, parts.identities) };
    }

    pub fn deinit(first: *FirstHello, allocator: std.mem.Allocator) void {
        allocator.free(first.identities);
    }

    /// Whether this message may be the second hello.
    pub fn allows(first: *const FirstHello, message: []const u8) bool {
        const parts = Parts.of(message) catch return false;
        if (!std.mem.eql(u8, &first.digest, &parts.digest)) return false;
        return offersNoOthers(first.identities, parts.identities) catch false;
    }
};

/// Whether all tickets of the second list are in the first one, in the same order. Their ages may differ.
fn offersNoOthers(before: []const u8, now: []const u8) error{Malformed}!bool {
    var earlier: Reader = .{ .bytes = before };
    var later: Reader = .{ .bytes = now };
    while (later.bytes.len > 0) {
        const ticket = try takeIdentity(&later);
        while (true) {
            if (earlier.bytes.len == 0) return false;
            if (std.mem.eql(u8, ticket, try takeIdentity(&earlier))) break;
        }
    }
    return true;
}

fn takeIdentity(reader: *Reader) error{Malformed}![]const u8 {
    const ticket = try reader.vector(u16);
    _ = try reader.take(4);
    return ticket;
}

const Parts = struct {
    digest: [Sha256.digest_length]u8,
    identities: []const u8 = &.{},

    fn of(message: []const u8) error{Malformed}!Parts {
        var reader: Reader = .{ .bytes = message };
        _ = try reader.take(header_bytes);
        var hash: Sha256 = .init(.{});
        const start = reader.bytes;
        _ = try reader.take(2 + 32); // version and random number
        _ = try reader.vector(u8); // session
        _ = try reader.vector(u16); // cipher suites
        _ = try reader.vector(u8); // compression methods
        hash.update(start[0 .. start.len - reader.bytes.len]);

        var parts: Parts = .{ .digest = undefined };
        var extensions: Reader = .{ .bytes = if (reader.bytes.len > 0) try reader.vector(u16) else &.{} };
        while (extensions.bytes.len > 0) {
            const extension = extensions.bytes;
            const kind = std.mem.readInt(u16, (try extensions.take(2))[0..2], .big);
            const content = try extensions.vector(u16);
            switch (kind) {
                openssl.TLSEXT_TYPE_padding, openssl.TLSEXT_TYPE_early_data => {},
                // OpenSSL checks the key shares. A client encrypts its inner hello anew (RFC 9849, 6.1.5),
                // which means nothing to a server that does not support that.
                openssl.TLSEXT_TYPE_key_share, encrypted_client_hello => hash.update(extension[0..2]),
                openssl.TLSEXT_TYPE_psk => {
                    var offered: Reader = .{ .bytes = content };
                    parts.identities = try offered.vector(u16);
                },
                else => hash.update(extension[0 .. extension.len - extensions.bytes.len]),
            }
        }
        hash.final(&parts.digest);
        return parts;
    }
};

/// Takes fields from the front of a message.
const Reader = struct {
    bytes: []const u8,

    fn take(reader: *Reader, count: usize) error{Malformed}![]const u8 {
        if (count > reader.bytes.len) return error.Malformed;
        defer reader.bytes = reader.bytes[count..];
        return reader.bytes[0..count];
    }

    /// Bytes with their length before them.
    fn vector(reader: *Reader, comptime Length: type) error{Malformed}![]const u8 {
        const size = @sizeOf(Length);
        const length = std.mem.readInt(Length, (try reader.take(size))[0..size], .big);
        return reader.take(length);
    }
};

const testing = std.testing;

/// A hello with these extensions.
fn helloWith(comptime extensions: []const u8) []const u8 {
    const length = [_]u8{ extensions.len >> 8, extensions.len & 255 };
    const body = "\x03\x03" ++ "r" ** 32 ++ "\x02id" ++ "\x00\x02\x13\x01" ++ "\x01\x00" ++ length ++ extensions;
    return "\x01\x00\x00\x00" ++ body;
}

const name = "\x00\x00\x00\x01n";
const share = "\x00\x33\x00\x01s";
const tickets = "\x00\x29\x00\x10\x00\x0e\x00\x01aAGE1\x00\x01bAGE2";

test "a second hello may have other shares, ages, padding and fewer tickets" {
    const first_message = helloWith(name ++ share ++ "\x00\x2a\x00\x00" ++ "\x00\x15\x00\x01\x00" ++ tickets);
    var first: FirstHello = try .init(testing.allocator, first_message);
    defer first.deinit(testing.allocator);
    for ([_][]const u8{
        first_message,
        helloWith(name ++ "\x00\x33\x00\x02xy"),
        helloWith(name ++ share ++ "\x00\x15\x00\x00" ++ tickets),
        helloWith(name ++ share ++ "\x00\x29\x00\x09\x00\x07\x00\x01bAGE9"),
    }) |second| try testing.expect(first.allows(second));
    for ([_][]const u8{
        helloWith(share ++ tickets),
        helloWith(name ++ tickets),
        helloWith(share ++ name ++ tickets),
        helloWith(name ++ share ++ "\x1a\x1a\x00\x00" ++ tickets),
        helloWith(name ++ share ++ "\x00\x29\x00\x09\x00\x07\x00\x01cAGE1"),
        helloWith(name ++ share ++ "\x00\x29\x00\x10\x00\x0e\x00\x01bAGE2\x00\x01aAGE1"),
    }) |second| try testing.expect(!first.allows(second));
}

test "a second hello may have its inner hello encrypted anew, and must have one if the first had" {
    const outer = name ++ "\xfe\x0d\x00\x02ab" ++ share;
    var first: FirstHello = try .init(testing.allocator, helloWith(outer));
    defer first.deinit(testing.allocator);
    try testing.expect(first.allows(helloWith(name ++ "\xfe\x0d\x00\x03xyz" ++ share)));
    try testing.expect(!first.allows(helloWith(name ++ share)));
}

test "a hello that is cut off anywhere is malformed, and so is one whose list of tickets is" {
    const without_list = helloWith(name ++ share ++ "\x00\x29\x00\x01x");
    try testing.expectError(error.Malformed, FirstHello.init(testing.allocator, without_list));
    const whole = helloWith(name ++ share ++ tickets);
    var first: FirstHello = try .init(testing.allocator, whole);
    defer first.deinit(testing.allocator);
    // Without extensions it is a whole one again.
    const bare = whole.len - (name ++ share ++ tickets).len - 2;
    for (0..whole.len) |length| {
        if (length == bare) continue;
        try testing.expectError(error.Malformed, FirstHello.init(testing.allocator, whole[0..length]));
        try testing.expect(!first.allows(whole[0..length]));
    }
}
