//! Sockets that are made here or taken over: TCP over both versions of IP, and Unix.

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const addresses = @import("../os/addresses.zig");
const connections = @import("../thread/connections.zig");
const endpoints = @import("endpoints.zig");
const options = @import("../os/options.zig");
const system = @import("../os/system.zig");
const harness_module = @import("../thread/harness_test.zig");
const Address = system.Address;
const Harness = harness_module.Harness;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const expectError = std.testing.expectError;
const handleOf = harness_module.handleOf;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

/// Connects, accepts, and sends both ways.
fn expectConversation(harness: *Harness, listener: SocketHandle, address: *const Address) !void {
    const client = try harness.connectTo(address);
    const server = try harness.acceptFrom(listener);
    for ([_][2]SocketHandle{ .{ client, server }, .{ server, client } }) |direction| {
        const reader = harness.park(direction[1], .readable);
        try expectEqual(5, try harness.send(direction[0], "hello"));
        try harness.expectWoken(&.{.{ reader, .ok }});
        try harness.expectReceived(direction[1], "hello");
    }
    try expectEqual(1, harness.scheduler.shared.accepted);
    try expectEqual(1, harness.scheduler.shared.connected);
    try expectEqual(3, harness.scheduler.shared.sockets);
}

/// A socket that is bound and does not listen: no other socket gets its port.
fn boundSocket(text: []const u8) !struct { system.Descriptor, Address } {
    const address = addresses.parse(text, 0).?;
    const fd: system.Descriptor = try system.socket(address.storage.family, c.SOCK.STREAM);
    errdefer system.close(fd);
    if (c.bind(fd, address.pointer(), address.length) != 0) return error.NotBound;
    return .{ fd, (try system.localAddress(fd)) };
}

fn skipWithoutIpv6() !void {
    const fd, _ = boundSocket("::1") catch return error.SkipZigTest;
    system.close(fd);
}

/// A path that is in no other use.
fn freePath(buffer: []u8) ![]const u8 {
    const path = try std.fmt.bufPrint(buffer, "/tmp/plait-core-{d}.sock", .{c.getpid()});
    remove(path);
    return path;
}

fn remove(path: []const u8) void {
    var terminated: [128]u8 = @splat(0);
    @memcpy(terminated[0..path.len], path);
    _ = c.unlink(@ptrCast(&terminated));
}

test "a connection over IPv4" {
    var harness = try Harness.init();
    defer harness.deinit();
    const listener = try harness.listenAt("127.0.0.1");
    const address = try harness.addressOf(listener);
    try expectConversation(&harness, listener, &address);
}

test "a connection over IPv6" {
    try skipWithoutIpv6();
    var harness = try Harness.init();
    defer harness.deinit();
    const listener = try harness.listenAt("::1");
    const address = try harness.addressOf(listener);
    try expectConversation(&harness, listener, &address);
}

test "a connection over a Unix path" {
    var harness = try Harness.init();
    defer harness.deinit();
    var buffer: [64]u8 = undefined;
    const path = try freePath(&buffer);
    defer remove(path);
    const address = addresses.fromPath(path).?;
    const listener = try handleOf(endpoints.listen(harness.scheduler, &address, 16, 0));
    try expectConversation(&harness, listener, &address);
    try expectError(error.EADDRINUSE, endpoints.listen(harness.scheduler, &address, 16, 0));
}

test "a connection over an abstract Unix name" {
    if (!system.is_linux) return error.SkipZigTest;
    var harness = try Harness.init();
    defer harness.deinit();
    var buffer: [64]u8 = undefined;
    const address = addresses.fromPath(try std.fmt.bufPrint(&buffer, "\x00plait-core-{d}", .{c.getpid()})).?;
    const listener = try handleOf(endpoints.listen(harness.scheduler, &address, 16, 0));
    try expectConversation(&harness, listener, &address);
}

test "a listener on IPv6 takes IPv4 connections too, unless an option forbids it" {
    try skipWithoutIpv6();
    var harness = try Harness.init();
    defer harness.deinit();
    const any = addresses.parse("::", 0).?;
    for ([_]u32{ 0, abi.ListenFlags.ipv6_only }) |flags| {
        const listener = try handleOf(endpoints.listen(harness.scheduler, &any, 16, flags));
        const bound = addresses.Peer.of(&try harness.addressOf(listener));
        const ipv4 = addresses.parse("127.0.0.1", bound.port).?;
        const client = try handleOf(endpoints.connect(harness.scheduler, &ipv4, null));
        const waiter = harness.park(client, .writable);
        try harness.expectWoken(&.{.{ waiter, .ok }});
        const finished = endpoints.finishConnect(harness.scheduler, client);
        if (flags == 0) try finished else try expectError(error.ECONNREFUSED, finished);
        try connections.close(harness.thread, client);
        try connections.close(harness.thread, listener);
    }
}

test "a socket that is connected to itself is refused, for no socket listens there" {
    var harness = try Harness.init();
    defer harness.deinit();
    const bound, const address = try boundSocket("127.0.0.1");
    system.close(bound);
    // The kernel may choose the very port that it is to connect to; here it has no choice.
    const handle = try handleOf(endpoints.connect(harness.scheduler, &address, &address));
    const waiter = harness.park(handle, .writable);
    try harness.expectWoken(&.{.{ waiter, .ok }});
    const fd = harness.socketOf(handle).fd;
    try expectEqual(addresses.Peer.of(&address), addresses.Peer.of(&(try system.remoteAddress(fd))));
    try expectError(error.ECONNREFUSED, endpoints.finishConnect(harness.scheduler, handle));
    try connections.close(harness.thread, handle);
    try expectEqual(0, harness.scheduler.shared.connected);
    // Nothing is left of it that would keep a server from the port.
    const next: system.Descriptor = try system.socket(c.AF.INET, c.SOCK.STREAM);
    defer system.close(next);
    try expectEqual(0, c.bind(next, address.pointer(), address.length));
}

test "a refused connection says so, and is closed by its caller" {
    var harness = try Harness.init();
    defer harness.deinit();
    const bound, const address = try boundSocket("127.0.0.1");
    defer system.close(bound);
    const handle = try handleOf(endpoints.connect(harness.scheduler, &address, null));
    const waiter = harness.park(handle, .writable);
    try harness.expectWoken(&.{.{ waiter, .ok }});
    try expectError(error.ECONNREFUSED, endpoints.finishConnect(harness.scheduler, handle));
    var buffer: [8]u8 = undefined;
    try expectError(error.ECONNREFUSED, harness.send(handle, "x"));
    const reader = harness.park(handle, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    try expectError(error.ECONNREFUSED, harness.receive(handle, &buffer));
    try connections.close(harness.thread, handle);
    try expectEqual(0, harness.scheduler.shared.sockets + harness.scheduler.shared.connected);
}

test "an attempt that is given up leaves nothing" {
    var harness = try Harness.init();
    defer harness.deinit();
    const listener = try harness.listenAt("127.0.0.1");
    const handle = try handleOf(endpoints.connect(harness.scheduler, &try harness.addressOf(listener), null));
    const waiter = harness.park(handle, .writable);
    try expect(harness.cancel(waiter, .cancelled));
    try connections.close(harness.thread, handle);
    try harness.expectWoken(&.{.{ waiter, .cancelled }});
    try expectEqual(1, harness.scheduler.shared.sockets);
}

test "connecting to no Unix socket fails at once" {
    var harness = try Harness.init();
    defer harness.deinit();
    var buffer: [64]u8 = undefined;
    const path = try freePath(&buffer);
    defer remove(path);
    const address = addresses.fromPath(path).?;
    try expectError(error.ENOENT, endpoints.connect(harness.scheduler, &address, null));
    const listener = try handleOf(endpoints.listen(harness.scheduler, &address, 1, 0));
    try connections.close(harness.thread, listener);
    // The path outlives its listener.
    try expectError(error.ECONNREFUSED, endpoints.connect(harness.scheduler, &address, null));
    try expectEqual(0, harness.scheduler.shared.sockets);
}

test "a Unix listener's full backlog refuses instead of hanging" {
    if (!system.is_linux) return error.SkipZigTest;
    var harness = try Harness.init();
    defer harness.deinit();
    var buffer: [64]u8 = undefined;
    const address = addresses.fromPath(try std.fmt.bufPrint(&buffer, "\x00plait-full-{d}", .{c.getpid()})).?;
    _ = try handleOf(endpoints.listen(harness.scheduler, &address, 1, 0));
    const refused = for (0..8) |_| {
        const outcome = endpoints.connect(harness.scheduler, &address, null);
        if (std.meta.isError(outcome)) break outcome;
    } else return error.NeverFull;
    try expectError(error.ECONNREFUSED, refused);
}

test "a local address is the one that the peer sees" {
    if (!system.is_linux) return error.SkipZigTest; // elsewhere only 127.0.0.1 is the loopback's
    var harness = try Harness.init();
    defer harness.deinit();
    const listener = try harness.listenAt("127.0.0.1");
    const local = addresses.parse("127.0.0.9", 0).?;
    const remote = try harness.addressOf(listener);
    _ = try handleOf(endpoints.connect(harness.scheduler, &remote, &local));
    const server = try harness.acceptFrom(listener);
    var text: [abi.Limits.address_text_bytes]u8 = undefined;
    const peer = harness.socketOf(server).peer;
    try std.testing.expectEqualStrings("127.0.0.9", text[0..peer.format(&text)]);
    try expect(peer.port != 0);
    const foreign = addresses.parse("192.0.2.1", 0).?;
    try expectError(error.EADDRNOTAVAIL, endpoints.connect(harness.scheduler, &remote, &foreign));
    const other_family = addresses.parse("::1", 0).?;
    if (endpoints.connect(harness.scheduler, &remote, &other_family)) |_| return error.WasBound else |failure| {
        try expect(failure == error.EAFNOSUPPORT or failure == error.EINVAL);
    }
    try expectEqual(3, harness.scheduler.shared.sockets);
}

test "a port is one listener's, unless all share it" {
    var harness = try Harness.init();
    defer harness.deinit();
    const first = try harness.listenAt("127.0.0.1");
    const taken = try harness.addressOf(first);
    try expectError(error.EADDRINUSE, endpoints.listen(harness.scheduler, &taken, 16, 0));
    try expectError(error.EADDRINUSE, endpoints.listen(harness.scheduler, &taken, 16, abi.ListenFlags.reuse_port));
    try connections.close(harness.thread, first);

    const shared = abi.ListenFlags.reuse_port;
    const second = try handleOf(endpoints.listen(harness.scheduler, &addresses.parse("127.0.0.1", 0).?, 16, shared));
    const third = try handleOf(endpoints.listen(harness.scheduler, &try harness.addressOf(second), 16, shared));
    try expect(second != third);
}

test "a port is free again although connections of its last listener linger" {
    var harness = try Harness.init();
    defer harness.deinit();
    const listener = try harness.listenAt("127.0.0.1");
    const address = try harness.addressOf(listener);
    const client = try harness.connectTo(&address);
    const server = try harness.acceptFrom(listener);
    // The side that closes first is the one that stays in TIME_WAIT.
    try connections.close(harness.thread, server);
    const reader = harness.park(client, .readable);
    try harness.expectWoken(&.{.{ reader, .ok }});
    try connections.close(harness.thread, client);
    try connections.close(harness.thread, listener);
    _ = try handleOf(endpoints.listen(harness.scheduler, &address, 16, 0));
}

test "acceptors have their turns in order, and one may take many" {
    var harness = try Harness.init();
    defer harness.deinit();
    const listener = try harness.listenAt("127.0.0.1");
    const address = try harness.addressOf(listener);
    try expectError(error.WouldBlock, endpoints.accept(harness.scheduler, listener));
    const first = harness.park(listener, .readable);
    const second = harness.park(listener, .readable);
    for (0..3) |_| _ = try handleOf(endpoints.connect(harness.scheduler, &address, null));
    try harness.expectWoken(&.{.{ first, .ok }});
    for (0..2) |_| _ = try handleOf(endpoints.accept(harness.scheduler, listener));
    harness.endTurn(listener, .readable);
    try harness.expectWoken(&.{.{ second, .ok }});
    _ = try handleOf(endpoints.accept(harness.scheduler, listener));
    try expectError(error.WouldBlock, endpoints.accept(harness.scheduler, listener));
    harness.endTurn(listener, .readable);
    const third = harness.park(listener, .readable);
    try harness.expectNobody();
    try expect(harness.isParked(third));
    try connections.close(harness.thread, listener);
    try harness.expectNobody();
    try expectEqual(3, harness.scheduler.shared.accepted);
}

test "accepted sockets send at once, and neither block nor survive an exec" {
    var harness = try Harness.init();
    defer harness.deinit();
    const adopted = try handleOf(endpoints.adoptListener(harness.scheduler, try listeningSocket(), 16));
    for ([_]SocketHandle{ try harness.listenAt("127.0.0.1"), adopted }) |listener| {
        _ = try harness.connectTo(&try harness.addressOf(listener));
        const fd = harness.socketOf(try harness.acceptFrom(listener)).fd;
        const no_delay = 1;
        try expect((try system.getOption(fd, c.IPPROTO.TCP, no_delay)) != 0);
        const non_blocking: c_int = @bitCast(c.O{ .NONBLOCK = true });
        try expect(c.fcntl(fd, c.F.GETFL) & non_blocking != 0);
        try expect(c.fcntl(fd, c.F.GETFD) & c.FD_CLOEXEC != 0);
    }
}

test "a connection that is reset before it is accepted does not stop the listener" {
    var harness = try Harness.init();
    defer harness.deinit();
    const listener = try harness.listenAt("127.0.0.1");
    const address = try harness.addressOf(listener);
    const hasty = try harness.connectTo(&address);
    try connections.reset(harness.thread, hasty);
    _ = try harness.connectTo(&address);
    const acceptor = harness.park(listener, .readable);
    try harness.expectWoken(&.{.{ acceptor, .ok }});
    // Linux hands out the dead connection first, other systems leave it out.
    for (0..2) |_| {
        const handle = try handleOf(endpoints.accept(harness.scheduler, listener));
        if (harness.send(handle, "x")) |_| break else |_| {}
    } else return error.ConnectionLost;
}

test "what cannot be adopted stays its owner's" {
    var harness = try Harness.init();
    defer harness.deinit();
    const file = try harness_module.temporaryFile("no socket");
    defer system.close(file);
    const datagram: system.Descriptor = try system.socket(c.AF.INET, c.SOCK.DGRAM);
    defer system.close(datagram);
    const unconnected, _ = try boundSocket("127.0.0.1");
    defer system.close(unconnected);
    try expectError(error.ENOTSOCK, endpoints.adopt(harness.scheduler, file));
    try expectError(error.EPROTOTYPE, endpoints.adopt(harness.scheduler, datagram));
    try expectError(error.ENOTCONN, endpoints.adopt(harness.scheduler, unconnected));
    try expectError(error.EBADF, endpoints.adopt(harness.scheduler, -1));
    for ([_]system.Descriptor{ file, datagram, unconnected }) |fd| try expect(system.isOpen(fd));
    try expectEqual(0, harness.scheduler.shared.sockets);
}

test "a socket is adopted once, and works on when it is tried twice" {
    var harness = try Harness.init();
    defer harness.deinit();
    const handle, const peer = try harness.unixPair();
    defer system.close(peer);
    const fd = harness.socketOf(handle).fd;
    for (0..2) |_| try expectError(error.EEXIST, endpoints.adopt(harness.scheduler, fd));
    try expectError(error.EINVAL, endpoints.adoptListener(harness.scheduler, fd, 16));
    // Nor can it be watched as another library's descriptor.
    const refused = harness.thread.watching.wait(fd, .readable, null);
    try expectError(error.EEXIST, refused);
    try expectEqual(1, harness.scheduler.shared.sockets);
    try harness.expectNobody();
    try harness_module.sendFromPeer(peer, "x");
    try harness.expectNobody();
    try harness.expectReceived(handle, "x");
}

test "a descriptor that is waited for is not adopted meanwhile" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    const waiter = try harness.thread.watching.wait(pair[0], .readable, null);
    try expectError(error.EEXIST, endpoints.adopt(harness.scheduler, pair[0]));
    try harness_module.sendFromPeer(pair[1], "x");
    try harness.expectWoken(&.{.{ waiter, .ok }});
}

test "a blocking socket no longer blocks once it is adopted" {
    var harness = try Harness.init();
    defer harness.deinit();
    var pair: [2]system.Descriptor = undefined;
    try expectEqual(0, c.socketpair(c.AF.UNIX, c.SOCK.STREAM, 0, &pair));
    defer system.close(pair[1]);
    const handle = try handleOf(endpoints.adopt(harness.scheduler, pair[0]));
    harness.socketOf(handle).flags.readable = true;
    var buffer: [8]u8 = undefined;
    try expectError(error.WouldBlock, harness.receive(handle, &buffer));
}

fn listeningSocket() !system.Descriptor {
    const fd, _ = try boundSocket("127.0.0.1");
    if (c.listen(fd, 16) != 0) return error.NotListening;
    return fd;
}

test "a socket that listens already is taken over" {
    var harness = try Harness.init();
    defer harness.deinit();
    const fd = try listeningSocket();
    const listener = try handleOf(endpoints.adoptListener(harness.scheduler, fd, 16));
    const address = try harness.addressOf(listener);
    try expectConversation(&harness, listener, &address);
    try connections.close(harness.thread, listener);
    try expect(!system.isOpen(fd));
}

test "what cannot be adopted as a listener stays its owner's" {
    var harness = try Harness.init();
    defer harness.deinit();
    const pair = system.socketPair().?;
    defer for (pair) |fd| system.close(fd);
    const file = try harness_module.temporaryFile("no socket");
    defer system.close(file);
    try expectError(error.EINVAL, endpoints.adoptListener(harness.scheduler, pair[0], 16));
    try expectError(error.ENOTSOCK, endpoints.adoptListener(harness.scheduler, file, 16));
    for ([_]system.Descriptor{ file, pair[0] }) |fd| try expect(system.isOpen(fd));

    const fd = try listeningSocket();
    defer if (system.isOpen(fd)) system.close(fd);
    const working = harness.scheduler.allocator;
    harness.scheduler.allocator = std.testing.failing_allocator;
    const outcome = endpoints.adoptListener(harness.scheduler, fd, 16);
    harness.scheduler.allocator = working;
    try expectError(error.Exhausted, outcome);
    try expect(system.isOpen(fd));
}

test "a listener of the scheduler's own is not adopted, and works on" {
    var harness = try Harness.init();
    defer harness.deinit();
    const listener = try harness.listenAt("127.0.0.1");
    const fd = harness.socketOf(listener).fd;
    try expectError(error.EEXIST, endpoints.adoptListener(harness.scheduler, fd, 16));
    try expect(system.isOpen(fd));
    const address = try harness.addressOf(listener);
    try expectConversation(&harness, listener, &address);
}

test "a socket that does not listen is not made to" {
    var harness = try Harness.init();
    defer harness.deinit();
    // listen(2) would bind it to any port at all.
    const fd: system.Descriptor = try system.socket(c.AF.INET, c.SOCK.STREAM);
    defer if (system.isOpen(fd)) system.close(fd);
    try expectError(error.EINVAL, endpoints.adoptListener(harness.scheduler, fd, 16));
    try expect(system.isOpen(fd));
}

test "a socket for which memory runs out is closed" {
    var harness = try Harness.init();
    defer harness.deinit();
    const scheduler = harness.scheduler;
    const probe: system.Descriptor = try system.socket(c.AF.INET, c.SOCK.STREAM);
    system.close(probe);
    const working = scheduler.allocator;
    scheduler.allocator = std.testing.failing_allocator;
    const outcome = endpoints.listen(scheduler, &addresses.parse("127.0.0.1", 0).?, 16, 0);
    scheduler.allocator = working;
    try expectError(error.Exhausted, outcome);
    try expect(!system.isOpen(probe));
}

test "keep-alive is set as far as it is given" {
    var harness = try Harness.init();
    defer harness.deinit();
    const server, _ = try harness.tcpPair();
    const fd = harness.socketOf(server).fd;
    try options.setKeepAlive(fd, true, 30, 0, 4);
    try expect((try system.getOption(fd, c.SOL.SOCKET, c.SO.KEEPALIVE)) != 0);
    if (system.is_linux) {
        const idle = 4;
        const count = 6;
        try expectEqual(30, (try system.getOption(fd, c.IPPROTO.TCP, idle)));
        try expectEqual(4, (try system.getOption(fd, c.IPPROTO.TCP, count)));
    }
    try options.setKeepAlive(fd, false, 0, 0, 0);
    try expectEqual(0, (try system.getOption(fd, c.SOL.SOCKET, c.SO.KEEPALIVE)));
}
