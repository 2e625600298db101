//! Looking host names up, and giving that up at any moment.

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const CountingAllocator = @import("../thread/counting_test.zig").CountingAllocator;
const harness_module = @import("../thread/harness_test.zig");
const WaiterIndex = @import("../core/indices.zig").WaiterIndex;
const Harness = harness_module.Harness;
const Resolver = @import("resolver.zig").Resolver;
const resolver_module = @import("resolver.zig");
const Status = abi.Status;
const system = @import("../os/system.zig");
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

const text_bytes = 32 * (abi.Limits.address_text_bytes + 1);

/// A name that no server is asked for: a label has 63 bytes at the most (RFC 1035, section 2.3.4).
const impossible_name = "x" ** 64 ++ ".invalid";

fn start(harness: *Harness, name: []const u8, family: abi.AddressFamily) !WaiterIndex {
    const waiter = try harness.scheduler.park(.resolve, null);
    try harness.thread.resolver.start(waiter, name, family);
    return waiter;
}

/// The status of the one waiter that is woken next.
fn statusOf(harness: *Harness, waiter: WaiterIndex) !Status {
    for (0..1000) |_| {
        const woken = try harness.pollFor(10 * std.time.ns_per_ms);
        if (woken.len == 0) continue;
        try expectEqual(1, woken.len);
        try expectEqual(waiter, woken[0][0]);
        return woken[0][1];
    }
    return error.NobodyWasWoken;
}

fn isIdle(resolver: *Resolver) bool {
    // Both are the threads' as well.
    resolver.mutex.lock();
    defer resolver.mutex.unlock();
    return resolver.threads == 0 and resolver.finished.first == null;
}

test "localhost is this machine" {
    var harness = try Harness.init();
    defer harness.deinit();
    const waiter = try start(&harness, "localhost", .ipv4);
    try expectEqual(.ok, try statusOf(&harness, waiter));
    var text: [text_bytes]u8 = undefined;
    const length = harness.thread.resolver.take(waiter, &text).?;
    try expect(std.mem.startsWith(u8, text[0..length], "127."));
    try expect(std.mem.endsWith(u8, text[0..length], "\n"));
    // The answer is taken once.
    try expectEqual(null, harness.thread.resolver.take(waiter, &text));
    try harness.pollUntil(harness.thread.resolver, isIdle);
}

test "an answer that there is no room for stays until there is" {
    var harness = try Harness.init();
    defer harness.deinit();
    const waiter = try start(&harness, "127.0.0.1", .unspecified);
    try expectEqual(.ok, try statusOf(&harness, waiter));
    var text: [9]u8 = undefined;
    try expectEqual(10, harness.thread.resolver.take(waiter, &text).?);
    var exact: [10]u8 = undefined;
    try expectEqual(10, harness.thread.resolver.take(waiter, &exact).?);
    try std.testing.expectEqualStrings("127.0.0.1\n", &exact);
    try expectEqual(null, harness.thread.resolver.take(waiter, &exact));
}

test "a name of the other family is not found" {
    var harness = try Harness.init();
    defer harness.deinit();
    const waiter = try start(&harness, "127.0.0.1", .ipv6);
    try expectEqual(.ENOTFOUND, try statusOf(&harness, waiter));
}

test "a name that cannot be says so" {
    var harness = try Harness.init();
    defer harness.deinit();
    const waiter = try start(&harness, impossible_name, .unspecified);
    const status = try statusOf(&harness, waiter);
    try expect(status == .ENOTFOUND or status == .EAI_AGAIN);
    var text: [text_bytes]u8 = undefined;
    try expectEqual(null, harness.thread.resolver.take(waiter, &text));
}

test "what is no name is refused without a look-up" {
    var harness = try Harness.init();
    defer harness.deinit();
    const resolver = harness.thread.resolver;
    for ([_][]const u8{ "", "a\x00b", "x" ** (resolver_module.name_bytes + 1) }) |name| {
        try std.testing.expectError(error.ENOTFOUND, resolver.start(@enumFromInt(0), name, .unspecified));
    }
    try expectEqual(0, resolver.wanted.count());
    try expectEqual(0, resolver.threads);
}

test "look-ups beyond the number of threads wait for one, and each has its answer" {
    var harness = try Harness.init();
    defer harness.deinit();
    var waiters: [64]WaiterIndex = undefined;
    for (&waiters) |*waiter| waiter.* = try start(&harness, "localhost", .ipv4);
    var answered: usize = 0;
    var text: [text_bytes]u8 = undefined;
    for (0..1000) |_| {
        for (try harness.pollFor(10 * std.time.ns_per_ms)) |wakeup| {
            try expectEqual(.ok, wakeup[1]);
            try expect(std.mem.indexOfScalar(WaiterIndex, &waiters, wakeup[0]) != null);
            try expect(harness.thread.resolver.take(wakeup[0], &text).? > 0);
            answered += 1;
        }
        if (answered == waiters.len) break;
    }
    try expectEqual(waiters.len, answered);
    try expectEqual(0, harness.thread.resolver.wanted.count());
    try harness.pollUntil(harness.thread.resolver, isIdle);
}

test "a look-up that was given up wakes no waiter, not even the number's next owner" {
    var harness = try Harness.init();
    defer harness.deinit();
    const thread = harness.thread;
    for (0..50) |_| {
        const waiter = try start(&harness, "localhost", .ipv4);
        thread.drop(waiter);
        try harness.expectNobody();
        // Every free number has a new owner by now, which nothing wakes.
        var owners: [256]WaiterIndex = undefined;
        for (&owners) |*owner| owner.* = harness.sleep(null);
        try harness.pollUntil(thread.resolver, isIdle);
        try harness.expectNobody();
        for (owners) |owner| thread.drop(owner);
    }
    try expectEqual(0, thread.resolver.wanted.count());
}

test "a look-up is dropped when its answer is there already, told or not" {
    for ([_]bool{ false, true }) |is_told| {
        var counting: CountingAllocator = .{};
        {
            var harness = try Harness.initWith(counting.allocator());
            defer harness.deinit();
            const thread = harness.thread;
            const scheduler = harness.scheduler;
            const waiter = try start(&harness, "127.0.0.1", .ipv4);
            // The thread has put its answer down.
            const end = system.nanoseconds() + 10 * std.time.ns_per_s;
            while (!thread.resolver.has_finished.load(.acquire)) try expect(system.nanoseconds() < end);
            if (is_told) {
                try expectEqual(.ok, try statusOf(&harness, waiter));
            } else {
                thread.resolver.collect(scheduler);
                try expectEqual(.ready, scheduler.waiters.at(waiter).state);
            }
            const allocated = counting.live.load(.acquire);
            thread.drop(waiter);
            try expect(counting.live.load(.acquire) < allocated);
            var text: [text_bytes]u8 = undefined;
            try expectEqual(null, thread.resolver.take(waiter, &text));
            try harness.expectNobody();
            try expectEqual(0, thread.resolver.wanted.count());
            try expectEqual(0, scheduler.waiters.in_use);
        }
        try counting.expectLeft(0);
    }
}

/// Makes the resolver believe that its threads are busy: what is queued stays there.
fn occupy(resolver: *Resolver, busy: bool) void {
    resolver.mutex.lock();
    defer resolver.mutex.unlock();
    const count = resolver_module.threads_at_most;
    if (busy) resolver.threads += count else resolver.threads -= count;
}

test "threads whose callers have given up make room for others" {
    var harness = try Harness.init();
    defer harness.deinit();
    const resolver = harness.thread.resolver;
    // Four look-ups are with a name server that does not answer.
    occupy(resolver, true);
    var requests: [resolver_module.threads_at_most]resolver_module.Request = undefined;
    var waiters: [requests.len]WaiterIndex = undefined;
    for (&requests, &waiters) |*request, *waiter| {
        waiter.* = try harness.scheduler.park(.resolve, null);
        request.* = .{ .waiter = waiter.*, .state = .running, .family = .unspecified, .name = @splat(0) };
        try resolver.wanted.put(resolver.allocator, waiter.*, request);
    }
    const wanted = try start(&harness, "localhost", .ipv4);
    try expectEqual(requests.len, resolver.threads);
    try harness.expectNobody();
    harness.thread.drop(waiters[0]);
    try expectEqual(.ok, try statusOf(&harness, wanted));
    var text: [text_bytes]u8 = undefined;
    try expect(resolver.take(wanted, &text).? > 0);

    for (waiters[1..]) |waiter| harness.thread.drop(waiter);
    try harness.expectNobody();
    try expectEqual(requests.len, resolver.stray_threads);
    resolver.stray_threads = 0;
    occupy(resolver, false);
    try harness.pollUntil(resolver, isIdle);
}

test "look-ups that were given up do not keep the others waiting" {
    var harness = try Harness.init();
    defer harness.deinit();
    const resolver = harness.thread.resolver;
    occupy(resolver, true);
    var waiters: [100]WaiterIndex = undefined;
    for (&waiters) |*waiter| waiter.* = try start(&harness, "given-up.invalid", .unspecified);
    const wanted = try start(&harness, "localhost", .ipv4);
    const late = try harness.scheduler.park(.resolve, 1);
    try resolver.start(late, "late.invalid", .unspecified);
    for (waiters) |waiter| harness.thread.drop(waiter);
    try harness.expectWoken(&.{.{ late, .timed_out }});
    occupy(resolver, false);
    try expectEqual(1, resolver.wanted.count());
    const request: *resolver_module.Request = @fieldParentPtr("node", resolver.queued.first.?);
    try expectEqual(wanted, request.waiter);
    try expectEqual(1, resolver.queued.len());

    // The next one to come starts a thread, which finds both.
    const next = try start(&harness, "localhost", .ipv4);
    var answered: usize = 0;
    var text: [text_bytes]u8 = undefined;
    while (answered < 2) {
        const woken = try harness.pollFor(5 * std.time.ns_per_s);
        try expect(woken.len > 0);
        for (woken) |wakeup| {
            try expect(wakeup[0] == wanted or wakeup[0] == next);
            try expect(resolver.take(wakeup[0], &text).? > 0);
        }
        answered += woken.len;
    }
    try harness.pollUntil(resolver, isIdle);
}

test "a scheduler may end while names are looked up: the threads free the rest" {
    for (0..50) |turn| {
        var counting: CountingAllocator = .{};
        var harness = try Harness.initWith(counting.allocator());
        const thread = harness.thread;
        const scheduler = harness.scheduler;
        for (0..turn % 10) |_| {
            const waiter = try scheduler.park(.resolve, null);
            try thread.resolver.start(waiter, "localhost", .unspecified);
        }
        // Some have their answers, some are under way, some have not begun.
        if (turn % 3 == 0) _ = thread.poll(50 * std.time.ns_per_us);
        harness.deinit();
        try counting.expectLeft(0);
    }
}
