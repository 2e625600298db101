//! A table of numbered slots. It grows in chunks and never moves a slot. It hands out the slot that
//! has been free for longest, so that a slot's generation wraps as late as possible.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;

/// `Slot` needs a field `next: Index`, which belongs to the pool while the slot is free. `Index` is an
/// enumeration of this pool alone (`indices.zig`).
pub fn Pool(comptime Slot: type, comptime Index: type, comptime limit: u32) type {
    return struct {
        const Self = @This();
        const chunk_slots = 256;
        comptime {
            std.debug.assert(limit % chunk_slots == 0);
            std.debug.assert(limit <= @intFromEnum(Index.none));
        }

        chunks: std.ArrayList(*[chunk_slots]Slot) = .empty,
        /// Slots that exist, in use or free; every number below this is valid for `at`.
        length: u32 = 0,
        in_use: u32 = 0,
        free_head: Index = .none,
        free_tail: Index = .none,

        pub fn deinit(pool: *Self, allocator: std.mem.Allocator) void {
            for (pool.chunks.items) |chunk| allocator.destroy(chunk);
            pool.chunks.deinit(allocator);
        }

        pub fn at(pool: *const Self, index: Index) *Slot {
            const number = @intFromEnum(index);
            assert(number < pool.length, "a table has no slot of this number");
            return &pool.chunks.items[number / chunk_slots][number % chunk_slots];
        }

        /// The index of a slot that exists, in use or free, by a number from outside.
        pub fn find(pool: *const Self, number: u32) ?Index {
            return if (number < pool.length) @enumFromInt(number) else null;
        }

        /// A free slot with the content that its last owner left, or null when the table is full or memory is
        /// out. A slot that was never in use is `initial`.
        pub fn take(pool: *Self, allocator: std.mem.Allocator, initial: Slot) ?Index {
            if (pool.free_head == .none) pool.grow(allocator, initial) catch return null;
            const index = pool.free_head;
            const slot = pool.at(index);
            pool.free_head = slot.next;
            if (pool.free_head == .none) pool.free_tail = .none;
            slot.next = .none;
            pool.in_use += 1;
            assert(pool.in_use <= pool.length, "a table has more slots in use than it has");
            return index;
        }

        pub fn release(pool: *Self, index: Index) void {
            assert(pool.in_use > 0, "a slot is released of a table that has none in use");
            pool.in_use -= 1;
            pool.append(index);
        }

        fn append(pool: *Self, index: Index) void {
            const slot = pool.at(index);
            assert(slot.next == .none and pool.free_tail != index, "a slot is released twice");
            if (pool.free_tail == .none) pool.free_head = index else pool.at(pool.free_tail).next = index;
            pool.free_tail = index;
        }

        fn grow(pool: *Self, allocator: std.mem.Allocator, initial: Slot) !void {
            assert(initial.next == .none, "a new slot is in a list");
            if (pool.length == limit) return error.LimitReached;
            const chunk = try allocator.create([chunk_slots]Slot);
            errdefer allocator.destroy(chunk);
            chunk.* = @splat(initial);
            try pool.chunks.append(allocator, chunk);
            const first = pool.length;
            pool.length += chunk_slots;
            for (first..pool.length) |number| pool.append(@enumFromInt(number));
        }
    };
}

const TestIndex = enum(u32) { none = std.math.maxInt(u32), _ };

test "the slot that has been free for longest is taken next" {
    const Slot = struct { next: TestIndex = .none, mark: u8 = 0 };
    var pool: Pool(Slot, TestIndex, 512) = .{};
    defer pool.deinit(std.testing.allocator);
    const first = pool.take(std.testing.allocator, .{}).?;
    pool.at(first).mark = 7;
    pool.release(first);
    for (0..255) |_| {
        const index = pool.take(std.testing.allocator, .{}).?;
        try std.testing.expect(index != first);
    }
    try std.testing.expectEqual(first, pool.take(std.testing.allocator, .{}).?);
    try std.testing.expectEqual(@as(u8, 7), pool.at(first).mark);
}

test "a full pool says so" {
    const Slot = struct { next: TestIndex = .none };
    var pool: Pool(Slot, TestIndex, 256) = .{};
    defer pool.deinit(std.testing.allocator);
    for (0..256) |_| _ = pool.take(std.testing.allocator, .{}).?;
    try std.testing.expectEqual(null, pool.take(std.testing.allocator, .{}));
    const third = pool.find(3).?;
    pool.release(third);
    try std.testing.expectEqual(third, pool.take(std.testing.allocator, .{}));
    try std.testing.expectEqual(null, pool.find(256));
}
