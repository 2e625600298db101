//! OpenSSL's ciphers and digests, as far as records need them. All sessions of a scheduler share a few
//! contexts: to give one another key takes 60 ns, to keep one for each direction of every connection
//! takes 2.4 KB.

const std = @import("std");
const assert = std.debug.assert;
const openssl = @import("openssl.zig");

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

/// The cipher suites of TLS 1.3 (RFC 8446, B.4) that are done here.
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

/// Whose key a context has. A number, not an address: memory may come back as another's.
pub const KeyNumber = u64;
const nobody: KeyNumber = 0;

const Cipher = struct {
    context: ?*openssl.CipherContext = null,
    key: KeyNumber = nobody,
};

/// Contexts of each suite and direction, so that this many connections can be busy side by side
/// without taking each other's keys away.
const places = 64;

const suites = @typeInfo(Suite).@"enum".fields.len;
const digests = @typeInfo(Digest).@"enum".fields.len;

pub const Primitives = struct {
    ciphers: [suites][2][places]Cipher = @splat(@splat(@splat(.{}))),
    algorithms: [suites]?*openssl.CipherAlgorithm = @splat(null),
    digest_contexts: [digests]?*openssl.DigestContext = @splat(null),
    last_key: KeyNumber = nobody,

    pub fn deinit(primitives: *Primitives) void {
        for (primitives.ciphers) |pair| for (pair) |ciphers| for (ciphers) |cipher| openssl.EVP_CIPHER_CTX_free(cipher.context);
        for (primitives.algorithms) |algorithm| if (algorithm) |fetched| openssl.EVP_CIPHER_free(fetched);
        for (primitives.digest_contexts) |context| openssl.EVP_MD_CTX_free(context);
        primitives.* = .{};
    }

    /// Makes what a suite needs. False when OpenSSL does not have it, or memory is out.
    pub fn prepare(primitives: *Primitives, suite: Suite) bool {
        const digest = suite.digest();
        const slot = &primitives.digest_contexts[@intFromEnum(digest)];
        if (slot.* == null) slot.* = makeDigest(digest) orelse return false;
        const algorithm = &primitives.algorithms[@intFromEnum(suite)];
        if (algorithm.* == null) algorithm.* = openssl.EVP_CIPHER_fetch(null, suite.name(), null) orelse return false;
        return true;
    }

    /// A number for a key that nobody has had. A session takes two in a row.
    pub fn numberKey(primitives: *Primitives) KeyNumber {
        primitives.last_key += 1;
        return primitives.last_key;
    }

    fn placeOf(number: KeyNumber) usize {
        return number / 2 % places;
    }

    /// Sees to it that no cipher has a key that nobody needs any more.
    pub fn forget(primitives: *Primitives, suite: Suite, number: KeyNumber) void {
        const blank: [longest_key]u8 = @splat(0);
        const unchanged = -1;
        for (&primitives.ciphers[@intFromEnum(suite)]) |*ciphers| {
            const cipher = &ciphers[placeOf(number)];
            if (number == nobody or cipher.key != number) continue;
            cipher.key = nobody;
            _ = openssl.EVP_CipherInit_ex(cipher.context, null, null, &blank, null, unchanged);
        }
    }

    /// HMAC (RFC 2104) of one message, to `output`, which has the digest's length.
    pub fn hmac(primitives: *Primitives, digest: Digest, key: []const u8, message: []const u8, output: []u8) bool {
        const block = digest.blockLength();
        assert(key.len <= block and output.len == digest.length());
        var padded: [128]u8 = undefined;
        defer std.crypto.secureZero(u8, &padded);
        var inner: [longest_digest]u8 = undefined;
        defer std.crypto.secureZero(u8, &inner);
        pad(padded[0..block], key, 0x36);
        if (!primitives.hash(digest, &.{ padded[0..block], message }, inner[0..output.len])) return false;
        pad(padded[0..block], key, 0x5c);
        return primitives.hash(digest, &.{ padded[0..block], inner[0..output.len] }, output);
    }

    fn pad(block: []u8, key: []const u8, filler: u8) void {
        @memset(block[key.len..], filler);
        for (block[0..key.len], key) |*byte, of_key| byte.* = of_key ^ filler;
    }

    fn hash(primitives: *Primitives, digest: Digest, parts: []const []const u8, output: []u8) bool {
        const context = primitives.digest_contexts[@intFromEnum(digest)].?;
        if (openssl.EVP_DigestInit_ex2(context, null, null) != 1) return false;
        for (parts) |part| if (openssl.EVP_DigestUpdate(context, part.ptr, part.len) != 1) return false;
        var length: c_uint = 0;
        return openssl.EVP_DigestFinal_ex(context, output.ptr, &length) == 1 and length == output.len;
    }

    /// The cipher with this key and nonce, ready for the record.
    fn begin(
        primitives: *Primitives,
        suite: Suite,
        direction: Direction,
        number: KeyNumber,
        key: *const [longest_key]u8,
        nonce: *const [nonce_bytes]u8,
    ) ?*openssl.CipherContext {
        const cipher = &primitives.ciphers[@intFromEnum(suite)][@intFromEnum(direction)][placeOf(number)];
        if (cipher.context == null) cipher.context = makeCipher(primitives.algorithms[@intFromEnum(suite)].?, direction) orelse return null;
        const new_key: ?[*]const u8 = if (cipher.key == number) null else key;
        cipher.key = nobody;
        if (openssl.EVP_CipherInit_ex(cipher.context, null, null, new_key, nonce, @intFromEnum(direction)) != 1) return null;
        cipher.key = number;
        return cipher.context;
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
    ) bool {
        const context = primitives.begin(suite, .seal, number, key, nonce) orelse return false;
        var count: c_int = 0;
        if (openssl.EVP_EncryptUpdate(context, null, &count, header.ptr, @intCast(header.len)) != 1) return false;
        var position: usize = 0;
        for (parts) |part| {
            if (openssl.EVP_EncryptUpdate(context, output.ptr + position, &count, part.ptr, @intCast(part.len)) != 1) return false;
            position += part.len;
        }
        assert(position + tag_bytes == output.len);
        const tag = output.ptr + position;
        return openssl.EVP_EncryptFinal_ex(context, tag, &count) == 1 and
            openssl.EVP_CIPHER_CTX_ctrl(context, openssl.CTRL_AEAD_GET_TAG, tag_bytes, tag) == 1;
    }

    /// Decrypts to `output`, which may be the very memory of the ciphertext. False when it is not
    /// what was sealed; then `output` is zero.
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
    ) bool {
        assert(output.len == ciphertext.len);
        const context = primitives.begin(suite, .open, number, key, nonce) orelse return false;
        var count: c_int = 0;
        var end: [tag_bytes]u8 = undefined;
        const is_authentic =
            openssl.EVP_CIPHER_CTX_ctrl(context, openssl.CTRL_AEAD_SET_TAG, tag_bytes, @constCast(tag)) == 1 and
            openssl.EVP_DecryptUpdate(context, null, &count, header.ptr, @intCast(header.len)) == 1 and
            openssl.EVP_DecryptUpdate(context, output.ptr, &count, ciphertext.ptr, @intCast(ciphertext.len)) == 1 and
            openssl.EVP_DecryptFinal_ex(context, &end, &count) == 1;
        if (!is_authentic) @memset(output, 0);
        return is_authentic;
    }
};

fn makeDigest(digest: Digest) ?*openssl.DigestContext {
    const algorithm = openssl.EVP_MD_fetch(null, digest.name(), null) orelse return null;
    // The context holds it from here on.
    defer openssl.EVP_MD_free(algorithm);
    const context = openssl.EVP_MD_CTX_new() orelse return null;
    if (openssl.EVP_DigestInit_ex2(context, algorithm, null) == 1) return context;
    openssl.EVP_MD_CTX_free(context);
    return null;
}

fn makeCipher(algorithm: *openssl.CipherAlgorithm, direction: Direction) ?*openssl.CipherContext {
    const context = openssl.EVP_CIPHER_CTX_new() orelse return null;
    if (openssl.EVP_CipherInit_ex(context, algorithm, null, null, null, @intFromEnum(direction)) == 1) return context;
    openssl.EVP_CIPHER_CTX_free(context);
    return null;
}
