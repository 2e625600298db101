//! Turns plaintext into records and back. OpenSSL has a connection's keys, or the record layer that has taken
//! over from it. Sealed records go to the engine's buffer; nothing here touches a socket.

const std = @import("std");
const openssl = @import("openssl.zig");
const quota = @import("record/quota.zig");
const framing = @import("record/framing.zig");
const layer_module = @import("record/layer.zig");
const reasons = @import("reasons.zig");
const refusals = @import("record/refusals.zig");
const system = @import("../os/kernel.zig").system;
const Direction = @import("record/primitives.zig").Direction;
const Engine = @import("engine.zig").Engine;
const Failure = refusals.Failure;
const RecordLayer = layer_module.RecordLayer;
const TlsConnection = @import("connection.zig").TlsConnection;
const Takeover = @import("takeover.zig").Takeover;

/// Records without data that one call opens.
const records_without_data_at_most = quota.records_at_most;

pub const Opened = struct {
    /// Bytes of data.
    count: usize,
    /// How reading ends behind them, if it does.
    end: ?End = null,

    pub const End = union(enum) { announced, failure: Failure };
};

/// Opens records of the engine's input until the buffer is full, no whole record is left, or many had no data.
pub fn open(engine: *Engine, connection: *TlsConnection, buffer: []u8) Opened {
    if (connection.takenOver()) |takeover| return openRecords(engine, connection, takeover, buffer);
    const ssl = connection.ssl.?;
    var taken: usize = 0;
    var records_without_data: usize = 0;
    while (taken < buffer.len and records_without_data < records_without_data_at_most) {
        // OpenSSL keeps the rest of a record that was read in part.
        if (!engine.hasRecord() and openssl.SSL_pending(ssl) == 0) break;
        const result = openssl.SSL_read(ssl, buffer.ptr + taken, @intCast(buffer.len - taken));
        if (result > 0) {
            taken += @intCast(result);
            records_without_data += connection.quota.records -| 1;
            connection.quota.renew();
            continue;
        }
        switch (openssl.SSL_get_error(ssl, result)) {
            openssl.SSL_ERROR_WANT_READ => break,
            openssl.SSL_ERROR_ZERO_RETURN => return .{ .count = taken, .end = .announced },
            else => return .{ .count = taken, .end = .{ .failure = .{ .reason = reasons.take() } } },
        }
    }
    return .{ .count = taken };
}

fn openRecords(engine: *Engine, connection: *TlsConnection, takeover: *Takeover, buffer: []u8) Opened {
    var taken = takeover.takeContent(engine.allocator, buffer);
    const end = openInto(engine, connection, takeover, buffer, &taken) catch |refusal| Opened.End{ .failure = .of(refusal) };
    return .{ .count = taken, .end = end };
}

/// Opens records into the buffer behind the bytes that it has already, and counts them.
fn openInto(engine: *Engine, connection: *TlsConnection, takeover: *Takeover, buffer: []u8, taken: *usize) refusals.Refusal!?Opened.End {
    var records_without_data: usize = 0;
    while (taken.* < buffer.len and records_without_data < records_without_data_at_most) {
        const size = try framing.first(engine.rest()) orelse break;
        const record = engine.rest()[0..size];
        engine.position += size;
        engine.record_end = engine.position;
        const reading_key = takeover.layer.reading.number;
        const room = buffer[taken.*..];
        switch (try takeover.layer.open(&engine.primitives, record, room)) {
            .data => |content| {
                connection.quota.renew();
                const count = @min(content.len, room.len);
                if (content.ptr != room.ptr) {
                    @memcpy(room[0..count], content[0..count]);
                    if (count < content.len) try takeover.keepContent(engine.allocator, content[count..]);
                }
                taken.* += count;
            },
            .other => |kind| {
                records_without_data += 1;
                if (takeover.layer.reading.number != reading_key) logKey(engine, connection, takeover, .open);
                try connection.quota.take(kind, system.nanoseconds);
            },
            .end_of_stream => return .announced,
            .alert => |alert| return .{ .failure = .ofPeersAlert(alert) },
        }
    }
    return null;
}

/// Whether a part of a record is decrypted and not read yet.
pub fn hasContent(connection: *const TlsConnection) bool {
    if (connection.takenOver()) |takeover| return takeover.content.len > 0;
    return openssl.SSL_pending(connection.ssl.?) > 0;
}

/// Seals the data of one record.
pub fn seal(engine: *Engine, connection: *TlsConnection, plaintext: []const u8) layer_module.SealError!void {
    if (connection.takenOver()) |takeover| return sealWith(engine, connection, takeover, RecordLayer.seal, .{plaintext});
    if (openssl.SSL_write(connection.ssl.?, plaintext.ptr, @intCast(plaintext.len)) != plaintext.len) return error.CryptoFailed;
}

/// Seals the announcement of new keys that the peer has requested, if any.
pub fn sealAnswer(engine: *Engine, connection: *TlsConnection) layer_module.SealError!void {
    const takeover = connection.takenOver() orelse return;
    if (takeover.layer.owes_update) try sealWith(engine, connection, takeover, RecordLayer.sealKeyUpdate, .{false});
}

/// Seals a key update, and uses new keys behind it.
pub fn sealKeyUpdate(engine: *Engine, connection: *TlsConnection, asks_peer: bool) layer_module.SealError!void {
    if (connection.takenOver()) |takeover| return sealWith(engine, connection, takeover, RecordLayer.sealKeyUpdate, .{asks_peer});
    const ssl = connection.ssl.?;
    const kind = if (asks_peer) openssl.SSL_KEY_UPDATE_REQUESTED else openssl.SSL_KEY_UPDATE_NOT_REQUESTED;
    if (openssl.SSL_key_update(ssl, kind) != 1 or openssl.SSL_do_handshake(ssl) != 1) return error.CryptoFailed;
}

/// Seals the announcement that nothing more comes.
pub fn sealEnd(engine: *Engine, connection: *TlsConnection) void {
    if (connection.takenOver() != null) return sealAlert(engine, connection, .close_notify);
    // Its result says only that the peer has not announced its end yet.
    _ = openssl.SSL_shutdown(connection.ssl.?);
}

/// Seals an alert, which OpenSSL does by itself where it has the keys. Without memory the peer gets none.
pub fn sealAlert(engine: *Engine, connection: *TlsConnection, alert: refusals.Alert) void {
    const takeover = connection.takenOver() orelse return;
    sealWith(engine, connection, takeover, RecordLayer.sealAlert, .{alert}) catch {};
}

fn sealWith(engine: *Engine, connection: *TlsConnection, takeover: *Takeover, comptime method: anytype, arguments: anytype) layer_module.SealError!void {
    const layer = &takeover.layer;
    const writing_key = layer.writing.number;
    const output: layer_module.Output = .{ .allocator = engine.allocator, .bytes = &engine.sealed };
    try @call(.auto, method, .{ layer, &engine.primitives, output } ++ arguments);
    if (layer.writing.number != writing_key) logKey(engine, connection, takeover, .seal);
}

/// Keeps a line with the new secret of a direction, if the connection logs its keys.
fn logKey(engine: *Engine, connection: *TlsConnection, takeover: *const Takeover, direction: Direction) void {
    if (!takeover.logs_keys) return;
    const extra = connection.extra.?;
    const keys = if (direction == .open) &takeover.layer.reading else &takeover.layer.writing;
    const is_clients = (direction == .open) == takeover.layer.is_server;
    const label = if (is_clients) "CLIENT_TRAFFIC_SECRET_N" else "SERVER_TRAFFIC_SECRET_N";
    const digits = std.fmt.bytesToHex(keys.secret, .lower);
    engine.keepLine(connection, &.{ label, &std.fmt.bytesToHex(extra.client_random, .lower), digits[0 .. 2 * keys.currentSecret().len] });
}
