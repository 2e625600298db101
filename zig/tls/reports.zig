//! The properties of a connection, updates of its keys, and its notices.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const openssl = @import("openssl.zig");
const server_name = @import("server_name.zig");
const reasons = @import("reasons.zig");
const sealing = @import("sealing.zig");
const transfers = @import("transfers.zig");
const Engine = @import("engine.zig").Engine;
const TlsConnection = @import("connection.zig").TlsConnection;
const Error = @import("../os/errors.zig").Error;
const SocketHandle = @import("../core/indices.zig").SocketHandle;

/// Copies the text if there is room for all of it. Returns its length in any case, so that a caller with less
/// room can call again.
pub fn write(text: []const u8, output: []u8) usize {
    if (text.len <= output.len) @memcpy(output[0..text.len], text);
    return text.len;
}

fn string(text: ?[*:0]const u8) []const u8 {
    return std.mem.span(text orelse return "");
}

/// Writes a property and returns its length: 0 if the connection does not have it. Text that does not fit is not
/// written.
pub fn report(engine: *Engine, connection: *TlsConnection, what: abi.TlsText, place: u32, output: []u8) Error!usize {
    openssl.ERR_clear_error();
    switch (what) {
        .protocol, .cipher, .group, .alpn, .server_name => {
            var buffer: [server_name.longest]u8 = undefined;
            return write(property(connection, what, &buffer), output);
        },
        .certificate => return encode(openssl.i2d_X509, certificateAt(connection, place) orelse return error.ENOENT, output),
        .session => {
            const extra = connection.extra orelse return 0;
            return encode(openssl.i2d_SSL_SESSION, extra.resumable orelse return 0, output);
        },
        .key_log => {
            const extra = connection.extra orelse return 0;
            const length = extra.key_log.items.len;
            if (write(extra.key_log.items, output) <= output.len) extra.key_log.clearAndFree(engine.allocator);
            return length;
        },
        .reason => return write(reasons.reasonText(connection.reason), output),
    }
}

fn property(connection: *const TlsConnection, what: abi.TlsText, buffer: *[server_name.longest]u8) []const u8 {
    if (connection.state == .paused and what == .server_name) return connection.extra.?.server_name;
    if (connection.takenOver()) |takeover| return switch (what) {
        .protocol => "TLSv1.3",
        .cipher => string(takeover.cipher_name),
        .group => string(takeover.group_name),
        .alpn => takeover.protocol(),
        .server_name => takeover.serverName(),
        else => unreachable,
    };
    const ssl = connection.ssl.?;
    switch (what) {
        .protocol => return string(openssl.SSL_get_version(ssl)),
        .cipher => return string(openssl.SSL_CIPHER_get_name(openssl.SSL_get_current_cipher(ssl) orelse return "")),
        .group => {
            const id = openssl.SSL_ctrl(ssl, openssl.SSL_CTRL_GET_NEGOTIATED_GROUP, 0, null);
            return if (id == 0) "" else string(openssl.SSL_group_to_name(ssl, @intCast(id)));
        },
        .alpn => {
            var protocol: ?[*]const u8 = null;
            var length: c_uint = 0;
            openssl.SSL_get0_alpn_selected(ssl, &protocol, &length);
            return if (protocol) |bytes| bytes[0..length] else "";
        },
        .server_name => return server_name.ofConnection(ssl, buffer),
        else => unreachable,
    }
}

/// OpenSSL's result of verifying the peer's certificate; 0 if it is valid, or there is none.
pub fn verifyResult(connection: *const TlsConnection) i32 {
    if (connection.takenOver()) |takeover| return takeover.verify_result;
    return @intCast(openssl.SSL_get_verify_result(connection.ssl.?));
}

/// Whether the connection has resumed an earlier session.
pub fn isResumed(connection: *const TlsConnection) bool {
    if (connection.takenOver()) |takeover| return takeover.resumed;
    return openssl.SSL_session_reused(connection.ssl.?) == 1;
}

/// The peer's certificate at place 0, then the others that it has sent. On a client only, OpenSSL's list begins
/// with the peer's own (SSL_get_peer_cert_chain(3)).
fn certificateAt(connection: *const TlsConnection, place: u32) ?*openssl.X509 {
    const certificate, const chain = if (connection.takenOver()) |takeover|
        .{ takeover.certificate, takeover.chain }
    else
        .{ openssl.SSL_get0_peer_certificate(connection.ssl.?), openssl.SSL_get_peer_cert_chain(connection.ssl.?) };
    if (place == 0) {
        if (connection.extra) |extra| if (extra.refused) |refused| return refused;
        return certificate;
    }
    const index = if (connection.flags.is_server) place - 1 else place;
    if (index >= @max(openssl.OPENSSL_sk_num(chain), 0)) return null;
    return @ptrCast(openssl.OPENSSL_sk_value(chain, @intCast(index)));
}

/// Writes an object as DER, if there is room for all of it. Returns its length in any case.
fn encode(comptime function: anytype, object: anytype, output: []u8) Error!usize {
    const length = function(object, null);
    if (length <= 0) return error.Exhausted;
    var cursor: [*]u8 = output.ptr;
    return @intCast(if (length > output.len) length else function(object, &cursor));
}

/// Updates the keys for sending (RFC 8446, 4.6.3), and requests the same of the peer if `asks_peer` is true.
pub fn updateKeys(engine: *Engine, connection: *TlsConnection, asks_peer: bool) Error!void {
    const socket = engine.scheduler.sockets.at(connection.socket);
    if (connection.state != .open) return connection.failure orelse error.WouldBlock;
    if (socket.flags.half_closed) return error.EPIPE;
    // The record layer takes over from OpenSSL in TLS 1.3 only.
    if (connection.ssl) |ssl| if (openssl.SSL_version(ssl) < openssl.TLS1_3_VERSION) return error.EOPNOTSUPP;
    if (!transfers.mayWrite(engine, socket, connection)) return connection.failure orelse error.EBUSY;
    engine.enter(connection, &.{});
    sealing.sealKeyUpdate(engine, connection, asks_peer) catch transfers.fail(engine, socket, connection, error.TlsFailed);
    engine.leave();
    _ = transfers.emit(engine, socket, connection);
    if (connection.state == .failed) return connection.failure.?;
    if (socket.failure) |failure| return failure;
}

/// Takes the next connection with notices: its handle and the notices, bits of `abi.TlsNotices`.
pub fn takeNotice(engine: *Engine) ?struct { handle: SocketHandle, kinds: u8 } {
    const place = engine.noticed.popFront(&engine.connections) orelse return null;
    engine.notice_count.* = engine.noticed.length;
    const connection = engine.connections.at(place);
    const kinds = connection.notices;
    connection.notices = 0;
    return .{ .handle = engine.scheduler.sockets.handle(connection.socket), .kinds = kinds };
}
