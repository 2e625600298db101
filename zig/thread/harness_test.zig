//! A scheduler under test. Its wake-ups are compared one by one, and after every poll its books are
//! held against what its tables say.

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const addresses = @import("../os/addresses.zig");
const books = @import("books_test.zig");
const connections = @import("connections.zig");
const errors = @import("../os/errors.zig");
const endpoints = @import("../net/endpoints.zig");
const indices = @import("../core/indices.zig");
const openssl_memory = @import("../tls/memory_test.zig");
const streams = @import("../net/streams.zig");
const system = @import("../os/system.zig");
const handshakes = @import("../tls/handshakes.zig");
const Error = errors.Error;
const Engine = @import("../tls/engine.zig").Engine;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const Socket = @import("../core/sockets.zig").Socket;
const SocketHandle = indices.SocketHandle;
const SocketIndex = indices.SocketIndex;
const WaiterIndex = indices.WaiterIndex;
const Status = abi.Status;
const Thread = @import("thread.zig").Thread;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

pub const checkBooks = books.check;

/// A waiter, or a token of the harness (`park`), and with what it was woken.
pub const Wakeup = struct { WaiterIndex, Status };

/// How long a test waits for a condition before it fails, in nanoseconds.
const patience = 10 * std.time.ns_per_s;

/// Tokens are numbered from here on, beyond every waiter.
const first_token = 1 << 24;
const tokens_at_most = 1024;
const turns_at_most = 256;

const Lane = struct {
    handle: SocketHandle,
    direction: abi.Direction,

    fn is(lane: Lane, other: Lane) bool {
        return lane.handle == other.handle and lane.direction == other.direction;
    }
};

/// An operation that waits for a socket. TypeScript keeps these; the core does not know them.
const Token = struct {
    number: WaiterIndex,
    lane: Lane,
    /// The waiter that ends the wait, if there is a deadline.
    sleeper: ?WaiterIndex,
    /// In the middle of a transfer.
    keeps_turn: bool,
};

pub const Harness = struct {
    thread: *Thread,
    scheduler: *Scheduler,
    tls: *Engine,
    wakeups: [tokens_at_most + abi.Limits.sockets_per_poll + abi.Limits.waiters_per_poll]Wakeup = undefined,
    /// Those of the next poll that the harness has decided on by itself come first.
    wakeup_count: usize = 0,
    /// All lanes in one list: those of one lane are in its order.
    tokens: [tokens_at_most]Token = undefined,
    token_count: usize = 0,
    next_token: u32 = first_token,
    /// Lanes whose first operation was woken, and has called nothing since.
    turns: [turns_at_most]Lane = undefined,
    turn_count: usize = 0,

    pub fn init() !Harness {
        return initWith(std.testing.allocator);
    }

    pub fn initWith(allocator: std.mem.Allocator) !Harness {
        system.ignoreBrokenPipeSignal();
        openssl_memory.startCounting();
        const thread: *Thread = try .create(allocator);
        return .{ .thread = thread, .scheduler = &thread.scheduler, .tls = &thread.tls };
    }

    pub fn deinit(harness: *Harness) void {
        harness.thread.destroy();
    }

    // -- Polling

    /// Delivers what is ready without waiting for more.
    pub fn poll(harness: *Harness) ![]const Wakeup {
        return harness.pollFor(0);
    }

    pub fn pollFor(harness: *Harness, timeout_nanoseconds: ?i64) ![]const Wakeup {
        harness.forgetClosed();
        const count = harness.thread.poll(if (harness.wakeup_count > 0) 0 else timeout_nanoseconds);
        // This very poll reports their sleepers, which is too late.
        var late: [tokens_at_most]WaiterIndex = undefined;
        var late_count: usize = 0;
        var has_waiters = false;
        for (0..count) |place| {
            const number, const value = harness.scheduler.shared.ring[2 * place ..][0..2].*;
            if (number >= 0) {
                // Sockets come before waiters.
                try expect(!has_waiters);
                try harness.tell(@enumFromInt(number), @intCast(value), &late, &late_count);
                continue;
            }
            has_waiters = true;
            const waiter: WaiterIndex = @enumFromInt(~number);
            if (std.mem.indexOfScalar(WaiterIndex, late[0..late_count], waiter) != null) continue;
            harness.add(harness.numberOf(waiter), @enumFromInt(value));
        }
        try books.check(harness.thread);
        try harness.checkLanes();
        defer harness.wakeup_count = 0;
        return harness.wakeups[0..harness.wakeup_count];
    }

    fn add(harness: *Harness, number: WaiterIndex, status: Status) void {
        harness.wakeups[harness.wakeup_count] = .{ number, status };
        harness.wakeup_count += 1;
    }

    /// Gives the turn to the first one of each lane that a socket is ready for.
    fn tell(harness: *Harness, handle: SocketHandle, bits: u32, late: []WaiterIndex, late_count: *usize) !void {
        switch (harness.socketOf(handle).kind) {
            .stream, .listener => {},
            .free, .watched, .lingering => return error.NotASocket,
        }
        try expect(bits != 0 and bits & ~(abi.Ready.readable | abi.Ready.writable) == 0);
        for ([_]u32{ abi.Ready.readable, abi.Ready.writable }, std.enums.values(abi.Direction)) |bit, direction| {
            if (bits & bit == 0) continue;
            const lane: Lane = .{ .handle = handle, .direction = direction };
            if (harness.turnOf(lane) != null) continue;
            const token = harness.removeToken(harness.firstOf(lane) orelse continue);
            if (token.sleeper) |sleeper| if (harness.scheduler.waiters.at(sleeper).state == .delivered) {
                late[late_count.*] = sleeper;
                late_count.* += 1;
            };
            harness.turns[harness.turn_count] = lane;
            harness.turn_count += 1;
            harness.add(token.number, .ok);
        }
    }

    /// The token whose time is up with this waiter, which leaves its lane, or the waiter itself.
    fn numberOf(harness: *Harness, waiter: WaiterIndex) WaiterIndex {
        for (harness.tokens[0..harness.token_count], 0..) |token, place| {
            if (token.sleeper == waiter) return harness.giveUp(place);
        }
        return waiter;
    }

    /// Polls until there are wake-ups, and expects these, in this order.
    pub fn expectWoken(harness: *Harness, expected: []const Wakeup) !void {
        const end = system.nanoseconds() + patience;
        while (system.nanoseconds() < end) {
            const woken = try harness.pollFor(10 * std.time.ns_per_ms);
            if (woken.len > 0) return std.testing.expectEqualSlices(Wakeup, expected, woken);
        }
        return error.NobodyWasWoken;
    }

    /// Polls without waiting, and expects no wake-ups.
    pub fn expectNobody(harness: *Harness) !void {
        try std.testing.expectEqualSlices(Wakeup, &.{}, try harness.poll());
    }

    /// Polls until the condition holds. There must be no wake-ups meanwhile.
    pub fn pollUntil(harness: *Harness, context: anytype, comptime holds: fn (@TypeOf(context)) bool) !void {
        const end = system.nanoseconds() + patience;
        while (system.nanoseconds() < end) {
            if (holds(context)) return;
            try std.testing.expectEqualSlices(Wakeup, &.{}, try harness.pollFor(10 * std.time.ns_per_ms));
        }
        return error.NeverCameTrue;
    }

    // -- Waiting

    pub fn sleep(harness: *Harness, deadline_nanoseconds: ?i64) WaiterIndex {
        return harness.scheduler.park(.sleep, deadline_nanoseconds) catch unreachable;
    }

    pub fn park(harness: *Harness, handle: SocketHandle, direction: abi.Direction) WaiterIndex {
        return harness.parkUntil(handle, direction, null);
    }

    pub fn parkUntil(harness: *Harness, handle: SocketHandle, direction: abi.Direction, deadline_nanoseconds: ?i64) WaiterIndex {
        return harness.enter(handle, direction, deadline_nanoseconds, false);
    }

    /// Parks for the rest of a transfer, or after a turn that came to nothing.
    pub fn parkAgain(harness: *Harness, handle: SocketHandle, direction: abi.Direction) WaiterIndex {
        return harness.enter(handle, direction, null, true);
    }

    /// Queues a token, behind all others or before them. If the socket is ready the next poll tells.
    pub fn enter(harness: *Harness, handle: SocketHandle, direction: abi.Direction, deadline_nanoseconds: ?i64, keeps_turn: bool) WaiterIndex {
        const lane: Lane = .{ .handle = handle, .direction = direction };
        const token: Token = .{
            .number = @enumFromInt(harness.next_token),
            .lane = lane,
            .sleeper = if (deadline_nanoseconds) |point| harness.sleep(point) else null,
            .keeps_turn = keeps_turn,
        };
        harness.next_token += 1;
        if (harness.firstOf(lane) == null) harness.takeTurn(lane);
        const place = if (keeps_turn) 0 else harness.token_count;
        std.mem.copyBackwards(Token, harness.tokens[place + 1 .. harness.token_count + 1], harness.tokens[place..harness.token_count]);
        harness.tokens[place] = token;
        harness.token_count += 1;
        harness.scheduler.announce(harness.socketOf(handle), direction);
        return token.number;
    }

    /// Wakes a token, or a waiter, with a status before its time. False when it was woken before.
    pub fn cancel(harness: *Harness, number: WaiterIndex, status: Status) bool {
        if (@intFromEnum(number) < first_token) {
            if (harness.scheduler.waiters.at(number).state != .waiting) return false;
            harness.thread.wake(number, status);
            return true;
        }
        const place = harness.placeOf(number) orelse return false;
        harness.add(harness.giveUp(place), status);
        return true;
    }

    /// Whether a token still waits.
    pub fn isParked(harness: *const Harness, number: WaiterIndex) bool {
        return harness.placeOf(number) != null;
    }

    fn placeOf(harness: *const Harness, number: WaiterIndex) ?usize {
        for (harness.tokens[0..harness.token_count], 0..) |token, place| {
            if (token.number == number) return place;
        }
        return null;
    }

    fn firstOf(harness: *const Harness, lane: Lane) ?usize {
        for (harness.tokens[0..harness.token_count], 0..) |token, place| {
            if (token.lane.is(lane)) return place;
        }
        return null;
    }

    fn removeToken(harness: *Harness, place: usize) Token {
        const token = harness.tokens[place];
        if (token.sleeper) |sleeper| harness.thread.drop(sleeper);
        std.mem.copyForwards(Token, harness.tokens[place .. harness.token_count - 1], harness.tokens[place + 1 .. harness.token_count]);
        harness.token_count -= 1;
        return token;
    }

    /// An operation ends before it is done.
    fn giveUp(harness: *Harness, place: usize) WaiterIndex {
        const token = harness.removeToken(place);
        if (token.keeps_turn and token.lane.direction == .writable) connections.breakOff(harness.thread, token.lane.handle);
        harness.proceed(token.lane);
        return token.number;
    }

    fn turnOf(harness: *const Harness, lane: Lane) ?usize {
        for (harness.turns[0..harness.turn_count], 0..) |turn, place| if (turn.is(lane)) return place;
        return null;
    }

    fn takeTurn(harness: *Harness, lane: Lane) void {
        const place = harness.turnOf(lane) orelse return;
        harness.turn_count -= 1;
        harness.turns[place] = harness.turns[harness.turn_count];
    }

    /// Gives the first operation of a lane the turn, if the socket is ready.
    fn proceed(harness: *Harness, lane: Lane) void {
        const index = harness.scheduler.sockets.find(lane.handle) orelse return;
        if (harness.firstOf(lane) != null) harness.scheduler.announce(harness.scheduler.sockets.at(index), lane.direction);
    }

    /// Ends the turn of the operation that was woken last.
    pub fn endTurn(harness: *Harness, handle: SocketHandle, direction: abi.Direction) void {
        const lane: Lane = .{ .handle = handle, .direction = direction };
        harness.takeTurn(lane);
        harness.proceed(lane);
    }

    /// As `endTurn`, for a writer who leaves it at what was sent so far, and wants no more.
    pub fn endTransfer(harness: *Harness, handle: SocketHandle) void {
        if (handshakes.find(harness.tls, handle)) |connection| connection.endTransfer();
        harness.endTurn(handle, .writable);
    }

    /// Those who wait for a socket that is closed have been told so by TypeScript.
    fn forgetClosed(harness: *Harness) void {
        var place: usize = 0;
        while (place < harness.token_count) {
            if (harness.isOpen(harness.tokens[place].lane.handle)) place += 1 else _ = harness.removeToken(place);
        }
        place = 0;
        while (place < harness.turn_count) {
            if (harness.isOpen(harness.turns[place].handle)) place += 1 else harness.takeTurn(harness.turns[place]);
        }
    }

    fn isOpen(harness: *const Harness, handle: SocketHandle) bool {
        const index = harness.scheduler.sockets.find(handle) orelse return false;
        return harness.scheduler.sockets.at(index).kind != .lingering;
    }

    /// No operation is forgotten: the first one of a socket that is ready has the turn, or the socket is about to be reported.
    fn checkLanes(harness: *Harness) !void {
        for (harness.tokens[0..harness.token_count]) |token| {
            const socket = harness.socketOf(token.lane.handle);
            const is_writing = token.lane.direction == .writable;
            const is_ready = if (is_writing)
                socket.flags.writable or socket.failure != null
            else
                socket.flags.readable or socket.flags.buffered or socket.flags.end_of_stream or socket.readFailure() != null;
            if (socket.flags.handshaking or !is_ready or harness.turnOf(token.lane) != null) continue;
            const bit: u32 = if (is_writing) abi.Ready.writable else abi.Ready.readable;
            try expect(socket.unreported & bit != 0);
        }
    }

    pub fn indexOf(harness: *Harness, handle: SocketHandle) SocketIndex {
        return harness.scheduler.sockets.find(handle).?;
    }

    pub fn socketOf(harness: *Harness, handle: SocketHandle) *Socket {
        return harness.scheduler.sockets.at(harness.indexOf(handle));
    }

    // -- Transfers

    pub fn send(harness: *Harness, handle: SocketHandle, bytes: []const u8) Error!usize {
        return harness.sendFrom(handle, .{ .bytes = bytes });
    }

    pub fn sendFrom(harness: *Harness, handle: SocketHandle, source: streams.Source) Error!usize {
        defer harness.endTurn(handle, .writable);
        return connections.send(harness.thread, handle, source);
    }

    pub fn receive(harness: *Harness, handle: SocketHandle, buffer: []u8) Error!usize {
        defer harness.endTurn(handle, .readable);
        return connections.receive(harness.thread, handle, buffer.ptr, buffer.len);
    }

    pub fn shutdown(harness: *Harness, handle: SocketHandle) Error!void {
        defer harness.endTurn(handle, .writable);
        return connections.shutdown(harness.thread, handle);
    }

    pub fn expectReceived(harness: *Harness, handle: SocketHandle, expected: []const u8) !void {
        var buffer: [256]u8 = undefined;
        const length = try harness.receive(handle, &buffer);
        try std.testing.expectEqualStrings(expected, buffer[0..length]);
    }

    // -- Sockets

    /// A socket of the scheduler, and its peer as a plain descriptor.
    pub fn unixPair(harness: *Harness) !struct { SocketHandle, system.Descriptor } {
        const pair = system.socketPair() orelse return error.NoSocketPair;
        return .{ try handleOf(endpoints.adopt(harness.scheduler, pair[0])), pair[1] };
    }

    pub fn listenAt(harness: *Harness, host: []const u8) !SocketHandle {
        return handleOf(endpoints.listen(harness.scheduler, &addresses.parse(host, 0).?, 128, 0));
    }

    /// Where a listener listens.
    pub fn addressOf(harness: *Harness, handle: SocketHandle) !system.Address {
        return system.localAddress(harness.socketOf(handle).fd);
    }

    pub fn connectTo(harness: *Harness, address: *const system.Address) !SocketHandle {
        const handle = try handleOf(endpoints.connect(harness.scheduler, address, null));
        const waiter = harness.park(handle, .writable);
        try harness.expectWoken(&.{.{ waiter, .ok }});
        try endpoints.finishConnect(harness.scheduler, handle);
        return handle;
    }

    pub fn acceptFrom(harness: *Harness, listener: SocketHandle) !SocketHandle {
        const waiter = harness.park(listener, .readable);
        try harness.expectWoken(&.{.{ waiter, .ok }});
        const handle = try handleOf(endpoints.accept(harness.scheduler, listener));
        harness.endTurn(listener, .readable);
        return handle;
    }

    /// Both ends of a TCP connection, the accepted one first.
    pub fn tcpPair(harness: *Harness) !struct { SocketHandle, SocketHandle } {
        const listener = try harness.listenAt("127.0.0.1");
        const client = try harness.connectTo(&try harness.addressOf(listener));
        const server = try harness.acceptFrom(listener);
        try connections.close(harness.thread, listener);
        return .{ server, client };
    }

    /// A TCP socket of the scheduler, and its peer as a plain descriptor.
    pub fn tcpPeer(harness: *Harness) !struct { SocketHandle, system.Descriptor } {
        const server, const client = try harness.tcpPair();
        return .{ server, try releaseDescriptor(harness.scheduler, client) };
    }
};

pub fn handleOf(outcome: Error!SocketHandle) !SocketHandle {
    return outcome;
}

/// The status by which a call has failed, or null.
pub fn failureOf(outcome: Error!void) ?Status {
    outcome catch |failure| return errors.statusOf(failure);
    return null;
}

/// Blocks until the peer, a plain descriptor, has all of this to read.
pub fn expectAtPeer(peer: system.Descriptor, expected: []const u8) !void {
    var buffer: [4096]u8 = undefined;
    var taken: usize = 0;
    while (taken < expected.len) {
        try expect(system.pollOne(peer, false, 5000));
        const count = try system.receive(peer, &buffer, @min(buffer.len, expected.len - taken));
        try expect(count > 0);
        try std.testing.expectEqualStrings(expected[taken..][0..count], buffer[0..count]);
        taken += count;
    }
}

pub fn sendFromPeer(peer: system.Descriptor, bytes: []const u8) !void {
    try expectEqual(bytes.len, try system.send(peer, bytes.ptr, bytes.len));
}

/// Reads what the peer, a plain descriptor, has got so far; the count of bytes.
pub fn drainPeer(peer: system.Descriptor) usize {
    var buffer: [16 * 1024]u8 = undefined;
    var total: usize = 0;
    while (true) {
        const count = system.receive(peer, &buffer, buffer.len) catch return total;
        if (count == 0) return total;
        total += count;
    }
}

/// Shrinks a socket's buffers, so that a few kilobytes fill it.
pub fn shrinkBuffers(fd: system.Descriptor) void {
    system.setOption(fd, c.SOL.SOCKET, c.SO.SNDBUF, @as(c_int, 4096)) catch {};
    system.setOption(fd, c.SOL.SOCKET, c.SO.RCVBUF, @as(c_int, 4096)) catch {};
}

extern "c" fn mkstemp(template: [*:0]u8) c_int;

/// A file without a name, with this in it.
pub fn temporaryFile(content: []const u8) !system.Descriptor {
    var path = "/tmp/plait-core-XXXXXX".*;
    const fd = mkstemp(&path);
    if (fd < 0) return error.NoFile;
    _ = c.unlink(&path);
    errdefer system.close(fd);
    try expectEqual(@as(isize, @intCast(content.len)), c.write(fd, content.ptr, content.len));
    return fd;
}

/// Takes a descriptor out of the scheduler without closing it, for a test to use by itself.
pub fn releaseDescriptor(scheduler: *Scheduler, handle: SocketHandle) Error!system.Descriptor {
    const socket = try scheduler.sockets.get(handle, .stream);
    const fd = socket.fd;
    scheduler.backend.unregister(fd);
    scheduler.removeSocket(socket.index);
    return fd;
}
