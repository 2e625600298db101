//! Waiters: whatever suspends is one. A waiter is on at most one queue (its socket's, the ready
//! queue, or the queue of delivered waiters) and has at most one deadline. It is woken once.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("abi.zig");
const Pool = @import("pool.zig").Pool;

pub const none = @import("pool.zig").none;

pub const Waiter = struct {
    pub const State = enum(u8) {
        free,
        waiting,
        /// Woken, in the ready queue.
        ready,
        /// Written to the ring. The number stays taken until the next poll, for TypeScript reads
        /// the ring while new waiters are made.
        delivered,
    };

    next: u32 = none,
    previous: u32 = none,
    /// The place in the deadline heap, or none.
    deadline_index: u32 = none,
    /// The socket that it waits for, or none.
    socket: u32 = none,
    kind: abi.WaitKind = .sleep,
    status: abi.Status = .ok,
    state: State = .free,
    /// Parked in the middle of a transfer, whose turn it keeps.
    keeps_turn: bool = false,
};

pub const Waiters = Pool(Waiter, abi.Limits.waiters);

/// A first-in, first-out list of waiters, linked through the waiters themselves.
pub const Queue = struct {
    head: u32 = none,
    tail: u32 = none,

    pub fn isEmpty(queue: Queue) bool {
        return queue.head == none;
    }

    pub fn pushBack(queue: *Queue, waiters: *Waiters, index: u32) void {
        const waiter = waiters.at(index);
        waiter.next = none;
        waiter.previous = queue.tail;
        if (queue.tail == none) queue.head = index else waiters.at(queue.tail).next = index;
        queue.tail = index;
    }

    pub fn pushFront(queue: *Queue, waiters: *Waiters, index: u32) void {
        const waiter = waiters.at(index);
        waiter.previous = none;
        waiter.next = queue.head;
        if (queue.head == none) queue.tail = index else waiters.at(queue.head).previous = index;
        queue.head = index;
    }

    pub fn remove(queue: *Queue, waiters: *Waiters, index: u32) void {
        const waiter = waiters.at(index);
        if (waiter.previous == none) {
            assert(queue.head == index);
            queue.head = waiter.next;
        } else waiters.at(waiter.previous).next = waiter.next;
        if (waiter.next == none) {
            assert(queue.tail == index);
            queue.tail = waiter.previous;
        } else waiters.at(waiter.next).previous = waiter.previous;
        waiter.next = none;
        waiter.previous = none;
    }

    pub fn popFront(queue: *Queue, waiters: *Waiters) ?u32 {
        if (queue.head == none) return null;
        const index = queue.head;
        queue.remove(waiters, index);
        return index;
    }
};

test "a queue keeps its order through removals" {
    const allocator = std.testing.allocator;
    var waiters: Waiters = .{};
    defer waiters.deinit(allocator);
    var queue: Queue = .{};
    var indices: [4]u32 = undefined;
    for (&indices) |*index| {
        index.* = waiters.take(allocator, .{}).?;
        queue.pushBack(&waiters, index.*);
    }
    queue.remove(&waiters, indices[1]);
    queue.remove(&waiters, indices[3]);
    queue.pushFront(&waiters, indices[3]);
    try std.testing.expectEqual(indices[3], queue.popFront(&waiters).?);
    try std.testing.expectEqual(indices[0], queue.popFront(&waiters).?);
    try std.testing.expectEqual(indices[2], queue.popFront(&waiters).?);
    try std.testing.expectEqual(null, queue.popFront(&waiters));
}
