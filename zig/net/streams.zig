//! Transfers on plain connected sockets. Each call does one system call's worth of work if the socket is
//! known to be ready, and otherwise fails with `WouldBlock`: the caller calls again when a poll reports that it is.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const abi = @import("../boundary/abi.zig");
const system = @import("../os/kernel.zig").system;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const Socket = @import("../core/sockets.zig").Socket;
const Error = @import("../os/errors.zig").Error;
const KernelPipe = @import("kernel_pipes.zig").KernelPipe;

/// Remembers an error that ends the connection: the kernel reports it to one call only. Errors of a
/// call's own, such as a buffer that is not mapped, leave the connection as it is.
pub fn latch(scheduler: *Scheduler, socket: *Socket, failure: Error) void {
    switch (failure) {
        error.ECONNRESET, error.ECONNABORTED, error.EPIPE, error.ETIMEDOUT, error.ENOTCONN, error.EPROTO => {},
        error.ENETDOWN, error.ENETRESET, error.ENETUNREACH, error.EHOSTDOWN, error.EHOSTUNREACH => {},
        error.ECONNREFUSED => {},
        else => return,
    }
    scheduler.endConnection(socket, failure);
}

/// Receives what is there, at most `length` bytes. 0 is the end of the stream.
pub fn receive(scheduler: *Scheduler, socket: *Socket, buffer: [*]u8, length: usize) Error!usize {
    assert(length > 0, "nothing is to be received, which would look like the end of the stream");
    if (socket.flags.end_of_stream) return 0;
    if (!socket.flags.readable) return socket.readFailure() orelse error.WouldBlock;
    const size = @min(length, abi.Limits.transfer_bytes);
    const count = system.receive(socket.fd, buffer, size) catch |failure| {
        if (failure != error.WouldBlock) {
            latch(scheduler, socket, failure);
            return failure;
        }
        socket.flags.readable = false;
        return socket.readFailure() orelse failure;
    };
    if (count == 0) {
        // The kernel gives a pending error to one call only; a send may have taken it.
        if (socket.readFailure()) |failure| return failure;
        socket.flags.end_of_stream = true;
    } else if (system.short_read_empties and count < size and socket.flags.tcp and !socket.flags.special and socket.failure == null) {
        // A short read has taken all there was; the next bytes cause an event.
        // On a Unix socket a read also stops at a descriptor that was sent along (unix(7)).
        socket.flags.readable = false;
    }
    return count;
}

/// Receives into an empty kernel pipe. 0 says that only `receive` finds out what comes next: the end of the
/// stream, urgent data, a socket that splice(2) refuses.
pub fn receiveInto(scheduler: *Scheduler, socket: *Socket, pipe: *KernelPipe) Error!usize {
    if (socket.flags.end_of_stream or socket.failure != null) return 0;
    if (!socket.flags.readable) return error.WouldBlock;
    return pipe.fill(socket.fd) catch |failure| {
        switch (failure) {
            error.WouldBlock => {
                // splice(2) stops at an urgent mark as if nothing was left.
                if (socket.flags.special) return 0;
                socket.flags.readable = false;
            },
            error.EINVAL, error.ENOSYS, error.EOPNOTSUPP, error.EPERM => return 0,
            else => latch(scheduler, socket, failure),
        }
        return failure;
    };
}

/// What is to be sent: bytes, several buffers at once, or a part of a file.
pub const Source = union(enum) {
    bytes: []const u8,
    /// `total` counts what the caller has to send, with what did not fit into these parts.
    vector: struct { parts: []const std.posix.iovec_const, total: usize },
    file: struct { fd: system.Descriptor, offset: i64, length: usize },
    /// All that a kernel pipe holds.
    kernel_pipe: *KernelPipe,

    /// Bytes of the whole transfer.
    pub fn wanted(source: Source) usize {
        return switch (source) {
            .bytes => |bytes| bytes.len,
            .file => |file| file.length,
            .vector => |vector| vector.total,
            .kernel_pipe => |pipe| pipe.held,
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
            .kernel_pipe => |pipe| pipe.held,
        };
    }
};

/// Sends from `source`. A value short of its length means that the socket is full.
pub fn send(socket: *Socket, source: Source) Error!usize {
    const count = try switch (source) {
        .bytes => |bytes| system.send(socket.fd, bytes.ptr, source.offered()),
        .vector => |vector| system.sendVector(socket.fd, vector.parts),
        .file => |file| system.sendFile(socket.fd, file.fd, file.offset, source.offered()),
        .kernel_pipe => |pipe| pipe.drain(socket.fd),
    };
    socket.flags.sent = true;
    switch (source) {
        // Only a full socket sends them short.
        .bytes, .vector => {
            if (count < source.offered()) socket.flags.writable = false;
        },
        // A file may be shorter than was offered, and splice(2) may end early.
        .file, .kernel_pipe => {},
    }
    return count;
}

/// Sends the end of the stream after what has been sent.
pub fn shutdown(scheduler: *Scheduler, socket: *Socket) Error!void {
    system.shutdown(socket.fd) catch |failure| {
        // ENOTCONN says less than what has ended the connection, which the kernel still has to report if no
        // call has taken it since.
        const reason = if (failure == error.ENOTCONN) system.pendingError(socket.fd) orelse failure else failure;
        latch(scheduler, socket, reason);
        return reason;
    };
    socket.flags.half_closed = true;
}
