//! A scheduler under test. Its wake-ups are compared one by one, and after every poll its books are
//! held against what its tables say.

const std = @import("std");
const c = std.c;
const abi = @import("abi.zig");
const addresses = @import("addresses.zig");
const endpoints = @import("endpoints.zig");
const openssl_memory = @import("tls/memory_test.zig");
const streams = @import("streams.zig");
const system = @import("system.zig");
const Queue = @import("waiters.zig").Queue;
const Scheduler = @import("scheduler.zig").Scheduler;
const Socket = @import("sockets.zig").Socket;
const Status = abi.Status;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

const none = @import("waiters.zig").none;

pub const Wakeup = struct { u32, Status };

/// How long a test waits for a condition before it fails, in nanoseconds.
const patience = 10 * std.time.ns_per_s;

pub const Harness = struct {
    scheduler: *Scheduler,
    wakeups: [abi.Limits.wakeups_per_poll]Wakeup = undefined,

    pub fn init() !Harness {
        return initWith(std.testing.allocator);
    }

    pub fn initWith(allocator: std.mem.Allocator) !Harness {
        system.ignoreBrokenPipeSignal();
        openssl_memory.startCounting();
        return .{ .scheduler = Scheduler.create(allocator) orelse return error.NoScheduler };
    }

    pub fn deinit(harness: *Harness) void {
        harness.scheduler.destroy();
    }

    // -- Polling

    /// Delivers what is ready without waiting for more.
    pub fn poll(harness: *Harness) ![]const Wakeup {
        return harness.pollFor(0);
    }

    pub fn pollFor(harness: *Harness, timeout_nanoseconds: ?i64) ![]const Wakeup {
        const count = harness.scheduler.poll(timeout_nanoseconds);
        for (harness.wakeups[0..count], 0..) |*wakeup, place| {
            const pair = harness.scheduler.shared.wakeup[2 * place ..][0..2];
            wakeup.* = .{ @intCast(pair[0]), @enumFromInt(pair[1]) };
        }
        try checkBooks(harness.scheduler);
        return harness.wakeups[0..count];
    }

    /// Polls until somebody is woken, and expects that it is these, in this order.
    pub fn expectWoken(harness: *Harness, expected: []const Wakeup) !void {
        const end = system.nanoseconds() + patience;
        while (system.nanoseconds() < end) {
            const woken = try harness.pollFor(10 * std.time.ns_per_ms);
            if (woken.len > 0) return std.testing.expectEqualSlices(Wakeup, expected, woken);
        }
        return error.NobodyWasWoken;
    }

    /// Polls without waiting, and expects that nobody is woken.
    pub fn expectNobody(harness: *Harness) !void {
        try std.testing.expectEqualSlices(Wakeup, &.{}, try harness.poll());
    }

    /// Polls until the condition holds. Nobody may be woken meanwhile.
    pub fn pollUntil(harness: *Harness, context: anytype, comptime holds: fn (@TypeOf(context)) bool) !void {
        const end = system.nanoseconds() + patience;
        while (system.nanoseconds() < end) {
            if (holds(context)) return;
            try std.testing.expectEqualSlices(Wakeup, &.{}, try harness.pollFor(10 * std.time.ns_per_ms));
        }
        return error.NeverCameTrue;
    }

    // -- Waiting

    pub fn sleep(harness: *Harness, deadline_nanoseconds: ?i64) u32 {
        return harness.scheduler.park(.sleep, deadline_nanoseconds).?;
    }

    pub fn park(harness: *Harness, handle: i32, kind: abi.WaitKind) u32 {
        return harness.parkUntil(handle, kind, null);
    }

    pub fn parkUntil(harness: *Harness, handle: i32, kind: abi.WaitKind, deadline_nanoseconds: ?i64) u32 {
        return harness.scheduler.parkOnSocket(harness.indexOf(handle), kind, deadline_nanoseconds, false).?;
    }

    /// Parks for the rest of a transfer, or after a turn that came to nothing.
    pub fn parkAgain(harness: *Harness, handle: i32, kind: abi.WaitKind) u32 {
        return harness.scheduler.parkOnSocket(harness.indexOf(handle), kind, null, true).?;
    }

    pub fn indexOf(harness: *Harness, handle: i32) u32 {
        return harness.scheduler.sockets.find(handle).?;
    }

    pub fn socketOf(harness: *Harness, handle: i32) *Socket {
        return harness.scheduler.sockets.at(harness.indexOf(handle));
    }

    // -- Transfers

    pub fn send(harness: *Harness, handle: i32, bytes: []const u8, granted: bool) system.Outcome {
        return streams.send(harness.scheduler, handle, .{ .bytes = bytes }, granted);
    }

    pub fn receive(harness: *Harness, handle: i32, buffer: []u8, granted: bool) system.Outcome {
        return streams.receive(harness.scheduler, handle, buffer.ptr, buffer.len, granted);
    }

    pub fn expectReceived(harness: *Harness, handle: i32, expected: []const u8, granted: bool) !void {
        var buffer: [256]u8 = undefined;
        const length = try valueOf(harness.receive(handle, &buffer, granted));
        try std.testing.expectEqualStrings(expected, buffer[0..length]);
    }

    // -- Sockets

    /// A socket of the scheduler, and its peer as a plain descriptor.
    pub fn unixPair(harness: *Harness) !struct { i32, system.Descriptor } {
        const pair = system.socketPair() orelse return error.NoSocketPair;
        return .{ try handleOf(endpoints.adopt(harness.scheduler, pair[0])), pair[1] };
    }

    pub fn listenAt(harness: *Harness, host: []const u8) !i32 {
        return handleOf(endpoints.listen(harness.scheduler, &addresses.parse(host, 0).?, 128, 0));
    }

    /// Where a listener listens.
    pub fn addressOf(harness: *Harness, handle: i32) !system.Address {
        return system.localAddress(harness.socketOf(handle).fd) orelse error.NoAddress;
    }

    pub fn connectTo(harness: *Harness, address: *const system.Address) !i32 {
        const handle = try handleOf(endpoints.connect(harness.scheduler, address, null));
        const waiter = harness.park(handle, .writable);
        try harness.expectWoken(&.{.{ waiter, .ok }});
        try expectEqual(null, endpoints.finishConnect(harness.scheduler, handle));
        return handle;
    }

    pub fn acceptFrom(harness: *Harness, listener: i32) !i32 {
        const waiter = harness.park(listener, .readable);
        try harness.expectWoken(&.{.{ waiter, .ok }});
        const handle = try handleOf(endpoints.accept(harness.scheduler, listener));
        endpoints.endAccept(harness.scheduler, listener);
        return handle;
    }

    /// Both ends of a TCP connection, the accepted one first.
    pub fn tcpPair(harness: *Harness) !struct { i32, i32 } {
        const listener = try harness.listenAt("127.0.0.1");
        const client = try harness.connectTo(&try harness.addressOf(listener));
        const server = try harness.acceptFrom(listener);
        try expectEqual(null, streams.close(harness.scheduler, listener));
        return .{ server, client };
    }

    /// A TCP socket of the scheduler, and its peer as a plain descriptor.
    pub fn tcpPeer(harness: *Harness) !struct { i32, system.Descriptor } {
        const server, const client = try harness.tcpPair();
        return .{ server, @intCast(try valueOf(releaseDescriptor(harness.scheduler, client))) };
    }
};

pub fn valueOf(outcome: system.Outcome) !usize {
    switch (outcome) {
        .value => |value| return value,
        .failure => |status| {
            std.debug.print("a call failed: {t}\n", .{status});
            return error.CallFailed;
        },
    }
}

pub fn handleOf(outcome: system.Outcome) !i32 {
    return @intCast(try valueOf(outcome));
}

pub fn expectFailure(expected: Status, outcome: system.Outcome) !void {
    try expectEqual(system.Outcome{ .failure = expected }, outcome);
}

/// Blocks until the peer, a plain descriptor, has all of this to read.
pub fn expectAtPeer(peer: system.Descriptor, expected: []const u8) !void {
    var buffer: [4096]u8 = undefined;
    var taken: usize = 0;
    while (taken < expected.len) {
        try expect(system.pollOne(peer, false, 5000));
        const count = try valueOf(system.receive(peer, &buffer, @min(buffer.len, expected.len - taken)));
        try expect(count > 0);
        try std.testing.expectEqualStrings(expected[taken..][0..count], buffer[0..count]);
        taken += count;
    }
}

pub fn sendFromPeer(peer: system.Descriptor, bytes: []const u8) !void {
    try expectEqual(bytes.len, try valueOf(system.send(peer, bytes.ptr, bytes.len)));
}

/// Reads what the peer, a plain descriptor, has got so far; the count of bytes.
pub fn drainPeer(peer: system.Descriptor) usize {
    var buffer: [16 * 1024]u8 = undefined;
    var total: usize = 0;
    while (true) switch (system.receive(peer, &buffer, buffer.len)) {
        .value => |count| if (count == 0) return total else {
            total += count;
        },
        .failure => return total,
    };
}

/// Shrinks a socket's buffers, so that a few kilobytes fill it.
pub fn shrinkBuffers(fd: system.Descriptor) void {
    _ = system.setOption(fd, c.SOL.SOCKET, c.SO.SNDBUF, @as(c_int, 4096));
    _ = system.setOption(fd, c.SOL.SOCKET, c.SO.RCVBUF, @as(c_int, 4096));
}

extern "c" fn mkstemp(template: [*:0]u8) c_int;

/// A file without a name, with this in it.
pub fn temporaryFile(content: []const u8) !system.Descriptor {
    var path = "/tmp/plait-core-XXXXXX".*;
    const fd = mkstemp(&path);
    if (fd < 0) return error.NoFile;
    _ = c.unlink(&path);
    errdefer system.close(fd);
    try expectEqual(@as(isize, @intCast(content.len)), c.write(fd, content.ptr, content.len));
    return fd;
}

// -- The books

/// Whether every waiter is where its state says, each queue is whole, and the counts in the shared
/// block are right.
pub fn checkBooks(scheduler: *Scheduler) !void {
    var in_state: [@typeInfo(@import("waiters.zig").Waiter.State).@"enum".fields.len]u32 = @splat(0);
    var lingering: u32 = 0;
    var on_sockets: u32 = 0;
    var with_deadline: u32 = 0;
    for (0..scheduler.waiters.length) |number| {
        const waiter = scheduler.waiters.at(@intCast(number));
        in_state[@intFromEnum(waiter.state)] += 1;
        if (waiter.deadline_index != none) {
            try expectEqual(.waiting, waiter.state);
            try expectEqual(number, scheduler.deadlines.heap.items[waiter.deadline_index].waiter);
            with_deadline += 1;
        }
        if (waiter.state != .waiting) continue;
        if (waiter.kind == .handshake) {
            const session = scheduler.tls.sessions.at(scheduler.sockets.at(waiter.socket).tls);
            try expectEqual(number, session.waiter);
        } else if (waiter.kind == .linger) lingering += 1 else if (waiter.socket != none) on_sockets += 1;
    }
    const waiting = in_state[@intFromEnum(@as(@import("waiters.zig").Waiter.State, .waiting))];
    const ready = in_state[@intFromEnum(@as(@import("waiters.zig").Waiter.State, .ready))];
    const delivered = in_state[@intFromEnum(@as(@import("waiters.zig").Waiter.State, .delivered))];
    try expectEqual(scheduler.deadlines.heap.items.len, with_deadline);
    try expectEqual(scheduler.shared.ready, ready);
    try expectEqual(scheduler.shared.waiters, waiting - lingering + ready);
    try expectEqual(scheduler.waiters.in_use, waiting + ready + delivered);
    try expectEqual(ready, try lengthOf(scheduler, scheduler.ready));
    try expectEqual(delivered, try lengthOf(scheduler, scheduler.delivered));
    try checkSockets(scheduler, on_sockets, lingering);
}

fn checkSockets(scheduler: *Scheduler, waiters_on_sockets: u32, waiters_lingering: u32) !void {
    var open: u32 = 0;
    var lingering: u32 = 0;
    var watched: u32 = 0;
    var queued: u32 = 0;
    for (0..scheduler.sockets.pool.length) |number| {
        const index: u32 = @intCast(number);
        const socket = scheduler.sockets.at(index);
        if (socket.kind == .free) continue;
        open += 1;
        switch (socket.kind) {
            .free => unreachable,
            .lingering => lingering += 1,
            .watched => {
                watched += 1;
                try expectEqual(index, scheduler.watched.get(socket.fd).?);
                queued += try lengthOf(scheduler, socket.readers) + try lengthOf(scheduler, socket.writers);
            },
            .stream, .listener => {
                queued += try checkDirection(scheduler, index, .readable);
                queued += try checkDirection(scheduler, index, .writable);
            },
        }
    }
    try expectEqual(scheduler.shared.sockets, open);
    try expectEqual(scheduler.sockets.pool.in_use, open);
    try expectEqual(scheduler.shared.lingering, lingering);
    try expectEqual(waiters_lingering, lingering);
    try expectEqual(scheduler.watched.count(), watched);
    try expectEqual(waiters_on_sockets, queued);
}

/// Whoever could go on has the turn: nobody is forgotten in the queue of a ready socket.
fn checkDirection(scheduler: *Scheduler, index: u32, kind: abi.WaitKind) !u32 {
    const socket = scheduler.sockets.at(index);
    const queue = if (kind == .writable) socket.writers else socket.readers;
    const length = try lengthOf(scheduler, queue);
    var next = queue.head;
    while (next != none) : (next = scheduler.waiters.at(next).next) {
        const waiter = scheduler.waiters.at(next);
        try expectEqual(.waiting, waiter.state);
        try expectEqual(kind, waiter.kind);
        try expectEqual(index, waiter.socket);
    }
    const is_ready = if (kind == .writable) socket.flags.writable else socket.flags.readable or socket.flags.end_of_stream;
    const is_granted = if (kind == .writable) socket.flags.write_granted else socket.flags.read_granted;
    if (socket.flags.handshaking) try expect(!is_granted) else if (is_ready and length > 0) try expect(is_granted);
    return length;
}

fn lengthOf(scheduler: *Scheduler, queue: Queue) !u32 {
    var length: u32 = 0;
    var previous: u32 = none;
    var next = queue.head;
    while (next != none) : (next = scheduler.waiters.at(next).next) {
        try expectEqual(previous, scheduler.waiters.at(next).previous);
        previous = next;
        length += 1;
        try expect(length <= scheduler.waiters.length);
    }
    try expectEqual(queue.tail, previous);
    return length;
}

/// Takes a descriptor out of the scheduler without closing it, for a test to use by itself.
pub fn releaseDescriptor(scheduler: *Scheduler, handle: i32) system.Outcome {
    const index = streams.find(scheduler, handle, .stream) orelse return .{ .failure = .stale_handle };
    const fd = scheduler.sockets.at(index).fd;
    scheduler.backend.unregister(fd);
    scheduler.sockets.release(index);
    scheduler.shared.sockets -= 1;
    return .{ .value = @intCast(fd) };
}
