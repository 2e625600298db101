//! Transfers on plain connected sockets. Each call does one system call's worth of work if the socket is
//! known to be ready, and otherwise says `would_block`: the caller calls again when a poll reports that it is.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const abi = @import("../boundary/abi.zig");
const system = @import("../os/kernel.zig").system;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const Socket = @import("../core/sockets.zig").Socket;
const Outcome = system.Outcome;
const Status = abi.Status;

fn failed(status: Status) Outcome {
    return .{ .failure = status };
}

/// Remembers an error that ends the connection: the kernel reports it to one call only. Errors of a
/// call's own, such as a buffer that is not mapped, leave the connection as it is.
pub fn latch(scheduler: *Scheduler, socket: *Socket, status: Status) void {
    switch (status) {
        .ECONNRESET, .ECONNABORTED, .EPIPE, .ETIMEDOUT, .ENOTCONN, .EPROTO => {},
        .ENETDOWN, .ENETRESET, .ENETUNREACH, .EHOSTDOWN, .EHOSTUNREACH, .ECONNREFUSED => {},
        else => return,
    }
    scheduler.endConnection(socket, status);
}

/// Receives what is there, at most `length` bytes. 0 is the end of the stream.
pub fn receive(scheduler: *Scheduler, socket: *Socket, buffer: [*]u8, length: usize) Outcome {
    assert(length > 0, "nothing is to be received, which would look like the end of the stream");
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
                // A short read has taken all there was; the next bytes cause an event.
                // On a Unix socket a read also stops at a descriptor that was sent along (unix(7)).
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
    pub fn offered(source: Source) usize {
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

/// Sends from `source`. A value short of its length means that the socket is full.
pub fn send(socket: *Socket, source: Source) Outcome {
    const outcome = switch (source) {
        .bytes => |bytes| system.send(socket.fd, bytes.ptr, source.offered()),
        .vector => |vector| system.sendVector(socket.fd, vector.parts),
        .file => |file| system.sendFile(socket.fd, file.fd, file.offset, source.offered()),
    };
    if (outcome == .value) {
        socket.flags.sent = true;
        // A file may be shorter than was offered; a buffer is sent short only by a full socket.
        if (source != .file and outcome.value < source.offered()) socket.flags.writable = false;
    }
    return outcome;
}

/// Sends the end of the stream after what has been sent.
pub fn shutdown(scheduler: *Scheduler, socket: *Socket) ?Status {
    if (system.shutdown(socket.fd)) |status| return shutdownFailure(scheduler, socket, status);
    socket.flags.half_closed = true;
    return null;
}

/// Why shutdown(2) has just failed: ENOTCONN says less than what has ended the connection, which the kernel
/// still has to report if no call has taken it since.
pub fn shutdownFailure(scheduler: *Scheduler, socket: *Socket, status: Status) Status {
    const reason = if (status == .ENOTCONN) system.pendingError(socket.fd) orelse status else status;
    latch(scheduler, socket, reason);
    return reason;
}
