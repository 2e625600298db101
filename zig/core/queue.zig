//! A first-in, first-out list of a table's slots, linked through the slots themselves: it needs no memory
//! of its own, and a member leaves it from wherever it stands.

const std = @import("std");
const assert = std.debug.assert;
const none = @import("pool.zig").none;

pub const Links = struct {
    next: u32 = none,
    previous: u32 = none,
};

/// `field` names the `Links` of this queue in a slot. `table` has a function `at(index)`.
pub fn Queue(comptime field: []const u8) type {
    return struct {
        const Self = @This();

        head: u32 = none,
        tail: u32 = none,
        length: u32 = 0,

        fn linksOf(table: anytype, index: u32) *Links {
            return &@field(table.at(index), field);
        }

        pub fn isEmpty(queue: Self) bool {
            return queue.head == none;
        }

        pub fn contains(queue: *const Self, table: anytype, index: u32) bool {
            return queue.head == index or linksOf(table, index).previous != none;
        }

        /// Does nothing for a slot that is in the queue already.
        pub fn pushBack(queue: *Self, table: anytype, index: u32) void {
            if (queue.contains(table, index)) return;
            linksOf(table, index).* = .{ .previous = queue.tail };
            if (queue.tail == none) queue.head = index else linksOf(table, queue.tail).next = index;
            queue.tail = index;
            queue.length += 1;
        }

        /// Does nothing for a slot that is not in the queue.
        pub fn remove(queue: *Self, table: anytype, index: u32) void {
            if (!queue.contains(table, index)) return;
            const links = linksOf(table, index);
            if (links.previous == none) queue.head = links.next else linksOf(table, links.previous).next = links.next;
            if (links.next == none) queue.tail = links.previous else linksOf(table, links.next).previous = links.previous;
            links.* = .{};
            queue.length -= 1;
        }

        pub fn popFront(queue: *Self, table: anytype) ?u32 {
            if (queue.head == none) return null;
            const index = queue.head;
            queue.remove(table, index);
            assert(queue.head != index);
            return index;
        }
    };
}

test "a queue keeps its order through removals, and has a slot once" {
    const Table = struct {
        slots: [4]struct { due: Links = .{} } = @splat(.{}),

        pub fn at(table: *@This(), index: u32) *@TypeOf(table.slots[0]) {
            return &table.slots[index];
        }
    };
    var table: Table = .{};
    var queue: Queue("due") = .{};
    for ([_]u32{ 2, 0, 3, 0, 1, 2 }) |index| queue.pushBack(&table, index);
    try std.testing.expectEqual(4, queue.length);
    queue.remove(&table, 3);
    queue.remove(&table, 3);
    try std.testing.expect(queue.contains(&table, 2) and !queue.contains(&table, 3));
    for ([_]u32{ 2, 0, 1 }) |index| try std.testing.expectEqual(index, queue.popFront(&table));
    try std.testing.expectEqual(null, queue.popFront(&table));
    try std.testing.expect(!queue.contains(&table, 1));
}
