//! The C ABI of TLS, by the rules of `../exports.zig`.

const std = @import("std");
const abi = @import("abi.zig");
const scheduler_module = @import("../core/scheduler.zig");
const contexts = @import("../tls/contexts.zig");
const credentials = @import("../tls/credentials.zig");
const current = @import("../thread/current.zig");
const handshakes = @import("../tls/handshakes.zig");
const openssl = @import("../tls/openssl.zig");
const reasons = @import("../tls/reasons.zig");
const reports = @import("../tls/reports.zig");
const Context = @import("../tls/context.zig").Context;
const Engine = @import("../tls/engine.zig").Engine;
const Status = abi.Status;
const result = abi.result;

fn engine() *Engine {
    return &current.thread().tls;
}

/// Makes a context, with the defaults of a client and a server. Returns its number, from 1 on.
pub fn tlsContextCreate() callconv(.c) i32 {
    const id = contexts.create(engine()) catch |failure| return switch (failure) {
        error.Refused => Status.tls_failed.code(),
        error.Exhausted, error.OutOfMemory => Status.exhausted.code(),
    };
    return id;
}

/// Gives a context up. Connections that use it keep it.
pub fn tlsContextFree(id: i32) callconv(.c) i32 {
    return result(contexts.free(engine(), id));
}

/// The context that a number names; the caller has made it and not freed it.
fn tlsContext(id: i32) ?*Context {
    return contexts.find(engine(), id);
}

/// A certificate and those that lead to a trusted one, PEM or DER. Another one, with a key of
/// another kind, may follow when the first has its key.
pub fn tlsContextCertificate(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(credentials.addCertificates(context, bytes[0..length]));
}

/// The key of the certificate that was set last.
pub fn tlsContextKey(id: i32, bytes: [*]const u8, length: u32, passphrase: [*]const u8, passphrase_length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(credentials.setKey(context, bytes[0..length], passphrase[0..passphrase_length]));
}

/// A certificate, its key and its chain in one.
pub fn tlsContextPkcs12(id: i32, bytes: [*]const u8, length: u32, passphrase: [*]const u8, passphrase_length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(credentials.usePkcs12(context, bytes[0..length], passphrase[0..passphrase_length]));
}

/// Certificates to trust, PEM or DER. A server names them to its clients.
pub fn tlsContextAuthorities(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(credentials.addAuthorities(context, bytes[0..length]));
}

/// Certificates that clients trust, PEM or DER.
pub fn tlsContextTrust(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(credentials.addTrust(context, bytes[0..length]));
}

/// Trusts whom another context trusts, which takes no time. Neither may get more of its own then.
pub fn tlsContextShareTrust(id: i32, other: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(contexts.shareTrust(engine(), context, other));
}

/// Lists of revoked certificates, PEM or DER. Every certificate of a chain needs one from then on.
pub fn tlsContextRevocations(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(credentials.addRevocations(context, bytes[0..length]));
}

/// The cipher suites of TLS 1.2 (openssl-ciphers(1)).
pub fn tlsContextCiphers(id: i32, list: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(context.setCiphers(list[0..length]));
}

/// The cipher suites of TLS 1.3.
pub fn tlsContextCipherSuites(id: i32, list: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(context.setCipherSuites(list[0..length]));
}

/// The groups for the key exchange.
pub fn tlsContextGroups(id: i32, list: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(context.setGroups(list[0..length]));
}

/// The oldest and the newest version, as they are in TLS records; 0 is the default.
pub fn tlsContextVersions(id: i32, least: u32, most: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(context.setVersions(least, most));
}

/// Application protocols, each behind a byte with its length, the preferred one first.
pub fn tlsContextAlpn(id: i32, wire: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(context.setProtocols(wire[0..length]));
}

/// Who is verified, and how: without `verify_issuer` an unknown issuer is accepted, and everything
/// else still counts. `client_authentication` is 0 for none, 1 to request it, 2 to require it.
pub fn tlsContextVerify(id: i32, verify_peer: i32, verify_issuer: i32, client_authentication: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    context.verify_peer = verify_peer != 0;
    context.verify_issuer = verify_issuer != 0;
    context.client_authentication = std.enums.fromInt(Context.ClientAuthentication, client_authentication) orelse
        return Status.EINVAL.code();
    return 0;
}

/// Says what the context is, by a digest of all that it was made with: those that are the same, in whichever
/// thread, resume each other's sessions.
pub fn tlsContextIdentify(id: i32, digest: [*]const u8) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(context.identify(digest[0..32].*));
}

/// Serves a server name, or "*." and the rest of it, with another context.
pub fn tlsContextServerName(id: i32, name: [*]const u8, length: u32, other: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(contexts.addName(engine(), context, name[0..length], other));
}

/// Whether handshakes pause with `tls_server_name` for a name that no other context is known for.
pub fn tlsContextAskServerName(id: i32, on: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    context.asks_server_name = on != 0;
    return 0;
}

/// Which notices its connections give: `TlsNotices`, added up.
pub fn tlsContextNotices(id: i32, mask: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    contexts.setNotices(context, mask);
    return 0;
}

/// Writes why a call of this thread on a context last failed, and returns the text's length.
pub fn tlsContextReason(text: [*]u8, capacity: u32) callconv(.c) i32 {
    return @intCast(reports.write(reasons.last(), text[0..capacity]));
}

/// Turns an open stream into a TLS connection and begins its handshake. `name` is what a client asks
/// for and expects in the certificate; `session` one to be resumed.
pub fn tlsStart(
    handle: i32,
    context: i32,
    is_server: i32,
    name: [*]const u8,
    name_length: u32,
    session: [*]const u8,
    session_length: u32,
) callconv(.c) i32 {
    return result(handshakes.start(engine(), handle, context, .{
        .is_server = is_server != 0,
        .name = name[0..name_length],
        .session = session[0..session_length],
    }));
}

/// 0 when the handshake is done; otherwise why not, or that it goes on.
pub fn tlsHandshake(handle: i32) callconv(.c) i32 {
    return result(handshakes.outcome(engine(), handle));
}

/// How far a server's handshake is, as `TlsProgress`.
pub fn tlsProgress(handle: i32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    return @intCast(handshakes.progress(engine(), connection));
}

/// Parks until a handshake has ended or come to a pause. Returns a waiter.
pub fn tlsWaitHandshake(handle: i32, deadline: f64) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.EINVAL.code();
    const point = scheduler_module.deadlineFromMilliseconds(deadline);
    const waiter = handshakes.wait(engine(), connection, point) orelse return Status.exhausted.code();
    return @intCast(@intFromEnum(waiter));
}

/// Goes on with a paused handshake with this context; 0 refuses the client.
pub fn tlsChooseContext(handle: i32, context: i32) callconv(.c) i32 {
    return result(handshakes.chooseContext(engine(), handle, context));
}

/// Writes one of the properties in `TlsText` and returns its length, 0 if the connection has none.
/// What is longer than `capacity` is not written.
pub fn tlsText(handle: i32, what: u32, index: u32, text: [*]u8, capacity: u32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    const kind = std.enums.fromInt(abi.TlsText, what) orelse return Status.EINVAL.code();
    return reports.report(engine(), connection, kind, index, text[0..capacity]).code();
}

/// The code of OpenSSL's verdict on the peer's certificate; 0 is well, or that there is none.
pub fn tlsVerifyResult(handle: i32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    return reports.verifyResult(connection);
}

/// Writes OpenSSL's text for such a code and returns its length.
pub fn tlsVerifyName(code: i32, text: [*]u8, capacity: u32) callconv(.c) i32 {
    const name = std.mem.span(openssl.X509_verify_cert_error_string(code));
    return @intCast(reports.write(name, text[0..capacity]));
}

/// Whether the connection has resumed an earlier session.
pub fn tlsIsResumed(handle: i32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    return @intFromBool(reports.isResumed(connection));
}

/// Uses new keys from here on, in TLS 1.3, and has the peer do so as well if `ask_peer` says so.
pub fn tlsUpdateKeys(handle: i32, ask_peer: i32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    return result(reports.updateKeys(engine(), connection, ask_peer != 0));
}

/// Takes a connection with something to tell: its handle times 4, and its `TlsNotices`; -1 when
/// there is none.
pub fn tlsTakeNotice() callconv(.c) f64 {
    const notice = reports.takeNotice(engine()) orelse return -1;
    return @as(f64, @floatFromInt(notice.handle)) * 4 + @as(f64, @floatFromInt(notice.kinds));
}

/// Writes the name and version of the OpenSSL that is linked, and returns the text's length.
pub fn tlsOpensslVersion(text: [*]u8, capacity: u32) callconv(.c) i32 {
    const version = std.mem.span(openssl.OpenSSL_version(openssl.OPENSSL_VERSION));
    return @intCast(reports.write(version, text[0..capacity]));
}
