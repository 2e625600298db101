//! One thread's scheduler: it owns the sockets, the waiters and their deadlines, and tells which sockets
//! are ready and which waiters are woken. It knows nothing of who waits for a socket: TypeScript keeps the
//! operations in their order, and tries the first one. All calls come from the thread that it belongs to.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("../boundary/abi.zig");
const system = @import("../os/system.zig");
const backend = @import("../os/backend.zig");
const handshakes = @import("../tls/handshakes.zig");
const lingering = @import("lingering.zig");
const transfers = @import("../tls/transfers.zig");
const watching = @import("watching.zig");
const Deadlines = @import("deadlines.zig").Deadlines;
const Engine = @import("../tls/engine.zig").Engine;
const Queue = @import("queue.zig").Queue;
const Resolver = @import("resolver.zig").Resolver;
const Socket = @import("sockets.zig").Socket;
const Sockets = @import("sockets.zig").Sockets;
const waiters_module = @import("waiters.zig");
const Waiter = waiters_module.Waiter;
const Waiters = waiters_module.Waiters;
const Status = abi.Status;

pub const none = @import("waiters.zig").none;

const never = std.math.maxInt(i64);

/// Full batches of events that one poll takes from the kernel before it delivers.
const batches_per_poll = 4;

/// How long a turn may linger where nothing tells that Bun's loop has something to do.
const longest_blind_linger = 50 * std.time.ns_per_us;

pub const Scheduler = struct {
    allocator: std.mem.Allocator,
    backend: backend.Backend,
    sockets: Sockets = .{},
    /// Descriptors of other libraries that somebody waits for.
    watched: watching.Watched = .empty,
    waiters: Waiters = .{},
    deadlines: Deadlines = .{},
    /// Sockets whose readiness no poll has reported yet.
    changed: Queue("changed") = .{},
    /// Waiters that were woken, and those of whom the last poll has told.
    ready: waiters_module.Queue = .{},
    delivered: waiters_module.Queue = .{},
    resolver: *Resolver,
    tls: Engine,
    /// When the backend's timer goes off. It may be early: a deadline that is met by its event
    /// leaves the timer alone, which saves a system call for each.
    timer_nanoseconds: i64 = never,
    /// The end of the bell that lives in Bun's loop.
    bell: system.Descriptor = -1,
    /// Wake-ups of the last poll.
    last_delivered: u32 = 0,
    /// Whether the attached driver's turn may wait until Bun's loop has something to do.
    lingers: bool = false,
    /// Allocated apart, for it may have to outlive the scheduler.
    shared: *abi.Shared,
    keeps_shared: bool = false,

    pub fn create(allocator: std.mem.Allocator) ?*Scheduler {
        return createOrFail(allocator) catch null;
    }

    fn createOrFail(allocator: std.mem.Allocator) !*Scheduler {
        const scheduler = try allocator.create(Scheduler);
        errdefer allocator.destroy(scheduler);
        const shared = try allocator.create(abi.Shared);
        errdefer allocator.destroy(shared);
        const opened = backend.Backend.open() orelse return error.NoDescriptors;
        errdefer opened.close();
        const resolver = Resolver.create(allocator, opened) orelse return error.OutOfMemory;
        shared.* = .{ .now_milliseconds = milliseconds(system.nanoseconds()) };
        scheduler.* = .{
            .allocator = allocator,
            .backend = opened,
            .resolver = resolver,
            .tls = .{ .allocator = allocator, .notice_count = &shared.tls_notices },
            .shared = shared,
        };
        return scheduler;
    }

    /// Closes every descriptor that the scheduler owns and frees its memory.
    pub fn destroy(scheduler: *Scheduler) void {
        const allocator = scheduler.allocator;
        // The resolver's threads may still call `notify` until this returns.
        scheduler.resolver.abandon();
        scheduler.tls.deinit();
        scheduler.sockets.deinit(allocator);
        scheduler.watched.deinit(allocator);
        scheduler.waiters.deinit(allocator);
        scheduler.deadlines.deinit(allocator);
        scheduler.backend.close();
        if (!scheduler.keeps_shared) allocator.destroy(scheduler.shared);
        allocator.destroy(scheduler);
    }

    // -- Readiness

    /// Has the next poll tell that a call in this direction would do something other than wait, if so.
    pub fn announce(scheduler: *Scheduler, socket: *Socket, direction: abi.Direction) void {
        if (!mayProceed(socket, direction)) return;
        const bit: u8 = if (direction == .writable) abi.Ready.writable else abi.Ready.readable;
        if (socket.unreported == 0) {
            scheduler.changed.pushBack(&scheduler.sockets, socket.index);
            scheduler.shared.ready += 1;
        }
        socket.unreported |= bit;
    }

    /// Forgets what was to be told of a socket that is about to be closed.
    pub fn forgetChange(scheduler: *Scheduler, socket: *Socket) void {
        if (socket.unreported == 0) return;
        socket.unreported = 0;
        scheduler.changed.remove(&scheduler.sockets, socket.index);
        scheduler.shared.ready -= 1;
    }

    // -- Waiting

    /// Makes a waiter that nothing but its deadline, `wake` or `cancel` ends.
    pub fn park(scheduler: *Scheduler, kind: Waiter.Kind, deadline_nanoseconds: ?i64) ?u32 {
        const index = scheduler.waiters.take(scheduler.allocator, .{}) orelse return null;
        const waiter = scheduler.waiters.at(index);
        assert(waiter.state == .free);
        waiter.* = .{ .kind = kind, .state = .waiting };
        if (deadline_nanoseconds) |point| {
            scheduler.deadlines.add(scheduler.allocator, .{ .waiter = index }, &waiter.deadline_index, point) catch {
                waiter.state = .free;
                scheduler.waiters.release(index);
                return null;
            };
        }
        scheduler.shared.waiters += 1;
        return index;
    }

    /// Ends a wait: the waiter leaves every list that it is on and joins the ready queue.
    pub fn wake(scheduler: *Scheduler, index: u32, status: Status) void {
        const waiter = scheduler.waiters.at(index);
        assert(waiter.state == .waiting);
        scheduler.leave(waiter, index);
        waiter.state = .ready;
        waiter.status = status;
        scheduler.ready.pushBack(&scheduler.waiters, index);
        scheduler.shared.ready += 1;
    }

    /// Frees a waiter whose caller has gone on already: it is not woken any more. Does nothing to one whose
    /// wake-up was delivered.
    pub fn drop(scheduler: *Scheduler, index: u32) void {
        if (index >= scheduler.waiters.length) return;
        const waiter = scheduler.waiters.at(index);
        if (waiter.kind == .resolve and waiter.state != .free) scheduler.resolver.forget(index);
        switch (waiter.state) {
            .free, .delivered => return,
            .waiting => scheduler.leave(waiter, index),
            .ready => {
                scheduler.ready.remove(&scheduler.waiters, index);
                scheduler.shared.ready -= 1;
            },
        }
        scheduler.shared.waiters -= 1;
        waiter.state = .free;
        scheduler.waiters.release(index);
    }

    /// Takes a waiter out of everything that could wake it.
    fn leave(scheduler: *Scheduler, waiter: *Waiter, index: u32) void {
        switch (waiter.kind) {
            .sleep, .resolve => {},
            .handshake => transfers.sessionOf(scheduler, scheduler.sockets.at(waiter.socket)).waiter = none,
            .watch_readable, .watch_writable => watching.leave(scheduler, index),
        }
        scheduler.deadlines.remove(&waiter.deadline_index);
    }

    // -- The turn

    /// Takes what the kernel has to report, waiting for it no longer than the timeout (null is for
    /// ever) or the next deadline, and writes what is ready into the ring. Returns the number of pairs.
    pub fn poll(scheduler: *Scheduler, timeout_nanoseconds: ?i64) u32 {
        scheduler.releaseDelivered();
        transfers.flushHeld(scheduler);
        scheduler.shared.polls += 1;

        var timeout = scheduler.pollTimeout(timeout_nanoseconds);
        var events: [backend.events_per_wait]backend.Event = undefined;
        for (0..batches_per_poll) |_| {
            const batch = scheduler.backend.wait(&events, timeout);
            scheduler.shared.events += @floatFromInt(batch.len);
            for (batch) |event| scheduler.apply(event);
            if (batch.len < events.len) break;
            timeout = 0;
        }
        handshakes.run(scheduler);
        scheduler.resolver.collect(scheduler);
        scheduler.expire();
        return scheduler.deliver();
    }

    fn pollTimeout(scheduler: *Scheduler, requested: ?i64) ?i64 {
        if (requested) |nanoseconds| if (nanoseconds <= 0) return 0;
        if (scheduler.shared.ready > 0 or scheduler.tls.due.length > 0) return 0;
        const deadline = scheduler.deadlines.earliest() orelse return requested;
        const left = @max(deadline - system.nanoseconds(), 0);
        return @min(left, requested orelse left);
    }

    fn apply(scheduler: *Scheduler, event: backend.Event) void {
        // A token that is stale belongs to a descriptor closed earlier in this very batch.
        const index = scheduler.sockets.findToken(event.token) orelse return;
        const socket = scheduler.sockets.at(index);
        switch (socket.kind) {
            .free => unreachable,
            .stream, .listener => {
                if (event.readable) socket.flags.readable = true;
                if (event.writable) socket.flags.writable = true;
                if (event.special) socket.flags.special = true;
                if (socket.tls != none) transfers.report(scheduler, socket, event.readable);
                scheduler.announce(socket, .readable);
                scheduler.announce(socket, .writable);
            },
            .watched => watching.report(scheduler, index, event),
            .lingering => lingering.proceed(scheduler, index),
        }
    }

    fn expire(scheduler: *Scheduler) void {
        const now = system.nanoseconds();
        scheduler.shared.now_milliseconds = milliseconds(now);
        if (scheduler.backend.timer_has_fired or now >= scheduler.timer_nanoseconds) {
            scheduler.backend.timer_has_fired = false;
            scheduler.timer_nanoseconds = never;
        }
        while (scheduler.deadlines.expired(now)) |owner| switch (owner) {
            .socket => |index| lingering.expire(scheduler, index),
            .waiter => |index| {
                if (scheduler.waiters.at(index).kind == .resolve) scheduler.resolver.forget(index);
                scheduler.shared.timeouts += 1;
                scheduler.wake(index, .timed_out);
            },
        };
    }

    fn deliver(scheduler: *Scheduler) u32 {
        const ring = &scheduler.shared.ring;
        var count: u32 = 0;
        while (count < abi.Limits.sockets_per_poll) : (count += 1) {
            const index = scheduler.changed.popFront(&scheduler.sockets) orelse break;
            const socket = scheduler.sockets.at(index);
            ring[2 * count] = scheduler.sockets.handle(index);
            ring[2 * count + 1] = socket.unreported;
            socket.unreported = 0;
        }
        var woken: u32 = 0;
        while (woken < abi.Limits.waiters_per_poll) : (woken += 1) {
            const index = scheduler.ready.popFront(&scheduler.waiters) orelse break;
            const waiter = scheduler.waiters.at(index);
            ring[2 * (count + woken)] = ~@as(i32, @intCast(index));
            ring[2 * (count + woken) + 1] = @intFromEnum(waiter.status);
            waiter.state = .delivered;
            scheduler.delivered.pushBack(&scheduler.waiters, index);
        }
        count += woken;
        scheduler.last_delivered = count;
        scheduler.shared.ready -= count;
        scheduler.shared.waiters -= woken;
        scheduler.shared.wakeups += @floatFromInt(count);
        return count;
    }

    fn releaseDelivered(scheduler: *Scheduler) void {
        while (scheduler.delivered.popFront(&scheduler.waiters)) |index| {
            scheduler.waiters.at(index).state = .free;
            scheduler.waiters.release(index);
        }
    }

    /// As `poll`, for the attached driver while traffic is live: waits for more until `linger` has
    /// passed since the last wake-up, or Bun's loop has something to do.
    ///
    /// A wait with a timeout of its own would program the processor's timer twice for each request,
    /// which in a virtual machine costs more than all else that a request does here. So the wait
    /// ends by the backend's timer, which is set once and moved only when it has gone off.
    pub fn lingeringPoll(scheduler: *Scheduler, linger_nanoseconds: i64) u32 {
        if (!scheduler.lingers) return scheduler.poll(@min(linger_nanoseconds, longest_blind_linger));
        scheduler.shared.host_is_ready = 0;
        // Where several were ready at once there are more by now, mostly: no wait, no timer.
        if (scheduler.last_delivered > 1) {
            const count = scheduler.poll(0);
            if (count > 0) return count;
        }
        const start: i64 = @trunc(scheduler.shared.now_milliseconds * std.time.ns_per_ms);
        while (true) {
            // Without a timer the wait needs a timeout of its own.
            if (!scheduler.moveTimer(start + linger_nanoseconds)) return scheduler.poll(@min(linger_nanoseconds, longest_blind_linger));
            const count = scheduler.poll(if (scheduler.backend.host_is_ready) 0 else null);
            scheduler.shared.host_is_ready = @intFromBool(scheduler.backend.host_is_ready);
            if (count > 0 or scheduler.backend.host_is_ready or scheduler.shared.tls_notices > 0) return count;
            // A timer that was set for an earlier wake-up goes off early: then there is time left.
            const now: i64 = @trunc(scheduler.shared.now_milliseconds * std.time.ns_per_ms);
            if (now - start >= @divTrunc(linger_nanoseconds, 2)) return 0;
        }
    }

    /// Whether `lingeringPoll` may wait for long: in the attached driver only where Bun's loop is
    /// watched meanwhile, in the blocking one always.
    pub fn setLingers(scheduler: *Scheduler, driver: enum { none, attached, blocking }) void {
        scheduler.lingers = switch (driver) {
            .none => false,
            .attached => scheduler.backend.findHost(scheduler.bell),
            .blocking => true,
        };
        scheduler.backend.watchHost(driver == .attached);
        scheduler.shared.host_is_ready = 0;
    }

    /// Has the backend's descriptor become readable at the earliest deadline, or at once if there is
    /// something to do already. Without it there may be no poll for long.
    pub fn setTimer(scheduler: *Scheduler) void {
        transfers.flushHeld(scheduler);
        if (scheduler.tls.due.length > 0 or scheduler.shared.ready > 0) scheduler.backend.notify();
        const earliest = scheduler.deadlines.earliest() orelse return;
        // A poll too many rather than one too late.
        if (!scheduler.moveTimer(earliest)) scheduler.backend.notify();
    }

    /// Has the timer go off at this point at the latest. False when the system has no timer to give.
    fn moveTimer(scheduler: *Scheduler, nanoseconds: i64) bool {
        if (nanoseconds >= scheduler.timer_nanoseconds) return true;
        const failed = scheduler.backend.setTimer(nanoseconds) != null;
        scheduler.timer_nanoseconds = if (failed) never else nanoseconds;
        return !failed;
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

/// Whether a call in this direction would do something other than wait.
fn mayProceed(socket: *const Socket, direction: abi.Direction) bool {
    if (socket.flags.handshaking) return false;
    if (direction == .writable) return socket.flags.writable or socket.failure != .ok;
    return socket.flags.readable or socket.flags.end_of_stream or socket.readFailure() != null;
}
