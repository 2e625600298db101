//! Transfers on connected sockets, plain or over TLS. Each call finds the socket of a handle, does what is common
//! to both, and calls `net/streams.zig` or `tls/transfers.zig`.

const abi = @import("../boundary/abi.zig");
const options = @import("../os/options.zig");
const streams = @import("../net/streams.zig");
const transfers = @import("../tls/transfers.zig");
const Socket = @import("../core/sockets.zig").Socket;
const Source = streams.Source;
const Thread = @import("thread.zig").Thread;
const Error = @import("../os/errors.zig").Error;
const SocketHandle = @import("../core/indices.zig").SocketHandle;

/// Receives what is there, at most `length` bytes. 0 is the end of the stream.
pub fn receive(thread: *Thread, handle: SocketHandle, buffer: [*]u8, length: usize) Error!usize {
    const scheduler = &thread.scheduler;
    const socket = try scheduler.sockets.get(handle, .stream);
    // Records without data may have used up what one call does.
    errdefer scheduler.announce(socket, .readable);
    const count = try if (socket.tls != .none)
        transfers.receive(&thread.tls, socket, buffer, length)
    else
        streams.receive(scheduler, socket, buffer, length);
    scheduler.shared.bytes_received += @floatFromInt(count);
    return count;
}

/// Receives what is there into an empty kernel pipe, for `sendPiped` to another socket. 0 says that `receive` is
/// to be called in its place. So it is when the other socket is closed, and with TLS on either side: the data must
/// pass through the cipher.
pub fn receivePiped(thread: *Thread, handle: SocketHandle, target: SocketHandle, number: usize) Error!usize {
    const scheduler = &thread.scheduler;
    const socket = try scheduler.sockets.get(handle, .stream);
    const receiver = scheduler.sockets.get(target, .stream) catch return 0;
    const pipe = try thread.kernel_pipes.find(number);
    if (socket.tls != .none or receiver.tls != .none) return 0;
    const count = try streams.receiveInto(scheduler, socket, pipe);
    scheduler.shared.bytes_received += @floatFromInt(count);
    return count;
}

/// Sends what a kernel pipe holds, as `send`. The caller asks again until it is empty.
pub fn sendPiped(thread: *Thread, handle: SocketHandle, number: usize) Error!usize {
    return send(thread, handle, .{ .kernel_pipe = try thread.kernel_pipes.find(number) });
}

/// Receives what is there by now, although no poll has reported it yet.
pub fn tryReceive(thread: *Thread, handle: SocketHandle, buffer: [*]u8, length: usize) Error!usize {
    setReady(try thread.scheduler.sockets.get(handle, .stream), .readable);
    return receive(thread, handle, buffer, length);
}

/// Sends from `source`. A value short of its length means that the socket is full: the caller comes
/// again with the rest before anything else is sent, or it breaks the transfer off.
pub fn send(thread: *Thread, handle: SocketHandle, source: Source) Error!usize {
    const scheduler = &thread.scheduler;
    const socket = try scheduler.sockets.get(handle, .stream);
    if (socket.flags.half_closed) return error.EPIPE;
    // A second write after a reset is EPIPE for write(2) as well.
    if (socket.failure) |failure| return if (failure == error.ECONNRESET) error.EPIPE else failure;
    if (!socket.flags.writable or socket.flags.handshaking) return error.WouldBlock;

    const outcome = if (socket.tls != .none) transfers.send(&thread.tls, socket, source) else streams.send(socket, source);
    const count = outcome catch |failure| {
        switch (failure) {
            error.WouldBlock => {
                socket.flags.writable = false;
                return failure;
            },
            // sendfile(2) does not take such a file, or does not exist: the caller reads the file and sends
            // what it has read.
            error.EINVAL, error.ENOSYS, error.EOPNOTSUPP => if (source == .file) return failure,
            else => {},
        }
        streams.latch(scheduler, socket, failure);
        // Over TLS the last part may have come to nothing.
        if (socket.tls != .none) transfers.connectionOf(&thread.tls, socket).endTransfer();
        return failure;
    };
    scheduler.shared.bytes_sent += @floatFromInt(count);
    return count;
}

/// Takes note that a socket was found to be ready without an event.
pub fn setReady(socket: *Socket, direction: abi.Direction) void {
    if (direction == .writable) socket.flags.writable = true else socket.flags.readable = true;
}

/// A transfer ends before all of it was sent: the peer lacks a part of what it was to have. Over TLS
/// the end of the stream is not announced then.
pub fn breakOff(thread: *Thread, handle: SocketHandle) void {
    const socket = thread.scheduler.sockets.get(handle, .stream) catch return;
    if (socket.tls != .none) transfers.connectionOf(&thread.tls, socket).breakOff();
}

/// Sends the end of the stream after what has been sent. Receiving goes on.
pub fn shutdown(thread: *Thread, handle: SocketHandle) Error!void {
    const socket = try thread.scheduler.sockets.get(handle, .stream);
    if (socket.flags.handshaking) return error.WouldBlock;
    if (socket.flags.half_closed) return;
    if (socket.failure) |failure| return failure;
    if (socket.tls != .none) return transfers.shutdown(&thread.tls, socket);
    return streams.shutdown(&thread.scheduler, socket);
}

/// Closes a stream or a listener. What was sent still arrives.
pub fn close(thread: *Thread, handle: SocketHandle) Error!void {
    const socket = try findOpen(thread, handle);
    if (socket.tls != .none) transfers.close(&thread.tls, socket);
    thread.lingering.close(socket.index);
}

/// Closes with a reset: what has not arrived yet is thrown away on both sides.
pub fn reset(thread: *Thread, handle: SocketHandle) Error!void {
    const socket = try findOpen(thread, handle);
    options.setToReset(socket.fd);
    thread.lingering.abandon(socket.index);
}

fn findOpen(thread: *Thread, handle: SocketHandle) error{StaleHandle}!*Socket {
    const sockets = &thread.scheduler.sockets;
    return sockets.get(handle, .stream) catch sockets.get(handle, .listener);
}
