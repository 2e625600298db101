//! The readiness backend of this system, chosen at compile time. Each one has the same interface:
//!
//! `Backend`, one per scheduler:
//!   open() !Backend, close()
//!   descriptor() Descriptor
//!       itself pollable: readable while `wait` would return at once
//!   register(fd, token) !void
//!       once per socket, edge-triggered, for both directions, until the descriptor is closed
//!   rearm(fd, token)
//!       reports what is still there to be read once more
//!   unregister(fd)
//!   watch(fd, token, Interest, first) !void
//!       for foreign descriptors: level-triggered, reports once, then needs another `watch`
//!   wait(events, timeout_nanoseconds) []Event
//!       null waits for ever, 0 does not wait; without events it may end early
//!   setTimer(nanoseconds) !void
//!       makes `wait` return, and the descriptor readable, at this point of the monotonic clock or
//!       before, and sets `timer_has_fired`. After a failure the timer may be unset
//!   notify()
//!       does the same at once, from any thread
//!   findHost(bell) bool
//!       finds Bun's loop, which watches the bell, if the system can name it
//!   watchHost(on), host_is_ready
//!       makes `wait` return once when that loop has something to do
//!
//! `Alarm`, one per waker thread: sleeps until the backend's descriptor is readable.
//!   open(Backend, bell) !Alarm, close()
//!   arm()
//!       from the scheduler's thread: report the backend's readiness, once
//!   wait() Reason
//!       from the waker thread: returns `.ready` when armed and ready, `.hangup` when the other end
//!       of the bell is gone

const builtin = @import("builtin");
const events = @import("backend/events.zig");

const implementation = switch (builtin.os.tag) {
    .linux => @import("backend/epoll.zig"),
    .macos, .freebsd => @import("backend/kqueue.zig"),
    else => @compileError("plait has no readiness backend for this system"),
};

pub const Backend = implementation.Backend;
pub const Alarm = implementation.Alarm;

pub const Event = events.Event;
pub const Interest = events.Interest;
pub const Reason = events.Reason;
pub const events_per_wait = events.events_per_wait;

test {
    _ = implementation;
}
