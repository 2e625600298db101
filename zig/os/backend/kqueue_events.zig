//! What passes between kqueue(2) and the backend, apart from it so that it is tested on every system:
//! what an event means, and which times the kernels take. The numbers are the same on macOS and FreeBSD
//! (sys/event.h).

const std = @import("std");
const Event = @import("events.zig").Event;

const filter_read = -1;
const filter_write = -2;
const flag_end = 0x8000;

/// Each filter reports its own direction only. EV_EOF on the write filter means that nothing can be sent
/// any more, which shutdown(2) causes as well. When the connection is gone, the read filter has
/// an event too.
pub fn translate(token: u64, filter: i16, flags: u16) Event {
    const for_write = filter == filter_write;
    return .{
        .token = token,
        .readable = !for_write,
        .writable = for_write,
        .special = !for_write and flags & flag_end != 0,
    };
}

/// XNU and FreeBSD refuse longer waits (EINVAL). Each has another limit; the shorter one is
/// 100,000,000 seconds; FreeBSD's timers wrap around. A longer wait is done as several.
const longest_wait_nanoseconds = 24 * std.time.ns_per_hour;

pub fn boundedWait(nanoseconds: i64) i64 {
    return std.math.clamp(nanoseconds, 0, longest_wait_nanoseconds);
}

/// How long from `now` on a timer runs that goes off at this point, or earlier if that is far away. A timer
/// of 0 would be one without a time.
pub fn timerDelay(point_nanoseconds: i64, now_nanoseconds: i64) i64 {
    return std.math.clamp(point_nanoseconds -| now_nanoseconds, 1, longest_wait_nanoseconds);
}

test "an end of stream on the read filter is a half close" {
    const event = translate(5, filter_read, flag_end);
    try std.testing.expectEqual(Event{ .token = 5, .readable = true, .writable = false, .special = true }, event);
}

test "an end on the write filter, which shutdown makes, is nothing to be read" {
    const event = translate(5, filter_write, flag_end | 1);
    try std.testing.expectEqual(Event{ .token = 5, .readable = false, .writable = true, .special = false }, event);
}

test "readiness without an end is one direction's" {
    try std.testing.expectEqual(Event{ .token = 7, .readable = true }, translate(7, filter_read, 0x20));
    try std.testing.expectEqual(Event{ .token = 7, .writable = true }, translate(7, filter_write, 0x20));
}

test "no wait is longer than the kernels take, and none is negative" {
    const longest_accepted = 100_000_000 * std.time.ns_per_s;
    for ([_]i64{ longest_accepted + 1, std.math.maxInt(i64) }) |nanoseconds| {
        try std.testing.expect(boundedWait(nanoseconds) <= longest_accepted);
        try std.testing.expect(boundedWait(nanoseconds) >= std.time.ns_per_hour);
    }
    try std.testing.expectEqual(0, boundedWait(-1));
    for ([_]i64{ 0, 1, std.time.ns_per_s, 3 * std.time.ns_per_hour }) |nanoseconds| {
        try std.testing.expectEqual(nanoseconds, boundedWait(nanoseconds));
    }
}

test "a timer runs until its point, at least for a moment and at most for what the kernels take" {
    try std.testing.expectEqual(5, timerDelay(105, 100));
    for ([_]i64{ std.math.minInt(i64), 0, 99, 100 }) |point| {
        try std.testing.expectEqual(1, timerDelay(point, 100));
    }
    const longest_accepted = 100_000_000 * std.time.ns_per_s;
    try std.testing.expect(timerDelay(std.math.maxInt(i64), 100) <= longest_accepted);
    try std.testing.expect(timerDelay(std.math.maxInt(i64), -100) <= longest_accepted);
}
