//! Certificates, keys and lists that contexts accept, and those that they refuse.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const certificates = @import("certificates_test.zig");
const context_module = @import("context.zig");
const contexts = @import("contexts.zig");
const credentials = @import("credentials.zig");
const openssl = @import("openssl.zig");
const reasons = @import("reasons.zig");
const tls = @import("harness_test.zig");
const Context = context_module.Context;
const Harness = @import("../thread/harness_test.zig").Harness;
const expectError = std.testing.expectError;

extern "c" fn PKCS12_create(passphrase: [*:0]const u8, name: ?[*:0]const u8, key: *openssl.EVP_PKEY, certificate: *openssl.X509, others: ?*openssl.OPENSSL_STACK, key_cipher: c_int, certificate_cipher: c_int, rounds: c_int, mac_rounds: c_int, key_type: c_int) ?*openssl.PKCS12;
extern "c" fn i2d_PKCS12(store: *const openssl.PKCS12, output: ?*[*]u8) c_int;

fn newContext(harness: *Harness) !*Context {
    return tls.contextOf(harness, try contexts.create(harness.tls));
}

fn expectRefused(outcome: context_module.Error!void, reason: []const u8) !void {
    try expectError(error.TlsFailed, outcome);
    try std.testing.expectStringEndsWith(reasons.last(), reason);
}

test "keys go with their certificate, and encrypted ones need their passphrase" {
    var harness = try Harness.init();
    defer harness.deinit();
    const context = try newContext(&harness);
    const setKey = credentials.setKey;
    try credentials.addCertificates(context, certificates.certificate ++ "\n" ++ certificates.other_certificate);
    try setKey(context, certificates.key, "");
    try setKey(context, certificates.encrypted_key, "secret");
    try expectRefused(setKey(context, certificates.other_key, ""), "key values mismatch");
    try expectRefused(setKey(context, certificates.encrypted_key, ""), "the key is encrypted and no passphrase was given");
    try expectError(error.TlsFailed, setKey(context, certificates.encrypted_key, "wrong"));
    try expectError(error.EINVAL, setKey(context, certificates.encrypted_key, "x" ** 1025));
    for ([_][]const u8{ "", "nonsense", certificates.certificate, certificates.key[0..100] }) |wrong| {
        try expectError(error.TlsFailed, setKey(context, wrong, ""));
    }
    try credentials.addCertificates(context, certificates.even_certificate);
    try setKey(context, certificates.even_key, "");
}

test "what holds no certificate and no list is refused" {
    var harness = try Harness.init();
    defer harness.deinit();
    const context = try newContext(&harness);
    const good = certificates.certificate;
    for ([_]*const fn (*Context, []const u8) context_module.Error!void{ credentials.addCertificates, credentials.addAuthorities }) |add| {
        try expectRefused(add(context, certificates.key), "no certificate was found");
        for ([_][]const u8{ "", "\x30\x03\x02\x01\x01", good[0..200], good ++ "\n" ++ good[0..200] }) |wrong| {
            try expectError(error.TlsFailed, add(context, wrong));
        }
        // Adding the same twice is allowed.
        for (0..2) |_| try add(context, good);
    }
    try expectRefused(credentials.addRevocations(context, good), "no revocation list was found");
    for ([_][]const u8{ "", "nonsense", certificates.even_revocations[0..100] }) |wrong| {
        try expectError(error.TlsFailed, credentials.addRevocations(context, wrong));
    }
    try credentials.addRevocations(context, certificates.even_revocations);
}

test "a PKCS#12 file has certificate, key and chain under one passphrase" {
    var harness = try Harness.init();
    defer harness.deinit();
    const context = try newContext(&harness);
    const key_bio = openssl.BIO_new_mem_buf(certificates.key, certificates.key.len).?;
    defer _ = openssl.BIO_free(key_bio);
    const certificate_bio = openssl.BIO_new_mem_buf(certificates.certificate, certificates.certificate.len).?;
    defer _ = openssl.BIO_free(certificate_bio);
    const key = openssl.PEM_read_bio_PrivateKey(key_bio, null, unasked, null).?;
    defer openssl.EVP_PKEY_free(key);
    const certificate = openssl.PEM_read_bio_X509_AUX(certificate_bio, null, unasked, null).?;
    defer openssl.X509_free(certificate);
    const file = PKCS12_create("secret", null, key, certificate, null, 0, 0, 0, 0, 0).?;
    defer openssl.PKCS12_free(file);
    var buffer: [4096]u8 = undefined;
    try std.testing.expect(i2d_PKCS12(file, null) <= buffer.len);
    var cursor: [*]u8 = &buffer;
    const bytes = buffer[0..@intCast(i2d_PKCS12(file, &cursor))];

    try credentials.usePkcs12(context, bytes, "secret");
    try expectRefused(credentials.usePkcs12(context, bytes, "wrong"), "mac verify failure");
    try expectError(error.TlsFailed, credentials.usePkcs12(context, bytes[0 .. bytes.len / 2], "secret"));
    try expectError(error.EINVAL, credentials.usePkcs12(context, bytes, "sec\x00ret"));
}

fn unasked(_: [*]u8, _: c_int, _: c_int, _: ?*anyopaque) callconv(.c) c_int {
    return -1;
}
