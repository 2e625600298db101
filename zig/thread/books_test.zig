//! Holds a thread's books against its tables: whether every waiter and every socket is where its state says.

const std = @import("std");
const indices = @import("../core/indices.zig");
const waiters = @import("../core/waiters.zig");
const Owner = @import("../core/deadlines.zig").Owner;
const Queue = waiters.Queue;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const SocketIndex = indices.SocketIndex;
const Thread = @import("thread.zig").Thread;
const WaiterIndex = indices.WaiterIndex;
const Watch = @import("../net/watching.zig").Watch;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

/// Fails unless they are, each queue is whole, and the counts in the shared block are right.
pub fn check(thread: *Thread) !void {
    const scheduler = &thread.scheduler;
    const State = waiters.Waiter.State;
    var in_state: [@typeInfo(State).@"enum".fields.len]u32 = @splat(0);
    var watching: u32 = 0;
    var with_deadline: usize = 0;
    for (0..scheduler.waiters.length) |number| {
        const index: WaiterIndex = @enumFromInt(number);
        const waiter = scheduler.waiters.at(index);
        in_state[@intFromEnum(waiter.state)] += 1;
        if (waiter.deadline_index != .none) {
            try expectEqual(.waiting, waiter.state);
            try checkDeadline(scheduler, &waiter.deadline_index, .{ .waiter = index });
            with_deadline += 1;
        }
        if (waiter.state != .waiting) continue;
        switch (waiter.kind) {
            .sleep, .resolve => {},
            .handshake => {
                const connection = thread.tls.connections.at(scheduler.sockets.at(waiter.socket).tls);
                try expectEqual(index, connection.waiter);
            },
            .watch_readable, .watch_writable => watching += 1,
        }
    }
    const waiting = in_state[@intFromEnum(State.waiting)];
    const ready = in_state[@intFromEnum(State.ready)];
    const delivered = in_state[@intFromEnum(State.delivered)];
    try expectEqual(scheduler.shared.ready, scheduler.changed.length + ready);
    try expectEqual(scheduler.shared.waiters, waiting + ready);
    try expectEqual(scheduler.waiters.in_use, waiting + ready + delivered);
    try expectEqual(ready, try lengthOf(scheduler, scheduler.ready, .ready));
    try expectEqual(delivered, try lengthOf(scheduler, scheduler.delivered, .delivered));
    with_deadline += try checkSockets(thread, watching);
    try expectEqual(scheduler.deadlines.heap.items.len, with_deadline);
}

fn checkDeadline(scheduler: *Scheduler, place: *indices.DeadlineIndex, owner: Owner) !void {
    const entry = scheduler.deadlines.heap.items[@intFromEnum(place.*)];
    try expectEqual(owner, entry.owner);
    try expectEqual(place, entry.place);
}

/// Returns the number of deadlines that sockets have.
fn checkSockets(thread: *Thread, waiters_watching: u32) !u32 {
    const scheduler = &thread.scheduler;
    var open: u32 = 0;
    var lingering: u32 = 0;
    var watched: u32 = 0;
    var queued: u32 = 0;
    var changed: u32 = 0;
    for (0..scheduler.sockets.pool.length) |number| {
        const index: SocketIndex = @enumFromInt(number);
        const socket = scheduler.sockets.at(index);
        const is_changed = scheduler.changed.contains(&scheduler.sockets, index);
        try expectEqual(is_changed, socket.unreported != 0);
        try expectEqual(socket.kind == .lingering, socket.deadline_index != .none);
        if (is_changed) {
            changed += 1;
            try expect(socket.kind == .stream or socket.kind == .listener);
        }
        if (socket.kind == .free) continue;
        open += 1;
        try expectEqual(index, socket.index);
        switch (socket.kind) {
            .free => unreachable,
            .stream, .listener => {},
            .lingering => {
                lingering += 1;
                try checkDeadline(scheduler, &socket.deadline_index, .{ .socket = index });
            },
            .watched => {
                watched += 1;
                queued += try checkWatch(scheduler, thread.watching.watches.get(socket.fd).?, index);
            },
        }
    }
    try expectEqual(scheduler.changed.length, changed);
    try expectEqual(scheduler.shared.sockets, open);
    try expectEqual(scheduler.sockets.pool.in_use, open);
    try expectEqual(scheduler.shared.lingering, lingering);
    try expectEqual(thread.watching.watches.count(), watched);
    try expectEqual(waiters_watching, queued);
    return lingering;
}

fn checkWatch(scheduler: *Scheduler, watch: Watch, slot: SocketIndex) !u32 {
    try expectEqual(slot, watch.slot);
    var count: u32 = 0;
    for ([_]Queue{ watch.readers, watch.writers }, [_]waiters.Waiter.Kind{ .watch_readable, .watch_writable }) |queue, kind| {
        count += try lengthOf(scheduler, queue, .waiting);
        var next = queue.head;
        while (next != .none) : (next = scheduler.waiters.at(next).links.next) {
            try expectEqual(kind, scheduler.waiters.at(next).kind);
            try expectEqual(slot, scheduler.waiters.at(next).socket);
        }
    }
    // The last one to leave takes the record along.
    try expect(count > 0);
    return count;
}

fn lengthOf(scheduler: *Scheduler, queue: Queue, state: waiters.Waiter.State) !u32 {
    var length: u32 = 0;
    var previous: WaiterIndex = .none;
    var next = queue.head;
    while (next != .none) : (next = scheduler.waiters.at(next).links.next) {
        try expectEqual(previous, scheduler.waiters.at(next).links.previous);
        try expectEqual(state, scheduler.waiters.at(next).state);
        previous = next;
        length += 1;
        try expect(length <= scheduler.waiters.length);
    }
    try expectEqual(queue.tail, previous);
    try expectEqual(queue.length, length);
    return length;
}
