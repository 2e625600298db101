//! Thousands of random calls over a few dozen connections, against a model that knows who may be
//! woken, in which order, and which bytes have to arrive.

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const addresses = @import("../os/addresses.zig");
const connections = @import("connections.zig");
const endpoints = @import("../net/endpoints.zig");
const system = @import("../os/system.zig");
const harness_module = @import("harness_test.zig");
const WaiterIndex = @import("../core/indices.zig").WaiterIndex;
const Error = @import("../os/errors.zig").Error;
const Harness = harness_module.Harness;
const Status = abi.Status;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

const operations = 40_000;
const links = 32;
/// Those whom the model lets wait at one time.
const waiters_at_most = 600;
const longest_transfer = 20_000;

/// One end of a connection, and what has gone through it.
const End = struct {
    handle: ?SocketHandle = null,
    peer: *End,
    pattern: u32 = 0,
    sent: usize = 0,
    received: usize = 0,
    is_shut: bool = false,
    is_reset: bool = false,
    reading: enum { open, ended, failed } = .open,
    /// Who waits, in the order in which they are to be woken.
    readers: std.ArrayList(WaiterIndex) = .empty,
    writers: std.ArrayList(WaiterIndex) = .empty,
    /// The writer that is in the middle of a transfer.
    partial: ?WaiterIndex = null,

    fn byteAt(end: *const End, position: usize) u8 {
        return @truncate(position *% 167 +% (position >> 8) *% 13 +% end.pattern);
    }

    fn queueOf(end: *End, purpose: Entry.Purpose) *std.ArrayList(WaiterIndex) {
        return if (purpose == .read) &end.readers else &end.writers;
    }
};

const Entry = struct {
    const Purpose = enum { sleep, read, write, shutdown };
    purpose: Purpose,
    end: *End = undefined,
    deadline: ?i64 = null,
    /// What it is woken with, if that is decided.
    fate: ?Status = null,
    /// Bytes that are still to be sent.
    remaining: usize = 0,
};

const World = struct {
    harness: Harness,
    random: std.Random,
    ends: [2 * links]End = undefined,
    /// By the numbers of those who wait, which a token of the harness never shares with another.
    entries: std.AutoArrayHashMapUnmanaged(WaiterIndex, Entry) = .empty,
    patterns: u32 = 0,
    buffer: [longest_transfer]u8 = undefined,

    const allocator = std.testing.allocator;

    fn init(world: *World) !void {
        for (&world.ends, 0..) |*end, place| end.* = .{ .peer = &world.ends[place ^ 1] };
        for (0..links) |link| try world.connect(&world.ends[2 * link]);
    }

    fn deinit(world: *World) void {
        for (&world.ends) |*end| {
            end.readers.deinit(allocator);
            end.writers.deinit(allocator);
        }
        world.entries.deinit(allocator);
        world.harness.deinit();
    }

    fn connect(world: *World, first: *End) !void {
        const pair = if (world.random.uintLessThan(u8, 4) == 0) try tcpPair() else try unixPair();
        for ([_]*End{ first, first.peer }, pair) |end, fd| {
            try expect(end.handle == null);
            const handle = try harness_module.handleOf(endpoints.adopt(world.harness.scheduler, fd));
            world.patterns += 89;
            // The lists go on, empty.
            end.* = .{
                .handle = handle,
                .peer = end.peer,
                .pattern = world.patterns,
                .readers = end.readers,
                .writers = end.writers,
            };
        }
    }

    // -- Waiters

    fn enter(world: *World, waiter: WaiterIndex, entry: Entry) !void {
        const place = try world.entries.getOrPut(allocator, waiter);
        try expect(!place.found_existing);
        place.value_ptr.* = entry;
    }

    fn someDeadline(world: *World) ?i64 {
        return switch (world.random.uintLessThan(u8, 10)) {
            0 => 1,
            1...3 => system.nanoseconds() + world.random.uintLessThan(u32, 2 * std.time.ns_per_ms),
            else => null,
        };
    }

    fn park(world: *World, end: *End, purpose: Entry.Purpose, remaining: usize, keeps_turn: bool) !void {
        const deadline = world.someDeadline();
        const direction: abi.Direction = if (purpose == .read) .readable else .writable;
        const waiter = world.harness.enter(end.handle.?, direction, deadline, keeps_turn);
        try world.enter(waiter, .{
            .purpose = purpose,
            .end = end,
            .deadline = deadline,
            .remaining = remaining,
        });
        const queue = end.queueOf(purpose);
        try queue.insert(allocator, if (keeps_turn) 0 else queue.items.len, waiter);
    }

    fn leaveQueue(world: *World, waiter: WaiterIndex) !void {
        const entry = world.entries.get(waiter).?;
        if (entry.purpose == .sleep) return;
        const queue = entry.end.queueOf(entry.purpose);
        const place = std.mem.indexOfScalar(WaiterIndex, queue.items, waiter) orelse return error.NotInQueue;
        _ = queue.orderedRemove(place);
        if (entry.end.partial == waiter) entry.end.partial = null;
    }

    // -- What callers do

    fn read(world: *World, end: *End) !void {
        // Operations that wait already are not overtaken.
        if (end.readers.items.len > 0) return world.park(end, .read, 0, false);
        const outcome = world.harness.receive(end.handle.?, world.buffer[0..world.someLength()]);
        if (isBlocked(outcome)) return world.park(end, .read, 0, false);
        try world.received(end, outcome);
    }

    fn write(world: *World, end: *End) !void {
        const length = world.someLength();
        if (end.writers.items.len > 0) return world.park(end, .write, length, false);
        const outcome = world.harness.send(end.handle.?, world.pattern(end, length));
        if (isBlocked(outcome)) return world.park(end, .write, length, false);
        const taken = try world.sent(end, outcome);
        if (taken == 0 or taken == length) return;
        try world.park(end, .write, length - taken, true);
        end.partial = end.writers.items[0];
    }

    fn shutdown(world: *World, end: *End) !void {
        if (end.writers.items.len > 0) return world.park(end, .shutdown, 0, false);
        try world.wasShut(end, world.harness.shutdown(end.handle.?));
    }

    fn close(world: *World, end: *End, resets: bool) !void {
        const thread = world.harness.thread;
        const handle = end.handle.?;
        for ([_]*std.ArrayList(WaiterIndex){ &end.readers, &end.writers }) |queue| {
            // TypeScript has told them.
            for (queue.items) |waiter| try expect(world.entries.swapRemove(waiter));
            queue.clearRetainingCapacity();
        }
        try if (resets) connections.reset(thread, handle) else connections.close(thread, handle);
        end.handle = null;
        end.is_reset = resets;
        if (end.peer.handle == null) try world.connect(end);
    }

    fn cancel(world: *World, waiter: WaiterIndex) !void {
        const could = world.harness.cancel(waiter, .cancelled);
        const entry = world.entries.getPtr(waiter).?;
        try expectEqual(entry.fate == null, could);
        if (!could) return;
        entry.fate = .cancelled;
        try world.leaveQueue(waiter);
    }

    fn drop(world: *World, waiter: WaiterIndex) !void {
        if (world.entries.get(waiter).?.purpose != .sleep) return world.cancel(waiter);
        // Woken or not, it is not told of any more.
        world.harness.thread.drop(waiter);
        try expect(world.entries.swapRemove(waiter));
    }

    // -- What comes of it

    fn received(world: *World, end: *End, outcome: Error!usize) !void {
        const sender = end.peer;
        if (outcome) |count| {
            if (count > 0) {
                try expectEqual(.open, end.reading);
                for (world.buffer[0..count], end.received..) |byte, position| {
                    if (byte != sender.byteAt(position)) return error.WrongByte;
                }
                end.received += count;
                return expect(end.received <= sender.sent);
            }
            try expect(end.reading != .failed);
            end.reading = .ended;
            try expect(sender.is_shut or sender.handle == null);
        } else |failure| {
            try expectEqual(error.ECONNRESET, failure);
            try expect(end.reading != .ended);
            end.reading = .failed;
            try expect(sender.handle == null);
        }
        // Nothing that was sent is lost, unless the sender wanted it so.
        if (!sender.is_reset) try expectEqual(sender.sent, end.received);
    }

    fn sent(world: *World, end: *End, outcome: Error!usize) !usize {
        _ = world;
        const count = outcome catch |failure| {
            try expect(failure == error.EPIPE or failure == error.ECONNRESET);
            try expect(end.is_shut or end.peer.handle == null);
            return 0;
        };
        try expect(count > 0 and !end.is_shut);
        end.sent += count;
        return count;
    }

    fn wasShut(world: *World, end: *End, outcome: Error!void) !void {
        _ = world;
        if (outcome) end.is_shut = true else |_| try expect(end.peer.handle == null);
    }

    fn woken(world: *World, waiter: WaiterIndex, status: Status) !void {
        const entry = world.entries.get(waiter) orelse return error.WokenTwice;
        if (entry.fate) |fate| {
            try expectEqual(fate, status);
        } else if (status == .timed_out) {
            try expect(entry.deadline.? <= system.nanoseconds());
            try world.leaveQueue(waiter);
        } else {
            try expectEqual(.ok, status);
            try expect(entry.purpose != .sleep);
            try world.hasTurn(waiter, entry);
        }
        try expect(world.entries.swapRemove(waiter));
    }

    fn hasTurn(world: *World, waiter: WaiterIndex, entry: Entry) !void {
        const end = entry.end;
        const handle = end.handle.?;
        try expectEqual(waiter, end.queueOf(entry.purpose).orderedRemove(0));
        if (entry.purpose != .read and end.partial != null) try expectEqual(waiter, end.partial.?);
        const was_partial = end.partial == waiter;
        if (was_partial) end.partial = null;
        if (world.random.uintLessThan(u8, 16) == 0) {
            if (was_partial) connections.breakOff(world.harness.thread, handle);
            return world.harness.endTurn(handle, if (entry.purpose == .read) .readable else .writable);
        }
        switch (entry.purpose) {
            .read => {
                const outcome = world.harness.receive(handle, world.buffer[0..world.someLength()]);
                if (isBlocked(outcome)) return world.park(end, .read, 0, true);
                try world.received(end, outcome);
            },
            .write => {
                const outcome = world.harness.send(handle, world.pattern(end, entry.remaining));
                const blocked = isBlocked(outcome);
                const taken = if (blocked) 0 else try world.sent(end, outcome);
                const goes_on = blocked or (taken > 0 and taken < entry.remaining);
                if (!goes_on) return;
                try world.park(end, .write, entry.remaining - taken, true);
                if (was_partial or taken > 0) end.partial = end.writers.items[0];
            },
            .shutdown => try world.wasShut(end, world.harness.shutdown(handle)),
            .sleep => unreachable,
        }
    }

    fn poll(world: *World, timeout: i64) !void {
        for (try world.harness.pollFor(timeout)) |wakeup| try world.woken(wakeup[0], wakeup[1]);
        var expected: u32 = 0;
        for (world.entries.values()) |entry| {
            if (entry.purpose == .sleep or (entry.deadline != null and entry.fate == null)) expected += 1;
        }
        try expectEqual(expected, world.harness.scheduler.shared.waiters);
    }

    // -- Choices

    fn someLength(world: *World) usize {
        const limit: usize = if (world.random.boolean()) 100 else longest_transfer;
        return 1 + world.random.uintLessThan(usize, limit);
    }

    fn pattern(world: *World, end: *const End, length: usize) []const u8 {
        for (world.buffer[0..length], end.sent..) |*byte, position| byte.* = end.byteAt(position);
        return world.buffer[0..length];
    }

    fn someWaiter(world: *World) ?WaiterIndex {
        const numbers = world.entries.keys();
        if (numbers.len == 0) return null;
        return numbers[world.random.uintLessThan(usize, numbers.len)];
    }

    fn step(world: *World) !void {
        const end = &world.ends[world.random.uintLessThan(usize, world.ends.len)];
        const choice = world.random.uintLessThan(u16, 1000);
        if (choice < 150) return world.poll(if (choice < 5) 100 * std.time.ns_per_us else 0);
        if (choice < 200) {
            if (world.someWaiter()) |waiter| try world.cancel(waiter);
            return;
        }
        if (choice < 230) {
            if (world.someWaiter()) |waiter| try world.drop(waiter);
            return;
        }
        if (world.entries.count() >= waiters_at_most) return world.poll(0);
        if (choice < 280) {
            const deadline = world.someDeadline();
            return world.enter(world.harness.sleep(deadline), .{ .purpose = .sleep, .deadline = deadline });
        }
        if (end.handle == null) return;
        if (choice < 600) return world.read(end);
        if (choice < 980) return world.write(end);
        if (choice < 986) return world.shutdown(end);
        return world.close(end, choice >= 997);
    }

    // -- The end

    fn finish(world: *World) !void {
        var rounds: usize = 0;
        while (world.entries.count() > 0) : (rounds += 1) {
            try expect(rounds < 10_000);
            for (world.entries.keys()) |waiter| try world.cancel(waiter);
            try world.poll(0);
        }
        for (&world.ends) |*end| {
            const handle = end.handle orelse continue;
            try world.wasShut(end, world.harness.shutdown(handle));
            try world.poll(0);
        }
        for (&world.ends) |*end| if (end.handle != null) try world.drain(end);
        for (&world.ends) |*end| {
            const handle = end.handle orelse continue;
            try connections.close(world.harness.thread, handle);
            end.handle = null;
        }
        rounds = 0;
        while (world.harness.scheduler.shared.sockets > 0) : (rounds += 1) {
            try expect(rounds < 1000);
            try world.poll(10 * std.time.ns_per_ms);
        }
        try world.poll(0);
        try expectEqual(0, world.harness.scheduler.waiters.in_use);
        try expectEqual(0, world.harness.scheduler.shared.lingering);
        try expectEqual(null, world.harness.scheduler.deadlines.earliest());
    }

    fn drain(world: *World, end: *End) !void {
        var rounds: usize = 0;
        while (end.reading == .open) : (rounds += 1) {
            try expect(rounds < 20_000);
            const outcome = world.harness.receive(end.handle.?, &world.buffer);
            if (isBlocked(outcome)) try world.poll(std.time.ns_per_ms) else try world.received(end, outcome);
        }
    }
};

fn isBlocked(outcome: anytype) bool {
    _ = outcome catch |failure| return failure == error.WouldBlock;
    return false;
}

fn unixPair() ![2]system.Descriptor {
    const pair = system.socketPair() orelse return error.NoSocketPair;
    for (pair) |fd| harness_module.shrinkBuffers(fd);
    return pair;
}

fn tcpPair() ![2]system.Descriptor {
    const any = addresses.parse("127.0.0.1", 0).?;
    const listener: system.Descriptor = try system.socket(c.AF.INET, c.SOCK.STREAM);
    defer system.close(listener);
    if (c.bind(listener, any.pointer(), any.length) != 0 or c.listen(listener, 1) != 0) return error.NotListening;
    const client: system.Descriptor = try system.socket(c.AF.INET, c.SOCK.STREAM);
    errdefer system.close(client);
    system.connect(client, &(try system.localAddress(listener))) catch |failure| try expectEqual(error.WouldBlock, failure);
    try expect(system.pollOne(listener, false, 5000));
    var peer: system.Address = .{};
    const server: system.Descriptor = try system.accept(listener, &peer);
    errdefer system.close(server);
    try expect(system.pollOne(client, true, 5000));
    for ([_]system.Descriptor{ client, server }) |fd| {
        system.setOption(fd, c.SOL.SOCKET, c.SO.SNDBUF, @as(c_int, 16 * 1024)) catch {};
    }
    return .{ client, server };
}

test "after any calls, every waiter is woken once and every byte arrives" {
    // What a closed peer's system does with unread bytes is known of Linux alone.
    if (!system.is_linux) return error.SkipZigTest;
    const seed = std.testing.random_seed;
    errdefer std.debug.print("the seed was {d}\n", .{seed});
    var generator = std.Random.DefaultPrng.init(seed);
    const world = try std.testing.allocator.create(World);
    defer std.testing.allocator.destroy(world);
    world.* = .{ .harness = try Harness.init(), .random = generator.random() };
    defer world.deinit();
    try world.init();
    for (0..operations) |operation| {
        errdefer std.debug.print("operation {d}\n", .{operation});
        try world.step();
    }
    try world.finish();
}
