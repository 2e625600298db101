//! What a session tells about itself.

const std = @import("std");
const abi = @import("../abi.zig");
const openssl = @import("openssl.zig");
const reasons = @import("reasons.zig");
const transfers = @import("transfers.zig");
const Engine = @import("engine.zig").Engine;
const Scheduler = @import("../scheduler.zig").Scheduler;
const Session = @import("session.zig").Session;
const Outcome = @import("../system.zig").Outcome;
const Status = abi.Status;

fn failed(status: Status) Outcome {
    return .{ .failure = status };
}

/// Copies the text if there is room for all of it. Returns its length in any case: a caller with
/// less room asks again.
pub fn write(text: []const u8, output: []u8) usize {
    if (text.len <= output.len) @memcpy(output[0..text.len], text);
    return text.len;
}

fn string(text: ?[*:0]const u8, output: []u8) Outcome {
    return .{ .value = write(std.mem.span(text orelse return .{ .value = 0 }), output) };
}

/// Writes one of a session's properties and returns its length: 0 where it has none. What does not
/// fit is not written.
pub fn report(engine: *Engine, session: *Session, what: abi.TlsText, place: u32, output: []u8) Outcome {
    const connection = session.connection.?;
    openssl.ERR_clear_error();
    switch (what) {
        .protocol => return string(openssl.SSL_get_version(connection), output),
        .cipher => {
            const cipher = openssl.SSL_get_current_cipher(connection) orelse return .{ .value = 0 };
            return string(openssl.SSL_CIPHER_get_name(cipher), output);
        },
        .group => {
            const id = openssl.SSL_ctrl(connection, openssl.CTRL_GET_NEGOTIATED_GROUP, 0, null);
            if (id == 0) return .{ .value = 0 };
            return string(openssl.SSL_group_to_name(connection, @intCast(id)), output);
        },
        .alpn => {
            var protocol: ?[*]const u8 = null;
            var length: c_uint = 0;
            openssl.SSL_get0_alpn_selected(connection, &protocol, &length);
            const bytes = (protocol orelse return .{ .value = 0 })[0..length];
            return .{ .value = write(bytes, output) };
        },
        .server_name => {
            if (session.state == .paused) return .{ .value = write(session.extra.?.server_name, output) };
            return string(openssl.SSL_get_servername(connection, openssl.TLSEXT_NAMETYPE_host_name), output);
        },
        .certificate => return writeCertificate(certificateAt(session, place) orelse return failed(.ENOENT), output),
        .session => {
            const extra = session.extra orelse return .{ .value = 0 };
            const resumable = extra.resumable orelse return .{ .value = 0 };
            return writeSession(resumable, output);
        },
        .key_log => {
            const extra = session.extra orelse return .{ .value = 0 };
            const length = extra.key_log.items.len;
            if (write(extra.key_log.items, output) <= output.len) extra.key_log.clearAndFree(engine.allocator);
            return .{ .value = length };
        },
        .reason => return .{ .value = write(reasons.reasonText(session.reason), output) },
        .alert => {
            const alert = reasons.alertOf(session.reason) orelse return .{ .value = 0 };
            var number: [4]u8 = undefined;
            return .{ .value = write(std.fmt.bufPrint(&number, "{d}", .{alert}) catch unreachable, output) };
        },
    }
}

/// The peer's certificate, then those that it has sent along. OpenSSL's list has the peer's own on a
/// client only (SSL_get_peer_cert_chain(3)).
fn certificateAt(session: *const Session, place: u32) ?*openssl.Certificate {
    const connection = session.connection.?;
    if (place == 0) {
        if (session.extra) |extra| if (extra.refused) |certificate| return certificate;
        return openssl.SSL_get0_peer_certificate(connection);
    }
    const chain = openssl.SSL_get_peer_cert_chain(connection);
    const is_server = openssl.SSL_is_server(connection) == 1;
    const index = if (is_server) place - 1 else place;
    if (index >= @max(openssl.OPENSSL_sk_num(chain), 0)) return null;
    return @ptrCast(openssl.OPENSSL_sk_value(chain, @intCast(index)));
}

fn writeCertificate(certificate: *openssl.Certificate, output: []u8) Outcome {
    const length = openssl.i2d_X509(certificate, null);
    if (length < 0) return failed(.exhausted);
    if (length > output.len) return .{ .value = @intCast(length) };
    var cursor: [*]u8 = output.ptr;
    return .{ .value = @intCast(openssl.i2d_X509(certificate, &cursor)) };
}

fn writeSession(resumable: *openssl.Session, output: []u8) Outcome {
    const length = openssl.i2d_SSL_SESSION(resumable, null);
    if (length <= 0) return failed(.exhausted);
    if (length > output.len) return .{ .value = @intCast(length) };
    var cursor: [*]u8 = output.ptr;
    return .{ .value = @intCast(openssl.i2d_SSL_SESSION(resumable, &cursor)) };
}

/// Has new keys used from here on (RFC 8446, 4.6.3), by the peer as well if that is asked for.
pub fn updateKeys(scheduler: *Scheduler, session: *Session, asks_peer: bool) ?Status {
    const socket = scheduler.sockets.at(session.socket);
    const connection = session.connection.?;
    if (session.state != .open) return if (session.failure != .ok) session.failure else .would_block;
    if (socket.flags.half_closed) return .EPIPE;
    const tls_1_3 = 0x0304;
    if (openssl.SSL_version(connection) < tls_1_3) return .EOPNOTSUPP;
    if (!transfers.mayWrite(scheduler, socket, session)) return if (session.failure != .ok) session.failure else .EBUSY;
    scheduler.tls.enter(session, &.{});
    const kind = if (asks_peer) openssl.KEY_UPDATE_REQUESTED else openssl.KEY_UPDATE_NOT_REQUESTED;
    if (openssl.SSL_key_update(connection, kind) != 1 or openssl.SSL_do_handshake(connection) != 1) {
        transfers.fail(scheduler, socket, session, .tls_failed);
    }
    scheduler.tls.leave();
    _ = transfers.emit(scheduler, socket, session);
    if (session.state == .failed) return session.failure;
    return if (socket.failure != .ok) socket.failure else null;
}

/// The handle of a session that has something to tell, and what; null when none has.
pub fn takeNotice(scheduler: *Scheduler) ?struct { handle: i32, kinds: u8 } {
    const engine = &scheduler.tls;
    const place = engine.noticed.popFront(&engine.sessions) orelse return null;
    engine.notice_count.* = engine.noticed.length;
    const session = engine.sessions.at(place);
    const kinds = session.notices;
    session.notices = 0;
    return .{ .handle = scheduler.sockets.handle(session.socket), .kinds = kinds };
}
