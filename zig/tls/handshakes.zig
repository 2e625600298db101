//! Handshakes. A handshake goes on when the kernel reports that the peer has sent something; the caller is
//! woken once, at the end.
//!
//! A step may take half a millisecond of computing. So the steps that are due stand in a queue, and each
//! poll works on it for a limited time: open connections do not wait for all handshakes.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const abi = @import("../boundary/abi.zig");
const addresses = @import("../os/addresses.zig");
const contexts = @import("contexts.zig");
const callbacks = @import("callbacks.zig");
const indices = @import("../core/indices.zig");
const openssl = @import("openssl.zig");
const server_name = @import("server_name.zig");
const system = @import("../os/kernel.zig").system;
const transfers = @import("transfers.zig");
const verification = @import("verification.zig");
const Context = @import("context.zig").Context;
const Alert = @import("record/refusals.zig").Alert;
const Engine = @import("engine.zig").Engine;
const TlsConnection = @import("connection.zig").TlsConnection;
const Socket = @import("../core/sockets.zig").Socket;
const Takeover = @import("takeover.zig").Takeover;
const WaiterIndex = indices.WaiterIndex;
const Error = @import("../os/errors.zig").Error;

/// How long one poll works on handshakes before it delivers what is ready.
const nanoseconds_per_poll = std.time.ns_per_ms;
const SocketHandle = indices.SocketHandle;
const ContextId = indices.ContextId;

/// The most calls of recv(2) in one step. A flight of messages seldom takes more than one.
const receptions_per_step = 8;

pub const Options = struct {
    is_server: bool,
    /// The server that a client expects: sent as server name, and looked for in the certificate.
    name: []const u8 = "",
    /// A serialized session of an earlier connection, for a client to resume.
    session: []const u8 = "",
};

/// Turns an open stream into a TLS connection. Data that has arrived and was not read belongs to the handshake.
pub fn start(engine: *Engine, handle: SocketHandle, context_id: ContextId, settings: Options) Error!void {
    const socket = try engine.scheduler.sockets.get(handle, .stream);
    const context = contexts.find(engine, context_id) orelse return error.StaleHandle;
    if (socket.tls != .none) return error.EISCONN;
    if (socket.flags.connecting) return error.ENOTCONN;
    if (socket.flags.half_closed) return error.EPIPE;
    if (socket.failure) |failure| return failure;
    if (socket.flags.end_of_stream) return error.TlsTruncated;

    engine.prepareBuffers() catch return error.Exhausted;
    const place = engine.connections.take(engine.allocator, .{}) orelse return error.Exhausted;
    const connection = engine.connections.at(place);
    connection.* = .{ .index = place, .socket = socket.index, .state = .handshaking, .context = context.index };
    context.references += 1;
    prepare(engine, context, connection, settings) catch |failure| {
        engine.release(place);
        return failure;
    };
    socket.tls = place;
    socket.flags.handshaking = true;
    if (settings.is_server) later(engine, connection) else step(engine, socket.index);
}

fn prepare(engine: *Engine, context: *Context, connection: *TlsConnection, settings: Options) Error!void {
    openssl.ERR_clear_error();
    const ssl = openssl.SSL_new(context.raw.?) orelse return error.Exhausted;
    connection.ssl = ssl;
    // The connection takes one reference for both directions (SSL_set_bio(3)).
    const bio = engine.bio.?;
    if (openssl.BIO_up_ref(bio) != 1) return error.Exhausted;
    openssl.SSL_set_bio(ssl, bio, bio);
    connection.flags.is_server = settings.is_server;
    verification.apply(context, ssl, settings.is_server);
    if (settings.is_server) {
        context.renewTicketKeys();
        openssl.SSL_set_msg_callback(ssl, callbacks.receiveMessage);
        openssl.SSL_set_accept_state(ssl);
        return;
    }
    openssl.SSL_set_connect_state(ssl);
    var expected: ?ExpectedName = null;
    if (settings.name.len > 0) {
        expected = ExpectedName.of(settings.name) orelse return error.EINVAL;
        if (!expectName(ssl, &expected.?)) return error.EINVAL;
    }
    // Clients may resume under another context, or in another process. The caller knows which sessions
    // were verified for this name under the same terms.
    _ = openssl.SSL_set_session_id_context(ssl, client_id, client_id.len);
    if (settings.session.len > 0) offerSession(context, ssl, settings.session, expected);
}

const client_id = "plait";

/// What a client's certificate must be valid for.
const ExpectedName = struct {
    buffer: [server_name.longest + 1]u8 = undefined,
    length: usize = 0,
    is_address: bool,

    fn of(name: []const u8) ?ExpectedName {
        const literal = addresses.parse(name, 0);
        var expected: ExpectedName = .{ .is_address = literal != null };
        if (literal) |address| if (addresses.mappedIpv4(&address)) |ipv4| {
            // A certificate has the IPv4 address, not the IPv6 address that it is mapped to.
            var written: [abi.Limits.address_text_bytes]u8 = undefined;
            expected.length = ipv4.format(&written);
            @memcpy(expected.buffer[0..expected.length], written[0..expected.length]);
            expected.buffer[expected.length] = 0;
            return expected;
        };
        // The zone of an IPv6 address concerns this machine alone.
        const bare = if (expected.is_address)
            name[0 .. std.mem.indexOfScalar(u8, name, '%') orelse name.len]
        else if (std.mem.endsWith(u8, name, "."))
            name[0 .. name.len - 1]
        else
            name;
        if (bare.len == 0 or bare.len > server_name.longest or std.mem.indexOfScalar(u8, bare, 0) != null) return null;
        // To OpenSSL a name that begins with a dot stands for all names that end with it.
        const has_empty_label = bare[0] == '.' or std.mem.endsWith(u8, bare, ".") or std.mem.indexOf(u8, bare, "..") != null;
        if (has_empty_label and !expected.is_address) return null;
        @memcpy(expected.buffer[0..bare.len], bare);
        expected.buffer[bare.len] = 0;
        expected.length = bare.len;
        return expected;
    }

    fn text(expected: *const ExpectedName) [:0]const u8 {
        return expected.buffer[0..expected.length :0];
    }

    fn fits(expected: *const ExpectedName, certificate: *openssl.X509) bool {
        const name = expected.text();
        if (expected.is_address) return openssl.X509_check_ip_asc(certificate, name, name_flags) == 1;
        return openssl.X509_check_host(certificate, name.ptr, name.len, name_flags, null) == 1;
    }
};

/// The name in a certificate's subject does not count (RFC 9525, 2).
const name_flags = openssl.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | openssl.X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

/// Makes OpenSSL check the certificate for a name, and send the name; an address is not sent (RFC 6066, 3).
fn expectName(ssl: *openssl.SSL, expected: *const ExpectedName) bool {
    const parameters = openssl.SSL_get0_param(ssl);
    const name = expected.text();
    openssl.X509_VERIFY_PARAM_set_hostflags(parameters, name_flags);
    if (expected.is_address) return openssl.X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1;
    return openssl.X509_VERIFY_PARAM_set1_host(parameters, name.ptr, name.len) == 1 and
        openssl.SSL_ctrl(ssl, openssl.SSL_CTRL_SET_TLSEXT_HOSTNAME, openssl.TLSEXT_NAMETYPE_host_name, @constCast(name.ptr)) == 1;
}

/// Offers an earlier session. With one that cannot be used the handshake is a full one.
fn offerSession(context: *const Context, ssl: *openssl.SSL, bytes: []const u8, expected: ?ExpectedName) void {
    defer openssl.ERR_clear_error();
    var cursor: [*]const u8 = bytes.ptr;
    const length = std.math.cast(c_long, bytes.len) orelse return;
    const earlier = openssl.d2i_SSL_SESSION(null, &cursor, length) orelse return;
    defer openssl.SSL_SESSION_free(earlier);
    if (openssl.SSL_set_session(ssl, earlier) != 1 or isAcceptable(context, ssl, earlier, expected)) return;
    _ = openssl.SSL_set_session(ssl, null);
    openssl.SSL_set_verify_result(ssl, openssl.X509_V_OK);
}

/// Whether the server of an earlier session was verified, and would be verified now for this name. OpenSSL
/// verifies nothing when a session is resumed.
fn isAcceptable(context: *const Context, ssl: *const openssl.SSL, earlier: *openssl.SSL_SESSION, expected: ?ExpectedName) bool {
    if (!context.verify_peer) return true;
    // OpenSSL has copied the result of the earlier verification from the session.
    const result = openssl.SSL_get_verify_result(ssl);
    if (result != openssl.X509_V_OK and (context.verify_issuer or !verification.isAboutIssuer(result))) return false;
    const certificate = openssl.SSL_SESSION_get0_peer(earlier) orelse return false;
    if (openssl.hasExpired(certificate)) return false;
    return if (expected) |name| name.fits(certificate) else true;
}

/// Takes the steps that are due, for a limited time. If steps are left, the next poll does not wait.
pub fn run(engine: *Engine) void {
    if (engine.due.length == 0) return;
    const end = system.nanoseconds() + nanoseconds_per_poll;
    while (engine.due.popFront(&engine.connections)) |place| {
        step(engine, engine.connections.at(place).socket);
        if (system.nanoseconds() >= end) break;
    }
}

/// Goes on with a handshake as far as possible with what has arrived.
fn step(engine: *Engine, index: indices.SocketIndex) void {
    const socket = engine.scheduler.sockets.at(index);
    const connection = transfers.connectionOf(engine, socket);
    if (connection.state != .handshaking) return;
    engine.enter(connection, connection.unread());
    advance(engine, socket, connection);
    if (connection.state == .open) {
        takeOver(engine, connection, contextOf(engine, connection));
        transfers.hold(engine, socket, connection);
    }
    transfers.finishReading(engine, socket, connection, false);
    if (connection.state != .handshaking) finish(engine, socket, connection);
}

/// Frees OpenSSL's part of a connection whose handshake has succeeded, where the record layer can take over.
fn takeOver(engine: *Engine, connection: *TlsConnection, context: *const Context) void {
    const takeover = connection.takeover orelse return;
    tryTakeOver(engine, connection, context, takeover) catch return connection.dropTakeover(engine.allocator, &engine.primitives);
    openssl.SSL_free(connection.ssl.?);
    connection.ssl = null;
}

fn tryTakeOver(engine: *Engine, connection: *TlsConnection, context: *const Context, takeover: *Takeover) !void {
    // OpenSSL makes sessions of the tickets that a server sends.
    const wants_sessions = !connection.flags.is_server and context.notices & abi.TlsNotices.session != 0;
    if (wants_sessions) return error.StaysWithOpenssl;
    try takeover.take(engine.allocator, &engine.primitives, connection.ssl.?, engine.sealed.items);
    if (context.notices & abi.TlsNotices.key_log == 0) return;
    takeover.logs_keys = true;
    const extra = try connection.extraOf(engine.allocator);
    _ = openssl.SSL_get_client_random(connection.ssl.?, &extra.client_random, extra.client_random.len);
}

/// A record with this alert, from before there are keys.
const illegal_parameter = [_]u8{ 21, 3, 3, 0, 2, 2, @intFromEnum(Alert.illegal_parameter) };

/// How far a server's handshake is, as `abi.TlsProgress`. What the server has sent counts for one call.
pub fn progress(engine: *Engine, connection: *TlsConnection) u32 {
    const is_due = engine.due.contains(&engine.connections, connection.index);
    if (connection.state != .handshaking or is_due) return abi.TlsProgress.pending;
    defer connection.flags.progressed = false;
    if (connection.flags.progressed) return abi.TlsProgress.made;
    return if (connection.flags.answered) abi.TlsProgress.stalled else abi.TlsProgress.none;
}

/// The context that the connection has ended up with.
fn contextOf(engine: *Engine, connection: *const TlsConnection) *Context {
    return engine.contexts.at(if (connection.chosen_context == .none) connection.context else connection.chosen_context);
}

fn advance(engine: *Engine, socket: *Socket, connection: *TlsConnection) void {
    const ssl = connection.ssl.?;
    for (0..receptions_per_step) |_| {
        // Before a client's first message OpenSSL would do nothing for a server but allocate memory.
        if (!connection.flags.is_server or engine.hasRecord() or connection.flags.chosen) {
            const result = openssl.SSL_do_handshake(ssl);
            if (result == 1) {
                connection.state = .open;
                return;
            }
            switch (openssl.SSL_get_error(ssl, result)) {
                openssl.SSL_ERROR_WANT_READ => {},
                openssl.SSL_ERROR_WANT_CLIENT_HELLO_CB => {
                    connection.state = .paused;
                    return;
                },
                else => {
                    // OpenSSL has not seen the message, and so sends no alert.
                    if (connection.flags.hello_too_long) engine.sealed.appendSlice(engine.allocator, &illegal_parameter) catch {};
                    return transfers.fail(engine, socket, connection, error.TlsFailed);
                },
            }
            if (engine.sealed.items.len > 0) {
                connection.flags.answered = true;
                connection.flags.progressed = true;
            }
            // The peer may need this before it sends more.
            _ = transfers.emit(engine, socket, connection);
            if (connection.state == .failed) return;
        }
        if (!transfers.refill(engine, socket, connection, 0)) break;
    }
    if (socket.failure) |failure| return transfers.fail(engine, socket, connection, failure);
    if (connection.flags.ended and !engine.hasRecord()) return transfers.fail(engine, socket, connection, error.TlsTruncated);
    // More has arrived than one step takes.
    if (socket.flags.readable or engine.hasRecord()) engine.due.pushBack(&engine.connections, connection.index);
}

/// Wakes the waiter of a handshake that has ended or paused, and reports the socket as ready.
fn finish(engine: *Engine, socket: *Socket, connection: *TlsConnection) void {
    assert(connection.state != .handshaking, "a handshake ends that goes on");
    if (connection.state != .paused) {
        socket.flags.handshaking = false;
        connection.dropFirstHello(engine.allocator);
        if (connection.extra) |extra| {
            const is_logged = if (connection.takenOver()) |takeover| takeover.logs_keys else false;
            const is_needed = is_logged or extra.key_log.items.len > 0 or extra.resumable != null or extra.refused != null;
            if (!is_needed) connection.dropExtra(engine.allocator);
        }
    }
    transfers.endWait(engine, connection, .ok);
    engine.scheduler.announce(socket, .readable);
    engine.scheduler.announce(socket, .writable);
}

/// Fails with the error that has ended the handshake, or with what it waits for.
pub fn outcome(engine: *Engine, handle: SocketHandle) Error!void {
    const connection = find(engine, handle) orelse return error.StaleHandle;
    return switch (connection.state) {
        .handshaking => error.WouldBlock,
        .paused => error.TlsServerName,
        .open => {},
        .failed => connection.failure.?,
        .free, .closed => error.StaleHandle,
    };
}

/// The connection of an open TLS socket.
pub fn find(engine: *Engine, handle: SocketHandle) ?*TlsConnection {
    const socket = engine.scheduler.sockets.get(handle, .stream) catch return null;
    return if (socket.tls == .none) null else transfers.connectionOf(engine, socket);
}

/// Goes on with a paused handshake with this context; `none` refuses the client.
pub fn chooseContext(engine: *Engine, handle: SocketHandle, context_id: ContextId) Error!void {
    const connection = find(engine, handle) orelse return error.StaleHandle;
    if (connection.state != .paused) return error.EALREADY;
    if (context_id != .none) {
        const context = contexts.find(engine, context_id) orelse return error.StaleHandle;
        callbacks.choose(engine, connection, context.index) catch return error.Exhausted;
    }
    connection.flags.chosen = true;
    connection.state = .handshaking;
    // A refusal is sent at once, for the caller may close the socket next.
    if (context_id == .none) {
        step(engine, connection.socket);
    } else {
        later(engine, connection);
    }
}

/// Leaves the next step to a poll, whose time for steps is limited: many connections may start in one turn.
fn later(engine: *Engine, connection: *TlsConnection) void {
    engine.due.pushBack(&engine.connections, connection.index);
    engine.scheduler.backend.notify();
}

/// Parks until the handshake has ended or come to a pause.
pub fn wait(engine: *Engine, connection: *TlsConnection, deadline: ?i64) error{Exhausted}!WaiterIndex {
    // The connection remembers one waiter; a second one would wait for ever.
    if (connection.waiter != .none) return error.Exhausted;
    const waiter = try engine.scheduler.park(.handshake, deadline);
    connection.waiter = waiter;
    engine.scheduler.waiters.at(waiter).socket = connection.socket;
    if (connection.state != .handshaking) transfers.endWait(engine, connection, .ok);
    return waiter;
}

/// Forgets the waiter of a handshake, which is about to be woken or dropped.
pub fn leave(engine: *Engine, waiter: WaiterIndex) void {
    const socket = engine.scheduler.sockets.at(engine.scheduler.waiters.at(waiter).socket);
    const connection = transfers.connectionOf(engine, socket);
    assert(connection.waiter == waiter, "a handshake forgets a waiter that it does not have");
    connection.waiter = .none;
}
