//! Signals of the process, for every thread that listens to them. The kernel runs the handler on any
//! thread, at any moment. The handler only marks the signal as pending for every thread that
//! listens, and sends that thread a byte through a socket pair. The thread watches the other end, so it
//! receives signals under both drivers.
//!
//! The handler reads global variables only: a thread-local variable of a library may be allocated when a thread
//! first uses it, and a handler must not allocate.

const std = @import("std");
const c = std.c;
const system = @import("../os/kernel.zig").system;
const Error = @import("../os/errors.zig").Error;

/// Numbers are from 1 on; those from 32 on have no names, and are the C library's.
const last_number = 31;

const Line = struct {
    /// The end that the handler sends to, and the one that the thread watches. They are never closed, because
    /// a handler may be about to use the number: the next thread gets them.
    ends: [2]system.Descriptor,
    in_use: std.atomic.Value(bool),
    /// Signals that have come and were not taken yet: bit 0 is number 1.
    pending: std.atomic.Value(u32) = .init(0),
    /// How often the thread listens to each signal. Guarded by `mutex`.
    listening: [last_number]u32 = @splat(0),
};

const line_capacity = 1024;
var lines: [line_capacity]Line = undefined;
/// Lines that were made, from the first on.
var line_count: std.atomic.Value(u32) = .init(0);

/// Guards everything here against other threads, but not against the handler.
var mutex: system.Mutex = .{};

const Installed = struct {
    /// How often threads listen to the signal. Guarded by `mutex`.
    listeners: u32 = 0,
    /// What the handler was before, and will be again.
    before: system.SignalAction = undefined,
    /// What of that is a function, which is called as well.
    function: std.atomic.Value(?system.SignalAction.sigaction_fn) = .init(null),
    takes_information: bool = false,
};

var installed: [last_number]Installed = @splat(.{});

pub const Duration = enum { until_ignored, for_ever };

threadlocal var own_line: ?*Line = null;

/// The calling thread's line: a descriptor to watch, which is readable when a signal has come that the thread
/// listens to.
pub fn line() Error!system.Descriptor {
    if (own_line == null) {
        mutex.lock();
        defer mutex.unlock();
        own_line = takeLine() orelse return error.EMFILE;
    }
    return own_line.?.ends[1];
}

/// Delivers a signal to the calling thread as well as to the handler that it had before. Its default action,
/// which for most ends the process, does not happen meanwhile: until `ignore` was called as often, or for
/// ever.
pub fn listen(number: u32, duration: Duration) Error!void {
    if (number == 0 or number > last_number) return error.EINVAL;
    const listener = own_line orelse return error.EINVAL;
    mutex.lock();
    defer mutex.unlock();
    try installHandler(number);
    installed[number - 1].listeners += 1;
    if (duration == .until_ignored) listener.listening[number - 1] += 1;
}

/// Takes one `listen` back. With the last one of all threads the signal does what it did before. If another
/// handler was installed above this one meanwhile, a later call does that, when the other one has gone.
pub fn ignore(number: u32) void {
    const listener = own_line orelse return;
    mutex.lock();
    defer mutex.unlock();
    if (number == 0 or number > last_number) return;
    const own: u32 = if (listener.listening[number - 1] > 0) 1 else 0;
    listener.listening[number - 1] -= own;
    drop(number, own);
}

/// Drops the handler that the signal had before. When the last thread ignores the signal, it gets its default
/// action.
pub fn forgetPrevious(number: u32) void {
    if (number == 0 or number > last_number) return;
    mutex.lock();
    defer mutex.unlock();
    const signal = &installed[number - 1];
    signal.before = std.mem.zeroes(system.SignalAction);
    signal.before.handler = .{ .handler = c.SIG.DFL };
    signal.function.store(null, .release);
}

fn drop(number: u32, count: u32) void {
    const signal = &installed[number - 1];
    signal.listeners -= count;
    if (signal.listeners > 0) return;
    const now = system.setSignalAction(@enumFromInt(number), null) catch return;
    // Other code may have installed another handler since.
    if (now.handler.sigaction != &handle) return;
    _ = system.setSignalAction(@enumFromInt(number), &signal.before) catch {};
}

fn takeLine() ?*Line {
    const count = line_count.load(.monotonic);
    for (lines[0..count]) |*free| {
        if (free.in_use.load(.monotonic)) continue;
        _ = drain(free);
        free.in_use.store(true, .release);
        return free;
    }
    if (count == lines.len) return null;
    lines[count] = .{ .ends = system.socketPair() orelse return null, .in_use = .init(true) };
    line_count.store(count + 1, .release);
    return &lines[count];
}

/// Puts the handler in, unless it is there.
fn installHandler(number: u32) Error!void {
    const signal = &installed[number - 1];
    const before = try system.setSignalAction(@enumFromInt(number), null);
    if (before.handler.sigaction == &handle) return;
    // Written before the handler can run.
    signal.before = before;
    signal.takes_information = before.flags & c.SA.SIGINFO != 0;
    const is_function = before.handler.handler != c.SIG.DFL and before.handler.handler != c.SIG.IGN;
    signal.function.store(if (is_function) before.handler.sigaction else null, .release);
    const action: system.SignalAction = .{
        .handler = .{ .sigaction = &handle },
        .mask = std.mem.zeroes(c.sigset_t),
        .flags = c.SA.SIGINFO | c.SA.RESTART,
    };
    _ = try system.setSignalAction(@enumFromInt(number), &action);
}

fn handle(signal: c.SIG, information: *const c.siginfo_t, context: ?*anyopaque) callconv(.c) void {
    const index: u5 = @intCast(@intFromEnum(signal) - 1);
    for (lines[0..line_count.load(.acquire)]) |*listener| {
        if (!listener.in_use.load(.acquire)) continue;
        _ = listener.pending.fetchOr(@as(u32, 1) << index, .acq_rel);
        _ = system.ring(listener.ends[0]);
    }
    const before = &installed[index];
    if (before.function.load(.acquire)) |function| {
        if (before.takes_information) {
            function(signal, information, context);
        } else {
            const call: system.SignalAction.handler_fn = @ptrCast(function);
            call(signal);
        }
    }
}

/// The signals that have come since this was called last, whether or not the thread listens to them.
pub fn take() u32 {
    return drain(own_line orelse return 0);
}

fn drain(listener: *Line) u32 {
    var bytes: [64]u8 = undefined;
    while (system.receive(listener.ends[1], &bytes, bytes.len)) |_| {} else |_| {}
    return listener.pending.swap(0, .acq_rel);
}

/// The calling thread ends, or its program is loaded anew: it listens to nothing any more, and its line is
/// free for another thread.
pub fn threadEnded() void {
    const listener = own_line orelse return;
    own_line = null;
    mutex.lock();
    defer mutex.unlock();
    for (&listener.listening, 1..) |*count, number| {
        if (count.* > 0) drop(@intCast(number), count.*);
        count.* = 0;
    }
    listener.in_use.store(false, .release);
}
