//! Certificates, keys, trust anchors and revocation lists of a context, each PEM or DER. PEM is text
//! with "-----BEGIN" in it (RFC 7468); everything else is taken for DER.
//!
//! OpenSSL must not ask for a passphrase on the terminal, so each call gets a function that answers.

const std = @import("std");
const openssl = @import("openssl.zig");
const reasons = @import("reasons.zig");
const Context = @import("context.zig").Context;
const Error = @import("context.zig").Error;

/// The longest passphrase that OpenSSL asks for.
const longest_passphrase = openssl.PEM_BUFSIZE;

fn isPem(bytes: []const u8) bool {
    return std.mem.indexOf(u8, bytes, "-----BEGIN") != null;
}

fn open(bytes: []const u8) ?*openssl.BIO {
    openssl.ERR_clear_error();
    const length = std.math.cast(c_int, bytes.len) orelse return null;
    return openssl.BIO_new_mem_buf(bytes.ptr, length);
}

fn noPassphrase(_: [*]u8, _: c_int, _: c_int, _: ?*anyopaque) callconv(.c) c_int {
    return -1;
}

/// Whether the last call has found no further PEM block.
fn isAtEnd() bool {
    const code = openssl.ERR_peek_last_error();
    if (openssl.libraryOf(code) != openssl.ERR_LIB_PEM or openssl.reasonOf(code) != openssl.PEM_R_NO_START_LINE) return false;
    openssl.ERR_clear_error();
    return true;
}

/// Calls `use` for each certificate, which takes a reference if it keeps the certificate.
fn forEachCertificate(bytes: []const u8, context: *Context, use: *const fn (*Context, *openssl.X509, usize) Error!void) Error!void {
    const bio = open(bytes) orelse return reasons.refused();
    defer _ = openssl.BIO_free(bio);
    const is_pem = isPem(bytes);
    var count: usize = 0;
    while (true) : (count += 1) {
        if (!is_pem and count > 0) return;
        const read = if (is_pem)
            openssl.PEM_read_bio_X509_AUX(bio, null, noPassphrase, null)
        else
            openssl.d2i_X509_bio(bio, null);
        const certificate = read orelse {
            if (!is_pem or !isAtEnd()) return reasons.refused();
            return if (count > 0) {} else reasons.refusedBecause("no certificate was found");
        };
        defer openssl.X509_free(certificate);
        try use(context, certificate, count);
    }
}

/// Adds the context's own certificate, and those behind it that lead to a trusted one. A second certificate,
/// for a key of another kind, may follow.
pub fn addCertificates(context: *Context, bytes: []const u8) Error!void {
    try forEachCertificate(bytes, context, useCertificate);
}

fn useCertificate(context: *Context, certificate: *openssl.X509, place: usize) Error!void {
    const raw = context.raw.?;
    const is_used = if (place > 0)
        openssl.SSL_CTX_ctrl(raw, openssl.SSL_CTRL_CHAIN_CERT, 1, certificate) == 1
    else
        // The chain of an earlier certificate with this kind of key goes.
        openssl.SSL_CTX_use_certificate(raw, certificate) == 1 and openssl.SSL_CTX_ctrl(raw, openssl.SSL_CTRL_CHAIN, 0, null) == 1;
    if (!is_used) return reasons.refused();
}

/// The most bytes of authorities' names in a request for a certificate. Their list has 64 KiB (RFC 8446, 4.2.4;
/// RFC 5246, 7.4.4), which in TLS 1.3 all extensions share.
const authorities_at_most = 63 * 1024;

/// Adds trust anchors. A server also names them to its clients, if there are not too many.
pub fn addAuthorities(context: *Context, bytes: []const u8) Error!void {
    try forEachCertificate(bytes, context, useAuthority);
}

fn useAuthority(context: *Context, certificate: *openssl.X509, place: usize) Error!void {
    try useTrust(context, certificate, place);
    const raw = context.raw.?;
    const name_length = openssl.i2d_X509_NAME(openssl.X509_get_subject_name(certificate), null);
    if (name_length < 0) return reasons.refused();
    context.authorities_length += 2 + @as(usize, @intCast(name_length));
    // A client that gets no list sends the certificate that it has.
    if (context.authorities_length > authorities_at_most) return openssl.SSL_CTX_set_client_CA_list(raw, null);
    if (openssl.SSL_CTX_add_client_CA(raw, certificate) != 1) return reasons.refused();
}

/// Adds trust anchors that a server does not name.
pub fn addTrust(context: *Context, bytes: []const u8) Error!void {
    try forEachCertificate(bytes, context, useTrust);
}

fn useTrust(context: *Context, certificate: *openssl.X509, _: usize) Error!void {
    const store = openssl.SSL_CTX_get_cert_store(context.raw.?);
    if (openssl.X509_STORE_add_cert(store, certificate) != 1) return reasons.refused();
}

/// Adds lists of revoked certificates. From then on each certificate of a chain needs its issuer's list.
pub fn addRevocations(context: *Context, bytes: []const u8) Error!void {
    const bio = open(bytes) orelse return reasons.refused();
    defer _ = openssl.BIO_free(bio);
    const store = openssl.SSL_CTX_get_cert_store(context.raw.?);
    const is_pem = isPem(bytes);
    var count: usize = 0;
    while (true) : (count += 1) {
        if (!is_pem and count > 0) break;
        const read = if (is_pem)
            openssl.PEM_read_bio_X509_CRL(bio, null, noPassphrase, null)
        else
            openssl.d2i_X509_CRL_bio(bio, null);
        const list = read orelse {
            if (!is_pem or !isAtEnd()) return reasons.refused();
            if (count == 0) return reasons.refusedBecause("no revocation list was found");
            break;
        };
        defer openssl.X509_CRL_free(list);
        if (openssl.X509_STORE_add_crl(store, list) != 1) return reasons.refused();
    }
    context.checks_revocation = true;
    _ = openssl.X509_STORE_set_flags(store, openssl.X509_V_FLAG_CRL_CHECK | openssl.X509_V_FLAG_CRL_CHECK_ALL);
}

const Passphrase = struct {
    bytes: []const u8,
    was_asked: bool = false,

    fn answer(buffer: [*]u8, size: c_int, _: c_int, argument: ?*anyopaque) callconv(.c) c_int {
        const passphrase: *Passphrase = @ptrCast(@alignCast(argument.?));
        passphrase.was_asked = true;
        if (passphrase.bytes.len == 0 or passphrase.bytes.len > size) return -1;
        @memcpy(buffer[0..passphrase.bytes.len], passphrase.bytes);
        return @intCast(passphrase.bytes.len);
    }
};

/// Sets the key of the certificate that was added last.
pub fn setKey(context: *Context, bytes: []const u8, passphrase: []const u8) Error!void {
    if (passphrase.len > longest_passphrase) return error.EINVAL;
    var secret: Passphrase = .{ .bytes = passphrase };
    const key = readKey(bytes, &secret) orelse {
        if (secret.was_asked and passphrase.len == 0) return reasons.refusedBecause("the key is encrypted and no passphrase was given");
        return reasons.refused();
    };
    defer openssl.EVP_PKEY_free(key);
    try useKey(context, key);
}

fn readKey(bytes: []const u8, secret: *Passphrase) ?*openssl.EVP_PKEY {
    const bio = open(bytes) orelse return null;
    defer _ = openssl.BIO_free(bio);
    if (isPem(bytes)) return openssl.PEM_read_bio_PrivateKey(bio, null, Passphrase.answer, secret);
    if (openssl.d2i_PrivateKey_bio(bio, null)) |key| return key;
    // Encrypted keys have another format (RFC 5958, 3).
    const again = open(bytes) orelse return null;
    defer _ = openssl.BIO_free(again);
    return openssl.d2i_PKCS8PrivateKey_bio(again, null, Passphrase.answer, secret);
}

fn useKey(context: *Context, key: *openssl.EVP_PKEY) Error!void {
    const raw = context.raw.?;
    if (openssl.SSL_CTX_use_PrivateKey(raw, key) != 1) return reasons.refused();
    if (openssl.SSL_CTX_check_private_key(raw) != 1) return reasons.refused();
}

/// Adds a certificate, its key and its chain from one PKCS#12 file.
pub fn usePkcs12(context: *Context, bytes: []const u8, passphrase: []const u8) Error!void {
    var text: [longest_passphrase + 1]u8 = undefined;
    defer std.crypto.secureZero(u8, &text);
    if (passphrase.len > longest_passphrase or std.mem.indexOfScalar(u8, passphrase, 0) != null) return error.EINVAL;
    @memcpy(text[0..passphrase.len], passphrase);
    text[passphrase.len] = 0;

    const bio = open(bytes) orelse return reasons.refused();
    defer _ = openssl.BIO_free(bio);
    const container = openssl.d2i_PKCS12_bio(bio, null) orelse return reasons.refused();
    defer openssl.PKCS12_free(container);
    var key: ?*openssl.EVP_PKEY = null;
    var certificate: ?*openssl.X509 = null;
    var others: ?*openssl.OPENSSL_STACK = null;
    if (openssl.PKCS12_parse(container, @ptrCast(&text), &key, &certificate, &others) != 1) return reasons.refused();
    defer {
        if (key) |owned| openssl.EVP_PKEY_free(owned);
        if (certificate) |owned| openssl.X509_free(owned);
        openssl.OPENSSL_sk_pop_free(others, freeCertificate);
    }
    const leaf = certificate orelse return reasons.refusedBecause("the PKCS#12 file holds no certificate");
    try useCertificate(context, leaf, 0);
    const count: usize = @intCast(@max(openssl.OPENSSL_sk_num(others), 0));
    for (0..count) |place| {
        const other: *openssl.X509 = @ptrCast(openssl.OPENSSL_sk_value(others, @intCast(place)).?);
        try useCertificate(context, other, place + 1);
    }
    try useKey(context, key orelse return reasons.refusedBecause("the PKCS#12 file holds no key"));
}

fn freeCertificate(certificate: ?*anyopaque) callconv(.c) void {
    openssl.X509_free(@ptrCast(certificate.?));
}
