//! The core on another kernel: its clock is the test's, and its system calls fail when the test says so.

const std = @import("std");
const addresses = @import("../os/addresses.zig");
const connections = @import("../thread/connections.zig");
const endpoints = @import("../net/endpoints.zig");
const faulty = @import("../os/faulty_system.zig");
const system = @import("../os/system.zig");
const harness_module = @import("../thread/harness_test.zig");
const Harness = harness_module.Harness;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;

test "a deadline is met when the clock of the kernel says so" {
    faulty.clock = 1_000_000;
    defer faulty.clock = null;
    var harness = try Harness.init();
    defer harness.deinit();
    const waiter = harness.sleep(faulty.clock.? + 3600 * std.time.ns_per_s);
    for (0..3) |_| {
        try harness.expectNobody();
        faulty.clock.? += 1200 * std.time.ns_per_s - 1;
    }
    try harness.expectNobody();
    faulty.clock.? += 3;
    try std.testing.expectEqualSlices(harness_module.Wakeup, &.{.{ waiter, .timed_out }}, try harness.poll());
    try expectEqual(3_600_001, harness.scheduler.shared.now_milliseconds);
}

test "a socket that lingers is closed when the clock of the kernel says so" {
    faulty.clock = 1_000_000;
    defer faulty.clock = null;
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.tcpPeer();
    defer system.close(peer);
    try expectEqual(5, try harness.send(handle, "hello"));
    try harness_module.sendFromPeer(peer, "not read");
    try connections.close(harness.thread, handle);
    faulty.clock.? += 5 * std.time.ns_per_s - 1;
    try harness.expectNobody();
    try expectEqual(1, harness.scheduler.shared.lingering);
    faulty.clock.? += 1;
    try harness.expectNobody();
    try expectEqual(0, harness.scheduler.shared.lingering + harness.scheduler.shared.sockets);
}

test "a system call that fails is reported to the caller, and leaves nothing behind" {
    defer faulty.fault = null;
    var harness = try Harness.init();
    defer harness.deinit();
    const listener = try harness.listenAt("127.0.0.1");
    const address = try harness.addressOf(listener);
    const sockets = harness.scheduler.shared.sockets;
    for ([_]faulty.Call{ .socket, .bind, .listen }) |call| {
        faulty.fault = .{ .call = call, .failure = error.ENOBUFS };
        const any = addresses.parse("127.0.0.1", 0).?;
        try expectError(error.ENOBUFS, endpoints.listen(harness.scheduler, &any, 16, 0));
    }
    for ([_]faulty.Call{ .socket, .connect }) |call| {
        faulty.fault = .{ .call = call, .failure = error.ENOBUFS };
        try expectError(error.ENOBUFS, endpoints.connect(harness.scheduler, &address, null));
    }
    try expectEqual(sockets, harness.scheduler.shared.sockets);
    faulty.fault = null;
    const client = try harness.connectTo(&address);
    const waiter = harness.park(listener, .readable);
    try harness.expectWoken(&.{.{ waiter, .ok }});
    faulty.fault = .{ .call = .accept, .failure = error.EMFILE };
    try expectError(error.EMFILE, endpoints.accept(harness.scheduler, listener));
    faulty.fault = null;
    const server = try harness_module.handleOf(endpoints.accept(harness.scheduler, listener));

    // What has ended a connection is said again by every later call.
    faulty.fault = .{ .call = .send, .failure = error.ETIMEDOUT };
    try expectError(error.ETIMEDOUT, harness.send(client, "lost"));
    faulty.fault = null;
    for (0..2) |_| try expectError(error.ETIMEDOUT, harness.send(client, "lost"));
    // Of what has not, the next call knows nothing.
    var byte: [1]u8 = undefined;
    harness.socketOf(server).flags.readable = true;
    faulty.fault = .{ .call = .receive, .failure = error.ENOMEM };
    try expectError(error.ENOMEM, harness.receive(server, &byte));
    faulty.fault = null;
    try expectError(error.WouldBlock, harness.receive(server, &byte));
}
