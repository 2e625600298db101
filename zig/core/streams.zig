//! Transfers on connected sockets. Each call does one system call's worth of work if the socket is known
//! to be ready, and otherwise says `would_block`: the caller calls again when a poll tells that it is.

const std = @import("std");
const assert = std.debug.assert;
const c = std.c;
const abi = @import("../boundary/abi.zig");
const system = @import("../os/system.zig");
const lingering = @import("lingering.zig");
const scheduler_module = @import("scheduler.zig");
const tls_transfers = @import("../tls/transfers.zig");
const Scheduler = scheduler_module.Scheduler;
const Socket = @import("sockets.zig").Socket;
const Outcome = system.Outcome;
const Status = abi.Status;

pub const none = scheduler_module.none;

fn failed(status: Status) Outcome {
    return .{ .failure = status };
}

/// The open socket of this kind that a handle names.
pub fn find(scheduler: *Scheduler, handle: i32, kind: Socket.Kind) ?u32 {
    const index = scheduler.sockets.find(handle) orelse return null;
    return if (scheduler.sockets.at(index).kind == kind) index else null;
}

/// Remembers an error that ends the connection: the kernel reports it to one call only. Errors of a
/// call's own, such as a buffer that is not mapped, leave the connection as it is.
fn latch(scheduler: *Scheduler, socket: *Socket, status: Status) void {
    switch (status) {
        .ECONNRESET, .ECONNABORTED, .EPIPE, .ETIMEDOUT, .ENOTCONN, .EPROTO => {},
        .ENETDOWN, .ENETRESET, .ENETUNREACH, .EHOSTDOWN, .EHOSTUNREACH, .ECONNREFUSED => {},
        else => return,
    }
    end(scheduler, socket, status);
}

/// Ends the connection with this error.
pub fn end(scheduler: *Scheduler, socket: *Socket, status: Status) void {
    // EPIPE says less than what a read may still learn.
    if (socket.failure == .ok or socket.failure == .EPIPE) socket.failure = status;
    socket.flags.readable = true;
    socket.flags.writable = true;
    scheduler.announce(socket, .readable);
    scheduler.announce(socket, .writable);
}

/// Receives what is there, at most `length` bytes. 0 is the end of the stream.
pub fn receive(scheduler: *Scheduler, handle: i32, buffer: [*]u8, length: usize) Outcome {
    const index = find(scheduler, handle, .stream) orelse return failed(.stale_handle);
    const socket = scheduler.sockets.at(index);
    const outcome = if (socket.tls != none)
        tls_transfers.receive(scheduler, socket, buffer, length)
    else
        receiveNow(scheduler, socket, buffer, length);
    switch (outcome) {
        .value => |count| scheduler.shared.bytes_received += @floatFromInt(count),
        // Records without data may have used up what one call does.
        .failure => scheduler.announce(socket, .readable),
    }
    return outcome;
}

/// Receives what is there by now, although no poll has told of it yet.
pub fn tryReceive(scheduler: *Scheduler, handle: i32, buffer: [*]u8, length: usize) Outcome {
    const index = find(scheduler, handle, .stream) orelse return failed(.stale_handle);
    setReady(scheduler, scheduler.sockets.at(index), .readable);
    return receive(scheduler, handle, buffer, length);
}

fn receiveNow(scheduler: *Scheduler, socket: *Socket, buffer: [*]u8, length: usize) Outcome {
    assert(length > 0); // to receive nothing would look like the end
    if (socket.flags.end_of_stream) return .{ .value = 0 };
    if (!socket.flags.readable) return failed(socket.readFailure() orelse .would_block);
    const size = @min(length, abi.Limits.transfer_bytes);
    const outcome = system.receive(socket.fd, buffer, size);
    switch (outcome) {
        .value => |count| {
            if (count == 0) {
                // The kernel gives a pending error to one call only; a send may have taken it.
                if (socket.readFailure()) |status| return failed(status);
                socket.flags.end_of_stream = true;
            } else if (system.short_read_empties and count < size and socket.flags.tcp and !socket.flags.special and socket.failure == .ok) {
                // Short of what was asked for, it took all there was: the next bytes are an event.
                // A Unix socket may also stop at a descriptor that was sent along (unix(7)).
                socket.flags.readable = false;
            }
        },
        .failure => |status| if (status == .would_block) {
            socket.flags.readable = false;
            if (socket.readFailure()) |known| return failed(known);
        } else latch(scheduler, socket, status),
    }
    return outcome;
}

/// What is to be sent: bytes, several buffers at once, or a part of a file.
pub const Source = union(enum) {
    bytes: []const u8,
    /// `total` counts what the caller has to send, with what did not fit into these parts.
    vector: struct { parts: []const std.posix.iovec_const, total: usize },
    file: struct { fd: system.Descriptor, offset: i64, length: usize },

    /// Bytes of the whole transfer.
    pub fn wanted(source: Source) usize {
        return switch (source) {
            .bytes => |bytes| bytes.len,
            .file => |file| file.length,
            .vector => |vector| vector.total,
        };
    }

    /// Bytes that this call sends if the socket has room for them.
    fn offered(source: Source) usize {
        return switch (source) {
            .bytes => |bytes| @min(bytes.len, abi.Limits.transfer_bytes),
            .file => |file| @min(file.length, abi.Limits.transfer_bytes),
            .vector => |vector| {
                var sum: usize = 0;
                for (vector.parts) |part| sum += part.len;
                return sum;
            },
        };
    }
};

/// Sends from `source`. A value short of its length means that the socket is full: the caller comes
/// again with the rest before anything else is sent, or it breaks the transfer off.
pub fn send(scheduler: *Scheduler, handle: i32, source: Source) Outcome {
    const index = find(scheduler, handle, .stream) orelse return failed(.stale_handle);
    const socket = scheduler.sockets.at(index);
    if (socket.flags.half_closed) return failed(.EPIPE);
    // A second write after a reset is EPIPE for write(2) as well.
    if (socket.failure != .ok) return failed(if (socket.failure == .ECONNRESET) .EPIPE else socket.failure);
    if (!socket.flags.writable or socket.flags.handshaking) return failed(.would_block);

    const outcome = if (socket.tls != none) tls_transfers.send(scheduler, socket, source) else switch (source) {
        .bytes => |bytes| system.send(socket.fd, bytes.ptr, source.offered()),
        .vector => |vector| system.sendVector(socket.fd, vector.parts),
        .file => |file| system.sendFile(socket.fd, file.fd, file.offset, source.offered()),
    };
    switch (outcome) {
        .value => |count| {
            if (socket.tls == none) socket.flags.sent = true;
            scheduler.shared.bytes_sent += @floatFromInt(count);
            // A file may be shorter than was offered; a buffer is sent short only by a full socket.
            if (socket.tls == none and source != .file and count < source.offered()) socket.flags.writable = false;
        },
        .failure => |status| if (status == .would_block) {
            socket.flags.writable = false;
        } else {
            // The caller reads the file and sends what it has read.
            if (source == .file and refusesFile(status)) return outcome;
            latch(scheduler, socket, status);
            // Over TLS the last part may have come to nothing.
            if (socket.tls != none) tls_transfers.sessionOf(scheduler, socket).abandonTransfer();
        },
    }
    return outcome;
}

/// Whether sendfile(2) says by this that it does not take such a file, or is not to be had.
fn refusesFile(status: Status) bool {
    return switch (status) {
        .EINVAL, .ENOSYS, .EOPNOTSUPP => true,
        else => false,
    };
}

/// Takes note that a socket was found to be ready without an event.
pub fn setReady(scheduler: *Scheduler, socket: *Socket, direction: abi.Direction) void {
    if (direction == .writable) {
        socket.flags.writable = true;
    } else {
        socket.flags.readable = true;
        if (socket.tls != none) tls_transfers.sessionOf(scheduler, socket).flags.kernel_readable = true;
    }
}

/// A transfer ends before all of it was sent: the peer lacks a part of what it was to have. Over TLS
/// closing does not announce the end of the stream then.
pub fn breakOff(scheduler: *Scheduler, handle: i32) void {
    const index = find(scheduler, handle, .stream) orelse return;
    const socket = scheduler.sockets.at(index);
    if (socket.tls != none) tls_transfers.sessionOf(scheduler, socket).breakOffTransfer();
}

/// Sends the end of the stream after what has been sent. Receiving goes on.
pub fn shutdown(scheduler: *Scheduler, handle: i32) ?Status {
    const index = find(scheduler, handle, .stream) orelse return .stale_handle;
    const socket = scheduler.sockets.at(index);
    if (socket.flags.handshaking) return .would_block;
    if (socket.flags.half_closed) return null;
    if (socket.failure != .ok) return socket.failure;
    if (socket.tls != none) return tls_transfers.shutdown(scheduler, socket);
    if (c.shutdown(socket.fd, c.SHUT.WR) != 0) return shutdownFailure(scheduler, socket);
    socket.flags.half_closed = true;
    return null;
}

/// Why shutdown(2) has just failed: ENOTCONN says less than what has ended the connection, which the kernel
/// still has to report if nobody has asked since.
pub fn shutdownFailure(scheduler: *Scheduler, socket: *Socket) Status {
    const status = system.lastStatus();
    const reason = if (status == .ENOTCONN) system.pendingError(socket.fd) orelse status else status;
    latch(scheduler, socket, reason);
    return reason;
}

/// Closes a stream or a listener. What was sent still arrives.
pub fn close(scheduler: *Scheduler, handle: i32) ?Status {
    const index = findOpen(scheduler, handle) orelse return .stale_handle;
    const socket = scheduler.sockets.at(index);
    if (socket.tls != none) tls_transfers.close(scheduler, socket);
    lingering.close(scheduler, index);
    return null;
}

/// Closes with a reset: what has not arrived yet is thrown away on both sides (tcp(7), SO_LINGER
/// with a time of zero).
pub fn reset(scheduler: *Scheduler, handle: i32) ?Status {
    const index = findOpen(scheduler, handle) orelse return .stale_handle;
    const abort: c.linger = .{ .onoff = 1, .linger = 0 };
    _ = system.setOption(scheduler.sockets.at(index).fd, c.SOL.SOCKET, c.SO.LINGER, abort);
    abandon(scheduler, index);
    return null;
}

/// Closes without saying anything to the peer, which learns of it what the kernel tells.
pub fn abandon(scheduler: *Scheduler, index: u32) void {
    const socket = scheduler.sockets.at(index);
    if (socket.tls != none) tls_transfers.abort(scheduler, socket);
    lingering.closeNow(scheduler, index);
}

fn findOpen(scheduler: *Scheduler, handle: i32) ?u32 {
    return find(scheduler, handle, .stream) orelse find(scheduler, handle, .listener);
}
