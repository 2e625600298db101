//! What one thread of plait owns: the scheduler, the TLS engine, the resolver, the watched descriptors and the
//! lingering sockets. The scheduler knows no protocol. The thread runs the poll, and decides by the kind of
//! a socket or a waiter what an event or a deadline does. All calls come from the thread that it belongs to.

const std = @import("std");
const abi = @import("../boundary/abi.zig");
const backend = @import("../os/kernel.zig").backend;
const indices = @import("../core/indices.zig");
const handshakes = @import("../tls/handshakes.zig");
const transfers = @import("../tls/transfers.zig");
const Engine = @import("../tls/engine.zig").Engine;
const KernelPipes = @import("../net/kernel_pipes.zig").KernelPipes;
const Lingering = @import("lingering.zig").Lingering;
const Resolver = @import("../net/resolver.zig").Resolver;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const Watching = @import("../net/watching.zig").Watching;
const SocketIndex = indices.SocketIndex;
const WaiterIndex = indices.WaiterIndex;
const Status = abi.Status;

/// Full batches of events that one poll takes from the kernel before it delivers.
const batches_per_poll = 4;

/// How long a turn may spin where the core cannot see that Bun's loop has something to do.
const longest_blind_spin = 50 * std.time.ns_per_us;

pub const Thread = struct {
    scheduler: Scheduler,
    tls: Engine,
    resolver: *Resolver,
    watching: Watching,
    lingering: Lingering,
    kernel_pipes: KernelPipes = .{},

    pub fn create(allocator: std.mem.Allocator) !*Thread {
        const thread = try allocator.create(Thread);
        errdefer allocator.destroy(thread);
        var scheduler: Scheduler = try .init(allocator);
        errdefer scheduler.deinit();
        const resolver: *Resolver = try .create(allocator, scheduler.backend);
        thread.* = .{
            .scheduler = scheduler,
            .tls = .{ .allocator = allocator, .scheduler = &thread.scheduler, .notice_count = &scheduler.shared.tls_notices },
            .resolver = resolver,
            .watching = .{ .scheduler = &thread.scheduler },
            .lingering = .{ .scheduler = &thread.scheduler, .tls = &thread.tls },
        };
        return thread;
    }

    /// Closes every descriptor that the thread's sockets own, and frees all memory.
    pub fn destroy(thread: *Thread) void {
        const allocator = thread.scheduler.allocator;
        // The resolver's threads may call `notify` of the backend until this returns.
        thread.resolver.abandon();
        thread.tls.deinit();
        thread.watching.deinit();
        thread.kernel_pipes.deinit();
        thread.scheduler.deinit();
        allocator.destroy(thread);
    }

    /// Called when the thread has ended: blocks until no socket lingers any more. What was closed has been
    /// promised to arrive. What was not is left to the kernel, as when a process ends: its stream may be
    /// incomplete.
    pub fn outlive(thread: *Thread) void {
        for (0..thread.scheduler.sockets.pool.length) |number| {
            const index: SocketIndex = @enumFromInt(number);
            switch (thread.scheduler.sockets.at(index).kind) {
                .free, .lingering => {},
                .stream, .listener => thread.lingering.abandon(index),
                .watched => thread.watching.abandon(index),
            }
        }
        while (thread.scheduler.shared.lingering > 0) _ = thread.poll(null);
    }

    // -- Waiters

    /// Ends a wait of any kind.
    pub fn wake(thread: *Thread, index: WaiterIndex, status: Status) void {
        thread.leave(index);
        thread.scheduler.wake(index, status);
    }

    /// Frees a waiter of any kind whose caller has gone on already: it is not woken any more. Does nothing
    /// to one whose wake-up was delivered.
    pub fn drop(thread: *Thread, index: WaiterIndex) void {
        const waiter = thread.scheduler.waiters.at(index);
        if (waiter.state == .free) return;
        // The addresses of a look-up that has ended are still there.
        if (waiter.state == .waiting or waiter.kind == .resolve) thread.leave(index);
        thread.scheduler.drop(index);
    }

    /// Takes a waiter out of everything that could wake it.
    fn leave(thread: *Thread, index: WaiterIndex) void {
        const waiter = thread.scheduler.waiters.at(index);
        switch (waiter.kind) {
            .sleep => {},
            .resolve => thread.resolver.forget(index),
            .handshake => handshakes.leave(&thread.tls, index),
            .watch_readable, .watch_writable => thread.watching.leave(index),
        }
    }

    // -- The turn

    /// Takes what the kernel has to report, waiting for it no longer than the timeout (null is for
    /// ever) or the next deadline, and writes what is ready into the ring. Returns the number of pairs.
    pub fn poll(thread: *Thread, timeout_nanoseconds: ?i64) u32 {
        const scheduler = &thread.scheduler;
        scheduler.beginPoll();
        transfers.flushHeld(&thread.tls);

        var timeout = if (thread.tls.due.length > 0) 0 else scheduler.pollTimeout(timeout_nanoseconds);
        var events: [backend.events_per_wait]backend.Event = undefined;
        for (0..batches_per_poll) |_| {
            const batch = scheduler.backend.wait(&events, timeout);
            scheduler.shared.events += @floatFromInt(batch.len);
            for (batch) |event| thread.apply(event);
            if (batch.len < events.len) break;
            timeout = 0;
        }
        handshakes.run(&thread.tls);
        thread.resolver.collect(scheduler);
        thread.expire();
        return scheduler.deliver();
    }

    fn apply(thread: *Thread, event: backend.Event) void {
        // A token that is stale belongs to a descriptor closed earlier in this very batch.
        const scheduler = &thread.scheduler;
        const index = scheduler.sockets.findToken(event.token) orelse return;
        const socket = scheduler.sockets.at(index);
        switch (socket.kind) {
            .free => @panic("an event found a socket that is free"),
            .stream, .listener => {
                if (event.readable) socket.flags.readable = true;
                if (event.writable) socket.flags.writable = true;
                if (event.special) socket.flags.special = true;
                if (socket.tls != .none) transfers.report(&thread.tls, socket, event.readable);
                scheduler.announce(socket, .readable);
                scheduler.announce(socket, .writable);
            },
            .watched => thread.watching.report(index, event),
            .lingering => thread.lingering.proceed(index),
        }
    }

    fn expire(thread: *Thread) void {
        const now = thread.scheduler.readClock();
        while (thread.scheduler.deadlines.expired(now)) |owner| switch (owner) {
            .socket => |index| thread.lingering.expire(index),
            .waiter => |index| {
                thread.scheduler.shared.timeouts += 1;
                thread.wake(index, .timed_out);
            },
        };
    }

    /// As `poll`, for a driver while traffic is live: waits for more until `spin_nanoseconds` have
    /// passed since the last wake-up, or Bun's loop has something to do.
    ///
    /// A wait with a timeout would program the CPU's timer twice for each request. In a virtual machine
    /// that costs more than everything else that a request does here. So the backend's timer ends the
    /// wait: it is set once and moved only when it has expired.
    pub fn spinPoll(thread: *Thread, spin_nanoseconds: i64) u32 {
        const scheduler = &thread.scheduler;
        if (!scheduler.spins) return thread.poll(@min(spin_nanoseconds, longest_blind_spin));
        scheduler.shared.host_is_ready = 0;
        // When the last poll had several, more are usually ready by now: no wait, no timer.
        if (scheduler.last_delivered > 1) {
            const count = thread.poll(0);
            if (count > 0) return count;
        }
        const start: i64 = @trunc(scheduler.shared.now_milliseconds * std.time.ns_per_ms);
        while (true) {
            // Without a timer the wait needs a timeout of its own.
            if (!scheduler.moveTimer(start + spin_nanoseconds)) return thread.poll(@min(spin_nanoseconds, longest_blind_spin));
            const count = thread.poll(if (scheduler.backend.host_is_ready) 0 else null);
            scheduler.shared.host_is_ready = @intFromBool(scheduler.backend.host_is_ready);
            if (count > 0 or scheduler.backend.host_is_ready or scheduler.shared.tls_notices > 0) return count;
            // The timer may still be set for an earlier wake-up. If it expired early, wait again.
            const now: i64 = @trunc(scheduler.shared.now_milliseconds * std.time.ns_per_ms);
            if (now - start >= @divTrunc(spin_nanoseconds, 2)) return 0;
        }
    }

    /// Makes the backend's descriptor readable at the earliest deadline, or at once if there is
    /// something to do already. It is what wakes the attached driver.
    pub fn setTimer(thread: *Thread) void {
        transfers.flushHeld(&thread.tls);
        if (thread.tls.due.length > 0) thread.scheduler.backend.notify();
        thread.scheduler.setTimer();
    }
};
