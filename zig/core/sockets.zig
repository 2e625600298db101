//! The table of sockets. JavaScript holds a handle: the number of a slot and its generation in one small integer.
//! The kernel holds the same pair as its token. The generation changes when a slot is released, so that a stale
//! handle or token does not find the slot's next owner.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const abi = @import("../boundary/abi.zig");
const system = @import("../os/kernel.zig").system;
const Error = @import("../os/errors.zig").Error;
const addresses = @import("../os/addresses.zig");
const indices = @import("indices.zig");
const Pool = @import("pool.zig").Pool;
const Links = @import("queue.zig").Links;
const SocketHandle = indices.SocketHandle;
const SocketIndex = indices.SocketIndex;

pub const Socket = struct {
    pub const Kind = enum(u8) {
        free,
        stream,
        listener,
        /// A descriptor of another library that a caller waits for.
        watched,
        /// Closed by its owner; its last bytes are still on their way.
        lingering,
    };

    pub const Flags = packed struct(u16) {
        /// Whether a call may succeed, by the last event or transfer.
        readable: bool = false,
        writable: bool = false,
        /// As `backend.Event.special`: a short read does not mean that nothing is left.
        special: bool = false,
        end_of_stream: bool = false,
        connecting: bool = false,
        tcp: bool = false,
        sent: bool = false,
        half_closed: bool = false,
        /// A TLS handshake is under way: no data is transferred.
        handshaking: bool = false,
        /// The descriptor's number is known outside of the core.
        exposed: bool = false,
        /// A reader finds something above the kernel: decrypted data, or why a TLS connection has failed.
        buffered: bool = false,
        _: u5 = 0,
    };

    /// Belongs to the pool.
    next: SocketIndex = .none,
    /// Its own number in the pool.
    index: SocketIndex = .none,
    fd: system.Descriptor = -1,
    /// The number of its TLS connection, or none.
    tls: indices.TlsConnectionIndex = .none,
    generation: u16 = 1,
    kind: Kind = .free,
    flags: Flags = .{},
    /// The error that ended the connection. The kernel reports it once; every later call repeats it.
    failure: ?Error = null,
    /// Seconds that closing may take to deliver what is left (`setLinger`); 0 means the default.
    linger_seconds: u16 = 0,
    /// What `poll` is to report (`abi.Ready`). The socket is in the queue of changed ones while it is not 0.
    unreported: u8 = 0,
    changed: Links(SocketIndex) = .{},
    /// The place of a lingering socket's limit in the deadline heap, or none.
    deadline_index: indices.DeadlineIndex = .none,
    peer: addresses.Peer = .{},

    /// The failure that ends reading. EPIPE is a failure to send: what the peer has sent before is
    /// still there to be received.
    pub fn readFailure(socket: *const Socket) ?Error {
        const failure = socket.failure orelse return null;
        return if (failure == error.EPIPE) null else failure;
    }
};

comptime {
    // Every transfer touches the slot: it takes one cache line.
    std.debug.assert(@sizeOf(Socket) <= 64);
}

const slot_bits = 20;
const generation_bits = 11;
const last_generation = (1 << generation_bits) - 1;

comptime {
    std.debug.assert(1 << slot_bits == abi.Limits.sockets);
    std.debug.assert(slot_bits + generation_bits == 31); // a handle is a non-negative i32
}

pub const Sockets = struct {
    pool: Pool(Socket, SocketIndex, abi.Limits.sockets) = .{},
    /// The generation of slots that were never in use. A thread may have several schedulers one after the other.
    /// Each starts with another generation, so that a handle of the last one is stale.
    first_generation: u16 = 1,
    /// The descriptors that have a slot: the backend takes each of them once.
    claimed: std.DynamicBitSetUnmanaged = .{},

    pub fn deinit(sockets: *Sockets, allocator: std.mem.Allocator) void {
        for (0..sockets.pool.length) |index| {
            const socket = sockets.pool.at(@enumFromInt(index));
            // A watched descriptor belongs to the caller of the wait.
            if (socket.kind != .free and socket.kind != .watched) system.close(socket.fd);
        }
        sockets.pool.deinit(allocator);
        sockets.claimed.deinit(allocator);
    }

    /// False when memory is out.
    fn claim(sockets: *Sockets, allocator: std.mem.Allocator, fd: system.Descriptor) bool {
        const index: usize = @intCast(fd);
        const length = sockets.claimed.bit_length;
        if (index >= length) {
            sockets.claimed.resize(allocator, @max(index + 1, 2 * length), false) catch return false;
        }
        assert(!sockets.claimed.isSet(index), "a descriptor gets a second slot");
        sockets.claimed.set(index);
        return true;
    }

    /// Whether a descriptor has a slot.
    pub fn has(sockets: *const Sockets, fd: system.Descriptor) bool {
        const index: usize = @intCast(fd);
        return index < sockets.claimed.bit_length and sockets.claimed.isSet(index);
    }

    pub fn at(sockets: *const Sockets, index: SocketIndex) *Socket {
        return sockets.pool.at(index);
    }

    /// A fresh slot for `fd`, or null when the table is full.
    pub fn take(sockets: *Sockets, allocator: std.mem.Allocator, fd: system.Descriptor, kind: Socket.Kind) ?SocketIndex {
        if (!sockets.claim(allocator, fd)) return null;
        const index = sockets.pool.take(allocator, .{ .generation = sockets.first_generation }) orelse {
            sockets.claimed.unset(@intCast(fd));
            return null;
        };
        const socket = sockets.at(index);
        assert(socket.kind == .free, "a new slot is in use");
        assert(socket.generation >= 1 and socket.generation <= last_generation, "a generation is out of range");
        socket.* = .{ .index = index, .fd = fd, .kind = kind, .generation = socket.generation };
        return index;
    }

    /// Gives the slot back. Its handle and token are stale from here on.
    pub fn release(sockets: *Sockets, index: SocketIndex) void {
        const socket = sockets.at(index);
        assert(socket.kind != .free, "a socket is released twice");
        assert(socket.index == index, "a slot has another number");
        assert(socket.unreported == 0, "a socket is released whose readiness is to be reported");
        assert(socket.deadline_index == .none, "a socket is released with a deadline");
        sockets.claimed.unset(@intCast(socket.fd));
        socket.kind = .free;
        socket.fd = -1;
        socket.generation = if (socket.generation == last_generation) 1 else socket.generation + 1;
        sockets.pool.release(index);
    }

    pub fn handle(sockets: *const Sockets, index: SocketIndex) SocketHandle {
        return @enumFromInt(sockets.token(index));
    }

    pub fn token(sockets: *const Sockets, index: SocketIndex) u64 {
        return @as(u64, sockets.at(index).generation) << slot_bits | @intFromEnum(index);
    }

    /// The slot that a handle names, or null when it is stale or was never one.
    pub fn find(sockets: *const Sockets, candidate: SocketHandle) ?SocketIndex {
        return sockets.findToken(std.math.cast(u64, @intFromEnum(candidate)) orelse return null);
    }

    /// The socket of this kind that a handle names.
    pub fn get(sockets: *const Sockets, candidate: SocketHandle, kind: Socket.Kind) error{StaleHandle}!*Socket {
        const socket = sockets.at(sockets.find(candidate) orelse return error.StaleHandle);
        return if (socket.kind == kind) socket else error.StaleHandle;
    }

    pub fn findToken(sockets: *const Sockets, candidate: u64) ?SocketIndex {
        const index = sockets.pool.find(@intCast(candidate & (abi.Limits.sockets - 1))) orelse return null;
        const socket = sockets.at(index);
        return if (socket.kind != .free and socket.generation == candidate >> slot_bits) index else null;
    }
};

test "a stale handle never reaches the slot's next owner" {
    const allocator = std.testing.allocator;
    var sockets: Sockets = .{};
    defer sockets.deinit(allocator);
    var stale: SocketHandle = undefined;
    // Far more often than there are generations, and through every slot of the first chunk.
    for (0..256 * (last_generation + 10)) |turn| {
        const index = sockets.take(allocator, 3, .watched).?;
        const handle = sockets.handle(index);
        try std.testing.expect(@intFromEnum(handle) >= 0);
        try std.testing.expectEqual(index, sockets.find(handle).?);
        try std.testing.expectEqual(index, sockets.findToken(sockets.token(index)).?);
        if (turn > 0) try std.testing.expectEqual(null, sockets.find(stale));
        sockets.release(index);
        stale = handle;
    }
    for ([_]i32{ -1, std.math.minInt(i32), std.math.maxInt(i32), 0, 300 }) |candidate| {
        try std.testing.expectEqual(null, sockets.find(@enumFromInt(candidate)));
    }
    try std.testing.expectEqual(null, sockets.findToken(std.math.maxInt(u64)));
}

test "a slot that is in use again is not found by what named its last owner" {
    const allocator = std.testing.allocator;
    var sockets: Sockets = .{};
    defer sockets.deinit(allocator);
    // With all other slots in use, the same slot is taken again and again.
    const index = sockets.take(allocator, 3, .watched).?;
    while (sockets.pool.in_use < sockets.pool.length) _ = sockets.take(allocator, @intCast(3 + sockets.pool.in_use), .watched).?;
    for (0..2 * last_generation) |_| {
        const handle = sockets.handle(index);
        const token = sockets.token(index);
        sockets.release(index);
        try std.testing.expectEqual(index, sockets.take(allocator, 3, .watched).?);
        try std.testing.expectEqual(null, sockets.find(handle));
        try std.testing.expectEqual(null, sockets.findToken(token));
        try std.testing.expectEqual(index, sockets.find(sockets.handle(index)).?);
        try std.testing.expectEqual(index, sockets.findToken(sockets.token(index)).?);
    }
}
