//! Server names (SNI): in the extension of a ClientHello, and as they are compared.

const std = @import("std");
const openssl = @import("openssl.zig");

/// A domain name has at most 253 characters as text (RFC 1035, 2.3.4).
pub const longest = 255;

/// A name in lower case and without the dot of the root; null if it cannot be one.
pub fn normalized(name: []const u8, buffer: *[longest]u8) ?[]const u8 {
    const bare = if (std.mem.endsWith(u8, name, ".")) name[0 .. name.len - 1] else name;
    if (bare.len == 0 or bare.len > buffer.len) return null;
    for (bare, buffer[0..bare.len]) |character, *lower| {
        // Names of other alphabets come encoded (RFC 5890).
        if (character <= ' ' or character > '~') return null;
        lower.* = std.ascii.toLower(character);
    }
    return buffer[0..bare.len];
}

/// The host name of a server name extension (RFC 6066, 3): a list whose only entry is one.
fn hostName(extension: []const u8) ?[]const u8 {
    if (extension.len < 5) return null;
    const list_length = std.mem.readInt(u16, extension[0..2], .big);
    const name_length = std.mem.readInt(u16, extension[3..5], .big);
    if (list_length != extension.len - 2 or extension[2] != openssl.TLSEXT_NAMETYPE_host_name) return null;
    if (name_length != extension.len - 5) return null;
    return extension[5..];
}

/// The name in the ClientHello that OpenSSL has received; null if there is none.
pub fn inClientHello(ssl: *openssl.SSL, buffer: *[longest]u8) ?[]const u8 {
    var data: ?[*]const u8 = null;
    var length: usize = 0;
    if (openssl.SSL_client_hello_get0_ext(ssl, openssl.TLSEXT_TYPE_server_name, &data, &length) != 1) return null;
    return normalized(hostName(data.?[0..length]) orelse return null, buffer);
}

/// The name that the client has sent, normalized; empty if there is none.
pub fn ofConnection(ssl: *const openssl.SSL, buffer: *[longest]u8) []const u8 {
    const sent = openssl.SSL_get_servername(ssl, openssl.TLSEXT_NAMETYPE_host_name) orelse return "";
    return normalized(std.mem.span(sent), buffer) orelse "";
}

test "names are compared in lower case and without a final dot" {
    var buffer: [longest]u8 = undefined;
    try std.testing.expectEqualStrings("a.example", normalized("A.Example.", &buffer).?);
    for ([_][]const u8{ "", ".", "a b", "\x00", "ä" }) |name| try std.testing.expectEqual(null, normalized(name, &buffer));
}

test "a server name extension holds one host name" {
    try std.testing.expectEqualStrings("ab", hostName("\x00\x05\x00\x00\x02ab").?);
    for ([_][]const u8{ "", "\x00\x05\x00\x00\x02a", "\x00\x05\x01\x00\x02ab", "\x00\x06\x00\x00\x02ab", "\x00\x05\x00\x00\x03ab" }) |bytes| {
        try std.testing.expectEqual(null, hostName(bytes));
    }
}
