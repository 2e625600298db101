//! The functions that OpenSSL calls during a handshake, but for the checks of certificates (`verification.zig`):
//! they choose the context for a server name and the protocol, decide about tickets, and keep key log lines
//! and sessions for resumption.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const openssl = @import("openssl.zig");
const reasons = @import("reasons.zig");
const server_name = @import("server_name.zig");
const verification = @import("verification.zig");
const Context = @import("context.zig").Context;
const ContextIndex = @import("../core/indices.zig").ContextIndex;
const Engine = @import("engine.zig").Engine;
const TlsConnection = @import("connection.zig").TlsConnection;
const Takeover = @import("takeover.zig").Takeover;

/// The context for a name: its own entry, or that of a wildcard for its first label.
fn lookUp(context: *const Context, name: []const u8) ?ContextIndex {
    if (context.names.get(name)) |index| return index;
    const dot = std.mem.indexOfScalar(u8, name, '.') orelse return null;
    var wildcard: [server_name.longest + 1]u8 = undefined;
    wildcard[0] = '*';
    const rest = name[dot..];
    @memcpy(wildcard[1..][0..rest.len], rest);
    return context.names.get(wildcard[0 .. 1 + rest.len]);
}

/// Called with each message, before OpenSSL acts upon it.
pub fn receiveMessage(
    is_ours: c_int,
    _: c_int,
    content_type: c_int,
    bytes: [*]const u8,
    length: usize,
    ssl: *openssl.SSL,
    _: ?*anyopaque,
) callconv(.c) void {
    if (is_ours != 0 or content_type != openssl.SSL3_RT_HANDSHAKE) return;
    if (length == 0 or bytes[0] != openssl.SSL3_MT_CLIENT_HELLO) return;
    const engine = Engine.of(ssl);
    const connection = engine.current.?;
    // A later message of this type belongs to no handshake.
    if (connection.state != .handshaking) return;
    connection.hello_alert = examine(connection, engine.allocator, bytes[0..length]) catch |problem| switch (problem) {
        error.Malformed => openssl.SSL_AD_DECODE_ERROR,
        error.OutOfMemory => openssl.SSL_AD_INTERNAL_ERROR,
    };
}

/// Keeps the first hello of a handshake, and compares a second one with it. Returns the alert with which the
/// hello is to be refused, or 0.
fn examine(connection: *TlsConnection, allocator: std.mem.Allocator, message: []const u8) !u8 {
    const extra = try connection.extraOf(allocator);
    if (extra.first_hello) |*first| return if (first.allows(message)) 0 else openssl.SSL_AD_ILLEGAL_PARAMETER;
    extra.first_hello = try .init(allocator, message);
    return 0;
}

/// Called with each ClientHello, before OpenSSL acts upon it. A second one, after a HelloRetryRequest, has the
/// same server name, for which the context is chosen already.
pub fn receiveClientHello(ssl: *openssl.SSL, alert: *c_int, argument: ?*anyopaque) callconv(.c) c_int {
    const context: *Context = @ptrCast(@alignCast(argument.?));
    const engine: *Engine = .of(ssl);
    const connection = engine.current.?;
    if (connection.hello_alert != 0) {
        if (connection.hello_alert == openssl.SSL_AD_ILLEGAL_PARAMETER) reasons.raise(@intFromEnum(reasons.Own.client_hello_changed));
        alert.* = connection.hello_alert;
        return openssl.SSL_CLIENT_HELLO_ERROR;
    }
    if (connection.flags.chosen) {
        if (connection.chosen_context != .none) return openssl.SSL_CLIENT_HELLO_SUCCESS;
        alert.* = openssl.SSL_AD_UNRECOGNIZED_NAME;
        return openssl.SSL_CLIENT_HELLO_ERROR;
    }
    if (context.names.count() == 0 and !context.asks_server_name) return openssl.SSL_CLIENT_HELLO_SUCCESS;
    var buffer: [server_name.longest]u8 = undefined;
    const name = server_name.inClientHello(ssl, &buffer) orelse return openssl.SSL_CLIENT_HELLO_SUCCESS;
    if (lookUp(context, name)) |index| {
        choose(engine, connection, index) catch {
            alert.* = openssl.SSL_AD_INTERNAL_ERROR;
            return openssl.SSL_CLIENT_HELLO_ERROR;
        };
        return openssl.SSL_CLIENT_HELLO_SUCCESS;
    }
    if (!context.asks_server_name) return openssl.SSL_CLIENT_HELLO_SUCCESS;
    return ask(connection, engine.allocator, name) catch {
        alert.* = openssl.SSL_AD_INTERNAL_ERROR;
        return openssl.SSL_CLIENT_HELLO_ERROR;
    };
}

fn ask(connection: *TlsConnection, allocator: std.mem.Allocator, name: []const u8) !c_int {
    const extra = try connection.extraOf(allocator);
    const copy = try allocator.dupe(u8, name);
    allocator.free(extra.server_name);
    extra.server_name = copy;
    return openssl.SSL_CLIENT_HELLO_RETRY;
}

/// Serves the connection with this context from here on.
pub fn choose(engine: *Engine, connection: *TlsConnection, index: ContextIndex) error{TlsFailed}!void {
    const ssl = connection.ssl.?;
    connection.flags.chosen = true;
    const context = engine.contexts.at(index);
    context.references += 1;
    if (connection.chosen_context != .none) engine.releaseContext(connection.chosen_context);
    connection.chosen_context = index;
    if (!context.applyTo(ssl)) return error.TlsFailed;
    verification.apply(context, ssl, true);
}

/// Makes OpenSSL acknowledge the server name (RFC 6066, 3). Called for each hello, when the version is known.
pub fn acknowledgeName(ssl: *openssl.SSL, _: *c_int, _: ?*anyopaque) callconv(.c) c_int {
    const connection = Engine.of(ssl).current.?;
    if (connection.flags.is_server and openssl.SSL_version(ssl) < openssl.TLS1_3_VERSION) {
        _ = openssl.SSL_ctrl(ssl, openssl.SSL_CTRL_SET_MAX_CERT_LIST, longest_client_certificates, null);
    }
    return openssl.SSL_TLSEXT_ERR_OK;
}

/// The longest list of certificates of a client in TLS 1.2. The server promises a ticket before the certificate
/// arrives, and OpenSSL's tickets have room for one of 64 KiB.
const longest_client_certificates = 63 * 1024;

/// Chooses the first of the server's protocols that the client offers. If there is none, the handshake fails
/// (RFC 7301, 3.2).
pub fn selectProtocol(
    _: *openssl.SSL,
    output: *[*]const u8,
    output_length: *u8,
    offered: [*]const u8,
    offered_length: c_uint,
    argument: ?*anyopaque,
) callconv(.c) c_int {
    const context: *Context = @ptrCast(@alignCast(argument.?));
    const wanted = context.protocols;
    // A server without protocols ignores the extension.
    if (wanted.len == 0) return openssl.SSL_TLSEXT_ERR_NOACK;
    const chosen = openssl.SSL_select_next_proto(@ptrCast(output), output_length, wanted.ptr, @intCast(wanted.len), offered, offered_length);
    return if (chosen == openssl.OPENSSL_NPN_NEGOTIATED) openssl.SSL_TLSEXT_ERR_OK else openssl.SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// Decides whether a ticket is used. OpenSSL verifies nothing when a session is resumed, and a client that
/// resumes gets a new ticket each time; so a ticket with an expired certificate is ignored. In TLS 1.2 a
/// session belongs to the server name that it was made for (RFC 6066, 3).
pub fn useTicket(
    ssl: *openssl.SSL,
    session: ?*openssl.SSL_SESSION,
    _: ?[*]const u8,
    _: usize,
    status: c_int,
    _: ?*anyopaque,
) callconv(.c) c_int {
    if (status != openssl.SSL_TICKET_SUCCESS and status != openssl.SSL_TICKET_SUCCESS_RENEW) return openssl.SSL_TICKET_RETURN_IGNORE_RENEW;
    if (Context.of(ssl).verify_peer) {
        if (openssl.SSL_SESSION_get0_peer(session.?)) |certificate| {
            if (openssl.hasExpired(certificate)) return openssl.SSL_TICKET_RETURN_IGNORE_RENEW;
        }
    }
    if (openssl.SSL_version(ssl) < openssl.TLS1_3_VERSION and !isForSameName(ssl, session.?)) {
        return openssl.SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    return if (status == openssl.SSL_TICKET_SUCCESS) openssl.SSL_TICKET_RETURN_USE else openssl.SSL_TICKET_RETURN_USE_RENEW;
}

fn isForSameName(ssl: *openssl.SSL, session: *openssl.SSL_SESSION) bool {
    var buffers: [2][server_name.longest]u8 = undefined;
    const asked = server_name.inClientHello(ssl, &buffers[0]) orelse "";
    const before = if (openssl.SSL_SESSION_get0_hostname(session)) |name| server_name.normalized(std.mem.span(name), &buffers[1]) orelse "" else "";
    return std.mem.eql(u8, asked, before);
}

/// Keeps the newest session for resumption. Returns 1 if it has taken the reference.
pub fn keepSession(ssl: *openssl.SSL, resumable: *openssl.SSL_SESSION) callconv(.c) c_int {
    const engine = Engine.of(ssl);
    const connection = engine.current orelse return 0;
    const extra = connection.extraOf(engine.allocator) catch return 0;
    if (extra.resumable) |previous| openssl.SSL_SESSION_free(previous);
    extra.resumable = resumable;
    connection.quota.foundTicket();
    engine.notice(connection, abi.TlsNotices.session);
    return 1;
}

/// Called with each line for a key log. The record layer gets the connection's secrets from these lines.
pub fn keepKeyLog(ssl: *const openssl.SSL, line: [*:0]const u8) callconv(.c) void {
    const context = Context.of(ssl);
    const engine: *Engine = .of(ssl);
    const connection = engine.current orelse return;
    const text = std.mem.span(line);
    // Without its secrets the connection stays with OpenSSL.
    if (Takeover.secretIn(text)) |secret| if (connection.takeoverOf(engine.allocator)) |takeover| takeover.keepSecret(secret) else |_| {};
    if (Takeover.exporterSecretIn(text)) |digits| if (connection.takeoverOf(engine.allocator)) |takeover| takeover.keepExporterSecret(digits) else |_| {};
    if (context.notices & abi.TlsNotices.key_log != 0) engine.keepLine(connection, &.{text});
}
