//! Transfers on connected sockets. Each call does one system call's worth of work if it is the
//! caller's turn and the socket is known to be ready, and otherwise says `would_block`: the caller
//! parks, is granted the turn, and calls again with `granted` set.

const std = @import("std");
const assert = std.debug.assert;
const c = std.c;
const abi = @import("abi.zig");
const system = @import("system.zig");
const lingering = @import("lingering.zig");
const scheduler_module = @import("scheduler.zig");
const tls_transfers = @import("tls/transfers.zig");
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

/// Whether the call may go on now: a caller without a grant waits behind those in the queue, and
/// draws on the budget.
fn mayCall(scheduler: *Scheduler, socket: *Socket, kind: abi.WaitKind, granted: bool) bool {
    if (granted) return true;
    const is_taken = if (kind == .writable) socket.flags.write_granted else socket.flags.read_granted;
    if (is_taken or !scheduler_module.queueOf(socket, kind).isEmpty()) return false;
    return scheduler.shared.budget > 0;
}

/// Ends the caller's turn, if the transfer is over, and passes it on.
fn finishTurn(scheduler: *Scheduler, socket: *Socket, kind: abi.WaitKind, granted: bool) void {
    if (granted) {
        scheduler_module.setGranted(socket, kind, false);
    } else {
        const spent = scheduler.spend();
        assert(spent); // `mayCall` has looked
    }
    scheduler.grantNext(socket, kind);
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
    scheduler.grantNext(socket, .readable);
    scheduler.grantNext(socket, .writable);
}

/// Receives what is there, at most `length` bytes. 0 is the end of the stream.
pub fn receive(scheduler: *Scheduler, handle: i32, buffer: [*]u8, length: usize, granted: bool) Outcome {
    const index = find(scheduler, handle, .stream) orelse return failed(.stale_handle);
    const socket = scheduler.sockets.at(index);
    if (!mayCall(scheduler, socket, .readable, granted)) return failed(.would_block);

    const outcome = if (socket.tls != none)
        tls_transfers.receive(scheduler, socket, buffer, length)
    else
        receiveNow(scheduler, socket, buffer, length);
    if (outcome == .failure and outcome.failure == .would_block) return outcome;
    if (outcome == .value) scheduler.shared.bytes_received += @floatFromInt(outcome.value);
    finishTurn(scheduler, socket, .readable, granted);
    return outcome;
}

/// Receives what is there by now, although no poll has told of it yet, and whatever is left of the
/// budget. Those that wait come first: while there are any it says `would_block`.
pub fn tryReceive(scheduler: *Scheduler, handle: i32, buffer: [*]u8, length: usize) Outcome {
    const index = find(scheduler, handle, .stream) orelse return failed(.stale_handle);
    const socket = scheduler.sockets.at(index);
    if (socket.flags.read_granted or !socket.readers.isEmpty()) return failed(.would_block);
    setReady(scheduler, socket, .readable);
    return receive(scheduler, handle, buffer, length, true);
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

    /// Bytes of the whole transfer: the turn ends when they are sent.
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

/// Sends from `source`. A value short of its length means that the socket is full: the caller keeps
/// its turn, parks with `keeps_turn`, and goes on with the rest.
pub fn send(scheduler: *Scheduler, handle: i32, source: Source, granted: bool) Outcome {
    const index = find(scheduler, handle, .stream) orelse return failed(.stale_handle);
    const socket = scheduler.sockets.at(index);
    if (!mayCall(scheduler, socket, .writable, granted)) return failed(.would_block);
    if (socket.flags.half_closed) {
        finishTurn(scheduler, socket, .writable, granted);
        return failed(.EPIPE);
    }
    if (socket.failure != .ok) {
        finishTurn(scheduler, socket, .writable, granted);
        // A second write after a reset is EPIPE for write(2) as well.
        return failed(if (socket.failure == .ECONNRESET) .EPIPE else socket.failure);
    }
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
            // The rest is still to come. The turn goes on, without a grant: the caller parks at the
            // front before anybody else can call.
            if (count < source.wanted()) return outcome;
        },
        .failure => |status| {
            if (status == .would_block) {
                socket.flags.writable = false;
                return outcome;
            }
            // The caller reads the file and sends what it has read, still in this turn.
            if (source == .file and refusesFile(status)) return outcome;
            latch(scheduler, socket, status);
        },
    }
    // Over TLS the last part may have come to nothing.
    if (outcome == .failure) scheduler.abandonTransfer(socket, .writable);
    finishTurn(scheduler, socket, .writable, granted);
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
pub fn setReady(scheduler: *Scheduler, socket: *Socket, kind: abi.WaitKind) void {
    if (kind == .writable) {
        socket.flags.writable = true;
    } else {
        socket.flags.readable = true;
        if (socket.tls != none) tls_transfers.sessionOf(scheduler, socket).flags.kernel_readable = true;
    }
}

/// Ends a turn whose owner gives up between two parts of a transfer.
pub fn endTurn(scheduler: *Scheduler, handle: i32, kind: abi.WaitKind) void {
    const index = find(scheduler, handle, .stream) orelse return;
    const socket = scheduler.sockets.at(index);
    scheduler.abandonTransfer(socket, kind);
    scheduler_module.setGranted(socket, kind, false);
    scheduler.grantNext(socket, kind);
}

/// As `endTurn` for a writer, whose peer has not got all that it was to have.
pub fn breakOffTurn(scheduler: *Scheduler, handle: i32) void {
    const index = find(scheduler, handle, .stream) orelse return;
    scheduler.breakOffTransfer(scheduler.sockets.at(index), .writable);
    endTurn(scheduler, handle, .writable);
}

/// Sends the end of the stream after what has been sent. Receiving goes on.
pub fn shutdown(scheduler: *Scheduler, handle: i32, granted: bool) ?Status {
    const index = find(scheduler, handle, .stream) orelse return .stale_handle;
    const socket = scheduler.sockets.at(index);
    if (socket.flags.handshaking) return .would_block;
    if (!mayCall(scheduler, socket, .writable, granted)) return .would_block;
    var status: ?Status = null;
    if (!socket.flags.half_closed) {
        if (socket.failure != .ok) {
            status = socket.failure;
        } else if (socket.tls != none) {
            status = tls_transfers.shutdown(scheduler, socket);
        } else if (c.shutdown(socket.fd, c.SHUT.WR) == 0) {
            socket.flags.half_closed = true;
        } else status = shutdownFailure(scheduler, socket);
    }
    finishTurn(scheduler, socket, .writable, granted);
    return status;
}

/// Why shutdown(2) has just failed: ENOTCONN says less than what has ended the connection, which the kernel
/// still has to report if nobody has asked since.
pub fn shutdownFailure(scheduler: *Scheduler, socket: *Socket) Status {
    const status = system.lastStatus();
    const reason = if (status == .ENOTCONN) system.pendingError(socket.fd) orelse status else status;
    latch(scheduler, socket, reason);
    return reason;
}

/// Closes a stream or a listener and wakes whoever waits on it. What was sent still arrives.
pub fn close(scheduler: *Scheduler, handle: i32) ?Status {
    const index = findOpen(scheduler, handle) orelse return .stale_handle;
    const socket = scheduler.sockets.at(index);
    if (socket.tls != none) tls_transfers.close(scheduler, socket);
    wakeForClose(scheduler, index);
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
    wakeForClose(scheduler, index);
    lingering.closeNow(scheduler, index);
}

fn findOpen(scheduler: *Scheduler, handle: i32) ?u32 {
    return find(scheduler, handle, .stream) orelse find(scheduler, handle, .listener);
}

fn wakeForClose(scheduler: *Scheduler, index: u32) void {
    const socket = scheduler.sockets.at(index);
    scheduler.wakeAll(&socket.readers, .closed);
    scheduler.wakeAll(&socket.writers, .closed);
}
