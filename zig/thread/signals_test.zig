//! Signals of the process that reach the threads that listen to them.

const std = @import("std");
const assert = std.debug.assert;
const c = std.c;
const signals = @import("signals.zig");
const system = @import("../os/kernel.zig").system;

extern "c" fn pthread_kill(thread: c.pthread_t, signal: c.SIG) c_int;

var test_handler_calls: u32 = 0;

fn countCall(_: c.SIG) callconv(.c) void {
    test_handler_calls += 1;
}

fn handlerOf(signal: c.SIG) ?c.Sigaction.handler_fn {
    var action: c.Sigaction = undefined;
    assert(c.sigaction(signal, null, &action) == 0);
    return action.handler.handler;
}

test "a signal reaches the thread that listens, and the handler of before" {
    const signal: c.SIG = .USR2;
    const number: u32 = @intFromEnum(signal);
    const bit = @as(u32, 1) << @intCast(number - 1);
    const action: c.Sigaction = .{ .handler = .{ .handler = &countCall }, .mask = std.mem.zeroes(c.sigset_t), .flags = 0 };
    try std.testing.expectEqual(0, c.sigaction(signal, &action, null));

    const first = try signals.line();
    try std.testing.expectEqual(first, try signals.line());
    try std.testing.expectEqual(0, signals.take());
    for (1..4) |round| {
        // A second time it must not become its own predecessor.
        try signals.listen(number, .until_ignored);
        try std.testing.expectEqual(0, pthread_kill(c.pthread_self(), signal));
        try std.testing.expect(system.pollOne(first, false, 0));
        try std.testing.expectEqual(bit, signals.take());
        try std.testing.expectEqual(0, signals.take());
        try std.testing.expectEqual(round, test_handler_calls);
    }

    // When the last listener ends, the handler of before is installed again.
    for (0..3) |_| {
        try std.testing.expect(handlerOf(signal) != &countCall);
        signals.ignore(number);
    }
    try std.testing.expectEqual(&countCall, handlerOf(signal).?);
    signals.ignore(number);
    try std.testing.expectEqual(0, pthread_kill(c.pthread_self(), signal));
    try std.testing.expectEqual(4, test_handler_calls);
    try std.testing.expectEqual(0, signals.take());

    // The next owner of the line has the same descriptor, and none of its predecessor's signals.
    try signals.listen(number, .until_ignored);
    try std.testing.expectEqual(0, pthread_kill(c.pthread_self(), signal));
    signals.threadEnded();
    try std.testing.expectEqual(0, signals.take());
    try std.testing.expectEqual(&countCall, handlerOf(signal).?);
    try std.testing.expectEqual(first, try signals.line());
    try std.testing.expectEqual(0, signals.take());

    // One that is forgotten meanwhile is neither called nor put back.
    try signals.listen(number, .until_ignored);
    signals.forgetPrevious(number);
    try std.testing.expectEqual(0, pthread_kill(c.pthread_self(), signal));
    try std.testing.expectEqual(bit, signals.take());
    try std.testing.expectEqual(5, test_handler_calls);
    signals.threadEnded();
    try std.testing.expectEqual(c.SIG.DFL, handlerOf(signal));
}

test "two signals between two looks are two, however often each has come" {
    const first = try signals.line();
    defer signals.threadEnded();
    for ([_]c.SIG{ .USR1, .WINCH }) |signal| try signals.listen(@intFromEnum(signal), .until_ignored);
    for (0..1000) |_| {
        try std.testing.expectEqual(0, pthread_kill(c.pthread_self(), .USR1));
    }
    try std.testing.expectEqual(0, pthread_kill(c.pthread_self(), .WINCH));
    const both = (@as(u32, 1) << (@intFromEnum(c.SIG.USR1) - 1)) | (@as(u32, 1) << (@intFromEnum(c.SIG.WINCH) - 1));
    try std.testing.expectEqual(both, signals.take());
    try std.testing.expect(!system.pollOne(first, false, 0));
}

test "numbers that are no signal are refused" {
    _ = try signals.line();
    defer signals.threadEnded();
    try std.testing.expectError(error.EINVAL, signals.listen(0, .until_ignored));
    try std.testing.expectError(error.EINVAL, signals.listen(32, .until_ignored));
    // This one cannot be handled.
    try std.testing.expectError(error.EINVAL, signals.listen(@intFromEnum(c.SIG.KILL), .for_ever));
}
