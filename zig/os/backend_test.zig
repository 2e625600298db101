//! What every readiness backend has to do, on the one of this system.

const std = @import("std");
const c = std.c;
const backend = @import("backend.zig");
const system = @import("system.zig");
const Alarm = backend.Alarm;
const Backend = backend.Backend;
const Event = backend.Event;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

test "the timer, the notifier and a socket each end a wait" {
    var self = try Backend.open();
    defer self.close();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    var events: [backend.events_per_wait]Event = undefined;

    try self.register(pair[0], 42);
    const first = self.wait(&events, 0);
    try expectEqual(1, first.len);
    try expect(first[0].writable and !first[0].readable);
    try expectEqual(0, self.wait(&events, 0).len);

    _ = try system.send(pair[1], "x", 1);
    const second = self.wait(&events, null);
    try expect(second[0].token == 42 and second[0].readable);

    const before = system.nanoseconds();
    try self.setTimer(before + std.time.ns_per_ms);
    try expectEqual(0, self.wait(&events, 10 * std.time.ns_per_s).len);
    const elapsed = system.nanoseconds() - before;
    try expect(elapsed >= std.time.ns_per_ms and elapsed < 5 * std.time.ns_per_s);

    self.notify();
    try expect(system.pollOne(self.descriptor(), false, 0));
    try expectEqual(0, self.wait(&events, null).len);
}

test "the longest wait is one that the system takes" {
    var self = try Backend.open();
    defer self.close();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    try self.register(pair[0], 42);
    var events: [backend.events_per_wait]Event = undefined;
    // One that is refused looks like one without events.
    try expectEqual(1, self.wait(&events, std.math.maxInt(i64)).len);
    try self.setTimer(std.math.maxInt(i64));
    try expectEqual(0, self.wait(&events, 0).len);
    try expect(!self.timer_has_fired);
}

test "a timer may be moved, and one whose time has passed goes off at once" {
    var self = try Backend.open();
    defer self.close();
    var events: [backend.events_per_wait]Event = undefined;
    const now = system.nanoseconds();
    try self.setTimer(now + 3600 * std.time.ns_per_s);
    for ([_]i64{ now + std.time.ns_per_ms, now, 1, -1 }) |point| {
        self.timer_has_fired = false;
        try self.setTimer(point);
        try expect(system.pollOne(self.descriptor(), false, 10_000));
        try expectEqual(0, self.wait(&events, 0).len);
        try expect(self.timer_has_fired);
        try expect(!system.pollOne(self.descriptor(), false, 0));
    }
}

test "the end of what is sent here is nothing to be read" {
    var self = try Backend.open();
    defer self.close();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    var events: [backend.events_per_wait]Event = undefined;
    try self.register(pair[0], 42);
    try expectEqual(1, self.wait(&events, 0).len);
    try expectEqual(0, c.shutdown(pair[0], c.SHUT.WR));
    for (self.wait(&events, 0)) |event| try expect(!event.readable and !event.special);
    // The peer learns of it, and what the peer ends is an event here.
    system.close(pair[1]);
    const ended = self.wait(&events, 10 * std.time.ns_per_s);
    try expect(ended.len > 0);
    var is_readable = false;
    for (ended) |event| is_readable = is_readable or (event.readable and event.special);
    try expect(is_readable);
}

test "input that is still there is reported once more when it is asked for" {
    var self = try Backend.open();
    defer self.close();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    var events: [backend.events_per_wait]Event = undefined;
    try self.register(pair[0], 42);
    _ = try system.send(pair[1], "x", 1);
    try expect(self.wait(&events, 0).len > 0);
    try expectEqual(0, self.wait(&events, 0).len);
    self.rearm(pair[0], 42);
    const again = self.wait(&events, 0);
    try expect(again.len > 0 and again[0].token == 42 and again[0].readable);
    self.unregister(pair[0]);
    _ = try system.send(pair[1], "x", 1);
    try expectEqual(0, self.wait(&events, 0).len);
}

test "a watched descriptor reports what it was watched for, once" {
    var self = try Backend.open();
    defer self.close();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    var events: [backend.events_per_wait]Event = undefined;
    for (0..2) |turn| {
        try self.watch(pair[0], 7, .{ .readable = true, .writable = false }, turn == 0);
        try expectEqual(0, self.wait(&events, 0).len);
        _ = try system.send(pair[1], "x", 1);
        const ready = self.wait(&events, 10 * std.time.ns_per_s);
        try expectEqual(1, ready.len);
        try expectEqual(Event{ .token = 7, .readable = true }, ready[0]);
        try expectEqual(0, self.wait(&events, 0).len);
        var byte: [1]u8 = undefined;
        _ = try system.receive(pair[0], &byte, 1);
    }
    try self.watch(pair[0], 7, .{ .readable = false, .writable = true }, false);
    // Our own end of the stream is none of the peer's.
    try expectEqual(0, c.shutdown(pair[0], c.SHUT.WR));
    try expectEqual(Event{ .token = 7, .writable = true }, self.wait(&events, 10 * std.time.ns_per_s)[0]);
}

test "an alarm reports once for each time that it is armed" {
    var self = try Backend.open();
    defer self.close();
    const bell = system.socketPair().?;
    defer system.close(bell[0]);
    const alarm = try Alarm.open(self, bell[0]);
    defer alarm.close();

    self.notify();
    try expect(!system.pollOne(alarm.outer, false, 0));
    alarm.arm();
    try expectEqual(.ready, alarm.wait());
    try expect(!system.pollOne(alarm.outer, false, 0));
    system.close(bell[1]);
    try expectEqual(.hangup, alarm.wait());
}
