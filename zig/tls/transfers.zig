//! Transfers over TLS. As `streams.zig` does for plain sockets, each call does about one system
//! call's worth of work; what the kernel does not take at once is kept by the session and sent when
//! the socket is writable again.
//!
//! Whatever the session keeps is bounded: input by what one call receives, output by one chunk of a
//! writer and `control_bytes` of what OpenSSL itself has to say.

const std = @import("std");
const assert = std.debug.assert;
const c = std.c;
const abi = @import("../boundary/abi.zig");
const engine_module = @import("engine.zig");
const openssl = @import("openssl.zig");
const reasons = @import("reasons.zig");
const records = @import("records.zig");
const sealing = @import("sealing.zig");
const streams = @import("../net/streams.zig");
const system = @import("../os/system.zig");
const Engine = engine_module.Engine;
const Session = @import("session.zig").Session;
const Socket = @import("../core/sockets.zig").Socket;
const Outcome = system.Outcome;
const Status = abi.Status;

/// Output beside a writer's that may wait for a peer which makes us answer and does not read. Each
/// key update that it asks for is an answer of some 30 bytes.
const control_bytes = 64 * 1024;

const longest_output = engine_module.chunk_bytes + 8 * 1024 + control_bytes;

/// Records of one chunk: full ones, and one that is not.
const records_of_chunk = engine_module.chunk_bytes / records.plaintext_bytes + 1;

/// Whether the last words of its handshake are held back (`hold`).
fn isHeld(engine: *Engine, session: *const Session) bool {
    return engine.held.contains(&engine.sessions, session.index);
}

fn failed(status: Status) Outcome {
    return .{ .failure = status };
}

pub fn sessionOf(engine: *Engine, socket: *const Socket) *Session {
    return engine.sessions.at(socket.tls);
}

// -- Receiving

/// Receives what is there: the plaintext of as many records as have arrived and fit. 0 is the end of
/// the stream as the peer has announced it; an end that it has not announced is `tls_truncated`.
pub fn receive(engine: *Engine, socket: *Socket, buffer: [*]u8, length: usize) Outcome {
    const session = sessionOf(engine, socket);
    if (session.state == .handshaking or session.state == .paused) return failed(.would_block);
    if (session.failure != .ok) return failed(session.failure);
    if (socket.flags.end_of_stream) return .{ .value = 0 };
    if (!socket.flags.readable) return failed(socket.readFailure() orelse .would_block);

    const room = buffer[0..@min(length, abi.Limits.transfer_bytes)];
    engine.enter(session, session.unread());
    var taken = sealing.open(engine, socket, session, room);
    if (taken < room.len and session.state == .open and !socket.flags.end_of_stream and
        !engine.hasRecord() and refill(engine, socket, session, room.len - taken))
    {
        taken += sealing.open(engine, socket, session, room[taken..]);
    }
    finishReading(engine, socket, session, taken == room.len);
    if (taken > 0) return .{ .value = taken };
    if (session.failure != .ok) return failed(session.failure);
    if (socket.flags.end_of_stream) return .{ .value = 0 };
    return failed(socket.readFailure() orelse .would_block);
}

/// Receives from the kernel behind what is left of a record, about as much as the caller has room
/// for, so that little is left over. False when nothing came.
pub fn refill(engine: *Engine, socket: *Socket, session: *Session, room: usize) bool {
    if (!session.flags.kernel_readable or session.flags.ended) return false;
    const rest = engine.rest();
    assert(rest.len < records.longest_record and engine.position >= engine.record_end);
    // It may lie in `received` itself, further on.
    std.mem.copyForwards(u8, engine.received[0..rest.len], rest);
    session.dropInput(engine.allocator);
    engine.setInput(engine.received[0..rest.len]);

    const wanted = @max(room +| room / 32, records.longest_record);
    const space = engine.received[rest.len..];
    const size = @min(wanted, space.len);
    switch (system.receive(socket.fd, space.ptr, size)) {
        .value => |count| {
            // After a reset that a send has met, the kernel speaks of an end.
            if (count == 0 and socket.readFailure() == null) session.flags.ended = true;
            if (count < size and system.short_read_empties and socket.flags.tcp and !socket.flags.special and socket.failure == .ok) {
                session.flags.kernel_readable = false;
            }
            engine.setInput(engine.received[0 .. rest.len + count]);
            return count > 0;
        },
        .failure => |status| {
            session.flags.kernel_readable = false;
            // Whatever it is: the caller is told of the connection's end, and of nothing else.
            if (status != .would_block) engine.scheduler.endConnection(socket, status);
            return false;
        },
    }
}

/// Ends a call that has read: keeps what is left, sends what OpenSSL has answered, and finds out
/// whether the next call would have something to do.
pub fn finishReading(engine: *Engine, socket: *Socket, session: *Session, is_full: bool) void {
    keepRest(engine, session) catch fail(engine, socket, session, .exhausted);
    sealing.answer(engine, socket, session);
    engine.leave();
    _ = emit(engine, socket, session);
    if (session.state != .open) return;
    if (session.flags.writer_needs_input and !isInMessage(session)) {
        session.flags.writer_needs_input = false;
        socket.flags.writable = true;
        engine.scheduler.announce(socket, .writable);
    }
    const has_more = session.hasRecord() or (is_full and sealing.hasContent(session));
    if (!has_more and session.flags.ended and !socket.flags.end_of_stream and session.failure == .ok) {
        // RFC 8446, 6.1: without a close_notify the data may have been cut off by anybody. The kernel
        // gives an error to one call only, which may have been one that sent.
        session.failure = socket.readFailure() orelse .tls_truncated;
    }
    socket.flags.readable = has_more or session.flags.kernel_readable or session.failure != .ok or
        socket.flags.end_of_stream;
}

fn keepRest(engine: *Engine, session: *Session) !void {
    if (engine.input.ptr == engine.received.ptr) return session.keepInput(engine.allocator, engine.rest());
    try session.advance(engine.allocator, engine.position);
}

// -- Sending

/// Sends from `source`: at most one chunk. The value counts plaintext whose ciphertext the kernel
/// has taken. While it is less than the whole, the caller comes again with what is not counted, and nothing
/// else is sent in between.
pub fn send(engine: *Engine, socket: *Socket, source: streams.Source) Outcome {
    const session = sessionOf(engine, socket);
    if (source == .file) return failed(.EOPNOTSUPP);
    if (session.state == .failed) return failed(session.failure);
    if (session.state != .open) return failed(.would_block);
    if (!isHeld(engine, session)) flush(engine, socket, session);
    const may_write = mayWrite(engine, socket, session);
    if (socket.failure != .ok) return failed(socket.failure);
    if (session.output.len > 0 and !isHeld(engine, session)) return failed(.would_block);
    if (!may_write) {
        if (session.failure != .ok) return failed(session.failure);
        session.flags.writer_needs_input = true;
        return failed(.would_block);
    }

    const wanted = source.wanted();
    // The caller comes with the same data, so that this is never more.
    const settled = @min(session.credited, wanted);
    session.credited = 0;
    if (settled == wanted) return finishSend(session, wanted, wanted);

    var marks: Marks = .{};
    engine.enter(session, &.{});
    encrypt(engine, socket, session, source, settled, &marks);
    engine.leave();
    const taken = emit(engine, socket, session);
    if (session.state == .failed) return failed(session.failure);
    if (socket.failure != .ok) return failed(socket.failure);
    const counted = marks.plaintextWithin(taken);
    session.credit = @intCast(marks.plaintext() - counted);
    return finishSend(session, settled + counted, wanted);
}

/// OpenSSL writes nothing while a message that follows the handshake, such as a ticket in two records,
/// has arrived in part. The rest is received here, for nobody else may be reading.
pub fn mayWrite(engine: *Engine, socket: *Socket, session: *Session) bool {
    if (!isInMessage(session)) return true;
    const connection = session.connection.?;
    engine.enter(session, session.unread());
    while (true) {
        const result = openssl.SSL_do_handshake(connection);
        if (result == 1) break;
        if (openssl.SSL_get_error(connection, result) != openssl.ERROR_WANT_READ) {
            fail(engine, socket, session, .tls_failed);
            break;
        }
        if (!refill(engine, socket, session, 0)) break;
    }
    finishReading(engine, socket, session, false);
    engine.scheduler.announce(socket, .readable);
    return session.state == .open and !isInMessage(session);
}

fn isInMessage(session: *const Session) bool {
    return openssl.SSL_in_init(session.connection orelse return false) != 0;
}

fn finishSend(session: *Session, count: usize, wanted: usize) Outcome {
    session.flags.mid_transfer = count < wanted;
    return .{ .value = count };
}

/// Where the ciphertext of each record ends, and the plaintext that ends with it.
const Marks = struct {
    const Mark = struct { ciphertext: usize, plaintext: usize };

    list: [records_of_chunk]Mark = undefined,
    length: usize = 0,

    fn plaintext(marks: *const Marks) usize {
        return if (marks.length == 0) 0 else marks.list[marks.length - 1].plaintext;
    }

    /// The plaintext of those records that lie within so much ciphertext.
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

/// Encrypts a chunk of the source from `offset` on, in records as long as they can be.
fn encrypt(engine: *Engine, socket: *Socket, session: *Session, source: streams.Source, offset: usize, marks: *Marks) void {
    var reader: Reader = .{ .source = source, .skip = offset };
    while (!marks.isFull()) {
        const plaintext = reader.next(engine.gathered);
        if (plaintext.len == 0) return;
        if (!sealing.seal(engine, session, plaintext)) return fail(engine, socket, session, .tls_failed);
        marks.add(engine.sealed.items.len, plaintext.len);
    }
}

/// Cuts a source into the plaintext of records.
const Reader = struct {
    source: streams.Source,
    /// Bytes from the current place on that are not to be sent any more.
    skip: usize,
    part: usize = 0,

    fn next(reader: *Reader, gathered: []u8) []const u8 {
        switch (reader.source) {
            .bytes => |bytes| {
                const count = @min(bytes.len - reader.skip, records.plaintext_bytes);
                defer reader.skip += count;
                return bytes[reader.skip..][0..count];
            },
            .vector => |vector| return reader.nextOfParts(vector.parts, gathered),
            .file => unreachable, // refused by `send`
        }
    }

    /// The next record is a part's own memory if that fills it, and else gathered from several.
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

/// Sends what OpenSSL has written, behind what is still to be sent. Returns how much of it the
/// kernel has taken; the session keeps the rest.
pub fn emit(engine: *Engine, socket: *Socket, session: *Session) usize {
    const sealed = engine.sealed.items;
    defer engine.sealed.clearRetainingCapacity();
    if (sealed.len == 0 or socket.failure != .ok) return 0;
    // After the end of the stream there is nothing more to say.
    if (socket.flags.half_closed and !session.flags.ends_after_output) return 0;
    if (isHeld(engine, session)) return emitHeld(engine, socket, session);
    var taken: usize = 0;
    if (session.output.len == 0 and socket.flags.writable) taken = sendNow(engine, socket, session, sealed);
    if (taken == sealed.len or socket.failure != .ok) return taken;
    // Whoever waits to write to a session that has failed must hear of it.
    socket.flags.writable = session.state == .failed;
    if (session.unsent().len + sealed.len - taken > longest_output) {
        fail(engine, socket, session, .tls_failed);
        return taken;
    }
    session.keepOutput(engine.allocator, sealed[taken..]) catch fail(engine, socket, session, .exhausted);
    return taken;
}

/// Keeps the last words of a handshake back for whatever the caller, who is about to be woken, has to
/// say: a client's first request, or a server's answer to it, leaves in one packet with them. If it
/// says nothing before the next poll, or before the thread sleeps, they leave alone (`flushHeld`).
pub fn hold(engine: *Engine, socket: *const Socket, session: *Session) void {
    const sealed = engine.sealed.items;
    // In TLS 1.2 the peer waits for them.
    if (session.detached() == null or session.waiter == .none) return;
    if (sealed.len == 0 or session.output.len > 0 or !socket.flags.writable) return;
    session.keepOutput(engine.allocator, sealed) catch return;
    engine.sealed.clearRetainingCapacity();
    engine.held.pushBack(&engine.sessions, session.index);
}

/// As `emit`, behind what was held back; the count leaves that out.
fn emitHeld(engine: *Engine, socket: *Socket, session: *Session) usize {
    const held = session.unsent().len;
    if (engine.sealed.insertSlice(engine.allocator, 0, session.unsent())) {
        engine.held.remove(&engine.sessions, session.index);
        session.dropOutput(engine.allocator);
        return emit(engine, socket, session) -| held;
    } else |_| {
        flush(engine, socket, session);
        return emit(engine, socket, session);
    }
}

/// Sends what was held back for callers who have said nothing.
pub fn flushHeld(engine: *Engine) void {
    while (engine.held.popFront(&engine.sessions)) |place| {
        const session = engine.sessions.at(place);
        flush(engine, engine.scheduler.sockets.at(session.socket), session);
    }
}

/// Whatever the failure, it ends the connection: a record cannot be taken back.
fn sendNow(engine: *Engine, socket: *Socket, session: *const Session, bytes: []const u8) usize {
    switch (system.send(socket.fd, bytes.ptr, bytes.len)) {
        .value => |count| {
            socket.flags.sent = true;
            return count;
        },
        .failure => |status| {
            // Nobody waits on a socket that is closed.
            if (session.state == .closed and status != .would_block) socket.failure = status;
            if (session.state != .closed and status != .would_block) engine.scheduler.endConnection(socket, status);
            return 0;
        },
    }
}

/// Sends what was kept, as far as the kernel takes it.
pub fn flush(engine: *Engine, socket: *Socket, session: *Session) void {
    engine.held.remove(&engine.sessions, session.index);
    if (session.output.len == 0) return;
    session.output_position += @intCast(sendNow(engine, socket, session, session.unsent()));
    if (socket.failure != .ok) {
        session.dropOutput(engine.allocator);
        session.credit = 0;
        return;
    }
    if (session.unsent().len > 0) {
        socket.flags.writable = session.state == .failed;
        return;
    }
    session.dropOutput(engine.allocator);
    session.credited += session.credit;
    session.credit = 0;
    if (session.flags.ends_after_output) {
        session.flags.ends_after_output = false;
        _ = c.shutdown(socket.fd, c.SHUT.WR);
    }
}

// -- Ending

/// Ends the session, which says why from here on. The socket is ready in both directions, so that its
/// operations hear of it.
pub fn fail(engine: *Engine, socket: *Socket, session: *Session, status: Status) void {
    failBecause(engine, socket, session, status, reasons.take());
}

/// The same with OpenSSL's code for the reason.
pub fn failBecause(engine: *Engine, socket: *Socket, session: *Session, status: Status, reason: c_ulong) void {
    if (session.state == .failed) return;
    session.state = .failed;
    session.failure = status;
    session.reason = reason;
    session.abandonTransfer();
    socket.flags.readable = true;
    socket.flags.writable = true;
    engine.scheduler.announce(socket, .readable);
    engine.scheduler.announce(socket, .writable);
}

/// Announces the end of the stream and ends it.
pub fn shutdown(engine: *Engine, socket: *Socket) ?Status {
    const session = sessionOf(engine, socket);
    if (session.state == .failed) return session.failure;
    if (session.state != .open) return .would_block;
    if (!announceEnd(engine, socket, session)) {
        if (session.failure != .ok) return session.failure;
        session.flags.writer_needs_input = true;
        return .would_block;
    }
    if (socket.failure != .ok) return socket.failure;
    socket.flags.half_closed = true;
    if (session.output.len > 0) {
        session.flags.ends_after_output = true;
    } else if (c.shutdown(socket.fd, c.SHUT.WR) != 0) return streams.shutdownFailure(engine.scheduler, socket);
    return null;
}

/// False when OpenSSL cannot write now.
fn announceEnd(engine: *Engine, socket: *Socket, session: *Session) bool {
    if (!mayWrite(engine, socket, session)) return false;
    engine.enter(session, &.{});
    sealing.sealEnd(engine, session);
    engine.leave();
    openssl.ERR_clear_error();
    _ = emit(engine, socket, session);
    return true;
}

/// Before its socket is closed: announces the end of the stream, unless it breaks off, or broke off
/// before, in the middle of a writer's data; and frees all but what is still to be sent.
pub fn close(engine: *Engine, socket: *Socket) void {
    const session = sessionOf(engine, socket);
    const breaks_off = session.flags.mid_transfer or session.flags.was_broken_off or
        socket.flags.half_closed or socket.failure != .ok;
    if (session.state == .open and !breaks_off) _ = announceEnd(engine, socket, session);
    endWait(engine, session, .closed);
    engine.disconnect(socket.tls);
    if (socket.failure != .ok) session.dropOutput(engine.allocator);
}

/// Wakes the caller that waits for the handshake, if one does.
pub fn endWait(engine: *Engine, session: *Session, status: Status) void {
    if (session.waiter == .none) return;
    const waiter = session.waiter;
    session.waiter = .none;
    engine.scheduler.wake(waiter, status);
}

/// Before its socket is reset: frees everything.
pub fn abort(engine: *Engine, socket: *Socket) void {
    const session = sessionOf(engine, socket);
    endWait(engine, session, .closed);
    engine.disconnect(socket.tls);
    session.dropOutput(engine.allocator);
}

/// Whether the peer's stream, and not only what it had to say, is known to be at its end.
pub fn hasEnded(engine: *Engine, socket: *const Socket) bool {
    return sessionOf(engine, socket).flags.ended;
}

/// Whether a closed socket's session still has something to send.
pub fn hasOutput(engine: *Engine, socket: *const Socket) bool {
    return socket.tls != .none and sessionOf(engine, socket).output.len > 0;
}

/// Whether a closed socket's session has something to send, and the peer has taken some of what was
/// sent since this was asked last.
pub fn makesProgress(engine: *Engine, socket: *const Socket) bool {
    if (!hasOutput(engine, socket)) return false;
    const session = sessionOf(engine, socket);
    const before = session.unacknowledged;
    session.unacknowledged = std.math.lossyCast(u32, (system.unacknowledged(socket.fd) orelse return false) + session.unsent().len);
    return session.unacknowledged < before;
}

/// Has a closed socket half closed when its session has sent everything.
pub fn endAfterOutput(engine: *Engine, socket: *Socket) void {
    sessionOf(engine, socket).flags.ends_after_output = true;
    socket.flags.half_closed = true;
}

/// Sends what a closed socket's session has left. It is dropped when the connection has failed.
pub fn flushClosed(engine: *Engine, socket: *Socket) void {
    flush(engine, socket, sessionOf(engine, socket));
}

/// Takes note of what the kernel reports for a socket, and sends what was kept.
pub fn report(engine: *Engine, socket: *Socket, is_readable: bool) void {
    const session = sessionOf(engine, socket);
    if (is_readable) session.flags.kernel_readable = true;
    if (is_readable and session.flags.writer_needs_input) {
        session.flags.writer_needs_input = false;
        socket.flags.writable = true;
    }
    if (socket.flags.writable) flush(engine, socket, session);
    if (session.state == .handshaking) engine.due.pushBack(&engine.sessions, socket.tls);
}
