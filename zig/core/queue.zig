//! A first-in, first-out queue of a table's slots, linked through the slots themselves. It allocates nothing,
//! and a member can leave it from any place.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
/// What a slot holds for a queue that it can be in.
pub fn Links(comptime Index: type) type {
    return struct { next: Index = .none, previous: Index = .none };
}

/// `field` names the links of this queue in a slot. `table` has a function `at(index)`.
pub fn Queue(comptime Index: type, comptime field: []const u8) type {
    return struct {
        const Self = @This();

        head: Index = .none,
        tail: Index = .none,
        length: u32 = 0,

        fn linksOf(table: anytype, index: Index) *Links(Index) {
            return &@field(table.at(index), field);
        }

        pub fn isEmpty(queue: Self) bool {
            return queue.head == .none;
        }

        pub fn contains(queue: *const Self, table: anytype, index: Index) bool {
            return queue.head == index or linksOf(table, index).previous != .none;
        }

        /// Does nothing for a slot that is in the queue already.
        pub fn pushBack(queue: *Self, table: anytype, index: Index) void {
            if (queue.contains(table, index)) return;
            linksOf(table, index).* = .{ .previous = queue.tail };
            if (queue.tail == .none) queue.head = index else linksOf(table, queue.tail).next = index;
            queue.tail = index;
            queue.length += 1;
        }

        /// Does nothing for a slot that is not in the queue.
        pub fn remove(queue: *Self, table: anytype, index: Index) void {
            if (!queue.contains(table, index)) return;
            const links = linksOf(table, index);
            if (links.previous == .none) queue.head = links.next else linksOf(table, links.previous).next = links.next;
            if (links.next == .none) queue.tail = links.previous else linksOf(table, links.next).previous = links.previous;
            links.* = .{};
            queue.length -= 1;
            assert((queue.length == 0) == (queue.head == .none) and (queue.head == .none) == (queue.tail == .none), "a queue has lost its members or its length");
        }

        pub fn popFront(queue: *Self, table: anytype) ?Index {
            if (queue.head == .none) return null;
            const index = queue.head;
            queue.remove(table, index);
            assert(queue.head != index, "a queue has a member twice");
            return index;
        }
    };
}

test "a queue keeps its order through removals, and has a slot once" {
    const Index = enum(u32) { first, second, third, fourth, none = std.math.maxInt(u32) };
    const Table = struct {
        slots: [4]struct { due: Links(Index) = .{} } = @splat(.{}),

        pub fn at(table: *@This(), index: Index) *@TypeOf(table.slots[0]) {
            return &table.slots[@intFromEnum(index)];
        }
    };
    var table: Table = .{};
    var queue: Queue(Index, "due") = .{};
    for ([_]Index{ .third, .first, .fourth, .first, .second, .third }) |index| queue.pushBack(&table, index);
    try std.testing.expectEqual(4, queue.length);
    queue.remove(&table, .fourth);
    queue.remove(&table, .fourth);
    try std.testing.expect(queue.contains(&table, .third) and !queue.contains(&table, .fourth));
    for ([_]Index{ .third, .first, .second }) |index| try std.testing.expectEqual(index, queue.popFront(&table));
    try std.testing.expectEqual(null, queue.popFront(&table));
    try std.testing.expect(!queue.contains(&table, .second));
}
