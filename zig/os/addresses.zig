//! Socket addresses as text and back: IPv4, IPv6 with a zone, and Unix paths.

const std = @import("std");
const c = std.c;
const system = @import("system.zig");
const abi = @import("../boundary/abi.zig");
const Address = system.Address;

extern "c" fn inet_pton(family: c_int, text: [*:0]const u8, destination: *anyopaque) c_int;
extern "c" fn inet_ntop(family: c_int, source: *const anyopaque, text: [*]u8, size: c.socklen_t) ?[*:0]const u8;
extern "c" fn if_nametoindex(name: [*:0]const u8) c_uint;
extern "c" fn if_indextoname(index: c_uint, name: [*]u8) ?[*:0]const u8;

const longest_literal = 64;
const interface_name_bytes = 64;

/// An IPv4 or IPv6 literal, the latter with an optional zone ("fe80::1%eth0"), and a port.
pub fn parse(text: []const u8, port: u16) ?Address {
    var address: Address = .{};
    var buffer: [longest_literal]u8 = undefined;
    const zone_at = std.mem.indexOfScalar(u8, text, '%');
    const literal = terminated(&buffer, text[0 .. zone_at orelse text.len]) orelse return null;

    if (zone_at == null) {
        const ipv4: *c.sockaddr.in = @ptrCast(&address.storage);
        ipv4.* = .{ .port = std.mem.nativeToBig(u16, port), .addr = 0 };
        if (inet_pton(c.AF.INET, literal, &ipv4.addr) == 1) {
            address.length = @sizeOf(c.sockaddr.in);
            return address;
        }
    }
    const ipv6: *c.sockaddr.in6 = @ptrCast(&address.storage);
    ipv6.* = .{ .port = std.mem.nativeToBig(u16, port), .flowinfo = 0, .addr = @splat(0), .scope_id = 0 };
    if (inet_pton(c.AF.INET6, literal, &ipv6.addr) != 1) return null;
    if (zone_at) |at| ipv6.scope_id = zoneIndex(text[at + 1 ..]) orelse return null;
    address.length = @sizeOf(c.sockaddr.in6);
    return address;
}

/// A zone is an interface's name or its number (RFC 4007, section 11.2).
fn zoneIndex(zone: []const u8) ?u32 {
    var buffer: [interface_name_bytes]u8 = undefined;
    const index = if_nametoindex(terminated(&buffer, zone) orelse return null);
    if (index != 0) return index;
    // `parseInt` would take signs and underscores as well.
    for (zone) |byte| if (!std.ascii.isDigit(byte)) return null;
    return std.fmt.parseInt(u32, zone, 10) catch null;
}

fn terminated(buffer: []u8, text: []const u8) ?[*:0]const u8 {
    if (text.len == 0 or text.len >= buffer.len) return null;
    if (std.mem.indexOfScalar(u8, text, 0) != null) return null;
    @memcpy(buffer[0..text.len], text);
    buffer[text.len] = 0;
    return @ptrCast(buffer.ptr);
}

/// A path in the file system, or with a leading NUL a name in Linux's abstract namespace (unix(7)).
pub fn fromPath(path: []const u8) ?Address {
    var address: Address = .{};
    const unix: *c.sockaddr.un = @ptrCast(@alignCast(&address.storage));
    unix.* = .{ .path = @splat(0) };
    const is_abstract = path.len > 0 and path[0] == 0;
    if (is_abstract and !system.is_linux) return null;
    // A path keeps room for its terminating NUL; an abstract name is exactly as long as it says.
    const room = if (is_abstract) unix.path.len else unix.path.len - 1;
    if (path.len == 0 or path.len > room) return null;
    @memcpy(unix.path[0..path.len], path);
    const end: usize = if (is_abstract) path.len else path.len + 1;
    address.length = @intCast(@offsetOf(c.sockaddr.un, "path") + end);
    return address;
}

pub fn family(address: *const Address) abi.AddressFamily {
    return switch (address.storage.family) {
        c.AF.INET => .ipv4,
        c.AF.INET6 => .ipv6,
        c.AF.UNIX => .unix,
        else => .unspecified,
    };
}

/// The IPv4 address in an IPv4-mapped IPv6 address, "::ffff:" and the address (RFC 4291, section
/// 2.5.5.2); null for any other address.
pub fn mappedIpv4(address: *const Address) ?Peer {
    const peer: Peer = .of(address);
    const prefix = [_]u8{0} ** 10 ++ [_]u8{0xff} ** 2;
    if (peer.family != .ipv6 or !std.mem.startsWith(u8, &peer.bytes, &prefix)) return null;
    var ipv4: Peer = .{ .port = peer.port, .family = .ipv4 };
    @memcpy(ipv4.bytes[0..4], peer.bytes[12..16]);
    return ipv4;
}

/// A peer's address, small enough to be kept for every socket. It is kept because the kernel forgets it with the
/// connection, and it is logged after that.
pub const Peer = struct {
    bytes: [16]u8 = @splat(0),
    scope_id: u32 = 0,
    port: u16 = 0,
    family: abi.AddressFamily = .unspecified,

    pub fn of(address: *const Address) Peer {
        switch (family(address)) {
            .ipv4 => {
                const ipv4: *const c.sockaddr.in = @ptrCast(&address.storage);
                var peer: Peer = .{ .port = std.mem.bigToNative(u16, ipv4.port), .family = .ipv4 };
                @memcpy(peer.bytes[0..4], std.mem.asBytes(&ipv4.addr));
                return peer;
            },
            .ipv6 => {
                const ipv6: *const c.sockaddr.in6 = @ptrCast(&address.storage);
                return .{
                    .bytes = ipv6.addr,
                    .scope_id = ipv6.scope_id,
                    .port = std.mem.bigToNative(u16, ipv6.port),
                    .family = .ipv6,
                };
            },
            .unix => return .{ .family = .unix },
            .unspecified => return .{},
        }
    }

    /// Writes the address without its port; a Unix peer has none.
    pub fn format(peer: *const Peer, text: *[abi.Limits.address_text_bytes]u8) usize {
        const c_family: c_int = switch (peer.family) {
            .ipv4 => c.AF.INET,
            .ipv6 => c.AF.INET6,
            .unix, .unspecified => return 0,
        };
        const literal = inet_ntop(c_family, &peer.bytes, text, longest_literal) orelse return 0;
        var length = std.mem.len(literal);
        if (peer.scope_id != 0) length += formatZone(peer.scope_id, text[length..]);
        return length;
    }
};

fn formatZone(scope_id: u32, text: []u8) usize {
    var name: [interface_name_bytes]u8 = undefined;
    const printed = if (if_indextoname(scope_id, &name)) |known|
        std.fmt.bufPrint(text, "%{s}", .{std.mem.span(known)})
    else
        std.fmt.bufPrint(text, "%{d}", .{scope_id});
    return (printed catch return 0).len;
}

/// Writes an address of any family without its port.
pub fn format(address: *const Address, text: *[abi.Limits.address_text_bytes]u8) usize {
    const peer = Peer.of(address);
    if (peer.family != .unix) return peer.format(text);

    const unix: *const c.sockaddr.un = @ptrCast(@alignCast(&address.storage));
    const start = @offsetOf(c.sockaddr.un, "path");
    if (address.length <= start) return 0; // an unnamed socket
    var length: usize = @min(address.length - start, unix.path.len);
    // The system counts a path's terminating NUL or not; an abstract name begins with one.
    if (unix.path[0] != 0) length = std.mem.indexOfScalar(u8, unix.path[0..length], 0) orelse length;
    @memcpy(text[0..length], unix.path[0..length]);
    return length;
}

test "literals survive parsing and formatting" {
    var text: [abi.Limits.address_text_bytes]u8 = undefined;
    const cases = [_][2][]const u8{
        .{ "127.0.0.1", "127.0.0.1" },
        .{ "::1", "::1" },
        .{ "2001:DB8:0:0::1", "2001:db8::1" },
        .{ "::ffff:10.0.0.1", "::ffff:10.0.0.1" },
        .{ "fe80::1%1234567", "fe80::1%1234567" },
    };
    for (cases) |case| {
        const address = parse(case[0], 8080).?;
        const length = format(&address, &text);
        try std.testing.expectEqualStrings(case[1], text[0..length]);
        try std.testing.expectEqual(8080, Peer.of(&address).port);
    }
}

test "an IPv4 address in IPv6's form is found in it" {
    var text: [abi.Limits.address_text_bytes]u8 = undefined;
    for ([_][]const u8{ "::ffff:10.0.0.1", "::FFFF:a00:1", "0:0:0:0:0:ffff:10.0.0.1%7" }) |literal| {
        const peer = mappedIpv4(&parse(literal, 80).?).?;
        try std.testing.expectEqual(80, peer.port);
        try std.testing.expectEqualStrings("10.0.0.1", text[0..peer.format(&text)]);
    }
    for ([_][]const u8{ "10.0.0.1", "::", "::1", "::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1", "1::ffff:10.0.0.1" }) |literal| {
        try std.testing.expectEqual(null, mappedIpv4(&parse(literal, 80).?));
    }
}

test "what is not a literal is refused" {
    for ([_][]const u8{
        "", "localhost", "127.0.0.256", "1.2.3", "::1::", "127.0.0.1%lo", "1.2.3.4\x00", "fe80::1%", "fe80::1%no-such-zone", "fe80::1%1_0", "fe80::1%+1", ":" ** 80,
    }) |text| {
        try std.testing.expectEqual(null, parse(text, 1));
    }
}

test "paths keep within the system's limit" {
    var text: [abi.Limits.address_text_bytes]u8 = undefined;
    const address = fromPath("/tmp/a.sock").?;
    try std.testing.expectEqualStrings("/tmp/a.sock", text[0..format(&address, &text)]);
    try std.testing.expectEqual(null, fromPath(""));
    try std.testing.expectEqual(null, fromPath("x" ** 108));
    if (!system.is_linux) return;
    const abstract = fromPath("\x00name").?;
    try std.testing.expectEqualStrings("\x00name", text[0..format(&abstract, &text)]);
}
