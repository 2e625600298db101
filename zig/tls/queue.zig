//! A first-in, first-out list of sessions, linked through the sessions themselves: it needs no memory
//! of its own, and a session that ends leaves it at once.

const std = @import("std");
const assert = std.debug.assert;
const none = @import("../pool.zig").none;

pub const Links = struct {
    next: u32 = none,
    previous: u32 = none,
    is_member: bool = false,
};

/// `field` names the `Links` of this queue in the session.
pub fn Queue(comptime field: []const u8) type {
    return struct {
        const Self = @This();

        head: u32 = none,
        tail: u32 = none,
        length: u32 = 0,

        fn linksOf(sessions: anytype, index: u32) *Links {
            return &@field(sessions.at(index), field);
        }

        /// Does nothing for a session that is in the queue already.
        pub fn pushBack(queue: *Self, sessions: anytype, index: u32) void {
            const links = linksOf(sessions, index);
            if (links.is_member) return;
            links.* = .{ .previous = queue.tail, .is_member = true };
            if (queue.tail == none) queue.head = index else linksOf(sessions, queue.tail).next = index;
            queue.tail = index;
            queue.length += 1;
        }

        /// Does nothing for a session that is not in the queue.
        pub fn remove(queue: *Self, sessions: anytype, index: u32) void {
            const links = linksOf(sessions, index);
            if (!links.is_member) return;
            if (links.previous == none) queue.head = links.next else linksOf(sessions, links.previous).next = links.next;
            if (links.next == none) queue.tail = links.previous else linksOf(sessions, links.next).previous = links.previous;
            links.* = .{};
            queue.length -= 1;
        }

        pub fn popFront(queue: *Self, sessions: anytype) ?u32 {
            if (queue.head == none) return null;
            const index = queue.head;
            queue.remove(sessions, index);
            assert(queue.head != index);
            return index;
        }
    };
}

test "a queue keeps its order through removals and takes nobody twice" {
    const Table = struct {
        slots: [4]struct { due: Links = .{} } = @splat(.{}),

        pub fn at(table: *@This(), index: u32) *@TypeOf(table.slots[0]) {
            return &table.slots[index];
        }
    };
    var table: Table = .{};
    var queue: Queue("due") = .{};
    for ([_]u32{ 2, 0, 3, 0, 1 }) |index| queue.pushBack(&table, index);
    try std.testing.expectEqual(4, queue.length);
    queue.remove(&table, 3);
    queue.remove(&table, 3);
    for ([_]u32{ 2, 0, 1 }) |index| try std.testing.expectEqual(index, queue.popFront(&table));
    try std.testing.expectEqual(null, queue.popFront(&table));
}
