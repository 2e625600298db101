//! TLS contexts: certificates, trust and settings that connections share. A context serves clients
//! and servers alike; what differs between the two is applied to the connection when it starts.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("../boundary/abi.zig");
const hello = @import("hello.zig");
const openssl = @import("openssl.zig");
const server_name = @import("server_name.zig");
const reasons = @import("reasons.zig");
const ticket_keys = @import("ticket_keys.zig");
const Engine = @import("engine.zig").Engine;
const TicketKeys = ticket_keys.TicketKeys;
const Status = abi.Status;

pub const none = @import("../core/pool.zig").none;

/// The TLS 1.2 cipher suites: those with forward secrecy and authenticated encryption (RFC 9325,
/// 4.2). Those of TLS 1.3 are all of this kind.
const default_ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// The groups for the key exchange: OpenSSL's own without the finite fields, for clients can make a
/// server work hard with these (CVE-2002-20001). OpenSSL before 3.5 takes the second list.
const default_groups = [_][:0]const u8{
    "?*X25519MLKEM768 / ?*X25519:?secp256r1 / ?X448:?secp384r1:?secp521r1",
    "X25519:secp256r1:X448:secp384r1:secp521r1",
};

/// Keys of at least 112 bits of strength; RSA from 2,048 bits on, and no SHA-1 (SSL_CTX_set_security_level(3)).
const security_level = 2;

/// Tickets that a server gives for each full handshake. OpenSSL gives two. One does for a client
/// that resumes one connection after the other, for it gets a new ticket with each; every further
/// one costs the server a signature's fraction of time and the client memory.
const tickets = 1;

/// The longest list of certificates that is taken, and the longest request for one: a list of
/// authorities may have 64 KiB.
const longest_certificates = 80 * 1024;

/// Authorities between a certificate and the root. Each costs a signature's check, which for large keys
/// is milliseconds.
const longest_chain = 10;

pub const ClientAuthentication = enum(u8) { none, request, require };

pub const Context = struct {
    next: u32 = none,
    /// Its slot, by which the core names it, and its number in the ABI.
    index: u32 = none,
    id: i32 = 0,
    raw: ?*openssl.Context = null,
    engine: *Engine = undefined,
    /// The caller's own until `free`, and one for each session and for each table of names it is in.
    references: u32 = 0,
    verify_peer: bool = true,
    verify_issuer: bool = true,
    client_authentication: ClientAuthentication = .none,
    /// Whether it has revocation lists.
    checks_revocation: bool = false,
    /// What its sessions tell of, as `abi.TlsNotices`.
    notices: u32 = 0,
    /// What it is, if that was said.
    identity: ?ticket_keys.Identity = null,
    /// What the names of its authorities take in a request for a certificate.
    authorities_length: usize = 0,
    /// The keys of its tickets, once it has served; without them they are OpenSSL's, and stay.
    ticket_keys: ?*TicketKeys = null,
    ticket_keys_version: u32 = 0,
    /// Whether the caller is asked for a context by the client's server name.
    asks_server_name: bool = false,
    /// In another context's table of names.
    is_member: bool = false,
    /// The list of groups for the key exchange, if not the default one.
    groups: ?[:0]u8 = null,
    /// The protocols a server chooses from, in its order of preference, in wire format.
    protocols: []u8 = &.{},
    /// Contexts by server name, in lower case; "*.example.org" stands for one label and the rest.
    names: std.StringHashMapUnmanaged(u32) = .empty,

    pub fn destroy(context: *Context, allocator: std.mem.Allocator) void {
        if (context.raw) |raw| openssl.SSL_CTX_free(raw);
        if (context.ticket_keys) |keys| keys.release();
        allocator.free(context.protocols);
        if (context.groups) |list| allocator.free(list);
        var keys = context.names.keyIterator();
        while (keys.next()) |key| allocator.free(key.*);
        context.names.deinit(allocator);
        context.* = .{ .next = context.next };
    }
};

/// Makes a context with the defaults and returns its number. No number is used twice: one that comes
/// late, from a finalizer or a module that was loaded before, must not free another's context.
pub fn create(engine: *Engine) !i32 {
    try engine.prepare();
    openssl.ERR_clear_error();
    const raw = openssl.SSL_CTX_new(openssl.TLS_method()) orelse return refused();
    errdefer openssl.SSL_CTX_free(raw);
    _ = openssl.SSL_CTX_set_options(raw, openssl.OP_NO_COMPRESSION | openssl.OP_NO_RENEGOTIATION |
        openssl.OP_CIPHER_SERVER_PREFERENCE | openssl.OP_PRIORITIZE_CHACHA);
    _ = openssl.SSL_CTX_ctrl(raw, openssl.CTRL_MODE, openssl.MODE_RELEASE_BUFFERS, null);
    // Tickets need no memory of the server's.
    _ = openssl.SSL_CTX_ctrl(raw, openssl.CTRL_SET_SESS_CACHE_MODE, openssl.SESS_CACHE_OFF, null);
    _ = openssl.SSL_CTX_ctrl(raw, openssl.CTRL_SET_MAX_CERT_LIST, longest_certificates, null);
    openssl.SSL_CTX_set_security_level(raw, security_level);
    _ = openssl.SSL_CTX_set_num_tickets(raw, tickets);
    if (openssl.SSL_CTX_ctrl(raw, openssl.CTRL_SET_MIN_PROTO_VERSION, openssl.TLS1_2_VERSION, null) != 1 or
        openssl.SSL_CTX_set_cipher_list(raw, default_ciphers) != 1 or
        !applyGroups(raw, null)) return refused();

    try engine.context_ids.ensureUnusedCapacity(engine.allocator, 1);
    const id = next_id.fetchAdd(1, .monotonic);
    if (id <= 0) return error.Exhausted;
    const index = engine.contexts.take(engine.allocator, .{}) orelse return error.Exhausted;
    const context = engine.contexts.at(index);
    context.* = .{
        .index = index,
        .id = id,
        .raw = raw,
        .engine = engine,
        .references = 1,
    };
    engine.context_ids.putAssumeCapacity(id, index);
    errdefer comptime unreachable;
    // A server must not resume a session of one context under another, which may ask for more.
    _ = openssl.SSL_CTX_set_session_id_context(raw, std.mem.asBytes(&id), @sizeOf(i32));
    _ = openssl.SSL_CTX_set_ex_data(raw, 0, context);
    openssl.SSL_CTX_set_alpn_select_cb(raw, hello.selectProtocol, context);
    openssl.SSL_CTX_set_keylog_callback(raw, hello.keepKeyLog);
    _ = openssl.SSL_CTX_set_session_ticket_cb(raw, null, hello.useTicket, null);
    openssl.SSL_CTX_set_client_hello_cb(raw, hello.receiveClientHello, context);
    openssl.SSL_CTX_set_cert_verify_callback(raw, verifyCertificates, context);
    _ = openssl.SSL_CTX_callback_ctrl(raw, openssl.CTRL_SET_TLSEXT_SERVERNAME_CB, @ptrCast(&hello.acknowledgeName));
    return id;
}

var next_id: std.atomic.Value(i32) = .init(1);

/// The context that a number of the ABI names, while its owner has not given it up.
pub fn find(engine: *Engine, id: i32) ?*Context {
    return engine.contexts.at(engine.context_ids.get(id) orelse return null);
}

/// Gives the caller's reference up. Sessions that use the context go on.
pub fn free(engine: *Engine, id: i32) ?Status {
    const entry = engine.context_ids.fetchRemove(id) orelse return .stale_handle;
    engine.releaseContext(entry.value);
    return null;
}

fn refused() error{Refused} {
    reasons.keep();
    return error.Refused;
}

/// Calls a setting of OpenSSL's that takes text with a NUL behind it.
fn setText(context: *Context, text: []const u8, comptime set: fn (*openssl.Context, [*:0]const u8) bool) ?Status {
    openssl.ERR_clear_error();
    const terminated = context.engine.allocator.dupeZ(u8, text) catch return .exhausted;
    defer context.engine.allocator.free(terminated);
    if (set(context.raw.?, terminated)) return null;
    reasons.keep();
    return .tls_failed;
}

pub fn setCiphers(context: *Context, list: []const u8) ?Status {
    return setText(context, list, struct {
        fn set(raw: *openssl.Context, text: [*:0]const u8) bool {
            return openssl.SSL_CTX_set_cipher_list(raw, text) == 1;
        }
    }.set);
}

pub fn setCipherSuites(context: *Context, list: []const u8) ?Status {
    return setText(context, list, struct {
        fn set(raw: *openssl.Context, text: [*:0]const u8) bool {
            return openssl.SSL_CTX_set_ciphersuites(raw, text) == 1;
        }
    }.set);
}

pub fn setGroups(context: *Context, list: []const u8) ?Status {
    openssl.ERR_clear_error();
    const allocator = context.engine.allocator;
    const text = allocator.dupeZ(u8, list) catch return .exhausted;
    if (!applyGroups(context.raw.?, text)) {
        allocator.free(text);
        reasons.keep();
        return .tls_failed;
    }
    if (context.groups) |earlier| allocator.free(earlier);
    context.groups = text;
    return null;
}

/// Sets the groups of a context or a connection; null stands for the default ones.
fn applyGroups(target: anytype, list: ?[:0]u8) bool {
    const call = if (@TypeOf(target) == *openssl.Context) openssl.SSL_CTX_ctrl else openssl.SSL_ctrl;
    if (list) |text| return call(target, openssl.CTRL_SET_GROUPS_LIST, 0, text.ptr) == 1;
    for (default_groups) |text| {
        if (call(target, openssl.CTRL_SET_GROUPS_LIST, 0, @constCast(text.ptr)) != 1) continue;
        openssl.ERR_clear_error();
        return true;
    }
    return false;
}

/// Trusts whom another context trusts, by the same store: what is added to one later both have.
pub fn shareTrust(context: *Context, other_id: i32) ?Status {
    const other = find(context.engine, other_id) orelse return .stale_handle;
    openssl.SSL_CTX_set1_cert_store(context.raw.?, openssl.SSL_CTX_get_cert_store(other.raw.?));
    return null;
}

/// 0 stands for the default: TLS 1.2, or the newest.
pub fn setVersions(context: *Context, least: u32, most: u32) ?Status {
    for ([_]u32{ least, most }) |version| switch (version) {
        0, 0x0303, 0x0304 => {},
        else => return .EINVAL,
    };
    if (least != 0 and most != 0 and least > most) return .EINVAL;
    const bottom = if (least == 0) openssl.TLS1_2_VERSION else least;
    _ = openssl.SSL_CTX_ctrl(context.raw.?, openssl.CTRL_SET_MIN_PROTO_VERSION, bottom, null);
    _ = openssl.SSL_CTX_ctrl(context.raw.?, openssl.CTRL_SET_MAX_PROTO_VERSION, most, null);
    return null;
}

/// Protocols in wire format (RFC 7301, 3.1): each behind a byte with its length.
pub fn setProtocols(context: *Context, wire: []const u8) ?Status {
    var position: usize = 0;
    while (position < wire.len) {
        const length = wire[position];
        if (length == 0 or wire.len - position - 1 < length) return .EINVAL;
        position += 1 + @as(usize, length);
    }
    if (wire.len > std.math.maxInt(u16)) return .EINVAL;
    const allocator = context.engine.allocator;
    const copy = allocator.dupe(u8, wire) catch return .exhausted;
    allocator.free(context.protocols);
    context.protocols = copy;
    // This one returns 0 for success.
    if (openssl.SSL_CTX_set_alpn_protos(context.raw.?, copy.ptr, @intCast(copy.len)) != 0) return .exhausted;
    return null;
}

/// Serves a server name, or with "*." all names of one more label, with another context.
pub fn addName(context: *Context, name: []const u8, other_id: i32) ?Status {
    const engine = context.engine;
    const other = find(engine, other_id) orelse return .stale_handle;
    // One level: then references cannot go around in a circle.
    if (context.is_member or other.names.count() > 0 or other == context) return .EINVAL;
    var buffer: [server_name.longest]u8 = undefined;
    const lower = server_name.normalized(name, &buffer) orelse return .EINVAL;
    const key = engine.allocator.dupe(u8, lower) catch return .exhausted;
    const entry = context.names.getOrPut(engine.allocator, key) catch {
        engine.allocator.free(key);
        return .exhausted;
    };
    other.references += 1;
    other.is_member = true;
    if (entry.found_existing) {
        engine.allocator.free(key);
        engine.releaseContext(entry.value_ptr.*);
    }
    entry.value_ptr.* = other.index;
    return null;
}

/// Which notices the sessions of this context give, as `abi.TlsNotices`.
pub fn setNotices(context: *Context, mask: u32) void {
    context.notices = mask;
    const raw = context.raw.?;
    const wants_sessions = mask & abi.TlsNotices.session != 0;
    const mode = if (wants_sessions) openssl.SESS_CACHE_CLIENT | openssl.SESS_CACHE_NO_INTERNAL else openssl.SESS_CACHE_OFF;
    _ = openssl.SSL_CTX_ctrl(raw, openssl.CTRL_SET_SESS_CACHE_MODE, mode, null);
    openssl.SSL_CTX_sess_set_new_cb(raw, if (wants_sessions) hello.keepSession else null);
}

/// Says what the context is: those that are the same, in whichever thread, resume each other's sessions.
pub fn identify(context: *Context, identity: ticket_keys.Identity) ?Status {
    assert(context.ticket_keys == null); // it has not served yet
    openssl.ERR_clear_error();
    if (openssl.SSL_CTX_set_session_id_context(context.raw.?, &identity, identity.len) != 1) {
        reasons.keep();
        return .tls_failed;
    }
    context.identity = identity;
    return null;
}

// -- What a connection takes from its context

/// Sees to it that a server's tickets are made with the keys of now.
pub fn renewTicketKeys(context: *Context) void {
    const keys = context.ticket_keys orelse TicketKeys.acquire(context.identity orelse return) orelse return;
    context.ticket_keys = keys;
    context.ticket_keys_version = keys.apply(context.raw.?, context.ticket_keys_version);
}

/// Who is verified, and how strictly.
pub fn applyVerification(context: *const Context, connection: *openssl.Connection, is_server: bool) void {
    const mode = if (!is_server)
        (if (context.verify_peer) openssl.VERIFY_PEER else openssl.VERIFY_NONE)
    else switch (context.client_authentication) {
        .none => openssl.VERIFY_NONE,
        .request => openssl.VERIFY_PEER,
        .require => openssl.VERIFY_PEER | openssl.VERIFY_FAIL_IF_NO_PEER_CERT,
    };
    const callback: ?*const openssl.VerifyCallback = if (!context.verify_peer)
        null
    else if (!context.verify_issuer)
        acceptAnyIssuer
    else
        acceptValid;
    openssl.SSL_set_verify(connection, mode, callback);
    // Whoever is named is trusted, root or not. With revocation lists a chain must go up to a root:
    // they are looked for along it.
    const parameters = openssl.SSL_get0_param(connection);
    openssl.X509_VERIFY_PARAM_set_depth(parameters, longest_chain);
    _ = if (context.checks_revocation)
        openssl.X509_VERIFY_PARAM_clear_flags(parameters, openssl.X509_V_FLAG_PARTIAL_CHAIN)
    else
        openssl.X509_VERIFY_PARAM_set_flags(parameters, openssl.X509_V_FLAG_PARTIAL_CHAIN);
}

/// Called with the certificates that a peer has sent. Where nothing is checked they are looked at until
/// something is wrong, which is told: most often that nobody vouches for them, before any signature.
fn verifyCertificates(store: *openssl.StoreContext, argument: ?*anyopaque) callconv(.c) c_int {
    const context: *const Context = @ptrCast(@alignCast(argument.?));
    hello.receiveCertificates(store);
    const result = openssl.X509_verify_cert(store);
    if (context.verify_peer) return result;
    // What is left in the queue would be taken for a failure of the handshake.
    openssl.ERR_clear_error();
    return 1;
}

fn acceptValid(is_valid: c_int, store: *openssl.StoreContext) callconv(.c) c_int {
    if (is_valid != 1) hello.keepRefused(store);
    return is_valid;
}

/// Lets pass that the chain does not lead to a trusted certificate, and nothing else. The error
/// stays to be seen as the verification's result.
fn acceptAnyIssuer(is_valid: c_int, store: *openssl.StoreContext) callconv(.c) c_int {
    if (is_valid == 1) return 1;
    if (isAboutIssuer(openssl.X509_STORE_CTX_get_error(store))) return 1;
    hello.keepRefused(store);
    return 0;
}

/// Whether a result of verification says that nobody who is trusted vouches for the certificate, and
/// nothing else.
pub fn isAboutIssuer(result: c_long) bool {
    return switch (result) {
        openssl.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
        openssl.X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
        openssl.X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
        openssl.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        openssl.X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
        => true,
        else => false,
    };
}

/// Serves a connection with this context instead of the one it began with. OpenSSL moves the
/// certificates; what belongs to the connection itself is moved here.
pub fn applyTo(context: *const Context, connection: *openssl.Connection) bool {
    const raw = context.raw.?;
    const before: *const Context = @ptrCast(@alignCast(
        openssl.SSL_CTX_get_ex_data(openssl.SSL_get_SSL_CTX(connection).?, 0).?,
    ));
    if (openssl.SSL_set_SSL_CTX(connection, raw) == null) return false;
    applyVerification(context, connection, true);
    if ((before.groups != null or context.groups != null) and !applyGroups(connection, context.groups)) return false;
    const least = openssl.SSL_CTX_ctrl(raw, openssl.CTRL_GET_MIN_PROTO_VERSION, 0, null);
    const most = openssl.SSL_CTX_ctrl(raw, openssl.CTRL_GET_MAX_PROTO_VERSION, 0, null);
    return openssl.SSL_ctrl(connection, openssl.CTRL_SET_MIN_PROTO_VERSION, least, null) == 1 and
        openssl.SSL_ctrl(connection, openssl.CTRL_SET_MAX_PROTO_VERSION, most, null) == 1;
}
