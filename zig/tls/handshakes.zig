//! Handshakes. They go on as the kernel reports that a peer has sent something, without the caller,
//! who is woken once, at the end.
//!
//! A step may take half a millisecond of computing. So the steps that are due stand in a queue, and a
//! poll works on it for a limited time: connections that are open do not wait for all who arrive.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("../boundary/abi.zig");
const addresses = @import("../os/addresses.zig");
const contexts = @import("contexts.zig");
const callbacks = @import("callbacks.zig");
const indices = @import("../core/indices.zig");
const openssl = @import("openssl.zig");
const server_name = @import("server_name.zig");
const system = @import("../os/system.zig");
const transfers = @import("transfers.zig");
const verification = @import("verification.zig");
const Context = @import("context.zig").Context;
const Alert = @import("record/refusals.zig").Alert;
const Engine = @import("engine.zig").Engine;
const Session = @import("session.zig").Session;
const Socket = @import("../core/sockets.zig").Socket;
const Takeover = @import("takeover.zig").Takeover;
const WaiterIndex = indices.WaiterIndex;
const Status = abi.Status;

/// How long one poll works on handshakes before it delivers what is ready.
const nanoseconds_per_poll = std.time.ns_per_ms;

/// Receptions of one step. A flight of messages seldom takes more than one.
const receptions_per_step = 8;

pub const Options = struct {
    is_server: bool,
    /// Whom a client asks for: sent as server name, and looked for in the certificate.
    name: []const u8 = "",
    /// A session of an earlier connection to resume, as the peer's was serialized.
    session: []const u8 = "",
};

/// Turns an open stream into a TLS connection. What has arrived and was not read is the handshake's.
pub fn start(engine: *Engine, handle: i32, context_id: i32, settings: Options) ?Status {
    const index = engine.scheduler.sockets.findKind(handle, .stream) orelse return .stale_handle;
    const socket = engine.scheduler.sockets.at(index);
    const context = contexts.find(engine, context_id) orelse return .stale_handle;
    if (socket.tls != .none) return .EISCONN;
    if (socket.flags.connecting) return .ENOTCONN;
    if (socket.flags.half_closed) return .EPIPE;
    if (socket.failure != .ok) return socket.failure;
    if (socket.flags.end_of_stream) return .tls_truncated;

    engine.prepareBuffers() catch return .exhausted;
    const place = engine.sessions.take(engine.allocator, .{}) orelse return .exhausted;
    const session = engine.sessions.at(place);
    session.* = .{ .index = place, .socket = index, .state = .handshaking, .context = context.index };
    context.references += 1;
    if (prepare(engine, context, session, settings)) |status| {
        engine.release(place);
        return status;
    }
    session.flags.kernel_readable = socket.flags.readable;
    socket.tls = place;
    socket.flags.handshaking = true;
    if (settings.is_server) later(engine, session) else step(engine, index);
    return null;
}

fn prepare(engine: *Engine, context: *Context, session: *Session, settings: Options) ?Status {
    openssl.ERR_clear_error();
    const connection = openssl.SSL_new(context.raw.?) orelse return .exhausted;
    session.connection = connection;
    // The connection takes one reference for both directions (SSL_set_bio(3)).
    const bio = engine.bio.?;
    if (openssl.BIO_up_ref(bio) != 1) return .exhausted;
    openssl.SSL_set_bio(connection, bio, bio);
    session.flags.is_server = settings.is_server;
    verification.apply(context, connection, settings.is_server);
    if (settings.is_server) {
        context.renewTicketKeys();
        openssl.SSL_set_msg_callback(connection, callbacks.receiveMessage);
        openssl.SSL_set_accept_state(connection);
        return null;
    }
    openssl.SSL_set_connect_state(connection);
    var expected: ?ExpectedName = null;
    if (settings.name.len > 0) {
        expected = ExpectedName.of(settings.name) orelse return .EINVAL;
        if (!expectName(connection, &expected.?)) return .EINVAL;
    }
    // Clients may resume under another context, or in another process: who verified the server for
    // this name under the same terms is their owner's to know.
    _ = openssl.SSL_set_session_id_context(connection, client_id, client_id.len);
    if (settings.session.len > 0) offerSession(context, connection, settings.session, expected);
    return null;
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
            // Certificates name IPv4 addresses as what they are.
            var written: [abi.Limits.address_text_bytes]u8 = undefined;
            expected.length = ipv4.format(&written);
            @memcpy(expected.buffer[0..expected.length], written[0..expected.length]);
            expected.buffer[expected.length] = 0;
            return expected;
        };
        // The zone of an IPv6 address says how this machine reaches it.
        const bare = if (expected.is_address)
            name[0 .. std.mem.indexOfScalar(u8, name, '%') orelse name.len]
        else if (std.mem.endsWith(u8, name, "."))
            name[0 .. name.len - 1]
        else
            name;
        if (bare.len == 0 or bare.len > server_name.longest or std.mem.indexOfScalar(u8, bare, 0) != null) return null;
        // To OpenSSL a name that begins with a dot stands for every one that ends with it.
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

/// A name in the subject alone is not looked at (RFC 9525, 2).
const name_flags = openssl.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | openssl.X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

/// Has the certificate checked for a name, and sends the name; an address is not sent (RFC 6066, 3).
fn expectName(connection: *openssl.SSL, expected: *const ExpectedName) bool {
    const parameters = openssl.SSL_get0_param(connection);
    const name = expected.text();
    openssl.X509_VERIFY_PARAM_set_hostflags(parameters, name_flags);
    if (expected.is_address) return openssl.X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1;
    return openssl.X509_VERIFY_PARAM_set1_host(parameters, name.ptr, name.len) == 1 and
        openssl.SSL_ctrl(connection, openssl.SSL_CTRL_SET_TLSEXT_HOSTNAME, openssl.TLSEXT_NAMETYPE_host_name, @constCast(name.ptr)) == 1;
}

/// Offers an earlier session. One that cannot be used makes for a full handshake, no more.
fn offerSession(context: *const Context, connection: *openssl.SSL, bytes: []const u8, expected: ?ExpectedName) void {
    defer openssl.ERR_clear_error();
    var cursor: [*]const u8 = bytes.ptr;
    const length = std.math.cast(c_long, bytes.len) orelse return;
    const earlier = openssl.d2i_SSL_SESSION(null, &cursor, length) orelse return;
    defer openssl.SSL_SESSION_free(earlier);
    if (openssl.SSL_set_session(connection, earlier) != 1 or isAcceptable(context, connection, earlier, expected)) return;
    _ = openssl.SSL_set_session(connection, null);
    openssl.SSL_set_verify_result(connection, openssl.X509_V_OK);
}

/// OpenSSL verifies nothing when a session is resumed: it holds the server for the one that was
/// verified then. Whether that was so, and would be now for this name, is checked here.
fn isAcceptable(context: *const Context, connection: *const openssl.SSL, earlier: *openssl.SSL_SESSION, expected: ?ExpectedName) bool {
    if (!context.verify_peer) return true;
    // With the session the connection has taken over what was found then.
    const result = openssl.SSL_get_verify_result(connection);
    if (result != openssl.X509_V_OK and (context.verify_issuer or !verification.isAboutIssuer(result))) return false;
    const certificate = openssl.SSL_SESSION_get0_peer(earlier) orelse return false;
    if (openssl.hasExpired(certificate)) return false;
    return if (expected) |name| name.fits(certificate) else true;
}

/// Takes the steps that are due, for a limited time. What is left makes the next poll come at once.
pub fn run(engine: *Engine) void {
    if (engine.due.length == 0) return;
    const end = system.nanoseconds() + nanoseconds_per_poll;
    while (engine.due.popFront(&engine.sessions)) |place| {
        step(engine, engine.sessions.at(place).socket);
        if (system.nanoseconds() >= end) break;
    }
}

/// Goes on with a handshake as far as what has arrived allows.
fn step(engine: *Engine, index: indices.SocketIndex) void {
    const socket = engine.scheduler.sockets.at(index);
    const session = transfers.sessionOf(engine, socket);
    if (session.state != .handshaking) return;
    engine.enter(session, session.unread());
    advance(engine, socket, session);
    if (session.state == .open) {
        takeOver(engine, session, contextOf(engine, session));
        transfers.hold(engine, socket, session);
    }
    transfers.finishReading(engine, socket, session, false);
    if (session.state != .handshaking) finish(engine, socket, session);
}

/// Frees OpenSSL's part of a connection whose handshake has succeeded, where the record layer can take over.
fn takeOver(engine: *Engine, session: *Session, context: *const Context) void {
    const takeover = session.takeover orelse return;
    tryTakeOver(engine, session, context, takeover) catch return session.dropTakeover(engine.allocator, &engine.primitives);
    openssl.SSL_free(session.connection.?);
    session.connection = null;
}

fn tryTakeOver(engine: *Engine, session: *Session, context: *const Context, takeover: *Takeover) !void {
    // OpenSSL makes sessions of the tickets that a server sends.
    const wants_sessions = !session.flags.is_server and context.notices & abi.TlsNotices.session != 0;
    if (wants_sessions) return error.StaysWithOpenssl;
    try takeover.take(engine.allocator, &engine.primitives, session.connection.?, engine.sealed.items);
    if (context.notices & abi.TlsNotices.key_log == 0) return;
    takeover.logs_keys = true;
    const extra = try session.extraOf(engine.allocator);
    _ = openssl.SSL_get_client_random(session.connection.?, &extra.client_random, extra.client_random.len);
}

/// The alert in a record of its own, before there are keys.
const illegal_parameter = [_]u8{ 21, 3, 3, 0, 2, 2, @intFromEnum(Alert.illegal_parameter) };

/// How far a server's handshake is, as `abi.TlsProgress`; what was answered counts once.
pub fn progress(engine: *Engine, session: *Session) u32 {
    const is_due = engine.due.contains(&engine.sessions, session.index);
    if (session.state != .handshaking or is_due) return abi.TlsProgress.pending;
    defer session.flags.progressed = false;
    if (session.flags.progressed) return abi.TlsProgress.made;
    return if (session.flags.answered) abi.TlsProgress.stalled else abi.TlsProgress.none;
}

/// The context that the connection has ended up with.
fn contextOf(engine: *Engine, session: *const Session) *Context {
    return engine.contexts.at(if (session.chosen_context == .none) session.context else session.chosen_context);
}

fn advance(engine: *Engine, socket: *Socket, session: *Session) void {
    const connection = session.connection.?;
    for (0..receptions_per_step) |_| {
        // A server has nothing to say before it is spoken to, and OpenSSL would hold memory for it.
        if (!session.flags.is_server or engine.hasRecord() or session.flags.chosen) {
            const result = openssl.SSL_do_handshake(connection);
            if (result == 1) {
                session.state = .open;
                return;
            }
            switch (openssl.SSL_get_error(connection, result)) {
                openssl.SSL_ERROR_WANT_READ => {},
                openssl.SSL_ERROR_WANT_CLIENT_HELLO_CB => {
                    session.state = .paused;
                    return;
                },
                else => {
                    // OpenSSL, which has not seen it, has nothing to say.
                    if (session.flags.hello_too_long) engine.sealed.appendSlice(engine.allocator, &illegal_parameter) catch {};
                    return transfers.fail(engine, socket, session, .tls_failed);
                },
            }
            if (engine.sealed.items.len > 0) {
                session.flags.answered = true;
                session.flags.progressed = true;
            }
            // The peer may be waiting for this, while there is more to be received from it.
            _ = transfers.emit(engine, socket, session);
            if (session.state == .failed) return;
        }
        if (!transfers.refill(engine, socket, session, 0)) break;
    }
    if (socket.failure != .ok) return transfers.fail(engine, socket, session, socket.failure);
    if (session.flags.ended and !engine.hasRecord()) return transfers.fail(engine, socket, session, .tls_truncated);
    // More has arrived than one step takes.
    if (session.flags.kernel_readable or engine.hasRecord()) engine.due.pushBack(&engine.sessions, session.index);
}

/// The handshake has come to an end or to a pause: its waiter is woken, and those who wait to
/// transfer data have their turn.
fn finish(engine: *Engine, socket: *Socket, session: *Session) void {
    assert(session.state != .handshaking);
    if (session.state != .paused) {
        socket.flags.handshaking = false;
        session.dropFirstHello(engine.allocator);
        if (session.extra) |extra| {
            const is_logged = if (session.takenOver()) |takeover| takeover.logs_keys else false;
            const is_needed = is_logged or extra.key_log.items.len > 0 or extra.resumable != null or extra.refused != null;
            if (!is_needed) session.dropExtra(engine.allocator);
        }
    }
    transfers.endWait(engine, session, .ok);
    engine.scheduler.announce(socket, .readable);
    engine.scheduler.announce(socket, .writable);
}

/// How the handshake stands; null is done.
pub fn outcome(engine: *Engine, handle: i32) ?Status {
    const session = find(engine, handle) orelse return .stale_handle;
    return switch (session.state) {
        .handshaking => .would_block,
        .paused => .tls_server_name,
        .open => null,
        .failed => session.failure,
        .free, .closed => .stale_handle,
    };
}

/// The session of an open TLS socket.
pub fn find(engine: *Engine, handle: i32) ?*Session {
    const index = engine.scheduler.sockets.findKind(handle, .stream) orelse return null;
    const socket = engine.scheduler.sockets.at(index);
    return if (socket.tls == .none) null else transfers.sessionOf(engine, socket);
}

/// Goes on with a paused handshake, with the context that was chosen; 0 refuses the client.
pub fn chooseContext(engine: *Engine, handle: i32, context_id: i32) ?Status {
    const session = find(engine, handle) orelse return .stale_handle;
    if (session.state != .paused) return .EALREADY;
    if (context_id != 0) {
        const context = contexts.find(engine, context_id) orelse return .stale_handle;
        if (!callbacks.choose(session, context.index)) return .exhausted;
    }
    session.flags.chosen = true;
    session.state = .handshaking;
    // A refusal is told at once, for the caller may close.
    if (context_id == 0) {
        step(engine, session.socket);
    } else {
        later(engine, session);
    }
    return null;
}

/// Leaves the next step to a poll. Many may come to this in one turn, and a poll takes so much time for them.
fn later(engine: *Engine, session: *Session) void {
    engine.due.pushBack(&engine.sessions, session.index);
    engine.scheduler.backend.notify();
}

/// Parks until the handshake has ended or come to a pause.
pub fn wait(engine: *Engine, session: *Session, deadline: ?i64) ?WaiterIndex {
    // One caller leads the handshake; a second one would wait for ever.
    if (session.waiter != .none) return null;
    const waiter = engine.scheduler.park(.handshake, deadline) orelse return null;
    session.waiter = waiter;
    engine.scheduler.waiters.at(waiter).socket = session.socket;
    if (session.state != .handshaking) transfers.endWait(engine, session, .ok);
    return waiter;
}

/// Forgets a waiter of a handshake, which is about to be woken or dropped.
pub fn leave(engine: *Engine, waiter: WaiterIndex) void {
    const socket = engine.scheduler.sockets.at(engine.scheduler.waiters.at(waiter).socket);
    const session = transfers.sessionOf(engine, socket);
    assert(session.waiter == waiter);
    session.waiter = .none;
}
