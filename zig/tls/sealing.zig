//! Between plaintext and records, for whoever has a session's keys: OpenSSL, or the session itself once
//! it is `established`.

const std = @import("std");
const established_module = @import("established.zig");
const openssl = @import("openssl.zig");
const quota = @import("quota.zig");
const records = @import("records.zig");
const transfers = @import("transfers.zig");
const Engine = @import("engine.zig").Engine;
const Established = established_module.Established;
const Session = @import("session.zig").Session;
const Socket = @import("../core/sockets.zig").Socket;

/// Records without data that one call opens.
const at_most = quota.records_at_most;

/// Opens records until the buffer is full or none is left, or many had no data in them. Returns the
/// number of bytes.
pub fn open(engine: *Engine, socket: *Socket, session: *Session, buffer: []u8) usize {
    if (session.detached()) |established| return openRecords(engine, socket, session, established, buffer);
    const connection = session.connection.?;
    var taken: usize = 0;
    var records_without_data: usize = 0;
    while (taken < buffer.len and records_without_data < at_most) {
        // OpenSSL keeps what is left of a record that was read in part.
        if (!engine.hasRecord() and openssl.SSL_pending(connection) == 0) break;
        const result = openssl.SSL_read(connection, buffer.ptr + taken, @intCast(buffer.len - taken));
        if (result > 0) {
            taken += @intCast(result);
            records_without_data += session.quota.records -| 1;
            session.quota.renew();
            continue;
        }
        switch (openssl.SSL_get_error(connection, result)) {
            openssl.ERROR_WANT_READ => {},
            openssl.ERROR_ZERO_RETURN => socket.flags.end_of_stream = true,
            else => transfers.fail(engine, socket, session, .tls_failed),
        }
        break;
    }
    return taken;
}

fn openRecords(engine: *Engine, socket: *Socket, session: *Session, established: *Established, buffer: []u8) usize {
    var taken = established.takeContent(engine.allocator, buffer);
    var records_without_data: usize = 0;
    while (taken < buffer.len and records_without_data < at_most) {
        const rest = engine.rest();
        const record = switch (records.first(rest)) {
            .complete => |size| rest[0..size],
            .partial => break,
            .foreign => {
                refuse(engine, socket, session, established, foreignFailure(rest));
                break;
            },
        };
        engine.position += record.len;
        engine.record_end = engine.position;
        switch (established.read(engine, session, record, buffer[taken..])) {
            .data => |count| {
                taken += count;
                session.quota.renew();
                continue;
            },
            .other => |kind| {
                records_without_data += 1;
                const reason = session.quota.take(kind) orelse continue;
                refuse(engine, socket, session, established, established_module.failureOf(.unexpected_message, @intCast(reason)));
            },
            .end_of_stream => socket.flags.end_of_stream = true,
            .failure => |failure| refuse(engine, socket, session, established, failure),
        }
        break;
    }
    return taken;
}

fn foreignFailure(bytes: []const u8) established_module.Failure {
    if (bytes[0] < 20 or bytes[0] > 23) return established_module.failureOf(.unexpected_message, openssl.SSL_R_BAD_RECORD_TYPE);
    if (bytes[1] != 3) return established_module.failureOf(.decode_error, openssl.SSL_R_WRONG_VERSION_NUMBER);
    return established_module.failureOf(.record_overflow, openssl.SSL_R_ENCRYPTED_LENGTH_TOO_LONG);
}

fn refuse(engine: *Engine, socket: *Socket, session: *Session, established: *Established, failure: established_module.Failure) void {
    // Behind close_notify nothing comes (RFC 8446, 6.1).
    if (!socket.flags.half_closed) if (failure.alert) |alert| {
        _ = established.sendAlert(engine, alert);
    };
    transfers.failBecause(engine, socket, session, .tls_failed, failure.reason);
}

/// Whether a part of a record is decrypted and not read yet.
pub fn hasContent(session: *const Session) bool {
    if (session.detached()) |established| return established.content.len > 0;
    return openssl.SSL_pending(session.connection.?) > 0;
}

/// Answers what the peer has asked for, in records behind what is `sealed`.
pub fn answer(engine: *Engine, socket: *Socket, session: *Session) void {
    const established = session.detached() orelse return;
    if (session.state != .open or socket.flags.half_closed) return;
    if (!established.answerUpdate(engine, session)) transfers.fail(engine, socket, session, .exhausted);
}

/// Seals the data of one record. False when the session has failed.
pub fn seal(engine: *Engine, session: *Session, plaintext: []const u8) bool {
    if (session.detached()) |established| return established.write(engine, session, plaintext);
    return openssl.SSL_write(session.connection.?, plaintext.ptr, @intCast(plaintext.len)) == plaintext.len;
}

/// Seals the announcement that nothing more comes.
pub fn sealEnd(engine: *Engine, session: *Session) void {
    if (session.detached()) |established| {
        _ = established.sendAlert(engine, .close_notify);
        return;
    }
    // It reports that the peer has not answered yet, which nobody waits for.
    _ = openssl.SSL_shutdown(session.connection.?);
}

/// Seals a key update, and uses new keys behind it.
pub fn sealKeyUpdate(engine: *Engine, session: *Session, asks_peer: bool) bool {
    if (session.detached()) |established| return established.updateKeys(engine, session, asks_peer);
    const connection = session.connection.?;
    const kind = if (asks_peer) openssl.KEY_UPDATE_REQUESTED else openssl.KEY_UPDATE_NOT_REQUESTED;
    return openssl.SSL_key_update(connection, kind) == 1 and openssl.SSL_do_handshake(connection) == 1;
}
