//! Waiting for descriptors of other libraries. Such a descriptor is in the backend only while a caller
//! waits for it, level-triggered and for one report at a time, and is never closed here.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const abi = @import("../boundary/abi.zig");
const backend = @import("../os/kernel.zig").backend;
const system = @import("../os/kernel.zig").system;
const waiters_module = @import("../core/waiters.zig");
const indices = @import("../core/indices.zig");
const errors = @import("../os/errors.zig");
const Error = errors.Error;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const Queue = waiters_module.Queue;
const SocketIndex = indices.SocketIndex;
const WaiterIndex = indices.WaiterIndex;
const Status = abi.Status;

/// A descriptor that callers wait for.
pub const Watch = struct {
    /// The slot whose token the backend has.
    slot: SocketIndex,
    readers: Queue = .{},
    writers: Queue = .{},

    fn isIdle(watch: Watch) bool {
        return watch.readers.isEmpty() and watch.writers.isEmpty();
    }

    fn queueOf(watch: *Watch, direction: abi.Direction) *Queue {
        return if (direction == .writable) &watch.writers else &watch.readers;
    }
};

pub const Watching = struct {
    scheduler: *Scheduler,
    watches: std.AutoHashMapUnmanaged(system.Descriptor, Watch) = .empty,

    pub fn deinit(watching: *Watching) void {
        watching.watches.deinit(watching.scheduler.allocator);
    }

    /// Waits until `fd` is ready in one direction. The next poll wakes the waiter of a descriptor that is
    /// ready now, as a regular file always is.
    pub fn wait(watching: *Watching, fd: system.Descriptor, direction: abi.Direction, deadline: ?i64) Error!WaiterIndex {
        const scheduler = watching.scheduler;
        if (!system.isOpen(fd)) return error.EBADF;
        const is_first = !watching.watches.contains(fd);
        // A second registration would take the place of the socket's own.
        if (is_first and scheduler.sockets.has(fd)) return error.EEXIST;
        if (system.pollOne(fd, direction == .writable, 0)) {
            const waiter = try scheduler.park(.sleep, null);
            scheduler.wake(waiter, .ok);
            return waiter;
        }
        if (is_first) try watching.begin(fd);
        const watch = watching.watches.getPtr(fd).?;
        errdefer if (is_first) watching.forget(fd);
        const waiter = try scheduler.park(if (direction == .writable) .watch_writable else .watch_readable, deadline);
        scheduler.waiters.at(waiter).socket = watch.slot;
        watch.queueOf(direction).pushBack(&scheduler.waiters, waiter);
        watching.refresh(fd, is_first) catch |failure| {
            watching.leave(waiter);
            scheduler.wake(waiter, errors.statusOf(failure));
        };
        return waiter;
    }

    fn begin(watching: *Watching, fd: system.Descriptor) error{Exhausted}!void {
        const scheduler = watching.scheduler;
        const slot = try scheduler.addSocket(fd, .watched);
        errdefer scheduler.removeSocket(slot);
        watching.watches.put(scheduler.allocator, fd, .{ .slot = slot }) catch return error.Exhausted;
    }

    /// Has the backend report what is waited for now.
    fn refresh(watching: *Watching, fd: system.Descriptor, first: bool) Error!void {
        const watch = watching.watches.getPtr(fd).?;
        const interest: backend.Interest = .{
            .readable = !watch.readers.isEmpty(),
            .writable = !watch.writers.isEmpty(),
        };
        return watching.scheduler.backend.watch(fd, watching.scheduler.sockets.token(watch.slot), interest, first);
    }

    /// Wakes every waiter that an event concerns; the others wait on.
    pub fn report(watching: *Watching, slot: SocketIndex, event: backend.Event) void {
        const fd = watching.scheduler.sockets.at(slot).fd;
        if (event.readable) watching.wakeAll(fd, .readable, .ok);
        if (event.writable) watching.wakeAll(fd, .writable, .ok);
        if (!watching.watches.contains(fd)) return;
        watching.refresh(fd, false) catch |failure| {
            watching.wakeAll(fd, .readable, errors.statusOf(failure));
            watching.wakeAll(fd, .writable, errors.statusOf(failure));
        };
    }

    /// Forgets a descriptor, and wakes what waits for it.
    pub fn abandon(watching: *Watching, slot: SocketIndex) void {
        const fd = watching.scheduler.sockets.at(slot).fd;
        watching.wakeAll(fd, .readable, .closed);
        watching.wakeAll(fd, .writable, .closed);
    }

    /// The last waiter takes the descriptor's record with it.
    fn wakeAll(watching: *Watching, fd: system.Descriptor, direction: abi.Direction, status: Status) void {
        while (watching.watches.getPtr(fd)) |watch| {
            const queue = watch.queueOf(direction);
            if (queue.isEmpty()) return;
            const waiter = queue.head;
            watching.leave(waiter);
            watching.scheduler.wake(waiter, status);
        }
    }

    /// Takes a waiter out of its queue, before it is woken or dropped. The last one takes the registration
    /// with it.
    pub fn leave(watching: *Watching, index: WaiterIndex) void {
        const scheduler = watching.scheduler;
        const waiter = scheduler.waiters.at(index);
        assert(waiter.state == .waiting, "a waiter leaves that was woken");
        const fd = scheduler.sockets.at(waiter.socket).fd;
        const watch = watching.watches.getPtr(fd).?;
        assert(watch.slot == waiter.socket, "a waiter is for another descriptor");
        const queue = watch.queueOf(switch (waiter.kind) {
            .watch_readable => .readable,
            .watch_writable => .writable,
            else => @panic("a waiter is for no descriptor"),
        });
        assert(queue.contains(&scheduler.waiters, index), "a waiter is not in its queue");
        queue.remove(&scheduler.waiters, index);
        if (!watch.isIdle()) return;
        scheduler.backend.unregister(fd);
        watching.forget(fd);
    }

    fn forget(watching: *Watching, fd: system.Descriptor) void {
        const removed = watching.watches.fetchRemove(fd).?;
        watching.scheduler.removeSocket(removed.value.slot);
    }
};
