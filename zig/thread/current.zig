//! What belongs to the calling thread: its `Thread`, its waker and its bell.

const std = @import("std");
const signals = @import("signals.zig");
const system = @import("../os/kernel.zig").system;
const waker_module = @import("waker.zig");
const Thread = @import("thread.zig").Thread;
const Waker = waker_module.Waker;

threadlocal var current: ?*Thread = null;
pub threadlocal var waker: *Waker = undefined;
threadlocal var waker_number: u64 = 0;
/// The end of the bell that Bun's loop watches.
pub threadlocal var bell: system.Descriptor = -1;
threadlocal var bell_inode: ?u64 = null;
/// How often the thread has made a scheduler.
threadlocal var openings: u32 = 0;

/// When the first thread of the process made a scheduler, on the monotonic clock; 0 before that.
var first_opened: std.atomic.Value(i64) = .init(0);

/// When the process began to use the library.
pub fn firstOpened() i64 {
    return first_opened.load(.monotonic);
}

/// The calling thread. TypeScript opens it before it makes any other call.
pub fn thread() *Thread {
    return current.?;
}

/// Makes the thread's scheduler and its waker thread. When the module is loaded anew in a thread that
/// has a scheduler (`bun --hot`), that one is retired: its sockets are closed and its handles stale.
pub fn open() error{NotStarted}!void {
    if (current != null) {
        signals.threadEnded();
        waker_module.retire(waker_number, .keep_shared);
    }
    current = null;
    _ = first_opened.cmpxchgStrong(0, system.nanoseconds(), .monotonic, .monotonic);
    system.onThreadEnd(threadEnded);
    system.keepLoaded();
    system.ignoreBrokenPipeSignal();
    const created = Thread.create(std.heap.c_allocator) catch return error.NotStarted;
    created.scheduler.sockets.first_generation = @intCast(1 + openings % 1024);
    errdefer created.destroy();
    waker, bell = try Waker.start(created);
    waker_number = waker.number;
    bell_inode = system.inode(bell);
    openings +%= 1;
    created.scheduler.bell = bell;
    current = created;
}

/// Runs when the thread ends. The loop closes the bell. The loop of a Worker that was terminated early may never
/// have got it; then it is closed here. The inode shows whether the descriptor is still the bell's.
fn threadEnded(_: *anyopaque) callconv(.c) void {
    signals.threadEnded();
    if (bell >= 0 and system.inode(bell) == bell_inode) system.close(bell);
    if (current != null) waker_module.retire(waker_number, .forget);
}
