//! An allocator for what the threads of the core free in their own time.

const std = @import("std");
const c = std.c;
const system = @import("../os/system.zig");

pub const CountingAllocator = struct {
    live: std.atomic.Value(usize) = .init(0),

    const vtable: std.mem.Allocator.VTable = .{
        .alloc = alloc,
        .resize = std.mem.Allocator.noResize,
        .remap = std.mem.Allocator.noRemap,
        .free = free,
    };

    pub fn allocator(counting: *CountingAllocator) std.mem.Allocator {
        return .{ .ptr = counting, .vtable = &vtable };
    }

    /// Waits until no more than so many allocations are left.
    pub fn expectLeft(counting: *CountingAllocator, expected: usize) !void {
        const give_up = system.nanoseconds() + 10 * std.time.ns_per_s;
        while (counting.live.load(.acquire) > expected) {
            if (system.nanoseconds() > give_up) return error.NeverFreed;
            _ = c.sched_yield();
        }
        try std.testing.expectEqual(expected, counting.live.load(.acquire));
    }

    fn alloc(context: *anyopaque, length: usize, alignment: std.mem.Alignment, address: usize) ?[*]u8 {
        const counting: *CountingAllocator = @ptrCast(@alignCast(context));
        const memory = std.heap.c_allocator.rawAlloc(length, alignment, address) orelse return null;
        _ = counting.live.fetchAdd(1, .monotonic);
        return memory;
    }

    fn free(context: *anyopaque, memory: []u8, alignment: std.mem.Alignment, address: usize) void {
        const counting: *CountingAllocator = @ptrCast(@alignCast(context));
        std.heap.c_allocator.rawFree(memory, alignment, address);
        _ = counting.live.fetchSub(1, .release);
    }
};
