//! What a kqueue event means, apart from the backend so that it is tested on every system. The
//! numbers are the same on macOS and FreeBSD (sys/event.h).

const std = @import("std");
const Event = @import("../backend.zig").Event;

const filter_write = -2;
const flag_end = 0x8000;

pub fn translate(token: u64, filter: i16, flags: u16) Event {
    const end = flags & flag_end != 0;
    const for_write = filter == filter_write;
    return .{
        .token = token,
        // The end of the write direction means that the connection is gone: readers learn it too.
        .readable = !for_write or end,
        .writable = for_write,
        .special = end,
    };
}

test "an end of stream on the read filter is a half close" {
    const event = translate(5, -1, flag_end);
    try std.testing.expectEqual(Event{ .token = 5, .readable = true, .writable = false, .special = true }, event);
}

test "an end on the write filter reaches both directions" {
    const event = translate(5, filter_write, flag_end | 1);
    try std.testing.expectEqual(Event{ .token = 5, .readable = true, .writable = true, .special = true }, event);
}

test "readiness without an end is one direction's" {
    try std.testing.expectEqual(Event{ .token = 7, .readable = true }, translate(7, -1, 0x20));
    try std.testing.expectEqual(Event{ .token = 7, .writable = true }, translate(7, filter_write, 0x20));
}
