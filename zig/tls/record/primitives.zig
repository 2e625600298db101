//! OpenSSL's ciphers and digests, as far as records need them. All connections of a thread share a few
//! cipher contexts: giving one another key takes 60 ns, and one for each direction of every connection
//! would take 2.4 KB.

const std = @import("std");
const assert = @import("../../os/bug.zig").assert;
const openssl = @import("../openssl.zig");

pub const tag_bytes = 16;
pub const nonce_bytes = 12;
pub const longest_key = 32;
pub const longest_digest = 48;

pub const Digest = enum {
    sha256,
    sha384,

    pub fn length(digest: Digest) usize {
        return switch (digest) {
            .sha256 => 32,
            .sha384 => 48,
        };
    }

    fn blockLength(digest: Digest) usize {
        return switch (digest) {
            .sha256 => 64,
            .sha384 => 128,
        };
    }

    fn name(digest: Digest) [*:0]const u8 {
        return switch (digest) {
            .sha256 => "SHA2-256",
            .sha384 => "SHA2-384",
        };
    }
};

/// The cipher suites of TLS 1.3 (RFC 8446, B.4) that this module implements.
pub const Suite = enum {
    aes_128_gcm_sha256,
    aes_256_gcm_sha384,
    chacha20_poly1305_sha256,

    pub fn fromNumber(number: u16) ?Suite {
        return switch (number) {
            0x1301 => .aes_128_gcm_sha256,
            0x1302 => .aes_256_gcm_sha384,
            0x1303 => .chacha20_poly1305_sha256,
            else => null,
        };
    }

    pub fn digest(suite: Suite) Digest {
        return if (suite == .aes_256_gcm_sha384) .sha384 else .sha256;
    }

    pub fn keyLength(suite: Suite) usize {
        return if (suite == .aes_128_gcm_sha256) 16 else 32;
    }

    fn name(suite: Suite) [*:0]const u8 {
        return switch (suite) {
            .aes_128_gcm_sha256 => "AES-128-GCM",
            .aes_256_gcm_sha384 => "AES-256-GCM",
            .chacha20_poly1305_sha256 => "ChaCha20-Poly1305",
        };
    }
};

/// The numbers are those of EVP_CipherInit_ex(3).
pub const Direction = enum(u1) { open = 0, seal = 1 };

/// Names a key, so that a cipher context knows whose key it has. An address would not do: another
/// connection's keys may come to lie there.
pub const KeyNumber = enum(u64) { none, _ };

const Cipher = struct {
    context: ?*openssl.EVP_CIPHER_CTX = null,
    key: KeyNumber = .none,
};

/// Cipher contexts of each suite and direction. So many connections can be busy side by side without
/// taking each other's keys away.
const places = 64;

/// OpenSSL has no memory, lacks an algorithm, or finds that a record was changed. Its error queue may say more.
pub const CryptoError = error{CryptoFailed};

const suites = @typeInfo(Suite).@"enum".fields.len;
const digests = @typeInfo(Digest).@"enum".fields.len;

pub const Primitives = struct {
    ciphers: [suites][2][places]Cipher = @splat(@splat(@splat(.{}))),
    algorithms: [suites]?*openssl.EVP_CIPHER = @splat(null),
    digest_contexts: [digests]?*openssl.EVP_MD_CTX = @splat(null),
    last_key: KeyNumber = .none,

    pub fn deinit(primitives: *Primitives) void {
        for (primitives.ciphers) |pair| for (pair) |ciphers| for (ciphers) |cipher| openssl.EVP_CIPHER_CTX_free(cipher.context);
        for (primitives.algorithms) |algorithm| if (algorithm) |fetched| openssl.EVP_CIPHER_free(fetched);
        for (primitives.digest_contexts) |context| openssl.EVP_MD_CTX_free(context);
        primitives.* = .{};
    }

    /// Makes what a suite needs. Fails when OpenSSL does not have it, or memory is out.
    pub fn prepare(primitives: *Primitives, suite: Suite) CryptoError!void {
        const digest = suite.digest();
        const slot = &primitives.digest_contexts[@intFromEnum(digest)];
        if (slot.* == null) slot.* = try makeDigest(digest);
        const algorithm = &primitives.algorithms[@intFromEnum(suite)];
        if (algorithm.* == null) algorithm.* = openssl.EVP_CIPHER_fetch(null, suite.name(), null) orelse return error.CryptoFailed;
    }

    /// A number that no key has had. A connection takes two in a row.
    pub fn numberKey(primitives: *Primitives) KeyNumber {
        primitives.last_key = @enumFromInt(@intFromEnum(primitives.last_key) + 1);
        return primitives.last_key;
    }

    fn placeOf(number: KeyNumber) usize {
        return @intFromEnum(number) / 2 % places;
    }

    /// Wipes a key that is not needed any more out of the cipher contexts.
    pub fn forget(primitives: *Primitives, suite: Suite, number: KeyNumber) void {
        const blank: [longest_key]u8 = @splat(0);
        const unchanged = -1;
        for (&primitives.ciphers[@intFromEnum(suite)]) |*ciphers| {
            const cipher = &ciphers[placeOf(number)];
            if (number == .none or cipher.key != number) continue;
            cipher.key = .none;
            _ = openssl.EVP_CipherInit_ex(cipher.context, null, null, &blank, null, unchanged);
        }
    }

    /// HMAC (RFC 2104) of one message, to `output`, which has the digest's length.
    pub fn hmac(primitives: *Primitives, digest: Digest, key: []const u8, message: []const u8, output: []u8) CryptoError!void {
        const block = digest.blockLength();
        assert(key.len <= block and output.len == digest.length(), "HMAC gets a wrong length");
        var padded: [128]u8 = undefined;
        defer std.crypto.secureZero(u8, &padded);
        var inner: [longest_digest]u8 = undefined;
        defer std.crypto.secureZero(u8, &inner);
        pad(padded[0..block], key, 0x36);
        try primitives.hash(digest, &.{ padded[0..block], message }, inner[0..output.len]);
        pad(padded[0..block], key, 0x5c);
        try primitives.hash(digest, &.{ padded[0..block], inner[0..output.len] }, output);
    }

    fn pad(block: []u8, key: []const u8, filler: u8) void {
        @memset(block[key.len..], filler);
        for (block[0..key.len], key) |*byte, of_key| byte.* = of_key ^ filler;
    }

    fn hash(primitives: *Primitives, digest: Digest, parts: []const []const u8, output: []u8) CryptoError!void {
        const context = primitives.digest_contexts[@intFromEnum(digest)].?;
        if (openssl.EVP_DigestInit_ex2(context, null, null) != 1) return error.CryptoFailed;
        for (parts) |part| if (openssl.EVP_DigestUpdate(context, part.ptr, part.len) != 1) return error.CryptoFailed;
        var length: c_uint = 0;
        if (openssl.EVP_DigestFinal_ex(context, output.ptr, &length) != 1) return error.CryptoFailed;
        assert(length == output.len, "a digest has a wrong length");
    }

    /// The cipher with this key and nonce, ready for the record.
    fn begin(
        primitives: *Primitives,
        suite: Suite,
        direction: Direction,
        number: KeyNumber,
        key: *const [longest_key]u8,
        nonce: *const [nonce_bytes]u8,
    ) CryptoError!*openssl.EVP_CIPHER_CTX {
        assert(number != .none, "a record is protected without a key");
        const cipher = &primitives.ciphers[@intFromEnum(suite)][@intFromEnum(direction)][placeOf(number)];
        if (cipher.context == null) cipher.context = try makeCipher(primitives.algorithms[@intFromEnum(suite)].?, direction);
        const new_key: ?[*]const u8 = if (cipher.key == number) null else key;
        cipher.key = .none;
        if (openssl.EVP_CipherInit_ex(cipher.context, null, null, new_key, nonce, @intFromEnum(direction)) != 1) return error.CryptoFailed;
        cipher.key = number;
        return cipher.context.?;
    }

    /// Encrypts the parts to `output`, with the tag behind them.
    pub fn seal(
        primitives: *Primitives,
        suite: Suite,
        number: KeyNumber,
        key: *const [longest_key]u8,
        nonce: *const [nonce_bytes]u8,
        header: []const u8,
        parts: []const []const u8,
        output: []u8,
    ) CryptoError!void {
        const context = try primitives.begin(suite, .seal, number, key, nonce);
        var count: c_int = 0;
        if (openssl.EVP_EncryptUpdate(context, null, &count, header.ptr, @intCast(header.len)) != 1) return error.CryptoFailed;
        var position: usize = 0;
        for (parts) |part| {
            if (openssl.EVP_EncryptUpdate(context, output.ptr + position, &count, part.ptr, @intCast(part.len)) != 1) return error.CryptoFailed;
            position += part.len;
        }
        assert(position + tag_bytes == output.len, "a sealed record has a wrong length");
        const tag = output.ptr + position;
        if (openssl.EVP_EncryptFinal_ex(context, tag, &count) != 1) return error.CryptoFailed;
        if (openssl.EVP_CIPHER_CTX_ctrl(context, openssl.EVP_CTRL_AEAD_GET_TAG, tag_bytes, tag) != 1) return error.CryptoFailed;
    }

    /// Decrypts to `output`, which may be the memory of the ciphertext. Fails, with `output` zeroed, when
    /// it is not what was sealed.
    pub fn open(
        primitives: *Primitives,
        suite: Suite,
        number: KeyNumber,
        key: *const [longest_key]u8,
        nonce: *const [nonce_bytes]u8,
        header: []const u8,
        ciphertext: []const u8,
        tag: *const [tag_bytes]u8,
        output: []u8,
    ) CryptoError!void {
        assert(output.len == ciphertext.len, "an opened record has a wrong length");
        errdefer @memset(output, 0);
        const context = try primitives.begin(suite, .open, number, key, nonce);
        var count: c_int = 0;
        var end: [tag_bytes]u8 = undefined;
        const is_authentic =
            openssl.EVP_CIPHER_CTX_ctrl(context, openssl.EVP_CTRL_AEAD_SET_TAG, tag_bytes, @constCast(tag)) == 1 and
            openssl.EVP_DecryptUpdate(context, null, &count, header.ptr, @intCast(header.len)) == 1 and
            openssl.EVP_DecryptUpdate(context, output.ptr, &count, ciphertext.ptr, @intCast(ciphertext.len)) == 1 and
            openssl.EVP_DecryptFinal_ex(context, &end, &count) == 1;
        if (!is_authentic) return error.CryptoFailed;
    }
};

fn makeDigest(digest: Digest) CryptoError!*openssl.EVP_MD_CTX {
    const algorithm = openssl.EVP_MD_fetch(null, digest.name(), null) orelse return error.CryptoFailed;
    // The context takes a reference of its own.
    defer openssl.EVP_MD_free(algorithm);
    const context = openssl.EVP_MD_CTX_new() orelse return error.CryptoFailed;
    errdefer openssl.EVP_MD_CTX_free(context);
    if (openssl.EVP_DigestInit_ex2(context, algorithm, null) != 1) return error.CryptoFailed;
    return context;
}

fn makeCipher(algorithm: *openssl.EVP_CIPHER, direction: Direction) CryptoError!*openssl.EVP_CIPHER_CTX {
    const context = openssl.EVP_CIPHER_CTX_new() orelse return error.CryptoFailed;
    errdefer openssl.EVP_CIPHER_CTX_free(context);
    if (openssl.EVP_CipherInit_ex(context, algorithm, null, null, null, @intFromEnum(direction)) != 1) return error.CryptoFailed;
    return context;
}
