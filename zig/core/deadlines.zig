//! A binary heap of deadlines: points on the monotonic clock, each owned by a waiter or a lingering socket. The
//! owner holds its place in the heap, so that a deadline is removed without a search.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const indices = @import("indices.zig");
const DeadlineIndex = indices.DeadlineIndex;

/// Whose deadline it is.
pub const Owner = union(enum) {
    waiter: indices.WaiterIndex,
    socket: indices.SocketIndex,
};

pub const Deadlines = struct {
    const Entry = struct {
        nanoseconds: i64,
        owner: Owner,
        /// Orders equal deadlines by age. It wraps, so only differences count.
        sequence: u32,
        /// Where the owner keeps its place. Slots never move while they are in use.
        place: *DeadlineIndex,

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

    /// The owner of the earliest deadline, if that is not after `now`.
    pub fn expired(deadlines: *const Deadlines, now: i64) ?Owner {
        const first = deadlines.earliest() orelse return null;
        if (first > now) return null;
        return deadlines.heap.items[0].owner;
    }

    pub fn add(deadlines: *Deadlines, allocator: std.mem.Allocator, owner: Owner, place: *DeadlineIndex, nanoseconds: i64) !void {
        assert(place.* == .none, "an owner gets a second deadline");
        try deadlines.heap.append(allocator, .{
            .nanoseconds = nanoseconds,
            .owner = owner,
            .sequence = deadlines.sequence,
            .place = place,
        });
        deadlines.sequence +%= 1;
        deadlines.siftUp(deadlines.heap.items.len - 1);
    }

    /// Does nothing for an owner that has no deadline.
    pub fn remove(deadlines: *Deadlines, place: *DeadlineIndex) void {
        if (place.* == .none) return;
        const index = @intFromEnum(place.*);
        assert(index < deadlines.heap.items.len, "a deadline is beyond the end of the heap");
        assert(deadlines.heap.items[index].place == place, "a deadline is another owner's");
        place.* = .none;
        const last = deadlines.heap.pop().?;
        if (index == deadlines.heap.items.len) return;
        deadlines.put(index, last);
        deadlines.siftDown(index);
        deadlines.siftUp(@intFromEnum(last.place.*));
    }

    fn put(deadlines: *Deadlines, index: usize, entry: Entry) void {
        deadlines.heap.items[index] = entry;
        entry.place.* = @enumFromInt(index);
    }

    fn siftUp(deadlines: *Deadlines, start: usize) void {
        const items = deadlines.heap.items;
        const entry = items[start];
        var index = start;
        while (index > 0) {
            const parent = (index - 1) / 2;
            if (!entry.isBefore(items[parent])) break;
            deadlines.put(index, items[parent]);
            index = parent;
        }
        deadlines.put(index, entry);
    }

    fn siftDown(deadlines: *Deadlines, start: usize) void {
        const items = deadlines.heap.items;
        const entry = items[start];
        var index = start;
        while (true) {
            var child = 2 * index + 1;
            if (child >= items.len) break;
            const right = child + 1;
            if (right < items.len and items[right].isBefore(items[child])) child = right;
            if (!items[child].isBefore(entry)) break;
            deadlines.put(index, items[child]);
            index = child;
        }
        deadlines.put(index, entry);
    }
};

test "deadlines come out in order after others were removed" {
    const allocator = std.testing.allocator;
    var deadlines: Deadlines = .{};
    defer deadlines.deinit(allocator);

    var prng = std.Random.DefaultPrng.init(std.testing.random_seed);
    const random = prng.random();
    var places: [300]DeadlineIndex = @splat(.none);
    var owners: [300]u32 = undefined;
    for (&owners, 0..) |*owner, index| {
        owner.* = @intCast(index);
        const point = random.intRangeAtMost(i64, 0, 1000);
        try deadlines.add(allocator, .{ .waiter = @enumFromInt(owner.*) }, &places[index], point);
    }
    random.shuffle(u32, &owners);
    for (owners[0..150]) |owner| deadlines.remove(&places[owner]);
    var last: i64 = -1;
    var count: usize = 0;
    while (deadlines.expired(std.math.maxInt(i64))) |owner| : (count += 1) {
        const point = deadlines.earliest().?;
        try std.testing.expect(point >= last);
        last = point;
        deadlines.remove(&places[@intFromEnum(owner.waiter)]);
    }
    try std.testing.expectEqual(150, count);
    for (places) |place| try std.testing.expectEqual(.none, place);
}

test "nothing expires before its time" {
    const allocator = std.testing.allocator;
    var deadlines: Deadlines = .{};
    defer deadlines.deinit(allocator);
    var place: DeadlineIndex = .none;
    try deadlines.add(allocator, .{ .socket = @enumFromInt(7) }, &place, 100);
    try std.testing.expectEqual(null, deadlines.expired(99));
    try std.testing.expectEqual(Owner{ .socket = @enumFromInt(7) }, deadlines.expired(100).?);
}

test "equal deadlines come out in the order in which they were set" {
    const allocator = std.testing.allocator;
    var deadlines: Deadlines = .{};
    defer deadlines.deinit(allocator);
    deadlines.sequence = std.math.maxInt(u32) - 5;
    var places: [20]DeadlineIndex = @splat(.none);
    for (&places, 0..) |*place, index| {
        try deadlines.add(allocator, .{ .waiter = @enumFromInt(index) }, place, 100);
    }
    for (&places, 0..) |*place, index| {
        try std.testing.expectEqual(Owner{ .waiter = @enumFromInt(index) }, deadlines.expired(100).?);
        deadlines.remove(place);
    }
}
