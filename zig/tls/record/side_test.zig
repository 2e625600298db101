//! One direction of a connection, protected by Zig's own cryptography, so that OpenSSL's use in
//! `protection.zig` is compared with another implementation. It seals records that are allowed, and others.

const std = @import("std");
const crypto = std.crypto;
const framing = @import("framing.zig");
const ContentType = @import("protection.zig").ContentType;
const Suite = @import("primitives.zig").Suite;

pub const longest_secret = 48;
const tag_bytes = 16;

/// Room for the longest record that a side makes, allowed or not.
pub const record_bytes = framing.longest_record + 1024;

/// One direction of a connection (RFC 8446, 5.2, 5.3, 7.2 and 7.3).
pub const Side = struct {
    suite: Suite,
    secret: [longest_secret]u8,
    sequence: u64 = 0,

    fn expand(side: *const Side, comptime label: []const u8, comptime length: usize) [length]u8 {
        const hkdf = crypto.kdf.hkdf;
        const expandLabel = crypto.tls.hkdfExpandLabel;
        return switch (side.suite) {
            .aes_256_gcm_sha384 => expandLabel(hkdf.Hkdf(crypto.auth.hmac.sha2.HmacSha384), side.secret, label, "", length),
            else => expandLabel(hkdf.HkdfSha256, side.secret[0..32].*, label, "", length),
        };
    }

    pub fn update(side: *Side) void {
        switch (side.suite) {
            .aes_256_gcm_sha384 => side.secret = side.expand("traffic upd", 48),
            else => side.secret[0..32].* = side.expand("traffic upd", 32),
        }
        side.sequence = 0;
    }

    /// The nonce of the next record.
    fn takeNonce(side: *Side) [12]u8 {
        var nonce = side.expand("iv", 12);
        const low = std.mem.readInt(u64, nonce[4..], .big);
        std.mem.writeInt(u64, nonce[4..], low ^ side.sequence, .big);
        side.sequence += 1;
        return nonce;
    }

    /// Seals what has its type and its padding already.
    pub fn sealInner(side: *Side, inner: []const u8, output: []u8) []u8 {
        return side.sealUnder(.{ 23, 3, 3 }, inner, output);
    }

    /// The same under another type and version.
    pub fn sealUnder(side: *Side, start: [3]u8, inner: []const u8, output: []u8) []u8 {
        const record = output[0 .. framing.header_bytes + inner.len + tag_bytes];
        const header = record[0..framing.header_bytes];
        header[0..3].* = start;
        std.mem.writeInt(u16, header[3..5], @intCast(inner.len + tag_bytes), .big);
        const nonce = side.takeNonce();
        const ciphertext = record[framing.header_bytes..][0..inner.len];
        const tag = record[framing.header_bytes + inner.len ..][0..tag_bytes];
        switch (side.suite) {
            .aes_128_gcm_sha256 => crypto.aead.aes_gcm.Aes128Gcm.encrypt(ciphertext, tag, inner, header, nonce, side.expand("key", 16)),
            .aes_256_gcm_sha384 => crypto.aead.aes_gcm.Aes256Gcm.encrypt(ciphertext, tag, inner, header, nonce, side.expand("key", 32)),
            .chacha20_poly1305_sha256 => crypto.aead.chacha_poly.ChaCha20Poly1305.encrypt(ciphertext, tag, inner, header, nonce, side.expand("key", 32)),
        }
        return record;
    }

    /// Seals content with a type, and with zeros behind it.
    pub fn seal(side: *Side, kind: ContentType, content: []const u8, padding: usize, output: []u8) []u8 {
        var inner: [record_bytes]u8 = undefined;
        @memcpy(inner[0..content.len], content);
        inner[content.len] = @intFromEnum(kind);
        @memset(inner[content.len + 1 ..][0..padding], 0);
        return side.sealInner(inner[0 .. content.len + 1 + padding], output);
    }

    /// Opens a whole record, to `output`.
    pub fn open(side: *Side, record: []const u8, output: []u8) !struct { ContentType, []u8 } {
        const header = record[0..framing.header_bytes];
        try std.testing.expectEqualSlices(u8, &.{ 23, 3, 3 }, header[0..3]);
        const ciphertext = record[framing.header_bytes .. record.len - tag_bytes];
        const tag = record[record.len - tag_bytes ..][0..tag_bytes].*;
        const inner = output[0..ciphertext.len];
        const nonce = side.takeNonce();
        switch (side.suite) {
            .aes_128_gcm_sha256 => try crypto.aead.aes_gcm.Aes128Gcm.decrypt(inner, ciphertext, tag, header, nonce, side.expand("key", 16)),
            .aes_256_gcm_sha384 => try crypto.aead.aes_gcm.Aes256Gcm.decrypt(inner, ciphertext, tag, header, nonce, side.expand("key", 32)),
            .chacha20_poly1305_sha256 => try crypto.aead.chacha_poly.ChaCha20Poly1305.decrypt(inner, ciphertext, tag, header, nonce, side.expand("key", 32)),
        }
        // plait does not pad.
        return .{ @enumFromInt(inner[inner.len - 1]), inner[0 .. inner.len - 1] };
    }
};
