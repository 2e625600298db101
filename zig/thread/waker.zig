//! The attached driver's helper thread. It sleeps until the backend has something to report, and then rings
//! the bell: it sends a byte through a socket pair whose other end Bun's loop watches. It never calls into
//! the VM. When the other end is closed, because its Worker was terminated, no further calls
//! will come: then the waker owns the `Thread`, and destroys it as soon as nothing lingers any more.
//!
//! A thread may also load plait anew while its loop goes on, as `bun --hot` does. The `Thread` that
//! it had before is retired: it ends as if its Worker had been terminated.

const std = @import("std");
const backend = @import("../os/kernel.zig").backend;
const system = @import("../os/kernel.zig").system;
const Thread = @import("thread.zig").Thread;

/// Address space, which takes memory only when it is touched: the thread-local storage of all loaded libraries
/// must fit.
const stack_bytes = 512 * 1024;

/// Guards `living`, the one thing that the threads of several schedulers share.
var mutex: system.Mutex = .{};
var living: ?*Waker = null;
var last_number: u64 = 0;

pub const Waker = struct {
    /// Never used twice: a retired waker's memory may serve the next one.
    number: u64,
    alarm: backend.Alarm,
    /// The core's end.
    bell: system.Descriptor,
    thread: *Thread,
    next: ?*Waker = null,

    /// Starts the thread. Returns the waker, which belongs to that thread, and the end of the bell
    /// that belongs into Bun's loop.
    pub fn start(thread: *Thread) error{NotStarted}!struct { *Waker, system.Descriptor } {
        const bell = system.socketPair() orelse return error.NotStarted;
        errdefer for (bell) |fd| system.close(fd);
        const alarm = backend.Alarm.open(thread.scheduler.backend, bell[0]) catch return error.NotStarted;
        errdefer alarm.close();
        const allocator = thread.scheduler.allocator;
        const waker = allocator.create(Waker) catch return error.NotStarted;
        errdefer allocator.destroy(waker);
        waker.* = .{ .number = 0, .alarm = alarm, .bell = bell[0], .thread = thread };
        enlist(waker);
        errdefer delist(waker);
        if (!system.startThread(stack_bytes, run, .{waker})) return error.NotStarted;
        return .{ waker, bell[1] };
    }

    fn run(waker: *Waker) void {
        // The other end of the bell may be closed.
        while (waker.alarm.wait() == .ready and system.ring(waker.bell)) {}
        // From here on `retire` does not find it.
        delist(waker);
        const thread = waker.thread;
        waker.alarm.close();
        system.close(waker.bell);
        thread.scheduler.allocator.destroy(waker);
        thread.outlive();
        thread.destroy();
    }
};

/// Makes the waker with this number destroy its `Thread`, if it has not done so already. With
/// `keep_shared`, code that still holds the shared block may go on to write to it.
pub fn retire(number: u64, mode: enum { forget, keep_shared }) void {
    mutex.lock();
    defer mutex.unlock();
    var next = living;
    while (next) |waker| : (next = waker.next) {
        if (waker.number != number) continue;
        waker.thread.scheduler.keeps_shared = mode == .keep_shared;
        system.hangUp(waker.bell);
    }
}

fn enlist(waker: *Waker) void {
    mutex.lock();
    defer mutex.unlock();
    last_number += 1;
    waker.number = last_number;
    waker.next = living;
    living = waker;
}

fn delist(waker: *Waker) void {
    mutex.lock();
    defer mutex.unlock();
    var place = &living;
    while (place.*) |other| {
        if (other == waker) {
            place.* = waker.next;
            return;
        }
        place = &other.next;
    }
}
