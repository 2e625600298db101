//! Closing so that nothing is lost. close(2) on a TCP socket that has received more than was read
//! sends a reset, and a reset may destroy what the peer has not read yet (RFC 1122, 4.2.2.13; RFC
//! 2525, 2.17). So a socket that has sent, and whose last bytes are unacknowledged or whose input is
//! unread, is half closed and kept, its input thrown away, until the peer has closed too or a limit
//! has passed. Its owner does not notice.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const builtin = @import("builtin");
const system = @import("../os/kernel.zig").system;
const transfers = @import("../tls/transfers.zig");
const Engine = @import("../tls/engine.zig").Engine;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const SocketIndex = @import("../core/indices.zig").SocketIndex;
const Socket = @import("../core/sockets.zig").Socket;

/// How long the peer has, unless `setLinger` says otherwise.
const default_seconds = 5;

/// Input that is thrown away in one call, so that a fast peer does not hold the thread up. Tests use
/// less, so that as much fits into any socket's buffer.
const bytes_discarded_at_once = if (builtin.is_test) 8 * 1024 else 4 * 1024 * 1024;

pub const Lingering = struct {
    scheduler: *Scheduler,
    tls: *Engine,

    /// Closes a socket whose TLS connection has been closed: at once, or when its last bytes have arrived.
    pub fn close(lingering: Lingering, index: SocketIndex) void {
        const socket = lingering.scheduler.sockets.at(index);
        if (!lingering.isNeeded(socket) or !lingering.start(socket)) return lingering.closeNow(index);
        lingering.proceed(index);
    }

    /// Whether the peer may still be waiting for bytes that closing now could destroy.
    fn isNeeded(lingering: Lingering, socket: *const Socket) bool {
        // Ciphertext that the kernel has not taken yet: only the core can send it.
        if (transfers.hasOutput(lingering.tls, socket)) return true;
        if (socket.kind != .stream or !socket.flags.tcp or !socket.flags.sent) return false;
        if (socket.failure != null or socket.flags.connecting) return false;
        // When the peer has ended its stream and all of it is read, nothing can cause a reset any more.
        if (if (socket.tls == .none) socket.flags.end_of_stream else transfers.hasEnded(lingering.tls, socket)) return false;
        const arrived = system.peek(socket.fd) catch |failure|
            return failure == error.WouldBlock and (system.unacknowledged(socket.fd) orelse 1) > 0;
        return arrived > 0;
    }

    fn start(lingering: Lingering, socket: *Socket) bool {
        const scheduler = lingering.scheduler;
        if (transfers.hasOutput(lingering.tls, socket)) {
            transfers.endAfterOutput(lingering.tls, socket);
        } else if (!socket.flags.half_closed) system.shutdown(socket.fd) catch return false;
        lingering.setDeadline(socket) catch return false;
        // Records how much is unacknowledged now. `expire` compares with it.
        _ = transfers.makesProgress(lingering.tls, socket);
        scheduler.forgetChange(socket);
        assert(socket.kind == .stream, "a socket lingers that is no stream");
        socket.kind = .lingering;
        scheduler.shared.lingering += 1;
        return true;
    }

    fn setDeadline(lingering: Lingering, socket: *Socket) !void {
        const scheduler = lingering.scheduler;
        const seconds: i64 = if (socket.linger_seconds > 0) socket.linger_seconds else default_seconds;
        const point = system.nanoseconds() + seconds * std.time.ns_per_s;
        try scheduler.deadlines.add(scheduler.allocator, .{ .socket = socket.index }, &socket.deadline_index, point);
    }

    /// Closes the socket when its time is up. If the core still has output to send, and the peer has
    /// acknowledged some since the last check, the time starts again.
    pub fn expire(lingering: Lingering, index: SocketIndex) void {
        const socket = lingering.scheduler.sockets.at(index);
        assert(socket.kind == .lingering, "a socket is treated as a lingering one");
        if (!transfers.makesProgress(lingering.tls, socket)) return lingering.finish(index);
        lingering.scheduler.deadlines.remove(&socket.deadline_index);
        lingering.setDeadline(socket) catch lingering.finish(index);
    }

    /// Throws away what has arrived, and closes if that was the end. A peer may read only when it has
    /// written everything, so its input is taken even while there is still something to be sent.
    pub fn proceed(lingering: Lingering, index: SocketIndex) void {
        const socket = lingering.scheduler.sockets.at(index);
        assert(socket.kind == .lingering, "a socket is treated as a lingering one");
        if (transfers.hasOutput(lingering.tls, socket)) transfers.flush(lingering.tls, socket);
        const has_output = transfers.hasOutput(lingering.tls, socket);
        if (has_output and !socket.flags.tcp) return;
        var discarded: usize = 0;
        while (discarded < bytes_discarded_at_once) {
            const count = system.discard(socket.fd, bytes_discarded_at_once / 4) catch |failure| {
                if (failure != error.WouldBlock) lingering.finish(index);
                return;
            };
            if (count == 0) return if (!has_output) lingering.finish(index);
            discarded += count;
        }
        lingering.scheduler.backend.rearm(socket.fd, lingering.scheduler.sockets.token(index));
    }

    /// Closes a lingering socket for good.
    fn finish(lingering: Lingering, index: SocketIndex) void {
        assert(lingering.scheduler.shared.lingering > 0, "more sockets have finished than linger");
        lingering.scheduler.shared.lingering -= 1;
        lingering.closeNow(index);
    }

    /// Closes a socket at once. The peer gets what the kernel sends, a reset or the end of the stream.
    pub fn abandon(lingering: Lingering, index: SocketIndex) void {
        const socket = lingering.scheduler.sockets.at(index);
        if (socket.tls != .none) transfers.abort(lingering.tls, socket);
        lingering.closeNow(index);
    }

    fn closeNow(lingering: Lingering, index: SocketIndex) void {
        const scheduler = lingering.scheduler;
        const socket = scheduler.sockets.at(index);
        const fd = socket.fd;
        if (socket.tls != .none) lingering.tls.release(socket.tls);
        // A descriptor that was duplicated would stay registered after it is closed (epoll(7), Q6). Only
        // code that knows its number can have done that.
        if (socket.flags.exposed or socket.kind == .listener) scheduler.backend.unregister(fd);
        scheduler.removeSocket(index);
        system.close(fd);
    }
};
