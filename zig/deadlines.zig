//! The deadlines of all waiters: a binary heap of points on the monotonic clock. Each waiter knows
//! its place, so that one which is woken early leaves without a search.

const std = @import("std");
const assert = std.debug.assert;
const Waiters = @import("waiters.zig").Waiters;
const none = @import("waiters.zig").none;

pub const Deadlines = struct {
    const Entry = struct {
        nanoseconds: i64,
        waiter: u32,
        /// Orders equal deadlines by age. It wraps, so only differences count.
        sequence: u32,

        fn isBefore(entry: Entry, other: Entry) bool {
            if (entry.nanoseconds != other.nanoseconds) return entry.nanoseconds < other.nanoseconds;
            return @as(i32, @bitCast(entry.sequence -% other.sequence)) < 0;
        }
    };

    heap: std.ArrayList(Entry) = .empty,
    sequence: u32 = 0,

    pub fn deinit(deadlines: *Deadlines, allocator: std.mem.Allocator) void {
        deadlines.heap.deinit(allocator);
    }

    /// The earliest deadline, in nanoseconds of the monotonic clock.
    pub fn earliest(deadlines: *const Deadlines) ?i64 {
        if (deadlines.heap.items.len == 0) return null;
        return deadlines.heap.items[0].nanoseconds;
    }

    /// The waiter whose deadline is the earliest, if that is not after `now`.
    pub fn expired(deadlines: *const Deadlines, now: i64) ?u32 {
        const first = deadlines.earliest() orelse return null;
        if (first > now) return null;
        return deadlines.heap.items[0].waiter;
    }

    pub fn add(
        deadlines: *Deadlines,
        allocator: std.mem.Allocator,
        waiters: *Waiters,
        waiter: u32,
        nanoseconds: i64,
    ) !void {
        assert(waiters.at(waiter).deadline_index == none);
        try deadlines.heap.append(allocator, .{
            .nanoseconds = nanoseconds,
            .waiter = waiter,
            .sequence = deadlines.sequence,
        });
        deadlines.sequence +%= 1;
        deadlines.siftUp(waiters, deadlines.heap.items.len - 1);
    }

    pub fn remove(deadlines: *Deadlines, waiters: *Waiters, waiter: u32) void {
        const index = waiters.at(waiter).deadline_index;
        assert(deadlines.heap.items[index].waiter == waiter);
        waiters.at(waiter).deadline_index = none;
        const last = deadlines.heap.pop().?;
        if (index == deadlines.heap.items.len) return;
        deadlines.place(waiters, index, last);
        deadlines.siftDown(waiters, index);
        deadlines.siftUp(waiters, waiters.at(last.waiter).deadline_index);
    }

    fn place(deadlines: *Deadlines, waiters: *Waiters, index: usize, entry: Entry) void {
        deadlines.heap.items[index] = entry;
        waiters.at(entry.waiter).deadline_index = @intCast(index);
    }

    fn siftUp(deadlines: *Deadlines, waiters: *Waiters, start: usize) void {
        const items = deadlines.heap.items;
        const entry = items[start];
        var index = start;
        while (index > 0) {
            const parent = (index - 1) / 2;
            if (!entry.isBefore(items[parent])) break;
            deadlines.place(waiters, index, items[parent]);
            index = parent;
        }
        deadlines.place(waiters, index, entry);
    }

    fn siftDown(deadlines: *Deadlines, waiters: *Waiters, start: usize) void {
        const items = deadlines.heap.items;
        const entry = items[start];
        var index = start;
        while (true) {
            var child = 2 * index + 1;
            if (child >= items.len) break;
            const right = child + 1;
            if (right < items.len and items[right].isBefore(items[child])) child = right;
            if (!items[child].isBefore(entry)) break;
            deadlines.place(waiters, index, items[child]);
            index = child;
        }
        deadlines.place(waiters, index, entry);
    }
};

test "deadlines come out in order, whatever was removed between" {
    const allocator = std.testing.allocator;
    var waiters: Waiters = .{};
    defer waiters.deinit(allocator);
    var deadlines: Deadlines = .{};
    defer deadlines.deinit(allocator);

    const seed = std.testing.random_seed;
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    var held: [300]u32 = undefined;
    for (&held) |*waiter| {
        waiter.* = waiters.take(allocator, .{}).?;
        const point = random.intRangeAtMost(i64, 0, 1000);
        try deadlines.add(allocator, &waiters, waiter.*, point);
    }
    random.shuffle(u32, &held);
    for (held[0..150]) |waiter| deadlines.remove(&waiters, waiter);
    var last: i64 = -1;
    var count: usize = 0;
    while (deadlines.expired(std.math.maxInt(i64))) |waiter| : (count += 1) {
        const point = deadlines.earliest().?;
        try std.testing.expect(point >= last);
        last = point;
        deadlines.remove(&waiters, waiter);
    }
    try std.testing.expectEqual(150, count);
}

test "nothing expires before its time" {
    const allocator = std.testing.allocator;
    var waiters: Waiters = .{};
    defer waiters.deinit(allocator);
    var deadlines: Deadlines = .{};
    defer deadlines.deinit(allocator);
    const waiter = waiters.take(allocator, .{}).?;
    try deadlines.add(allocator, &waiters, waiter, 100);
    try std.testing.expectEqual(null, deadlines.expired(99));
    try std.testing.expectEqual(waiter, deadlines.expired(100).?);
}

test "equal deadlines come out in the order in which they were set" {
    const allocator = std.testing.allocator;
    var waiters: Waiters = .{};
    defer waiters.deinit(allocator);
    var deadlines: Deadlines = .{};
    defer deadlines.deinit(allocator);
    deadlines.sequence = std.math.maxInt(u32) - 5;
    var held: [20]u32 = undefined;
    for (&held) |*waiter| {
        waiter.* = waiters.take(allocator, .{}).?;
        try deadlines.add(allocator, &waiters, waiter.*, 100);
    }
    for (held) |waiter| {
        try std.testing.expectEqual(waiter, deadlines.expired(100).?);
        deadlines.remove(&waiters, waiter);
    }
}
