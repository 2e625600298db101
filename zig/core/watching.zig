//! Waiting for descriptors of other libraries. Such a descriptor is in the backend only while
//! somebody waits for it, level-triggered and for one report at a time, and is never closed here.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("../boundary/abi.zig");
const backend = @import("../os/backend.zig");
const system = @import("../os/system.zig");
const waiters_module = @import("waiters.zig");
const Scheduler = @import("scheduler.zig").Scheduler;
const Queue = waiters_module.Queue;
const Status = abi.Status;

/// A descriptor that somebody waits for.
pub const Watch = struct {
    /// The slot whose token the backend has.
    slot: u32,
    readers: Queue = .{},
    writers: Queue = .{},

    fn isIdle(watch: Watch) bool {
        return watch.readers.isEmpty() and watch.writers.isEmpty();
    }
};

pub const Watched = std.AutoHashMapUnmanaged(system.Descriptor, Watch);

pub const Wait = union(enum) { waiter: u32, failure: Status };

/// Waits until `fd` is ready in one direction. A descriptor that is ready now, as a regular file
/// always is, is woken for in its turn.
pub fn wait(scheduler: *Scheduler, fd: system.Descriptor, direction: abi.Direction, deadline: ?i64) Wait {
    if (!system.isOpen(fd)) return .{ .failure = .EBADF };
    // A second registration would take the place of the socket's own.
    if (scheduler.sockets.owns(fd)) return .{ .failure = .EEXIST };
    if (system.pollOne(fd, direction == .writable, 0)) {
        const waiter = scheduler.park(.sleep, null) orelse return .{ .failure = .exhausted };
        scheduler.wake(waiter, .ok);
        return .{ .waiter = waiter };
    }
    const is_first = !scheduler.watched.contains(fd);
    if (is_first) begin(scheduler, fd) catch return .{ .failure = .exhausted };
    const watch = scheduler.watched.getPtr(fd).?;
    const waiter = scheduler.park(if (direction == .writable) .watch_writable else .watch_readable, deadline) orelse {
        if (is_first) forget(scheduler, fd);
        return .{ .failure = .exhausted };
    };
    scheduler.waiters.at(waiter).socket = watch.slot;
    queueOf(watch, direction).pushBack(&scheduler.waiters, waiter);
    if (refresh(scheduler, fd, is_first)) |status| scheduler.wake(waiter, status);
    return .{ .waiter = waiter };
}

fn begin(scheduler: *Scheduler, fd: system.Descriptor) !void {
    const slot = scheduler.sockets.take(scheduler.allocator, fd, .watched) orelse return error.Exhausted;
    errdefer scheduler.sockets.release(slot);
    try scheduler.watched.put(scheduler.allocator, fd, .{ .slot = slot });
    scheduler.shared.sockets += 1;
}

fn queueOf(watch: *Watch, direction: abi.Direction) *Queue {
    return if (direction == .writable) &watch.writers else &watch.readers;
}

/// Tells the backend what is waited for now.
fn refresh(scheduler: *Scheduler, fd: system.Descriptor, first: bool) ?Status {
    const watch = scheduler.watched.getPtr(fd).?;
    const interest: backend.Interest = .{
        .readable = !watch.readers.isEmpty(),
        .writable = !watch.writers.isEmpty(),
    };
    return scheduler.backend.watch(fd, scheduler.sockets.token(watch.slot), interest, first);
}

/// Wakes everybody whom an event concerns; the others wait on.
pub fn report(scheduler: *Scheduler, slot: u32, event: backend.Event) void {
    const fd = scheduler.sockets.at(slot).fd;
    if (event.readable) wakeAll(scheduler, fd, .readable, .ok);
    if (event.writable) wakeAll(scheduler, fd, .writable, .ok);
    if (!scheduler.watched.contains(fd)) return;
    const status = refresh(scheduler, fd, false) orelse return;
    wakeAll(scheduler, fd, .readable, status);
    wakeAll(scheduler, fd, .writable, status);
}

/// Forgets a descriptor, and wakes what waits for it.
pub fn abandon(scheduler: *Scheduler, slot: u32) void {
    const fd = scheduler.sockets.at(slot).fd;
    wakeAll(scheduler, fd, .readable, .closed);
    wakeAll(scheduler, fd, .writable, .closed);
}

/// The last waiter takes the descriptor's record with it.
fn wakeAll(scheduler: *Scheduler, fd: system.Descriptor, direction: abi.Direction, status: Status) void {
    while (scheduler.watched.getPtr(fd)) |watch| {
        const queue = queueOf(watch, direction);
        if (queue.isEmpty()) return;
        scheduler.wake(queue.head, status);
    }
}

/// A waiter that is woken leaves its queue: the last one takes the registration with it.
pub fn leave(scheduler: *Scheduler, waiter: u32) void {
    const kind = scheduler.waiters.at(waiter).kind;
    const fd = scheduler.sockets.at(scheduler.waiters.at(waiter).socket).fd;
    const watch = scheduler.watched.getPtr(fd).?;
    const queue = queueOf(watch, if (kind == .watch_writable) .writable else .readable);
    assert(queue.contains(&scheduler.waiters, waiter));
    queue.remove(&scheduler.waiters, waiter);
    if (!watch.isIdle()) return;
    scheduler.backend.unregister(fd);
    forget(scheduler, fd);
}

fn forget(scheduler: *Scheduler, fd: system.Descriptor) void {
    const removed = scheduler.watched.fetchRemove(fd).?;
    scheduler.sockets.release(removed.value.slot);
    scheduler.shared.sockets -= 1;
}
