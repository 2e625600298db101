//! Exporters: keying material that both ends of a connection derive from its secrets (RFC 5705). With it an
//! authentication inside of the connection can be bound to the connection (RFC 9266).

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const openssl = @import("openssl.zig");
const TlsConnection = @import("connection.zig").TlsConnection;
const Status = abi.Status;

const sha2 = std.crypto.hash.sha2;
const hmac = std.crypto.auth.hmac.sha2;

/// Fills `output`, or returns why it did not. TLS 1.2 tells no context from an empty one, TLS 1.3 does not.
pub fn exportKeys(connection: *const TlsConnection, label: []const u8, context: ?[]const u8, output: []u8) ?Status {
    if (connection.state != .open) return .EINVAL;
    if (connection.takenOver()) |takeover| {
        const secret = takeover.exporter_secret[0..takeover.exporter_length];
        const filled = switch (secret.len) {
            sha2.Sha256.digest_length => derive(hmac.HmacSha256, sha2.Sha256, secret, label, context orelse "", output),
            sha2.Sha384.digest_length => derive(hmac.HmacSha384, sha2.Sha384, secret, label, context orelse "", output),
            else => return .EOPNOTSUPP,
        };
        return if (filled) null else .EINVAL;
    }
    openssl.ERR_clear_error();
    const ssl = connection.ssl orelse return .EINVAL;
    const bytes = context orelse "";
    const outcome = openssl.SSL_export_keying_material(
        ssl,
        output.ptr,
        output.len,
        label.ptr,
        label.len,
        bytes.ptr,
        bytes.len,
        @intFromBool(context != null),
    );
    openssl.ERR_clear_error();
    return if (outcome == 1) null else .EINVAL;
}

/// RFC 8446, 7.5. False if the label or the output is too long.
fn derive(comptime Hmac: type, comptime Hash: type, secret: []const u8, label: []const u8, context: []const u8, output: []u8) bool {
    var digest: [Hash.digest_length]u8 = undefined;
    Hash.hash("", &digest, .{});
    var derived: [Hash.digest_length]u8 = undefined;
    defer std.crypto.secureZero(u8, &derived);
    if (!expandLabel(Hmac, secret[0..Hash.digest_length].*, label, &digest, &derived)) return false;
    Hash.hash(context, &digest, .{});
    return expandLabel(Hmac, derived, "exporter", &digest, output);
}

const prefix = "tls13 ";

/// HKDF-Expand-Label (RFC 8446, 7.1).
fn expandLabel(comptime Hmac: type, secret: [Hmac.mac_length]u8, label: []const u8, context: []const u8, output: []u8) bool {
    const longest = 255 - prefix.len;
    if (label.len > longest or output.len > 255 * Hmac.mac_length) return false;
    var info: [2 + 1 + 255 + 1 + Hmac.mac_length]u8 = undefined;
    var writer: std.Io.Writer = .fixed(&info);
    writer.writeInt(u16, @intCast(output.len), .big) catch unreachable;
    writer.writeByte(@intCast(prefix.len + label.len)) catch unreachable;
    writer.writeAll(prefix) catch unreachable;
    writer.writeAll(label) catch unreachable;
    writer.writeByte(@intCast(context.len)) catch unreachable;
    writer.writeAll(context) catch unreachable;
    std.crypto.kdf.hkdf.Hkdf(Hmac).expand(output, writer.buffered(), secret);
    return true;
}
