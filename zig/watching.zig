//! Waiting for descriptors of other libraries. Such a descriptor is in the backend only while
//! somebody waits for it, level-triggered and for one report at a time, and is never closed here.

const backend = @import("backend.zig");
const system = @import("system.zig");
const abi = @import("abi.zig");
const scheduler_module = @import("scheduler.zig");
const Scheduler = scheduler_module.Scheduler;
const Status = abi.Status;

pub const Wait = union(enum) { waiter: u32, failure: Status };

/// Waits until `fd` is readable (writable). A descriptor that is ready now, as a regular file
/// always is, is woken for in its turn.
pub fn wait(scheduler: *Scheduler, fd: system.Descriptor, kind: abi.WaitKind, deadline: ?i64) Wait {
    if (!system.isOpen(fd)) return .{ .failure = .EBADF };
    // A second registration would take the place of the socket's own.
    if (scheduler.sockets.owns(fd)) return .{ .failure = .EEXIST };
    if (system.pollOne(fd, kind == .writable, 0)) {
        const waiter = scheduler.park(.yield, null) orelse return .{ .failure = .exhausted };
        return .{ .waiter = waiter };
    }
    const existing = scheduler.watched.get(fd);
    const index = existing orelse (scheduler.sockets.take(scheduler.allocator, fd, .watched) orelse
        return .{ .failure = .exhausted });
    if (existing == null) {
        scheduler.watched.put(scheduler.allocator, fd, index) catch {
            scheduler.sockets.release(index);
            return .{ .failure = .exhausted };
        };
        scheduler.shared.sockets += 1;
    }
    const waiter = scheduler.parkOnSocket(index, kind, deadline, false) orelse {
        if (existing == null) forget(scheduler, index);
        return .{ .failure = .exhausted };
    };
    if (refresh(scheduler, index, existing == null)) |status| {
        // The slot outlives this only while others wait for the same descriptor.
        _ = scheduler.cancel(waiter, status);
    }
    return .{ .waiter = waiter };
}

/// Tells the backend what is waited for now.
fn refresh(scheduler: *Scheduler, index: u32, first: bool) ?Status {
    const socket = scheduler.sockets.at(index);
    const interest: backend.Interest = .{
        .readable = !socket.readers.isEmpty(),
        .writable = !socket.writers.isEmpty(),
    };
    return scheduler.backend.watch(socket.fd, scheduler.sockets.token(index), interest, first);
}

/// Wakes everybody whom an event concerns; the others wait on.
pub fn report(scheduler: *Scheduler, index: u32, event: backend.Event) void {
    const socket = scheduler.sockets.at(index);
    const handle = scheduler.sockets.handle(index);
    if (event.readable) scheduler.wakeAll(&socket.readers, .ok);
    // The last waiter takes the slot with it.
    if (scheduler.sockets.find(handle) == null) return;
    if (event.writable) scheduler.wakeAll(&socket.writers, .ok);
    if (scheduler.sockets.find(handle) == null) return;
    const status = refresh(scheduler, index, false) orelse return;
    scheduler.wakeAll(&socket.readers, status);
    if (scheduler.sockets.find(handle) != null) scheduler.wakeAll(&socket.writers, status);
}

/// Called when a waiter has left: the last one takes the registration with it.
pub fn release(scheduler: *Scheduler, index: u32) void {
    const socket = scheduler.sockets.at(index);
    if (!socket.readers.isEmpty() or !socket.writers.isEmpty()) return;
    scheduler.backend.unregister(socket.fd);
    forget(scheduler, index);
}

fn forget(scheduler: *Scheduler, index: u32) void {
    _ = scheduler.watched.remove(scheduler.sockets.at(index).fd);
    scheduler.sockets.release(index);
    scheduler.shared.sockets -= 1;
}
