//! The contexts of a thread, by their numbers in the ABI.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const callbacks = @import("callbacks.zig");
const openssl = @import("openssl.zig");
const reasons = @import("reasons.zig");
const server_name = @import("server_name.zig");
const verification = @import("verification.zig");
const Context = @import("context.zig").Context;
const Error = @import("context.zig").Error;
const Engine = @import("engine.zig").Engine;
const ContextId = @import("../core/indices.zig").ContextId;

/// The TLS 1.2 cipher suites: those with forward secrecy and authenticated encryption (RFC 9325,
/// 4.2). Those of TLS 1.3 are all of this kind.
const default_ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// Keys of at least 112 bits of strength; RSA from 2,048 bits on, and no SHA-1 (SSL_CTX_set_security_level(3)).
const security_level = 2;

/// Tickets that a server gives for each handshake. OpenSSL gives two. One is enough for a client that resumes
/// one connection after the other, for it gets a new ticket with each; more cost the server time and the
/// client memory.
const tickets = 1;

/// The longest list of certificates that is accepted, in bytes, and the longest request for a certificate: a
/// list of authorities may have 64 KiB.
const longest_certificates = 80 * 1024;

/// Makes a context with the defaults and returns its number. No number is used twice: a finalizer, or a module
/// that was loaded before, may use an old number, which must not name another context.
pub fn create(engine: *Engine) Error!ContextId {
    try engine.prepare();
    openssl.ERR_clear_error();
    const raw = openssl.SSL_CTX_new(openssl.TLS_method()) orelse return reasons.refused();
    errdefer openssl.SSL_CTX_free(raw);
    _ = openssl.SSL_CTX_set_options(raw, openssl.SSL_OP_NO_COMPRESSION | openssl.SSL_OP_NO_RENEGOTIATION |
        openssl.SSL_OP_CIPHER_SERVER_PREFERENCE | openssl.SSL_OP_PRIORITIZE_CHACHA);
    _ = openssl.SSL_CTX_ctrl(raw, openssl.SSL_CTRL_MODE, openssl.SSL_MODE_RELEASE_BUFFERS, null);
    // Sessions are in the tickets, not in the server's memory.
    _ = openssl.SSL_CTX_ctrl(raw, openssl.SSL_CTRL_SET_SESS_CACHE_MODE, openssl.SSL_SESS_CACHE_OFF, null);
    _ = openssl.SSL_CTX_ctrl(raw, openssl.SSL_CTRL_SET_MAX_CERT_LIST, longest_certificates, null);
    openssl.SSL_CTX_set_security_level(raw, security_level);
    _ = openssl.SSL_CTX_set_num_tickets(raw, tickets);
    if (openssl.SSL_CTX_ctrl(raw, openssl.SSL_CTRL_SET_MIN_PROTO_VERSION, openssl.TLS1_2_VERSION, null) != 1 or
        openssl.SSL_CTX_set_cipher_list(raw, default_ciphers) != 1 or
        !Context.applyGroups(raw, null)) return reasons.refused();

    try engine.context_ids.ensureUnusedCapacity(engine.allocator, 1);
    const number = next_id.fetchAdd(1, .monotonic);
    if (number <= 0) return error.Exhausted;
    const id: ContextId = @enumFromInt(number);
    const index = engine.contexts.take(engine.allocator, .{}) orelse return error.Exhausted;
    const context = engine.contexts.at(index);
    context.* = .{
        .index = index,
        .id = id,
        .raw = raw,
        .allocator = engine.allocator,
        .references = 1,
    };
    engine.context_ids.putAssumeCapacity(id, index);
    errdefer comptime unreachable;
    // A server must not resume a session of one context under another, which may require more.
    _ = openssl.SSL_CTX_set_session_id_context(raw, std.mem.asBytes(&id), @sizeOf(ContextId));
    _ = openssl.SSL_CTX_set_ex_data(raw, 0, context);
    openssl.SSL_CTX_set_alpn_select_cb(raw, callbacks.selectProtocol, context);
    openssl.SSL_CTX_set_keylog_callback(raw, callbacks.keepKeyLog);
    _ = openssl.SSL_CTX_set_session_ticket_cb(raw, null, callbacks.useTicket, null);
    openssl.SSL_CTX_set_client_hello_cb(raw, callbacks.receiveClientHello, context);
    openssl.SSL_CTX_set_cert_verify_callback(raw, verification.verifyCertificates, context);
    _ = openssl.SSL_CTX_callback_ctrl(raw, openssl.SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, @ptrCast(&callbacks.acknowledgeName));
    return id;
}

var next_id: std.atomic.Value(i32) = .init(1);

/// The context with this number, until `free`.
pub fn find(engine: *Engine, id: ContextId) ?*Context {
    return engine.contexts.at(engine.context_ids.get(id) orelse return null);
}

/// Gives up the caller's reference. Connections that use the context go on.
pub fn free(engine: *Engine, id: ContextId) error{StaleHandle}!void {
    const entry = engine.context_ids.fetchRemove(id) orelse return error.StaleHandle;
    engine.releaseContext(entry.value);
}

/// Shares another context's store of trusted certificates: what is added to one later, both have.
pub fn shareTrust(context: *Context, engine: *Engine, other_id: ContextId) Error!void {
    const other = find(engine, other_id) orelse return error.StaleHandle;
    openssl.SSL_CTX_set1_cert_store(context.raw.?, openssl.SSL_CTX_get_cert_store(other.raw.?));
}

/// Serves a server name with another context. With "*." before it, it stands for all names with one label more.
pub fn addName(context: *Context, engine: *Engine, name: []const u8, other_id: ContextId) Error!void {
    const other = find(engine, other_id) orelse return error.StaleHandle;
    // With one level of names, references cannot form a circle.
    if (context.is_member or other.names.count() > 0 or other == context) return error.EINVAL;
    var buffer: [server_name.longest]u8 = undefined;
    const lower = server_name.normalized(name, &buffer) orelse return error.EINVAL;
    const key = try engine.allocator.dupe(u8, lower);
    errdefer engine.allocator.free(key);
    const entry = try context.names.getOrPut(engine.allocator, key);
    errdefer comptime unreachable;
    other.references += 1;
    other.is_member = true;
    if (entry.found_existing) {
        engine.allocator.free(key);
        engine.releaseContext(entry.value_ptr.*);
    }
    entry.value_ptr.* = other.index;
}

/// Sets the notices that connections of this context make: bits of `abi.TlsNotices`.
pub fn setNotices(context: *Context, mask: u32) void {
    context.notices = mask;
    const raw = context.raw.?;
    const wants_sessions = mask & abi.TlsNotices.session != 0;
    const mode = if (wants_sessions) openssl.SSL_SESS_CACHE_CLIENT | openssl.SSL_SESS_CACHE_NO_INTERNAL else openssl.SSL_SESS_CACHE_OFF;
    _ = openssl.SSL_CTX_ctrl(raw, openssl.SSL_CTRL_SET_SESS_CACHE_MODE, mode, null);
    openssl.SSL_CTX_sess_set_new_cb(raw, if (wants_sessions) callbacks.keepSession else null);
}
