//! The readiness backend of this system, chosen at compile time. Each one offers the same:
//!
//! `Backend`, one per scheduler:
//!   open() ?Backend, close()
//!   descriptor() Descriptor
//!       itself pollable: readable while `wait` would return at once
//!   register(fd, token) ?Status
//!       once per socket, edge-triggered, for both directions, until the descriptor is closed
//!   rearm(fd, token)
//!       reports what is still there to be read once more
//!   unregister(fd)
//!   watch(fd, token, Interest, first) ?Status
//!       for foreign descriptors: level-triggered, reports once, then needs another `watch`
//!   wait(events, timeout_nanoseconds) []Event
//!       null waits for ever, 0 does not wait; without events it may end early
//!   setTimer(nanoseconds) ?Status
//!       makes `wait` return, and the descriptor readable, at this point of the monotonic clock or
//!       before; `timer_has_fired` tells that it did. On failure there may be no timer any more
//!   notify()
//!       the same at once, callable from any thread
//!   findHost(bell) bool
//!       finds Bun's loop, in which the bell lives, if the system tells
//!   watchHost(on), host_is_ready
//!       has `wait` return once when that loop has something to do
//!
//! `Alarm`, one per waker thread: sleeps until the backend's descriptor is readable.
//!   open(Backend, bell) ?Alarm, close()
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
