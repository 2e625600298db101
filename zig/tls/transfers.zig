//! Transfers over TLS: one attempt to read or to write. As in `net/streams.zig`, a call does about one
//! system call's worth of work. The connection keeps the ciphertext that the kernel does not take at once,
//! and sends it when the socket is writable again.
//!
//! What a connection keeps is bounded: input by what one call receives, output by one chunk of a writer
//! and `control_bytes` of answers.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const abi = @import("../boundary/abi.zig");
const engine_module = @import("engine.zig");
const openssl = @import("openssl.zig");
const reasons = @import("reasons.zig");
const framing = @import("record/framing.zig");
const sealing = @import("sealing.zig");
const streams = @import("../net/streams.zig");
const system = @import("../os/kernel.zig").system;
const Engine = engine_module.Engine;
const TlsConnection = @import("connection.zig").TlsConnection;
const Socket = @import("../core/sockets.zig").Socket;
const Error = @import("../os/errors.zig").Error;
const Status = abi.Status;

/// Output, besides a writer's, that may wait for a peer that does not read. Each key update that the peer
/// requests makes an answer of some 30 bytes.
const control_bytes = 64 * 1024;

const longest_output = engine_module.chunk_bytes + 8 * 1024 + control_bytes;

/// Records of one chunk: full ones, and one that is not.
const records_of_chunk = engine_module.chunk_bytes / framing.plaintext_bytes + 1;

/// Whether the end of its handshake is held back (`hold`).
fn isHeld(engine: *Engine, connection: *const TlsConnection) bool {
    return engine.held.contains(&engine.connections, connection.index);
}

pub fn connectionOf(engine: *Engine, socket: *const Socket) *TlsConnection {
    return engine.connections.at(socket.tls);
}

// -- Receiving

/// Receives what is there: the plaintext of as many records as have arrived and fit. The value is 0 at the
/// end of the stream if the peer has announced it; an end without close_notify is `TlsTruncated`.
pub fn receive(engine: *Engine, socket: *Socket, buffer: [*]u8, length: usize) Error!usize {
    const connection = connectionOf(engine, socket);
    if (connection.state == .handshaking or connection.state == .paused) return error.WouldBlock;
    if (connection.failure) |failure| return failure;
    if (socket.flags.end_of_stream) return 0;
    if (!socket.flags.readable and !socket.flags.buffered) return socket.readFailure() orelse error.WouldBlock;

    const room = buffer[0..@min(length, abi.Limits.transfer_bytes)];
    engine.enter(connection, connection.unread());
    var taken = open(engine, socket, connection, room);
    if (taken < room.len and connection.state == .open and !socket.flags.end_of_stream and
        !engine.hasRecord() and refill(engine, socket, connection, room.len - taken))
    {
        taken += open(engine, socket, connection, room[taken..]);
    }
    finishReading(engine, socket, connection, taken == room.len);
    if (taken > 0) return taken;
    if (connection.failure) |failure| return failure;
    if (socket.flags.end_of_stream) return 0;
    return socket.readFailure() orelse error.WouldBlock;
}

/// Opens records of the engine's input, and takes note of the end of reading.
fn open(engine: *Engine, socket: *Socket, connection: *TlsConnection, buffer: []u8) usize {
    const opened = sealing.open(engine, connection, buffer);
    if (opened.end) |end| switch (end) {
        .announced => socket.flags.end_of_stream = true,
        .failure => |failure| {
            // Behind close_notify nothing comes (RFC 8446, 6.1).
            if (!socket.flags.half_closed) if (failure.alert) |alert| sealing.sealAlert(engine, connection, alert);
            failBecause(engine, socket, connection, error.TlsFailed, failure.reason);
        },
    };
    return opened.count;
}

/// Receives from the kernel behind the part of a record that is there, about as much as the caller has
/// room for, so that little is left over. Returns whether anything came.
pub fn refill(engine: *Engine, socket: *Socket, connection: *TlsConnection, room: usize) bool {
    if (!socket.flags.readable or connection.flags.ended) return false;
    const rest = engine.rest();
    assert(rest.len < framing.longest_record, "a whole record is left when more is received");
    assert(engine.position >= engine.record_end, "more is received in the middle of a record");
    // The part may lie further on in `received` itself.
    std.mem.copyForwards(u8, engine.received[0..rest.len], rest);
    connection.dropInput(engine.allocator);
    engine.setInput(engine.received[0..rest.len]);

    const wanted = @max(room +| room / 32, framing.longest_record);
    const space = engine.received[rest.len..];
    const size = @min(wanted, space.len);
    const count = system.receive(socket.fd, space.ptr, size) catch |failure| {
        // Any failure ends the connection, also one after which a plain socket goes on.
        if (failure != error.WouldBlock) engine.scheduler.endConnection(socket, failure);
        socket.flags.readable = false;
        return false;
    };
    // When a send has received the reset, the kernel reports an end of stream here.
    if (count == 0 and socket.readFailure() == null) connection.flags.ended = true;
    if (count < size and system.short_read_empties and socket.flags.tcp and !socket.flags.special and socket.failure == null) {
        socket.flags.readable = false;
    }
    engine.setInput(engine.received[0 .. rest.len + count]);
    return count > 0;
}

/// Ends a call that has read: keeps the input that is left, sends the answers, and finds out whether the
/// next call would find something.
pub fn finishReading(engine: *Engine, socket: *Socket, connection: *TlsConnection, is_full: bool) void {
    keepRest(engine, connection) catch fail(engine, socket, connection, error.Exhausted);
    if (connection.state == .open and !socket.flags.half_closed) {
        sealing.sealAnswer(engine, connection) catch fail(engine, socket, connection, error.Exhausted);
    }
    engine.leave();
    _ = emit(engine, socket, connection);
    if (connection.state != .open) return;
    if (connection.flags.writer_needs_input and !isInMessage(connection)) {
        connection.flags.writer_needs_input = false;
        socket.flags.writable = true;
        engine.scheduler.announce(socket, .writable);
    }
    const has_more = connection.hasRecord() or (is_full and sealing.hasContent(connection));
    if (!has_more and connection.flags.ended and !socket.flags.end_of_stream and connection.failure == null) {
        // Without close_notify an attacker may have cut the data off (RFC 8446, 6.1). The kernel reports
        // an error to one call only, which may have been a send.
        connection.failure = socket.readFailure() orelse error.TlsTruncated;
    }
    socket.flags.buffered = has_more or connection.failure != null;
}

fn keepRest(engine: *Engine, connection: *TlsConnection) !void {
    if (engine.input.ptr == engine.received.ptr) return connection.keepInput(engine.allocator, engine.rest());
    try connection.advance(engine.allocator, engine.position);
}

// -- Sending

/// Sends from `source`: at most one chunk. The value counts plaintext whose ciphertext the kernel has
/// taken. While it is less than the whole, the caller calls again with the rest, and sends nothing else in
/// between.
pub fn send(engine: *Engine, socket: *Socket, source: streams.Source) Error!usize {
    const connection = connectionOf(engine, socket);
    if (source == .file or source == .kernel_pipe) return error.EOPNOTSUPP;
    if (connection.state == .failed) return connection.failure.?;
    if (connection.state != .open) return error.WouldBlock;
    if (!isHeld(engine, connection)) sendOutput(engine, socket, connection);
    const may_write = mayWrite(engine, socket, connection);
    if (socket.failure) |failure| return failure;
    if (connection.output.len > 0 and !isHeld(engine, connection)) return error.WouldBlock;
    if (!may_write) {
        if (connection.failure) |failure| return failure;
        connection.flags.writer_needs_input = true;
        return error.WouldBlock;
    }

    const wanted = source.wanted();
    // The caller offers the same data again, so that this is never more.
    const settled = @min(connection.unreported_plaintext, wanted);
    connection.unreported_plaintext = 0;
    if (settled == wanted) return finishSend(connection, wanted, wanted);

    var marks: Marks = .{};
    engine.enter(connection, &.{});
    sealChunk(engine, socket, connection, source, settled, &marks);
    engine.leave();
    const taken = emit(engine, socket, connection);
    if (connection.state == .failed) return connection.failure.?;
    if (socket.failure) |failure| return failure;
    const counted = marks.plaintextWithin(taken);
    connection.output_plaintext = @intCast(marks.plaintext() - counted);
    return finishSend(connection, settled + counted, wanted);
}

/// Whether OpenSSL would write. It does not while a message that follows the handshake, such as a ticket
/// in two records, has arrived in part. The rest is received here, since there may be no reader.
pub fn mayWrite(engine: *Engine, socket: *Socket, connection: *TlsConnection) bool {
    if (!isInMessage(connection)) return true;
    const ssl = connection.ssl.?;
    engine.enter(connection, connection.unread());
    while (true) {
        const result = openssl.SSL_do_handshake(ssl);
        if (result == 1) break;
        if (openssl.SSL_get_error(ssl, result) != openssl.SSL_ERROR_WANT_READ) {
            fail(engine, socket, connection, error.TlsFailed);
            break;
        }
        if (!refill(engine, socket, connection, 0)) break;
    }
    finishReading(engine, socket, connection, false);
    engine.scheduler.announce(socket, .readable);
    return connection.state == .open and !isInMessage(connection);
}

fn isInMessage(connection: *const TlsConnection) bool {
    return openssl.SSL_in_init(connection.ssl orelse return false) != 0;
}

fn finishSend(connection: *TlsConnection, count: usize, wanted: usize) usize {
    connection.flags.mid_transfer = count < wanted;
    return count;
}

/// Where each record of a chunk ends, in ciphertext and in plaintext.
const Marks = struct {
    const Mark = struct { ciphertext: usize, plaintext: usize };

    list: [records_of_chunk]Mark = undefined,
    length: usize = 0,

    fn plaintext(marks: *const Marks) usize {
        return if (marks.length == 0) 0 else marks.list[marks.length - 1].plaintext;
    }

    /// The plaintext of the records that lie within so much ciphertext.
    fn plaintextWithin(marks: *const Marks, ciphertext: usize) usize {
        var sum: usize = 0;
        for (marks.list[0..marks.length]) |mark| {
            if (mark.ciphertext <= ciphertext) sum = mark.plaintext;
        }
        return sum;
    }

    fn add(marks: *Marks, ciphertext: usize, count: usize) void {
        marks.list[marks.length] = .{ .ciphertext = ciphertext, .plaintext = marks.plaintext() + count };
        marks.length += 1;
    }

    fn isFull(marks: *const Marks) bool {
        return marks.length == marks.list.len or marks.plaintext() >= engine_module.chunk_bytes;
    }
};

/// Seals a chunk of the source from `offset` on, in records as long as possible.
fn sealChunk(engine: *Engine, socket: *Socket, connection: *TlsConnection, source: streams.Source, offset: usize, marks: *Marks) void {
    var reader: Reader = .{ .source = source, .skip = offset };
    while (!marks.isFull()) {
        const plaintext = reader.next(engine.gathered);
        if (plaintext.len == 0) return;
        sealing.seal(engine, connection, plaintext) catch return fail(engine, socket, connection, error.TlsFailed);
        marks.add(engine.sealed.items.len, plaintext.len);
    }
}

/// Cuts a source into the plaintext of records.
const Reader = struct {
    source: streams.Source,
    /// Bytes from the current place on that were sent already.
    skip: usize,
    part: usize = 0,

    fn next(reader: *Reader, gathered: []u8) []const u8 {
        switch (reader.source) {
            .bytes => |bytes| {
                const count = @min(bytes.len - reader.skip, framing.plaintext_bytes);
                defer reader.skip += count;
                return bytes[reader.skip..][0..count];
            },
            .vector => |vector| return reader.nextOfParts(vector.parts, gathered),
            .file, .kernel_pipe => unreachable, // refused by `send`
        }
    }

    /// The plaintext of the next record: one part's own memory if that fills a record, and otherwise
    /// gathered from several parts.
    fn nextOfParts(reader: *Reader, parts: []const std.posix.iovec_const, gathered: []u8) []const u8 {
        var length: usize = 0;
        while (reader.part < parts.len and length < gathered.len) {
            const part = parts[reader.part];
            if (reader.skip >= part.len) {
                reader.skip -= part.len;
                reader.part += 1;
                continue;
            }
            const bytes = part.base[reader.skip..part.len];
            const count = @min(bytes.len, gathered.len - length);
            reader.skip += count;
            if (count == gathered.len) return bytes[0..count];
            @memcpy(gathered[length..][0..count], bytes[0..count]);
            length += count;
        }
        return gathered[0..length];
    }
};

/// Sends what was sealed, behind the output that waits. Returns how much of it the kernel has taken; the
/// connection keeps the rest.
pub fn emit(engine: *Engine, socket: *Socket, connection: *TlsConnection) usize {
    const sealed = engine.sealed.items;
    defer engine.sealed.clearRetainingCapacity();
    if (sealed.len == 0 or socket.failure != null) return 0;
    // Nothing may follow the end of the stream.
    if (socket.flags.half_closed and !connection.flags.ends_after_output) return 0;
    if (isHeld(engine, connection)) return emitHeld(engine, socket, connection);
    var taken: usize = 0;
    if (connection.output.len == 0 and socket.flags.writable) taken = sendNow(engine, socket, connection, sealed);
    if (taken == sealed.len or socket.failure != null) return taken;
    // A writer must learn that the connection has failed.
    socket.flags.writable = connection.state == .failed;
    if (connection.unsent().len + sealed.len - taken > longest_output) {
        fail(engine, socket, connection, error.TlsFailed);
        return taken;
    }
    connection.keepOutput(engine.allocator, sealed[taken..]) catch fail(engine, socket, connection, error.Exhausted);
    return taken;
}

/// Holds the last messages of a handshake back, for the caller is about to be woken: a client's first
/// request, or a server's answer to it, leaves in one packet with them. If the caller writes nothing before
/// the next poll, or before the thread sleeps, they leave alone (`flushHeld`).
pub fn hold(engine: *Engine, socket: *const Socket, connection: *TlsConnection) void {
    const sealed = engine.sealed.items;
    // In TLS 1.2 the peer is waiting for them.
    if (connection.takenOver() == null or connection.waiter == .none) return;
    if (sealed.len == 0 or connection.output.len > 0 or !socket.flags.writable) return;
    connection.keepOutput(engine.allocator, sealed) catch return;
    engine.sealed.clearRetainingCapacity();
    engine.held.pushBack(&engine.connections, connection.index);
}

/// As `emit`, behind what was held back, which the returned number does not count.
fn emitHeld(engine: *Engine, socket: *Socket, connection: *TlsConnection) usize {
    const held = connection.unsent().len;
    if (engine.sealed.insertSlice(engine.allocator, 0, connection.unsent())) {
        engine.held.remove(&engine.connections, connection.index);
        connection.dropOutput(engine.allocator);
        return emit(engine, socket, connection) -| held;
    } else |_| {
        sendOutput(engine, socket, connection);
        return emit(engine, socket, connection);
    }
}

/// Sends what was held back for callers that have written nothing.
pub fn flushHeld(engine: *Engine) void {
    while (engine.held.popFront(&engine.connections)) |place| {
        const connection = engine.connections.at(place);
        sendOutput(engine, engine.scheduler.sockets.at(connection.socket), connection);
    }
}

/// Any failure ends the connection: a record cannot be taken back.
fn sendNow(engine: *Engine, socket: *Socket, connection: *const TlsConnection, bytes: []const u8) usize {
    const count = system.send(socket.fd, bytes.ptr, bytes.len) catch |failure| {
        if (failure == error.WouldBlock) return 0;
        // A closed socket has no operations that must learn of it.
        if (connection.state == .closed) socket.failure = failure else engine.scheduler.endConnection(socket, failure);
        return 0;
    };
    socket.flags.sent = true;
    return count;
}

/// Sends the output that waits, as far as the kernel takes it.
fn sendOutput(engine: *Engine, socket: *Socket, connection: *TlsConnection) void {
    engine.held.remove(&engine.connections, connection.index);
    if (connection.output.len == 0) return;
    connection.output_position += @intCast(sendNow(engine, socket, connection, connection.unsent()));
    if (socket.failure != null) {
        connection.dropOutput(engine.allocator);
        connection.output_plaintext = 0;
        return;
    }
    if (connection.unsent().len > 0) {
        socket.flags.writable = connection.state == .failed;
        return;
    }
    connection.dropOutput(engine.allocator);
    connection.unreported_plaintext += connection.output_plaintext;
    connection.output_plaintext = 0;
    if (connection.flags.ends_after_output) {
        connection.flags.ends_after_output = false;
        system.shutdown(socket.fd) catch {};
    }
}

// -- Ending

/// Ends the connection with this failure, and with the reason in OpenSSL's queue. The socket is ready in
/// both directions, so that its operations learn of it.
pub fn fail(engine: *Engine, socket: *Socket, connection: *TlsConnection, failure: Error) void {
    failBecause(engine, socket, connection, failure, reasons.take());
}

/// The same with the reason given as OpenSSL's code.
fn failBecause(engine: *Engine, socket: *Socket, connection: *TlsConnection, failure: Error, reason: c_ulong) void {
    if (connection.state == .failed) return;
    connection.state = .failed;
    connection.failure = failure;
    connection.reason = reason;
    connection.endTransfer();
    socket.flags.buffered = true;
    socket.flags.writable = true;
    engine.scheduler.announce(socket, .readable);
    engine.scheduler.announce(socket, .writable);
}

/// Announces the end of the stream (close_notify), unless a writer's data is incomplete, and half closes the socket.
pub fn shutdown(engine: *Engine, socket: *Socket) Error!void {
    const connection = connectionOf(engine, socket);
    if (connection.state == .failed) return connection.failure.?;
    if (connection.state != .open) return error.WouldBlock;
    if (!connection.isIncomplete() and !announceEnd(engine, socket, connection)) {
        if (connection.failure) |failure| return failure;
        connection.flags.writer_needs_input = true;
        return error.WouldBlock;
    }
    if (socket.failure) |failure| return failure;
    socket.flags.half_closed = true;
    if (connection.output.len == 0) return streams.shutdown(engine.scheduler, socket);
    connection.flags.ends_after_output = true;
}

/// False when OpenSSL cannot write now.
fn announceEnd(engine: *Engine, socket: *Socket, connection: *TlsConnection) bool {
    if (!mayWrite(engine, socket, connection)) return false;
    engine.enter(connection, &.{});
    sealing.sealEnd(engine, connection);
    engine.leave();
    openssl.ERR_clear_error();
    _ = emit(engine, socket, connection);
    return true;
}

/// Before the socket is closed: announces the end of the stream, unless a writer's data is incomplete, and
/// frees everything but the output that waits.
pub fn close(engine: *Engine, socket: *Socket) void {
    const connection = connectionOf(engine, socket);
    const can_announce = connection.state == .open and !socket.flags.half_closed and socket.failure == null;
    if (can_announce and !connection.isIncomplete()) _ = announceEnd(engine, socket, connection);
    endWait(engine, connection, .closed);
    engine.disconnect(socket.tls);
    if (socket.failure != null) connection.dropOutput(engine.allocator);
}

/// Wakes the caller that waits for the handshake, if one does.
pub fn endWait(engine: *Engine, connection: *TlsConnection, status: Status) void {
    if (connection.waiter == .none) return;
    const waiter = connection.waiter;
    connection.waiter = .none;
    engine.scheduler.wake(waiter, status);
}

/// Before the socket is reset: frees everything.
pub fn abort(engine: *Engine, socket: *Socket) void {
    const connection = connectionOf(engine, socket);
    endWait(engine, connection, .closed);
    engine.disconnect(socket.tls);
    connection.dropOutput(engine.allocator);
}

/// Whether the kernel has reported the end of the peer's stream, whether or not the peer announced it.
pub fn hasEnded(engine: *Engine, socket: *const Socket) bool {
    return connectionOf(engine, socket).flags.ended;
}

/// Whether a closed socket's connection still has output.
pub fn hasOutput(engine: *Engine, socket: *const Socket) bool {
    return socket.tls != .none and connectionOf(engine, socket).output.len > 0;
}

/// Whether a closed socket's connection has output, and the peer has acknowledged some of what was sent
/// since the last call of this function.
pub fn makesProgress(engine: *Engine, socket: *const Socket) bool {
    if (!hasOutput(engine, socket)) return false;
    const connection = connectionOf(engine, socket);
    const before = connection.unacknowledged;
    connection.unacknowledged = std.math.lossyCast(u32, (system.unacknowledged(socket.fd) orelse return false) + connection.unsent().len);
    return connection.unacknowledged < before;
}

/// Half closes a closed socket when its connection has sent everything.
pub fn endAfterOutput(engine: *Engine, socket: *Socket) void {
    connectionOf(engine, socket).flags.ends_after_output = true;
    socket.flags.half_closed = true;
}

/// Sends the output that waits, as far as the kernel takes it, or drops it when the socket has failed.
pub fn flush(engine: *Engine, socket: *Socket) void {
    sendOutput(engine, socket, connectionOf(engine, socket));
}

/// Acts upon an event of the kernel: sends the output that waits, and goes on with a handshake.
pub fn report(engine: *Engine, socket: *Socket, is_readable: bool) void {
    const connection = connectionOf(engine, socket);
    if (is_readable and connection.flags.writer_needs_input) {
        connection.flags.writer_needs_input = false;
        socket.flags.writable = true;
    }
    if (socket.flags.writable) sendOutput(engine, socket, connection);
    if (connection.state == .handshaking) engine.due.pushBack(&engine.connections, socket.tls);
}
