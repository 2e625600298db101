//! The C ABI of TLS, by the rules of `exports.zig`.

const std = @import("std");
const abi = @import("abi.zig");
const scheduler_module = @import("../core/scheduler.zig");
const contexts = @import("../tls/contexts.zig");
const credentials = @import("../tls/credentials.zig");
const errors = @import("../os/errors.zig");
const current = @import("../thread/current.zig");
const exporter = @import("../tls/exporter.zig");
const handshakes = @import("../tls/handshakes.zig");
const openssl = @import("../tls/openssl.zig");
const reasons = @import("../tls/reasons.zig");
const reports = @import("../tls/reports.zig");
const Context = @import("../tls/context.zig").Context;
const Engine = @import("../tls/engine.zig").Engine;
const Error = @import("../tls/context.zig").Error;
const Status = abi.Status;
const result = abi.result;

/// What a call on a context returns: 0, or the status of its error.
fn outcome(value: Error!void) i32 {
    value catch |failure| return codeOf(failure);
    return 0;
}

fn codeOf(failure: Error) i32 {
    return switch (failure) {
        error.OutOfMemory => Status.exhausted.code(),
        else => |named| errors.statusOf(named).code(),
    };
}

fn engine() *Engine {
    return &current.thread().tls;
}

/// Makes a context, with the defaults of a client and a server. Returns its number, from 1 on.
pub fn tlsContextCreate() callconv(.c) i32 {
    return contexts.create(engine()) catch |failure| codeOf(failure);
}

/// Frees a context for the caller. Connections that use it keep it.
pub fn tlsContextFree(id: i32) callconv(.c) i32 {
    return outcome(contexts.free(engine(), id));
}

/// The context with this number, if the caller has not freed it.
fn tlsContext(id: i32) ?*Context {
    return contexts.find(engine(), id);
}

/// Adds a certificate and those that lead to a trusted one, PEM or DER. Another one, with a key of another
/// kind, may follow when the first has its key.
pub fn tlsContextCertificate(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(credentials.addCertificates(context, bytes[0..length]));
}

/// Sets the key of the certificate that was added last.
pub fn tlsContextKey(id: i32, bytes: [*]const u8, length: u32, passphrase: [*]const u8, passphrase_length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(credentials.setKey(context, bytes[0..length], passphrase[0..passphrase_length]));
}

/// Adds a certificate, its key and its chain from a PKCS#12 file.
pub fn tlsContextPkcs12(id: i32, bytes: [*]const u8, length: u32, passphrase: [*]const u8, passphrase_length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(credentials.usePkcs12(context, bytes[0..length], passphrase[0..passphrase_length]));
}

/// Adds certificates to trust, PEM or DER. A server names them to its clients.
pub fn tlsContextAuthorities(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(credentials.addAuthorities(context, bytes[0..length]));
}

/// Adds certificates to trust, PEM or DER, which a server does not name.
pub fn tlsContextTrust(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(credentials.addTrust(context, bytes[0..length]));
}

/// Shares the trusted certificates of another context, without a copy. Neither may get more of its own then.
pub fn tlsContextShareTrust(id: i32, other: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(contexts.shareTrust(engine(), context, other));
}

/// Adds lists of revoked certificates, PEM or DER. From then on each certificate of a chain needs one.
pub fn tlsContextRevocations(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(credentials.addRevocations(context, bytes[0..length]));
}

/// Sets the cipher suites of TLS 1.2 (openssl-ciphers(1)).
pub fn tlsContextCiphers(id: i32, list: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(context.setCiphers(list[0..length]));
}

/// Sets the cipher suites of TLS 1.3.
pub fn tlsContextCipherSuites(id: i32, list: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(context.setCipherSuites(list[0..length]));
}

/// Sets the groups for the key exchange (SSL_CTX_set1_groups_list(3)).
pub fn tlsContextGroups(id: i32, list: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(context.setGroups(list[0..length]));
}

/// Sets the oldest and the newest version, by their numbers in TLS (0x0303 is TLS 1.2); 0 is the default.
pub fn tlsContextVersions(id: i32, least: u32, most: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(context.setVersions(least, most));
}

/// Sets the application protocols, each behind a byte with its length, the preferred one first.
pub fn tlsContextAlpn(id: i32, wire: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(context.setProtocols(wire[0..length]));
}

/// Sets how peers are verified: without `verify_issuer` an unknown issuer is accepted, and no other error.
/// `client_authentication` is 0 for none, 1 to request a certificate of clients, 2 to require one.
pub fn tlsContextVerify(id: i32, verify_peer: i32, verify_issuer: i32, client_authentication: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    const wanted = std.enums.fromInt(Context.ClientAuthentication, client_authentication) orelse return Status.EINVAL.code();
    context.verify_peer = verify_peer != 0;
    context.verify_issuer = verify_issuer != 0;
    context.client_authentication = wanted;
    return 0;
}

/// Sets the context's identity: the 32 bytes of a digest of all its settings. Contexts of any thread with the
/// same identity resume each other's sessions.
pub fn tlsContextIdentify(id: i32, digest: [*]const u8) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(context.identify(digest[0..32].*));
}

/// Serves a server name with another context. "*." before it stands for one more label.
pub fn tlsContextServerName(id: i32, name: [*]const u8, length: u32, other: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return outcome(contexts.addName(engine(), context, name[0..length], other));
}

/// Sets whether a handshake pauses with `tls_server_name` for a name that has no context.
pub fn tlsContextAskServerName(id: i32, on: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    context.asks_server_name = on != 0;
    return 0;
}

/// Sets the notices that its connections make: `TlsNotices`, added up.
pub fn tlsContextNotices(id: i32, mask: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    if (!abi.isKnown(abi.TlsNotices, mask)) return Status.EINVAL.code();
    contexts.setNotices(context, mask);
    return 0;
}

/// Writes why the thread's last call on a context that failed has done so, and returns the text's length.
pub fn tlsContextReason(text: [*]u8, capacity: u32) callconv(.c) i32 {
    return @intCast(reports.write(reasons.last(), text[0..capacity]));
}

/// Turns an open stream into a TLS connection and begins its handshake. For a client, `name` is the server that
/// it expects, and `session` a session to resume; both may be empty.
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

/// Returns 0 when the handshake is done; otherwise the status with which it failed or for which it waits.
pub fn tlsHandshake(handle: i32) callconv(.c) i32 {
    return result(handshakes.outcome(engine(), handle));
}

/// Returns how far a server's handshake is, as `TlsProgress`.
pub fn tlsProgress(handle: i32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    return @intCast(handshakes.progress(engine(), connection));
}

/// Parks until a handshake has ended or paused. Returns a waiter.
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

/// Writes a property (`TlsText`) and returns its length: 0 if the connection does not have it. Text longer than
/// `capacity` is not written.
pub fn tlsText(handle: i32, what: u32, index: u32, text: [*]u8, capacity: u32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    const kind = std.enums.fromInt(abi.TlsText, what) orelse return Status.EINVAL.code();
    return reports.report(engine(), connection, kind, index, text[0..capacity]).code();
}

/// Returns OpenSSL's result of verifying the peer's certificate; 0 if it is valid, or there is none.
pub fn tlsVerifyResult(handle: i32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    return reports.verifyResult(connection);
}

/// Writes OpenSSL's text for such a result and returns its length.
pub fn tlsVerifyName(code: i32, text: [*]u8, capacity: u32) callconv(.c) i32 {
    const name = std.mem.span(openssl.X509_verify_cert_error_string(code));
    return @intCast(reports.write(name, text[0..capacity]));
}

/// Returns 1 if the connection has resumed an earlier session, and 0 otherwise.
pub fn tlsIsResumed(handle: i32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    return @intFromBool(reports.isResumed(connection));
}

/// Updates the keys of a TLS 1.3 connection for sending, and requests that the peer does the same if `ask_peer`
/// is not 0.
pub fn tlsUpdateKeys(handle: i32, ask_peer: i32) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    return result(reports.updateKeys(engine(), connection, ask_peer != 0));
}

/// Derives keying material (RFC 5705) of so many bytes. A context is used if `has_context` is not 0.
pub fn tlsExportKeys(
    handle: i32,
    label: [*]const u8,
    label_length: u32,
    context: [*]const u8,
    context_length: u32,
    has_context: i32,
    output: [*]u8,
    length: u32,
) callconv(.c) i32 {
    const connection = handshakes.find(engine(), handle) orelse return Status.stale_handle.code();
    const given: ?[]const u8 = if (has_context == 0) null else context[0..context_length];
    return result(exporter.exportKeys(connection, label[0..label_length], given, output[0..length]));
}

/// Takes the next connection with notices. Returns its handle times 4 plus its `TlsNotices`, or -1 when there
/// is none.
pub fn tlsTakeNotice() callconv(.c) f64 {
    const notice = reports.takeNotice(engine()) orelse return -1;
    return @as(f64, @floatFromInt(notice.handle)) * 4 + @as(f64, @floatFromInt(notice.kinds));
}

/// Writes the name and version of the linked OpenSSL, and returns the text's length.
pub fn tlsOpensslVersion(text: [*]u8, capacity: u32) callconv(.c) i32 {
    const version = std.mem.span(openssl.OpenSSL_version(openssl.OPENSSL_VERSION));
    return @intCast(reports.write(version, text[0..capacity]));
}
