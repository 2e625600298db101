//! One thread's scheduler. It owns the backend, the table of sockets, the waiters, their deadlines, and the
//! ring in which a poll reports which sockets are ready and which waiters are woken. It knows neither a
//! protocol nor who waits for a socket: the thread decides by the kind of a socket or a waiter
//! (`thread/thread.zig`), and TypeScript keeps the operations of a socket in their order.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const abi = @import("../boundary/abi.zig");
const backend = @import("../os/kernel.zig").backend;
const Error = @import("../os/errors.zig").Error;
const system = @import("../os/kernel.zig").system;
const Deadlines = @import("deadlines.zig").Deadlines;
const indices = @import("indices.zig");
const Queue = @import("queue.zig").Queue;
const Socket = @import("sockets.zig").Socket;
const Sockets = @import("sockets.zig").Sockets;
const waiters_module = @import("waiters.zig");
const Waiter = waiters_module.Waiter;
const Waiters = waiters_module.Waiters;
const SocketIndex = indices.SocketIndex;
const WaiterIndex = indices.WaiterIndex;
const Status = abi.Status;

const never = std.math.maxInt(i64);

pub const Scheduler = struct {
    allocator: std.mem.Allocator,
    backend: backend.Backend,
    sockets: Sockets = .{},
    waiters: Waiters = .{},
    deadlines: Deadlines = .{},
    /// Sockets whose readiness no poll has reported yet.
    changed: Queue(SocketIndex, "changed") = .{},
    /// Waiters that were woken, and those that the last poll has reported.
    ready: waiters_module.Queue = .{},
    delivered: waiters_module.Queue = .{},
    /// When the backend's timer expires. It may be too early: when a wait ends before its deadline,
    /// the timer stays as it is, which saves a system call.
    timer_nanoseconds: i64 = never,
    /// The end of the bell that Bun's loop watches.
    bell: system.Descriptor = -1,
    /// Pairs that the last poll has written.
    last_delivered: u32 = 0,
    /// Whether a poll may spin for long before the thread sleeps.
    spins: bool = false,
    /// Whether the thread sleeps until the bell rings, so that no poll comes by itself.
    is_armed: bool = false,
    /// Allocated apart, because it may have to outlive the scheduler.
    shared: *abi.Shared,
    keeps_shared: bool = false,

    pub fn init(allocator: std.mem.Allocator) (Error || error{OutOfMemory})!Scheduler {
        const shared = try allocator.create(abi.Shared);
        errdefer allocator.destroy(shared);
        shared.* = .{ .now_milliseconds = milliseconds(system.nanoseconds()) };
        return .{
            .allocator = allocator,
            .backend = try backend.Backend.open(),
            .shared = shared,
        };
    }

    /// Closes every descriptor that the scheduler owns and frees its memory.
    pub fn deinit(scheduler: *Scheduler) void {
        const allocator = scheduler.allocator;
        scheduler.sockets.deinit(allocator);
        scheduler.waiters.deinit(allocator);
        scheduler.deadlines.deinit(allocator);
        scheduler.backend.close();
        if (!scheduler.keeps_shared) allocator.destroy(scheduler.shared);
    }

    // -- Sockets

    /// A slot for a descriptor. It fails when memory or the table is full.
    pub fn addSocket(scheduler: *Scheduler, fd: system.Descriptor, kind: Socket.Kind) error{Exhausted}!SocketIndex {
        const index = scheduler.sockets.take(scheduler.allocator, fd, kind) orelse return error.Exhausted;
        scheduler.shared.sockets += 1;
        return index;
    }

    /// Gives a slot back. The descriptor stays open.
    pub fn removeSocket(scheduler: *Scheduler, index: SocketIndex) void {
        const socket = scheduler.sockets.at(index);
        scheduler.forgetChange(socket);
        scheduler.deadlines.remove(&socket.deadline_index);
        scheduler.sockets.release(index);
        scheduler.shared.sockets -= 1;
    }

    /// Makes the next poll report the socket, if a call in this direction would not have to wait.
    pub fn announce(scheduler: *Scheduler, socket: *Socket, direction: abi.Direction) void {
        if (!mayProceed(socket, direction)) return;
        const bit: u8 = if (direction == .writable) abi.Ready.writable else abi.Ready.readable;
        if (socket.unreported == 0) {
            scheduler.changed.pushBack(&scheduler.sockets, socket.index);
            scheduler.countReady();
        }
        socket.unreported |= bit;
    }

    /// Forgets what was to be reported of a socket that is about to be closed.
    pub fn forgetChange(scheduler: *Scheduler, socket: *Socket) void {
        if (socket.unreported == 0) return;
        socket.unreported = 0;
        scheduler.changed.remove(&scheduler.sockets, socket.index);
        scheduler.shared.ready -= 1;
    }

    /// Ends a connection with this error, which every later call repeats. The socket is ready in both
    /// directions, so that its operations learn of it.
    pub fn endConnection(scheduler: *Scheduler, socket: *Socket, failure: Error) void {
        // EPIPE says less than what a read may still learn.
        if (socket.readFailure() == null) socket.failure = failure;
        socket.flags.readable = true;
        socket.flags.writable = true;
        scheduler.announce(socket, .readable);
        scheduler.announce(socket, .writable);
    }

    /// One more is ready. When a call outside of a turn is the cause, only the bell brings the next poll.
    fn countReady(scheduler: *Scheduler) void {
        scheduler.shared.ready += 1;
        if (scheduler.is_armed and scheduler.shared.ready == 1) scheduler.backend.notify();
    }

    // -- Waiters

    /// Makes a waiter. Its deadline, `wake` or `drop` ends it.
    pub fn park(scheduler: *Scheduler, kind: Waiter.Kind, deadline_nanoseconds: ?i64) error{Exhausted}!WaiterIndex {
        const index = scheduler.waiters.take(scheduler.allocator, .{}) orelse return error.Exhausted;
        const waiter = scheduler.waiters.at(index);
        assert(waiter.state == .free, "the number of a new waiter is in use");
        waiter.* = .{ .kind = kind, .state = .waiting };
        if (deadline_nanoseconds) |point| {
            scheduler.deadlines.add(scheduler.allocator, .{ .waiter = index }, &waiter.deadline_index, point) catch {
                waiter.state = .free;
                scheduler.waiters.release(index);
                return error.Exhausted;
            };
        }
        scheduler.shared.waiters += 1;
        return index;
    }

    /// Ends a wait. The caller has removed the waiter from what it waited for.
    pub fn wake(scheduler: *Scheduler, index: WaiterIndex, status: Status) void {
        const waiter = scheduler.waiters.at(index);
        assert(waiter.state == .waiting, "a waiter is woken twice");
        assert(!scheduler.ready.contains(&scheduler.waiters, index), "a waiter is woken while it is in a queue");
        scheduler.deadlines.remove(&waiter.deadline_index);
        waiter.state = .ready;
        waiter.status = status;
        scheduler.ready.pushBack(&scheduler.waiters, index);
        scheduler.countReady();
    }

    /// Frees a waiter without waking it. The caller has removed it from what it waited for. A waiter whose
    /// wake-up was delivered is left alone.
    pub fn drop(scheduler: *Scheduler, index: WaiterIndex) void {
        const waiter = scheduler.waiters.at(index);
        switch (waiter.state) {
            .free => @panic("a waiter is dropped twice"),
            .delivered => return,
            .waiting => scheduler.deadlines.remove(&waiter.deadline_index),
            .ready => {
                scheduler.ready.remove(&scheduler.waiters, index);
                scheduler.shared.ready -= 1;
            },
        }
        scheduler.shared.waiters -= 1;
        waiter.state = .free;
        scheduler.waiters.release(index);
    }

    // -- The parts of a poll

    /// Frees the waiters that the last poll has reported.
    pub fn beginPoll(scheduler: *Scheduler) void {
        while (scheduler.delivered.popFront(&scheduler.waiters)) |index| {
            const waiter = scheduler.waiters.at(index);
            assert(waiter.state == .delivered, "a waiter is freed whose wake-up was not reported");
            waiter.state = .free;
            scheduler.waiters.release(index);
        }
        scheduler.shared.polls += 1;
    }

    /// How long a poll may wait for events; null is for ever.
    pub fn pollTimeout(scheduler: *Scheduler, requested: ?i64) ?i64 {
        if (requested) |nanoseconds| if (nanoseconds <= 0) return 0;
        if (scheduler.shared.ready > 0) return 0;
        const deadline = scheduler.deadlines.earliest() orelse return requested;
        const left = @max(deadline - system.nanoseconds(), 0);
        return @min(left, requested orelse left);
    }

    /// Reads the clock after the wait of a poll.
    pub fn readClock(scheduler: *Scheduler) i64 {
        const now = system.nanoseconds();
        scheduler.shared.now_milliseconds = milliseconds(now);
        if (scheduler.backend.timer_has_fired or now >= scheduler.timer_nanoseconds) {
            scheduler.backend.timer_has_fired = false;
            scheduler.timer_nanoseconds = never;
        }
        return now;
    }

    /// Writes what is ready into the ring, and returns the number of pairs.
    pub fn deliver(scheduler: *Scheduler) u32 {
        const ring = &scheduler.shared.ring;
        var count: u32 = 0;
        while (count < abi.Limits.sockets_per_poll) : (count += 1) {
            const index = scheduler.changed.popFront(&scheduler.sockets) orelse break;
            const socket = scheduler.sockets.at(index);
            assert(socket.unreported != 0, "a socket without news is reported");
            ring[2 * count] = @intFromEnum(scheduler.sockets.handle(index));
            ring[2 * count + 1] = socket.unreported;
            socket.unreported = 0;
        }
        var woken: u32 = 0;
        while (woken < abi.Limits.waiters_per_poll) : (woken += 1) {
            const index = scheduler.ready.popFront(&scheduler.waiters) orelse break;
            const waiter = scheduler.waiters.at(index);
            assert(waiter.state == .ready, "a waiter is reported that was not woken");
            ring[2 * (count + woken)] = ~@as(i32, @intCast(@intFromEnum(index)));
            ring[2 * (count + woken) + 1] = @intFromEnum(waiter.status);
            waiter.state = .delivered;
            scheduler.delivered.pushBack(&scheduler.waiters, index);
        }
        count += woken;
        assert(2 * count <= ring.len, "the ring is full");
        assert(count <= scheduler.shared.ready and woken <= scheduler.shared.waiters, "more is reported than was ready");
        scheduler.last_delivered = count;
        scheduler.shared.ready -= count;
        scheduler.shared.waiters -= woken;
        scheduler.shared.wakeups += @floatFromInt(count);
        return count;
    }

    // -- Before the thread sleeps

    /// Decides whether a poll may spin for long: in the attached driver, where Bun's loop is watched
    /// meanwhile. The blocking driver waits without a timer.
    pub fn setSpins(scheduler: *Scheduler, driver: enum { none, attached, blocking }) void {
        scheduler.is_armed = driver == .none;
        scheduler.spins = driver == .attached and scheduler.backend.findHost(scheduler.bell);
        scheduler.backend.watchHost(driver == .attached);
        scheduler.shared.host_is_ready = 0;
    }

    /// Makes the backend's descriptor readable at the earliest deadline, or at once if something is
    /// ready already.
    pub fn setTimer(scheduler: *Scheduler) void {
        if (scheduler.shared.ready > 0) scheduler.backend.notify();
        const earliest = scheduler.deadlines.earliest() orelse return;
        // Without a timer, an extra poll at once is better than one that is late.
        if (!scheduler.moveTimer(earliest)) scheduler.backend.notify();
    }

    /// Makes the timer expire at this point at the latest. False when the system has no timer left.
    pub fn moveTimer(scheduler: *Scheduler, nanoseconds: i64) bool {
        if (nanoseconds >= scheduler.timer_nanoseconds) return true;
        scheduler.backend.setTimer(nanoseconds) catch {
            scheduler.timer_nanoseconds = never;
            return false;
        };
        scheduler.timer_nanoseconds = nanoseconds;
        return true;
    }
};

pub fn milliseconds(nanoseconds: i64) f64 {
    return @as(f64, @floatFromInt(nanoseconds)) / std.time.ns_per_ms;
}

/// A deadline as the ABI passes it, in milliseconds, where 0 and infinity mean never.
pub fn deadlineFromMilliseconds(point: f64) ?i64 {
    if (!(point > 0) or std.math.isInf(point)) return null;
    // Rounded up, so that no deadline is met early; what is beyond the clock's range is its end.
    return std.math.lossyCast(i64, @ceil(point * std.time.ns_per_ms));
}

/// Whether a call in this direction would not have to wait.
fn mayProceed(socket: *const Socket, direction: abi.Direction) bool {
    if (socket.flags.handshaking) return false;
    if (direction == .writable) return socket.flags.writable or socket.failure != null;
    return socket.flags.readable or socket.flags.buffered or socket.flags.end_of_stream or socket.readFailure() != null;
}
