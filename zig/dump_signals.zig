//! Signals by which a process is asked to tell what it does. The kernel runs a handler on whichever
//! thread it likes, at any moment; this one does nothing but send a byte to every thread that listens.
//! Each of these has the other end of a socket pair in its scheduler's set, and so hears of the signal
//! under both drivers.
//!
//! What the handler reads is global: a thread-local variable of a library may be allocated when a thread
//! first touches it, which no handler may do.

const std = @import("std");
const c = std.c;
const system = @import("system.zig");
const Status = @import("abi.zig").Status;

const Line = struct {
    /// The end that the handler sends to, and the one that the thread watches. They are never closed, for
    /// a handler may be about to use the number: the next thread has them.
    ends: [2]system.Descriptor,
    in_use: std.atomic.Value(bool),
};

const line_capacity = 1024;
var lines: [line_capacity]Line = undefined;
/// Lines that were made, from the first on.
var line_count: std.atomic.Value(u32) = .init(0);

/// Guards everything here against other threads, but not against the handler.
var lock: c.pthread_mutex_t = .{};

const Earlier = struct {
    handler: std.atomic.Value(?c.Sigaction.sigaction_fn) = .init(null),
    takes_information: bool = false,
};

/// What handled each signal before, and still does.
var earlier: [64]Earlier = @splat(.{});

threadlocal var own_line: ?*Line = null;

/// Has the signal reach the calling thread, besides whatever it did before; its default action, which
/// ends most processes, no longer follows. Returns the descriptor to watch.
pub fn install(number: u32) system.Outcome {
    if (number == 0 or number >= earlier.len) return .{ .failure = .EINVAL };
    _ = c.pthread_mutex_lock(&lock);
    defer _ = c.pthread_mutex_unlock(&lock);
    const line = own_line orelse takeLine() orelse return .{ .failure = .EMFILE };
    own_line = line;
    if (installHandler(@enumFromInt(number), &earlier[number])) |status| return .{ .failure = status };
    return .{ .value = @intCast(line.ends[1]) };
}

fn takeLine() ?*Line {
    const count = line_count.load(.monotonic);
    for (lines[0..count]) |*line| {
        if (line.in_use.load(.monotonic)) continue;
        _ = drain(line);
        line.in_use.store(true, .release);
        return line;
    }
    if (count == lines.len) return null;
    lines[count] = .{ .ends = system.socketPair() orelse return null, .in_use = .init(true) };
    line_count.store(count + 1, .release);
    return &lines[count];
}

fn installHandler(signal: c.SIG, before: *Earlier) ?Status {
    var action: c.Sigaction = undefined;
    if (c.sigaction(signal, null, &action) != 0) return system.lastStatus();
    if (action.handler.sigaction == &handle) return null;
    // Written before the handler can run.
    before.takes_information = action.flags & c.SA.SIGINFO != 0;
    const is_function = action.handler.handler != c.SIG.DFL and action.handler.handler != c.SIG.IGN;
    before.handler.store(if (is_function) action.handler.sigaction else null, .release);
    action = .{
        .handler = .{ .sigaction = &handle },
        .mask = std.mem.zeroes(c.sigset_t),
        .flags = c.SA.SIGINFO | c.SA.RESTART,
    };
    return if (c.sigaction(signal, &action, null) == 0) null else system.lastStatus();
}

fn handle(signal: c.SIG, information: *const c.siginfo_t, context: ?*anyopaque) callconv(.c) void {
    const number = c._errno().*;
    for (lines[0..line_count.load(.acquire)]) |*line| {
        // A line that is full has requests in it that were not heard yet.
        if (line.in_use.load(.acquire)) _ = c.send(line.ends[0], "!", 1, system.no_signal);
    }
    const before = &earlier[@intFromEnum(signal)];
    if (before.handler.load(.acquire)) |function| {
        if (before.takes_information) {
            function(signal, information, context);
        } else {
            const call: c.Sigaction.handler_fn = @ptrCast(function);
            call(signal);
        }
    }
    c._errno().* = number;
}

/// Whether the calling thread was asked since this was called last.
pub fn take() bool {
    return drain(own_line orelse return false);
}

fn drain(line: *Line) bool {
    var bytes: [64]u8 = undefined;
    var any = false;
    while (true) {
        switch (system.receive(line.ends[1], &bytes, bytes.len)) {
            .value => any = true,
            .failure => return any,
        }
    }
}

/// The calling thread ends: its line is another one's from here on.
pub fn threadEnded() void {
    const line = own_line orelse return;
    own_line = null;
    line.in_use.store(false, .release);
}

extern "c" fn pthread_kill(thread: c.pthread_t, signal: c.SIG) c_int;

var test_handler_calls: u32 = 0;

fn countCall(_: c.SIG) callconv(.c) void {
    test_handler_calls += 1;
}

test "a signal reaches the thread that listens, and the handler of before" {
    const signal: c.SIG = .USR2;
    const action: c.Sigaction = .{ .handler = .{ .handler = &countCall }, .mask = std.mem.zeroes(c.sigset_t), .flags = 0 };
    try std.testing.expectEqual(0, c.sigaction(signal, &action, null));

    const first = install(@intFromEnum(signal));
    try std.testing.expect(first == .value);
    try std.testing.expect(!take());
    for (1..4) |round| {
        // A second time it must not become its own predecessor.
        try std.testing.expectEqual(first, install(@intFromEnum(signal)));
        try std.testing.expectEqual(0, pthread_kill(c.pthread_self(), signal));
        try std.testing.expect(system.pollOne(@intCast(first.value), false, 0));
        try std.testing.expect(take());
        try std.testing.expect(!take());
        try std.testing.expectEqual(round, test_handler_calls);
    }

    // Whoever listens next has the same descriptor, without what was said to its predecessor.
    try std.testing.expectEqual(0, pthread_kill(c.pthread_self(), signal));
    threadEnded();
    try std.testing.expect(!take());
    try std.testing.expectEqual(first, install(@intFromEnum(signal)));
    try std.testing.expect(!take());
    threadEnded();
}

test "numbers that are no signal are refused" {
    try std.testing.expectEqual(system.Outcome{ .failure = .EINVAL }, install(0));
    try std.testing.expectEqual(system.Outcome{ .failure = .EINVAL }, install(64));
    // Nobody can handle this one.
    try std.testing.expectEqual(system.Outcome{ .failure = .EINVAL }, install(@intFromEnum(c.SIG.KILL)));
    threadEnded();
}
