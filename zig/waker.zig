//! The attached driver's thread. It sleeps until the backend has something to report and then rings
//! a bell: a byte through a socket pair whose other end lives in Bun's loop. It never calls into
//! the VM. When that other end is gone, because its Worker was terminated, nobody will ever call
//! the scheduler again, and the thread takes it apart.

const std = @import("std");
const c = std.c;
const backend = @import("backend.zig");
const system = @import("system.zig");
const Scheduler = @import("scheduler.zig").Scheduler;

const stack_bytes = 128 * 1024;

pub const Waker = struct {
    alarm: backend.Alarm,
    bell: system.Descriptor,

    /// Starts the thread. Returns the waker and the end of the bell that belongs into Bun's loop.
    pub fn start(scheduler: *Scheduler) ?struct { Waker, system.Descriptor } {
        const bell = system.socketPair() orelse return null;
        const alarm = backend.Alarm.open(scheduler.backend, bell[0]) orelse {
            for (bell) |fd| system.close(fd);
            return null;
        };
        const waker: Waker = .{ .alarm = alarm, .bell = bell[0] };
        const thread = std.Thread.spawn(.{ .stack_size = stack_bytes }, run, .{ waker, scheduler }) catch {
            alarm.close();
            for (bell) |fd| system.close(fd);
            return null;
        };
        thread.detach();
        return .{ waker, bell[1] };
    }

    fn run(waker: Waker, scheduler: *Scheduler) void {
        system.blockSignals();
        while (waker.alarm.wait() == .ready and waker.ring()) {}
        waker.alarm.close();
        system.close(waker.bell);
        scheduler.destroy();
    }

    /// False when nobody is left to hear it.
    fn ring(waker: Waker) bool {
        return switch (system.send(waker.bell, "!", 1)) {
            .value => true,
            // A full socket has rings in it that were not heard yet.
            .failure => |status| status == .would_block,
        };
    }
};
