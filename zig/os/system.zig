//! The C library's calls with their errors as those of Zig: interrupted calls are repeated, and EAGAIN is
//! `WouldBlock`.

const std = @import("std");
const builtin = @import("builtin");
const c = std.c;
const linux = std.os.linux;
const assert = @import("bug.zig").assert;
const Error = @import("errors.zig").Error;

pub const Descriptor = c.fd_t;
pub const is_linux = builtin.os.tag == .linux;
pub const is_darwin = builtin.os.tag.isDarwin();

/// Whether a TCP socket is empty after a read that was shorter than its buffer. A read also stops at urgent
/// data, and only Linux reports that as an event.
pub const short_read_empties = is_linux;

/// The number of the last error that has no name of its own.
threadlocal var last_errno: i32 = 0;

/// The errors of the C library, by their numbers.
const error_by_errno = table: {
    @setEvalBranchQuota(200_000);
    var table: [256]Error = @splat(error.Other);
    for (@typeInfo(c.E).@"enum".fields) |field| {
        if (field.value >= table.len) continue;
        for (@typeInfo(Error).error_set.?) |candidate| {
            if (std.mem.eql(u8, candidate.name, "E" ++ field.name)) table[field.value] = @field(Error, candidate.name);
        }
    }
    table[@intFromEnum(c.E.AGAIN)] = error.WouldBlock;
    break :table table;
};

pub fn lastErrno() i32 {
    return last_errno;
}

fn errorOfErrno(number: i32) Error {
    const failure = if (number > 0 and number < error_by_errno.len) error_by_errno[@intCast(number)] else error.Other;
    if (failure == error.Other) last_errno = number;
    return failure;
}

/// Why the last call of the C library by this thread has failed.
pub fn lastError() Error {
    return errorOfErrno(c._errno().*);
}

fn interrupted() bool {
    return c._errno().* == @intFromEnum(c.E.INTR);
}

/// What a call has come to, or null when a signal interrupted it.
fn settle(result: anytype) ?Error!usize {
    if (result >= 0) return @as(usize, @intCast(result));
    return if (interrupted()) null else lastError();
}

/// The same for a bare system call of Linux. The two calls
/// that every request makes go past the C library, whose wrappers are cancellation points: with
/// more than one thread these cost two atomic operations each.
fn settleBare(result: usize) ?Error!usize {
    return switch (linux.errno(result)) {
        .SUCCESS => result,
        .INTR => null,
        else => |number| errorOfErrno(@intFromEnum(number)),
    };
}

pub fn receive(fd: Descriptor, buffer: [*]u8, length: usize) Error!usize {
    while (true) {
        if (is_linux) return settleBare(linux.recvfrom(fd, buffer, length, 0, null, null)) orelse continue;
        return settle(c.recv(fd, buffer, length, 0)) orelse continue;
    }
}

/// Sends without SIGPIPE: by flag where the system has one, else by the socket's SO_NOSIGPIPE.
pub fn send(fd: Descriptor, buffer: [*]const u8, length: usize) Error!usize {
    while (true) {
        if (is_linux) return settleBare(linux.sendto(fd, buffer, length, no_signal, null, 0)) orelse continue;
        return settle(c.send(fd, buffer, length, no_signal)) orelse continue;
    }
}

pub fn sendVector(fd: Descriptor, vector: []const std.posix.iovec_const) Error!usize {
    const message: c.msghdr_const = .{
        .name = null,
        .namelen = 0,
        .iov = vector.ptr,
        .iovlen = @intCast(vector.len),
        .control = null,
        .controllen = 0,
        .flags = 0,
    };
    while (true) return settle(c.sendmsg(fd, &message, no_signal)) orelse continue;
}

pub const no_signal: u32 = if (is_darwin) 0 else c.MSG.NOSIGNAL;

/// Sends `length` bytes of `file` from `offset` on. A value of 0 is the file's end.
pub fn sendFile(fd: Descriptor, file: Descriptor, offset: i64, length: usize) Error!usize {
    ignoreBrokenPipeSignal();
    while (true) {
        if (is_linux) {
            var position: c.off_t = offset;
            return settle(c.sendfile(fd, file, &position, length)) orelse continue;
        } else if (is_darwin) {
            // Darwin and FreeBSD report what went out before the socket was full beside EAGAIN.
            var sent: c.off_t = @intCast(length);
            const result = c.sendfile(file, fd, offset, &sent, null, 0);
            if (result == 0 or sent > 0) return @intCast(sent);
        } else {
            var sent: c.off_t = 0;
            const result = c.sendfile(file, fd, offset, length, null, &sent, 0);
            if (result == 0 or sent > 0) return @intCast(sent);
        }
        if (!interrupted()) return lastError();
    }
}

/// A pipe within the kernel (pipe(7)). The caller owns both ends.
pub const KernelPipe = struct { input: Descriptor, output: Descriptor };

/// A pipe of at least `capacity` bytes that neither blocks nor survives an exec. Only Linux moves data from
/// a socket to a pipe and from there to a socket.
pub fn kernelPipe(capacity: u32) Error!KernelPipe {
    if (!is_linux) return error.ENOSYS;
    var ends: [2]Descriptor = undefined;
    if (c.pipe2(&ends, .{ .NONBLOCK = true, .CLOEXEC = true }) != 0) return lastError();
    errdefer for (ends) |fd| close(fd);
    // An unprivileged user with many pipes gets none of this size (pipe(7), pipe-user-pages-soft).
    if (c.fcntl(ends[1], linux.F.SETPIPE_SZ, capacity) < 0) return lastError();
    return .{ .input = ends[1], .output = ends[0] };
}

/// Moves up to `length` bytes between a socket and a pipe, without copying them through the process. 0 is the
/// end of the stream, or a place in it that only a read gets over. It raises SIGPIPE for a
/// socket that is not connected any more.
pub fn splice(from: Descriptor, to: Descriptor, length: usize) Error!usize {
    if (!is_linux) return error.ENOSYS;
    const move_without_blocking = 1 | 2; // SPLICE_F_MOVE, SPLICE_F_NONBLOCK
    while (true) return settleBare(linux.syscall6(
        .splice,
        @intCast(from),
        0,
        @intCast(to),
        0,
        length,
        move_without_blocking,
    )) orelse continue;
}

/// Throws away what has arrived on a TCP socket, up to `length` bytes.
pub fn discard(fd: Descriptor, length: usize) Error!usize {
    // On Linux MSG_TRUNC drops a TCP socket's bytes without touching the buffer (tcp(7)); any other
    // socket answers EFAULT for this one.
    if (is_linux) {
        while (true) return settleBare(linux.recvfrom(fd, @ptrFromInt(std.heap.page_size_min), length, linux.MSG.TRUNC, null, null)) orelse continue;
    }
    var scratch: [16 * 1024]u8 = undefined;
    while (true) return settle(c.recv(fd, &scratch, @min(length, scratch.len), 0)) orelse continue;
}

/// Bytes that were sent and that the peer has not acknowledged yet; null where unknown.
pub fn unacknowledged(fd: Descriptor) ?usize {
    var bytes: c_int = 0;
    if (is_darwin) {
        const so_nwrite = 0x1024;
        var length: c.socklen_t = @sizeOf(c_int);
        if (c.getsockopt(fd, c.SOL.SOCKET, so_nwrite, &bytes, &length) != 0) return null;
    } else {
        const siocoutq = 0x5411;
        const fionwrite = 0x4004_6677; // _IOR('f', 119, int)
        if (c.ioctl(fd, if (is_linux) siocoutq else fionwrite, &bytes) != 0) return null;
    }
    return @intCast(@max(bytes, 0));
}

/// Whether something has arrived: 1 byte, 0 for the end of the stream, `WouldBlock` for neither.
pub fn peek(fd: Descriptor) Error!usize {
    var byte: [1]u8 = undefined;
    while (true) return settle(c.recv(fd, &byte, byte.len, c.MSG.PEEK)) orelse continue;
}

/// A new socket that neither blocks nor survives an exec.
pub fn socket(family: u32, kind: u32) Error!Descriptor {
    const flags: u32 = if (is_darwin) 0 else c.SOCK.NONBLOCK | c.SOCK.CLOEXEC;
    const fd = c.socket(family, kind | flags, 0);
    if (fd < 0) return lastError();
    if (is_darwin) prepare(fd);
    return fd;
}

pub const Address = extern struct {
    storage: c.sockaddr.storage = std.mem.zeroes(c.sockaddr.storage),
    length: c.socklen_t = @sizeOf(c.sockaddr.storage),

    pub fn pointer(address: *const Address) *const c.sockaddr {
        return @ptrCast(&address.storage);
    }

    fn target(address: *Address) *c.sockaddr {
        return @ptrCast(&address.storage);
    }
};

pub fn accept(listener: Descriptor, peer: *Address) Error!Descriptor {
    peer.length = @sizeOf(c.sockaddr.storage);
    while (true) {
        const fd = if (is_darwin)
            c.accept(listener, peer.target(), &peer.length)
        else
            c.accept4(listener, peer.target(), &peer.length, c.SOCK.NONBLOCK | c.SOCK.CLOEXEC);
        if (fd < 0 and interrupted()) continue;
        if (fd < 0) return lastError();
        if (is_darwin) prepare(fd);
        return fd;
    }
}

/// Starts to connect. WouldBlock says that the attempt is under way.
pub fn connect(fd: Descriptor, address: *const Address) Error!void {
    if (c.connect(fd, address.pointer(), address.length) == 0) return;
    const number = c._errno().*;
    if (number == @intFromEnum(c.E.INPROGRESS) or number == @intFromEnum(c.E.INTR)) {
        return error.WouldBlock;
    }
    return addressFailure(number, is_linux);
}

/// Gives a socket an address of this machine.
pub fn bind(fd: Descriptor, address: *const Address) Error!void {
    if (c.bind(fd, address.pointer(), address.length) == 0) return;
    return addressFailure(c._errno().*, false);
}

/// Why connect(2) or bind(2) failed. No event ever follows their EAGAIN: it says that no port is free, on
/// macOS and FreeBSD, or that a Unix listener's backlog is full, where Linux connects.
fn addressFailure(number: i32, is_full_backlog: bool) Error {
    if (number != @intFromEnum(c.E.AGAIN)) return errorOfErrno(number);
    return if (is_full_backlog) error.ECONNREFUSED else error.EADDRNOTAVAIL;
}

pub fn listen(fd: Descriptor, backlog: u32) Error!void {
    if (c.listen(fd, @min(backlog, std.math.maxInt(c_int))) != 0) return lastError();
}

/// Ends the sending side of a socket.
pub fn shutdown(fd: Descriptor) Error!void {
    if (c.shutdown(fd, c.SHUT.WR) != 0) return lastError();
}

pub fn localAddress(fd: Descriptor) Error!Address {
    var address: Address = .{};
    if (c.getsockname(fd, address.target(), &address.length) != 0) return lastError();
    return address;
}

pub fn remoteAddress(fd: Descriptor) Error!Address {
    var address: Address = .{};
    if (c.getpeername(fd, address.target(), &address.length) != 0) return lastError();
    return address;
}

pub fn setOption(fd: Descriptor, level: i32, name: u32, value: anytype) Error!void {
    const copy = value;
    if (c.setsockopt(fd, level, name, &copy, @sizeOf(@TypeOf(copy))) != 0) return lastError();
}

pub fn getOption(fd: Descriptor, level: i32, name: u32) Error!c_int {
    var value: c_int = 0;
    var length: c.socklen_t = @sizeOf(c_int);
    if (c.getsockopt(fd, level, name, &value, &length) != 0) return lastError();
    return value;
}

/// The error that a socket has pending, which this takes off it; null when there is none.
pub fn pendingError(fd: Descriptor) ?Error {
    const number = getOption(fd, c.SOL.SOCKET, c.SO.ERROR) catch |failure| return failure;
    return if (number == 0) null else errorOfErrno(number);
}

pub fn close(fd: Descriptor) void {
    // The descriptor is closed even if close fails (close(2), "Dealing with error returns").
    _ = c.close(fd);
}

/// Makes a descriptor non-blocking and closed on exec.
pub fn setNonBlocking(fd: Descriptor) Error!void {
    const flags = c.fcntl(fd, c.F.GETFL);
    if (flags < 0) return lastError();
    const non_blocking: c_int = @bitCast(c.O{ .NONBLOCK = true });
    if (flags & non_blocking == 0) {
        if (c.fcntl(fd, c.F.SETFL, flags | non_blocking) < 0) return lastError();
    }
    if (c.fcntl(fd, c.F.SETFD, @as(c_int, c.FD_CLOEXEC)) < 0) return lastError();
}

/// A number that identifies a socket independent of its descriptor; null when it is closed.
pub fn inode(fd: Descriptor) ?u64 {
    if (is_linux) {
        var status: linux.Statx = undefined;
        const result = linux.statx(fd, "", linux.AT.EMPTY_PATH, .{ .INO = true }, &status);
        return if (linux.errno(result) == .SUCCESS) status.ino else null;
    }
    var status: c.Stat = undefined;
    return if (c.fstat(fd, &status) == 0) @intCast(status.ino) else null;
}

pub fn isOpen(fd: Descriptor) bool {
    return c.fcntl(fd, c.F.GETFD) >= 0;
}

fn prepare(fd: Descriptor) void {
    setNonBlocking(fd) catch {};
    if (is_darwin) setOption(fd, c.SOL.SOCKET, c.SO.NOSIGPIPE, @as(c_int, 1)) catch {};
}

/// A connected pair of stream sockets, neither blocking nor surviving an exec.
pub fn socketPair() ?[2]Descriptor {
    var pair: [2]Descriptor = undefined;
    const flags: u32 = if (is_darwin) 0 else c.SOCK.NONBLOCK | c.SOCK.CLOEXEC;
    if (c.socketpair(c.AF.UNIX, c.SOCK.STREAM | flags, 0, &pair) != 0) return null;
    if (is_darwin) for (pair) |fd| prepare(fd);
    return pair;
}

/// Sends a byte through one end of a socket pair, and leaves the thread's memory and errno as they are: a signal
/// handler calls this. False when the other end is closed. A full socket holds bytes that were not read yet.
pub fn ring(bell: Descriptor) bool {
    const number = c._errno().*;
    defer c._errno().* = number;
    while (c.send(bell, "!", 1, no_signal) < 0) {
        if (!interrupted()) return c._errno().* == @intFromEnum(c.E.AGAIN);
    }
    return true;
}

/// Ends both directions of a socket, which its other end notices.
pub fn hangUp(fd: Descriptor) void {
    _ = c.shutdown(fd, c.SHUT.RDWR);
}

/// Blocks the thread until `fd` is ready or `timeout` milliseconds have passed; -1 is for ever.
pub fn pollOne(fd: Descriptor, for_write: bool, timeout: i32) bool {
    const mask: i16 = if (for_write) c.POLL.OUT else c.POLL.IN;
    var entry = [1]c.pollfd{.{ .fd = fd, .events = mask, .revents = 0 }};
    return c.poll(&entry, 1, timeout) > 0;
}

/// The monotonic clock in nanoseconds. It is the clock of the system's timers: both stop while the
/// machine sleeps. macOS's CLOCK_MONOTONIC does not stop.
pub fn nanoseconds() i64 {
    var time: c.timespec = undefined;
    const result = c.clock_gettime(if (is_darwin) .UPTIME_RAW else .MONOTONIC, &time);
    assert(result == 0, "the system has no monotonic clock");
    return @as(i64, time.sec) * std.time.ns_per_s + @as(i64, time.nsec);
}

/// Starts a detached thread on which all signals are blocked: the process's handlers
/// expect to run on the threads of the VM. False when the system refuses.
pub fn startThread(stack_bytes: usize, comptime function: anytype, arguments: anytype) bool {
    var all: c.sigset_t = undefined;
    _ = c.sigfillset(&all);
    var previous: c.sigset_t = undefined;
    // A new thread has its creator's mask from the start.
    _ = c.pthread_sigmask(c.SIG.BLOCK, &all, &previous);
    defer {
        var blocked: c.sigset_t = undefined;
        _ = c.pthread_sigmask(c.SIG.SETMASK, &previous, &blocked);
    }
    const thread = std.Thread.spawn(.{ .stack_size = stack_bytes }, function, arguments) catch return false;
    thread.detach();
    return true;
}

/// A lock between threads. std.Thread has none that needs no `Io`.
pub const Mutex = struct {
    inner: c.pthread_mutex_t = .{},

    pub fn lock(mutex: *Mutex) void {
        assert(c.pthread_mutex_lock(&mutex.inner) == .SUCCESS, "a mutex cannot be locked");
    }

    pub fn unlock(mutex: *Mutex) void {
        assert(c.pthread_mutex_unlock(&mutex.inner) == .SUCCESS, "a mutex cannot be unlocked");
    }
};

const ThreadKey = if (is_darwin) c_ulong else c_uint;
extern "c" fn pthread_key_create(key: *ThreadKey, destructor: *const fn (*anyopaque) callconv(.c) void) c_int;
extern "c" fn pthread_setspecific(key: ThreadKey, value: ?*const anyopaque) c_int;

var thread_end_key: ThreadKey = undefined;
var has_thread_end_key: std.atomic.Value(u32) = .init(0);

/// Registers `destructor` to run when the calling thread ends. It is the same one for all threads.
pub fn onThreadEnd(destructor: *const fn (*anyopaque) callconv(.c) void) void {
    // 0 is no key, 1 one in the making, 2 one that is ready.
    if (has_thread_end_key.cmpxchgStrong(0, 1, .acquire, .acquire) == null) {
        const created = pthread_key_create(&thread_end_key, destructor) == 0;
        has_thread_end_key.store(if (created) 2 else 0, .release);
    }
    while (has_thread_end_key.load(.acquire) == 1) std.atomic.spinLoopHint();
    // A key's destructor is called for values other than null.
    if (has_thread_end_key.load(.acquire) == 2) _ = pthread_setspecific(thread_end_key, &thread_end_key);
}

const LibraryInfo = extern struct { path: ?[*:0]const u8, base: ?*anyopaque, symbol: ?[*:0]const u8, address: ?*anyopaque };
extern "c" fn dladdr(address: *const anyopaque, info: *LibraryInfo) c_int;

/// Keeps this library mapped until the process ends: its threads outlive the VM that loaded it.
pub fn keepLoaded() void {
    var info: LibraryInfo = undefined;
    if (dladdr(@ptrCast(&keepLoaded), &info) == 0) return;
    _ = c.dlopen(info.path, .{ .LAZY = true, .NODELETE = true });
}

pub const SignalAction = c.Sigaction;

/// Sets what a signal does, unless that is null, and returns what it did before.
pub fn setSignalAction(signal: c.SIG, action: ?*const SignalAction) Error!SignalAction {
    var before: SignalAction = undefined;
    if (c.sigaction(signal, action, &before) != 0) return lastError();
    return before;
}

/// `sendfile` and `splice` raise SIGPIPE and have no flag against it. If the process has the signal's default action,
/// which would end it, the signal is ignored from here on, as Bun and Node do themselves. Bun sets the default
/// action when a program takes its last listener for the signal away: so this is called before each of them.
pub fn ignoreBrokenPipeSignal() void {
    const before = setSignalAction(.PIPE, null) catch return;
    if (before.handler.handler != c.SIG.DFL) return;
    const action: SignalAction = .{ .handler = .{ .handler = c.SIG.IGN }, .mask = std.mem.zeroes(c.sigset_t), .flags = 0 };
    _ = setSignalAction(.PIPE, &action) catch {};
}

test "errors of the C library keep their names" {
    try std.testing.expectEqual(error.ECONNREFUSED, errorOfErrno(@intFromEnum(c.E.CONNREFUSED)));
    try std.testing.expectEqual(error.E2BIG, errorOfErrno(@intFromEnum(c.E.@"2BIG")));
    try std.testing.expectEqual(error.WouldBlock, errorOfErrno(@intFromEnum(c.E.AGAIN)));
    try std.testing.expectEqual(error.Other, errorOfErrno(250));
    try std.testing.expectEqual(@as(i32, 250), last_errno);
}

test "connecting and binding never say that there is something to wait for" {
    const again: i32 = @intFromEnum(c.E.AGAIN);
    try std.testing.expectEqual(error.ECONNREFUSED, addressFailure(again, true));
    try std.testing.expectEqual(error.EADDRNOTAVAIL, addressFailure(again, false));
    const unreachable_network: i32 = @intFromEnum(c.E.NETUNREACH);
    try std.testing.expectEqual(error.ENETUNREACH, addressFailure(unreachable_network, true));
}

test "every system tells how much of what was sent is unacknowledged" {
    const pair = socketPair().?;
    defer for (pair) |fd| close(fd);
    // Every system has such a count, or each `close` would have to wait for the peer.
    try std.testing.expectEqual(0, unacknowledged(pair[0]).?);
}
