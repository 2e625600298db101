//! Readiness on macOS and FreeBSD: kqueue(2), whose timer and user filters stand in for Linux's
//! timerfd and eventfd.
//!
//! It is type-checked for those systems, and kqueue_events.zig is tested on every system; it has not run
//! on them yet.

const std = @import("std");
const c = std.c;
const system = @import("../system.zig");
const events_module = @import("events.zig");
const kqueue_events = @import("kqueue_events.zig");
const Error = @import("../errors.zig").Error;
const Descriptor = system.Descriptor;
const Event = events_module.Event;
const Change = c.Kevent;

const timer_token = events_module.reserved_tokens;
const notifier_token = events_module.reserved_tokens + 1;
/// EVFILT_TIMER and EVFILT_USER have identifiers of their own, apart from descriptors.
const timer_identifier = 1;
const notifier_identifier = 1;

pub const Backend = struct {
    queue: Descriptor,
    host_is_ready: bool = false,
    timer_has_fired: bool = false,

    pub fn open() Error!Backend {
        const queue = c.kqueue();
        if (queue < 0) return system.lastError();
        const self: Backend = .{ .queue = queue };
        errdefer self.close();
        const notifier = change(notifier_identifier, c.EVFILT.USER, c.EV.ADD | c.EV.CLEAR, notifier_token);
        try self.apply(&.{notifier});
        return self;
    }

    pub fn close(self: Backend) void {
        system.close(self.queue);
    }

    pub fn descriptor(self: Backend) Descriptor {
        return self.queue;
    }

    pub fn register(self: Backend, fd: Descriptor, token: u64) Error!void {
        const flags = c.EV.ADD | c.EV.CLEAR;
        // If this fails, the first of the two filters may be registered, with a token that is about to be invalid.
        errdefer self.unregister(fd);
        try self.apply(&.{
            change(@intCast(fd), c.EVFILT.READ, flags, token),
            change(@intCast(fd), c.EVFILT.WRITE, flags, token),
        });
    }

    pub fn rearm(self: Backend, fd: Descriptor, token: u64) void {
        // To add a filter again has it look anew.
        self.apply(&.{change(@intCast(fd), c.EVFILT.READ, c.EV.ADD | c.EV.CLEAR, token)}) catch {};
    }

    pub fn unregister(self: Backend, fd: Descriptor) void {
        // One call each: the first that fails (a filter that was never added) would end a batch.
        self.apply(&.{change(@intCast(fd), c.EVFILT.READ, c.EV.DELETE, 0)}) catch {};
        self.apply(&.{change(@intCast(fd), c.EVFILT.WRITE, c.EV.DELETE, 0)}) catch {};
    }

    pub fn watch(self: Backend, fd: Descriptor, token: u64, interest: events_module.Interest, first: bool) Error!void {
        _ = first;
        const flags = c.EV.ADD | c.EV.ONESHOT;
        if (interest.readable) try self.apply(&.{change(@intCast(fd), c.EVFILT.READ, flags, token)});
        if (interest.writable) try self.apply(&.{change(@intCast(fd), c.EVFILT.WRITE, flags, token)});
    }

    pub fn wait(self: *Backend, events: *[events_module.events_per_wait]Event, timeout_nanoseconds: ?i64) []Event {
        var raw: [events_module.events_per_wait]Change = undefined;
        var timeout: c.timespec = undefined;
        if (timeout_nanoseconds) |requested| {
            const nanoseconds = kqueue_events.boundedWait(requested);
            timeout = .{
                .sec = @intCast(@divTrunc(nanoseconds, std.time.ns_per_s)),
                .nsec = @intCast(@mod(nanoseconds, std.time.ns_per_s)),
            };
        }
        const limit = if (timeout_nanoseconds == null) null else &timeout;
        const count = c.kevent(self.queue, &raw, 0, &raw, raw.len, limit);
        // An interrupted wait counts as one without events: the caller polls again.
        if (count <= 0) return events[0..0];
        var used: usize = 0;
        for (raw[0..@intCast(count)]) |entry| {
            const token: u64 = entry.udata;
            if (token == timer_token) self.timer_has_fired = true;
            if (token >= events_module.reserved_tokens) continue;
            events[used] = kqueue_events.translate(token, entry.filter, entry.flags);
            used += 1;
        }
        return events[0..used];
    }

    pub fn setTimer(self: Backend, nanoseconds: i64) Error!void {
        // A relative timer, for absolute ones follow the wall clock.
        var timer = change(timer_identifier, c.EVFILT.TIMER, c.EV.ADD | c.EV.ONESHOT, timer_token);
        // macOS delays timers so that several expire together, except critical ones.
        timer.fflags = if (system.is_darwin) c.NOTE.NSECONDS | c.NOTE.CRITICAL else c.NOTE.NSECONDS;
        timer.data = @intCast(kqueue_events.timerDelay(nanoseconds, system.nanoseconds()));
        // FreeBSD has a limit for all timers of the machine (kern.kq_calloutmax).
        return self.apply(&.{timer});
    }

    /// The loop's descriptor cannot be found: the system does not say which queue a descriptor is in.
    pub fn findHost(_: *Backend, _: Descriptor) bool {
        return false;
    }

    pub fn watchHost(_: *Backend, _: bool) void {}

    pub fn notify(self: Backend) void {
        var trigger = change(notifier_identifier, c.EVFILT.USER, 0, notifier_token);
        trigger.fflags = c.NOTE.TRIGGER;
        self.apply(&.{trigger}) catch {};
    }

    fn apply(self: Backend, changes: []const Change) Error!void {
        return submit(self.queue, changes);
    }
};

pub const Alarm = struct {
    outer: Descriptor,
    inner: Descriptor,

    pub fn open(inner: Backend, bell: Descriptor) Error!Alarm {
        const outer = c.kqueue();
        if (outer < 0) return system.lastError();
        const self: Alarm = .{ .outer = outer, .inner = inner.queue };
        // Bun's loop never sends through the bell, so readable means that it was closed.
        errdefer self.close();
        try submit(outer, &.{change(@intCast(bell), c.EVFILT.READ, c.EV.ADD, 1)});
        return self;
    }

    pub fn close(self: Alarm) void {
        system.close(self.outer);
    }

    pub fn arm(self: Alarm) void {
        submit(self.outer, &.{change(@intCast(self.inner), c.EVFILT.READ, c.EV.ADD | c.EV.ONESHOT, 0)}) catch {};
    }

    pub fn wait(self: Alarm) events_module.Reason {
        var events: [2]Change = undefined;
        while (true) {
            const count = c.kevent(self.outer, &events, 0, &events, events.len, null);
            if (count <= 0) continue;
            for (events[0..@intCast(count)]) |event| {
                if (event.udata == 1) return .hangup;
            }
            return .ready;
        }
    }
};

fn submit(queue: Descriptor, changes: []const Change) Error!void {
    var none: [1]Change = undefined;
    if (c.kevent(queue, changes.ptr, @intCast(changes.len), &none, 0, null) < 0) return system.lastError();
}

fn change(identifier: usize, filter: anytype, flags: anytype, token: u64) Change {
    var entry = std.mem.zeroes(Change);
    entry.ident = identifier;
    entry.filter = @intCast(filter);
    entry.flags = @intCast(flags);
    entry.udata = token;
    return entry;
}
