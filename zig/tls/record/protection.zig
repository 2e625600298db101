//! How TLS 1.3 protects records (RFC 8446, 5.2 to 5.5, and 7.2 to 7.3): one direction's keys, from
//! its traffic secret. The ciphers are OpenSSL's.

const std = @import("std");
const assert = @import("../../os/bug.zig").assert;
const primitives_module = @import("primitives.zig");
const framing = @import("framing.zig");
const CryptoError = primitives_module.CryptoError;
const Digest = primitives_module.Digest;
const KeyNumber = primitives_module.KeyNumber;
const Primitives = primitives_module.Primitives;
const Suite = primitives_module.Suite;

pub const ContentType = enum(u8) {
    change_cipher_spec = 20,
    alert = 21,
    handshake = 22,
    application_data = 23,
    _,
};

const tag_bytes = primitives_module.tag_bytes;

/// What a sealed record has beside its plaintext: header, type and tag.
pub const overhead_bytes = framing.header_bytes + 1 + tag_bytes;

/// The most plaintext of a record with its type and padding (RFC 8446, 5.4).
const longest_inner = framing.plaintext_bytes + 1;

/// The most that a record of TLS 1.3 may claim to hold (RFC 8446, 5.2).
const longest_ciphertext = framing.plaintext_bytes + 256;

/// Up to this length, copying the plaintext beside its type is faster than encrypting the two one by one.
const copied_bytes = 1024;

/// Records that one key protects: AES-GCM is safe for about 2^24.5 long ones (RFC 8446, 5.5).
pub const records_per_key = 1 << 24;

/// The sequence number of keys that protect nothing: they were not derived, or are used up, which a
/// key update prevents (`records_per_key`).
const exhausted = std.math.maxInt(u64);

/// What protects one direction of a connection.
pub const Keys = struct {
    secret: [primitives_module.longest_digest]u8 = @splat(0),
    /// 0 while there is no secret.
    secret_length: u8 = 0,
    key: [primitives_module.longest_key]u8 = @splat(0),
    iv: [primitives_module.nonce_bytes]u8 = @splat(0),
    number: KeyNumber = .none,
    /// Records under this key so far.
    sequence: u64 = exhausted,

    pub fn setSecret(keys: *Keys, secret: []const u8) void {
        @memcpy(keys.secret[0..secret.len], secret);
        keys.secret_length = @intCast(secret.len);
    }

    /// Derives key and nonce from the secret (RFC 8446, 7.3).
    pub fn derive(keys: *Keys, primitives: *Primitives, suite: Suite) CryptoError!void {
        const digest = suite.digest();
        const secret = keys.currentSecret();
        assert(secret.len == digest.length(), "a secret has a wrong length");
        keys.number = primitives.numberKey();
        keys.sequence = exhausted;
        try expandLabel(primitives, digest, secret, "key", keys.key[0..suite.keyLength()]);
        try expandLabel(primitives, digest, secret, "iv", &keys.iv);
        keys.sequence = 0;
    }

    pub fn currentSecret(keys: *const Keys) []const u8 {
        return keys.secret[0..keys.secret_length];
    }

    /// Goes on to the next secret (RFC 8446, 7.2).
    pub fn update(keys: *Keys, primitives: *Primitives, suite: Suite) CryptoError!void {
        var next: [primitives_module.longest_digest]u8 = undefined;
        defer std.crypto.secureZero(u8, &next);
        try expandLabel(primitives, suite.digest(), keys.currentSecret(), "traffic upd", next[0..keys.secret_length]);
        keys.setSecret(next[0..keys.secret_length]);
        primitives.forget(suite, keys.number);
        try keys.derive(primitives, suite);
    }

    fn nonce(keys: *const Keys) [primitives_module.nonce_bytes]u8 {
        var result = keys.iv;
        var sequence: [8]u8 = undefined;
        std.mem.writeInt(u64, &sequence, keys.sequence, .big);
        for (result[4..], sequence) |*byte, of_sequence| byte.* ^= of_sequence;
        return result;
    }

    /// Writes a record to `output`, which has room for just that.
    pub fn seal(keys: *Keys, primitives: *Primitives, suite: Suite, kind: ContentType, plaintext: []const u8, output: []u8) CryptoError!void {
        assert(plaintext.len <= framing.plaintext_bytes, "a record is too long to be sealed");
        assert(output.len == plaintext.len + overhead_bytes, "a sealed record has a wrong length");
        if (keys.sequence == exhausted) return error.CryptoFailed;
        const header = output[0..framing.header_bytes];
        header[0..3].* = .{ @intFromEnum(ContentType.application_data), 3, 3 };
        std.mem.writeInt(u16, header[3..5], @intCast(output.len - header.len), .big);
        const type_byte = [_]u8{@intFromEnum(kind)};
        const payload = output[header.len..];
        var parts: [2][]const u8 = .{ plaintext, &type_byte };
        if (plaintext.len <= copied_bytes) {
            const inner = payload[0 .. plaintext.len + 1];
            @memcpy(inner[0..plaintext.len], plaintext);
            inner[plaintext.len] = type_byte[0];
            parts = .{ inner, "" };
        }
        const count: usize = if (parts[1].len == 0) 1 else 2;
        // No sequence number is used twice, not even after a failure.
        defer keys.sequence += 1;
        try primitives.seal(suite, keys.number, &keys.key, &keys.nonce(), header, parts[0..count], payload);
    }

    /// Decrypts a whole record. The content is written to `output` if that has room for it with its type
    /// and padding, and to the record's own memory otherwise.
    pub fn open(keys: *Keys, primitives: *Primitives, suite: Suite, record: []u8, output: []u8) Refusal!Opened {
        assert(record.len >= framing.header_bytes, "a record without a header is opened");
        const header = record[0..framing.header_bytes];
        const payload = record[framing.header_bytes..];
        // Neither the end of a handshake nor an alert is ever sent in the clear from here on.
        if (header[0] != @intFromEnum(ContentType.application_data)) return error.UnexpectedRecord;
        if (header[1] != 3 or header[2] != 3) return error.WrongVersion;
        if (payload.len > longest_ciphertext) return error.RecordTooLong;
        if (payload.len <= tag_bytes or keys.sequence == exhausted) return error.BadRecord;
        const ciphertext = payload[0 .. payload.len - tag_bytes];
        const tag = payload[ciphertext.len..][0..tag_bytes];
        const inner = if (output.len >= ciphertext.len) output[0..ciphertext.len] else ciphertext;
        primitives.open(suite, keys.number, &keys.key, &keys.nonce(), header, ciphertext, tag, inner) catch return error.BadRecord;
        keys.sequence += 1;
        if (inner.len > longest_inner) return error.ContentTooLong;
        // The type is the last byte that is not padding; no type is 0.
        const end = std.mem.lastIndexOfNone(u8, inner, "\x00") orelse 0;
        return .{ .kind = @enumFromInt(inner[end]), .content = inner[0..end] };
    }
};

pub const Refusal = error{ UnexpectedRecord, WrongVersion, RecordTooLong, BadRecord, ContentTooLong };

pub const Opened = struct { kind: ContentType, content: []u8 };

/// HKDF-Expand-Label without a context (RFC 8446, 7.1). The output has at most the digest's length.
fn expandLabel(primitives: *Primitives, digest: Digest, secret: []const u8, comptime label: []const u8, output: []u8) CryptoError!void {
    assert(output.len <= digest.length(), "more is derived than one digest has");
    const full_label = "tls13 " ++ label;
    const length: u16 = @intCast(output.len);
    // HkdfLabel, and the number of the only block (RFC 5869, 2.3).
    const message = std.mem.toBytes(std.mem.nativeToBig(u16, length)) ++
        [_]u8{full_label.len} ++ full_label.* ++ [_]u8{ 0, 1 };
    var block: [primitives_module.longest_digest]u8 = undefined;
    defer std.crypto.secureZero(u8, &block);
    try primitives.hmac(digest, secret, &message, block[0..digest.length()]);
    @memcpy(output, block[0..output.len]);
}
