//! Closing so that nothing is lost. close(2) on a TCP socket that has received more than was read
//! sends a reset, and a reset may destroy what the peer has not read yet (RFC 1122, 4.2.2.13; RFC
//! 2525, 2.17). So a socket that has sent, and whose last bytes are unacknowledged or whose input is
//! unread, is half closed and kept, its input thrown away, until the peer has closed too or a limit
//! has passed. Its owner sees none of this.

const std = @import("std");
const builtin = @import("builtin");
const c = std.c;
const none = @import("pool.zig").none;
const system = @import("../os/system.zig");
const transfers = @import("../tls/transfers.zig");
const watching = @import("watching.zig");
const streams = @import("streams.zig");
const Scheduler = @import("scheduler.zig").Scheduler;
const Socket = @import("sockets.zig").Socket;

/// How long the peer has, unless `setLinger` says otherwise.
const default_seconds = 5;

/// Input that is thrown away at one go, so that a fast peer does not hold the thread up. Tests make do with
/// less, so that as much fits into any socket's buffer.
const bytes_discarded_at_once = if (builtin.is_test) 8 * 1024 else 4 * 1024 * 1024;

/// Whether the peer may still be waiting for bytes that closing now could destroy.
fn isNeeded(scheduler: *Scheduler, socket: *const Socket) bool {
    // Ciphertext that the kernel has not taken yet: only the core can send it.
    if (transfers.hasOutput(scheduler, socket)) return true;
    if (socket.kind != .stream or !socket.flags.tcp or !socket.flags.sent) return false;
    if (socket.failure != .ok or socket.flags.connecting) return false;
    // When the peer has ended its stream and all of it is read, nothing can cause a reset any more.
    if (if (socket.tls == none) socket.flags.end_of_stream else transfers.hasEnded(scheduler, socket)) return false;
    return switch (system.peek(socket.fd)) {
        .value => |count| count > 0,
        .failure => |status| status == .would_block and (system.unacknowledged(socket.fd) orelse 1) > 0,
    };
}

/// Closes a socket whose waiters have been woken: at once, or when its last bytes have arrived.
pub fn close(scheduler: *Scheduler, index: u32) void {
    const socket = scheduler.sockets.at(index);
    if (!isNeeded(scheduler, socket) or !start(scheduler, socket)) return closeNow(scheduler, index);
    proceed(scheduler, index);
}

fn start(scheduler: *Scheduler, socket: *Socket) bool {
    if (transfers.hasOutput(scheduler, socket)) {
        transfers.endAfterOutput(scheduler, socket);
    } else if (!socket.flags.half_closed and c.shutdown(socket.fd, c.SHUT.WR) != 0) return false;
    setDeadline(scheduler, socket) catch return false;
    // What it is compared with when the time is up.
    _ = transfers.makesProgress(scheduler, socket);
    scheduler.forgetChange(socket);
    socket.kind = .lingering;
    scheduler.shared.lingering += 1;
    return true;
}

fn setDeadline(scheduler: *Scheduler, socket: *Socket) !void {
    const seconds: i64 = if (socket.linger_seconds > 0) socket.linger_seconds else default_seconds;
    const point = system.nanoseconds() + seconds * std.time.ns_per_s;
    try scheduler.deadlines.add(scheduler.allocator, .{ .socket = socket.index }, &socket.deadline_index, point);
}

/// The time is up, unless there is something that only the core can send, the end of a TLS stream for
/// one, and the peer has gone on reading meanwhile: then it has as much time again.
pub fn expire(scheduler: *Scheduler, index: u32) void {
    const socket = scheduler.sockets.at(index);
    if (!transfers.makesProgress(scheduler, socket)) return finish(scheduler, index);
    scheduler.deadlines.remove(&socket.deadline_index);
    setDeadline(scheduler, socket) catch finish(scheduler, index);
}

/// Throws away what has arrived, and closes if that was the end. A peer may read only when it has
/// written everything, so it is heard even while there is still something to be sent.
pub fn proceed(scheduler: *Scheduler, index: u32) void {
    const socket = scheduler.sockets.at(index);
    if (transfers.hasOutput(scheduler, socket)) transfers.flushClosed(scheduler, socket);
    const has_output = transfers.hasOutput(scheduler, socket);
    if (has_output and !socket.flags.tcp) return;
    var discarded: usize = 0;
    while (discarded < bytes_discarded_at_once) {
        switch (system.discard(socket.fd, bytes_discarded_at_once / 4)) {
            .value => |count| {
                if (count == 0) return if (!has_output) finish(scheduler, index);
                discarded += count;
            },
            .failure => |status| {
                if (status != .would_block) finish(scheduler, index);
                return;
            },
        }
    }
    scheduler.backend.rearm(socket.fd, scheduler.sockets.token(index));
}

/// Called when the scheduler's own thread has ended: blocks until nothing lingers any more. What was
/// closed has been promised to arrive. What was not is left to the kernel, as when a process ends: its
/// stream may be incomplete.
pub fn outlive(scheduler: *Scheduler) void {
    for (0..scheduler.sockets.pool.length) |number| {
        const index: u32 = @intCast(number);
        switch (scheduler.sockets.at(index).kind) {
            .free, .lingering => {},
            .stream, .listener => streams.abandon(scheduler, index),
            .watched => watching.abandon(scheduler, index),
        }
    }
    while (scheduler.shared.lingering > 0) _ = scheduler.poll(null);
}

/// Closes a lingering socket for good.
pub fn finish(scheduler: *Scheduler, index: u32) void {
    scheduler.deadlines.remove(&scheduler.sockets.at(index).deadline_index);
    scheduler.shared.lingering -= 1;
    closeNow(scheduler, index);
}

pub fn closeNow(scheduler: *Scheduler, index: u32) void {
    const socket = scheduler.sockets.at(index);
    const fd = socket.fd;
    scheduler.forgetChange(socket);
    if (socket.tls != none) scheduler.tls.release(socket.tls);
    // A descriptor that was duplicated would stay registered after it is closed (epoll(7), Q6). Only
    // whoever knows its number can have done that.
    if (socket.flags.exposed or socket.kind == .listener) scheduler.backend.unregister(fd);
    scheduler.sockets.release(index);
    scheduler.shared.sockets -= 1;
    system.close(fd);
}
