//! The C ABI, together with `tls_exports.zig`. `library.zig` exports every public function under
//! its name with `plait_` before it, because names like `close` are the C library's. Every function works
//! on the calling thread's `Thread`, which `open` makes. Unless it says otherwise, a function returns a
//! value of 0 or more, or a negated `Status`. A kind or a flag that does not exist is answered with EINVAL.
//!
//! Memory: pointers into JavaScript's memory are used during the call only. The block that `shared`
//! returns belongs to the scheduler and lives as long as its thread's VM.

const std = @import("std");
const abi = @import("abi.zig");
const addresses = @import("../os/addresses.zig");
const connections = @import("../thread/connections.zig");
const answer = @import("answer.zig").answer;
const current = @import("../thread/current.zig");
const errors = @import("../os/errors.zig");
const endpoints = @import("../net/endpoints.zig");
const masking = @import("../net/masking.zig");
const options = @import("../os/options.zig");
const scheduler_module = @import("../core/scheduler.zig");
const signals = @import("../thread/signals.zig");
const streams = @import("../net/streams.zig");
const system = @import("../os/kernel.zig").system;
const tls_transfers = @import("../tls/transfers.zig");
const Status = abi.Status;
const WaiterIndex = @import("../core/indices.zig").WaiterIndex;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const thread = current.thread;

fn scheduler() *scheduler_module.Scheduler {
    return &thread().scheduler;
}

/// Makes the thread's scheduler, or makes it anew.
pub fn open() callconv(.c) i32 {
    // The caller needs to know no more than that descriptors or memory are out.
    current.open() catch return Status.EMFILE.code();
    return 0;
}

/// The end of the bell that Bun's loop is to watch. The caller owns the descriptor.
pub fn takeBell() callconv(.c) i32 {
    return current.bell;
}

/// The memory block that both sides read, an `abi.Shared`.
pub fn shared() callconv(.c) [*]u8 {
    return std.mem.asBytes(scheduler().shared);
}

/// The C library's number for the error that was last reported as `Status.other`.
pub fn lastErrno() callconv(.c) i32 {
    return system.lastErrno();
}

/// The monotonic clock in milliseconds.
pub fn now() callconv(.c) f64 {
    return scheduler_module.milliseconds(system.nanoseconds());
}

/// When the first thread of the process called `open`, on the clock of `now`.
pub fn firstOpened() callconv(.c) f64 {
    return scheduler_module.milliseconds(current.firstOpened());
}

/// Delivers what is ready, waiting up to so many microseconds for it; negative waits for ever.
/// Returns the number of pairs in `Shared.ring`.
pub fn poll(timeout_microseconds: i32) callconv(.c) i32 {
    const timeout: ?i64 = if (timeout_microseconds < 0)
        null
    else
        @as(i64, timeout_microseconds) * std.time.ns_per_us;
    return @intCast(thread().poll(timeout));
}

/// Begins a turn of the attached driver, which may use `spinPoll`.
pub fn beginTurn() callconv(.c) void {
    scheduler().setSpins(.attached);
}

/// Begins the blocking driver.
pub fn beginBlocking() callconv(.c) void {
    scheduler().setSpins(.blocking);
}

/// As `poll`, but waits until so many microseconds have passed since the last wake-up, or until Bun's
/// loop has something to do, which sets `Shared.host_is_ready`.
pub fn spinPoll(spin_microseconds: i32) callconv(.c) i32 {
    return @intCast(thread().spinPoll(@as(i64, spin_microseconds) * std.time.ns_per_us));
}

/// Makes the waker ring the bell once, as soon as `poll` has something to deliver.
pub fn arm() callconv(.c) void {
    scheduler().setSpins(.none);
    thread().setTimer();
    current.waker.alarm.arm();
}

/// Makes an armed waker ring in time for a deadline that was set after it was armed.
pub fn setTimer() callconv(.c) void {
    thread().setTimer();
}

/// The descriptor that is readable when the calling thread has a signal to take. It stays the core's.
pub fn signalLine() callconv(.c) i32 {
    return answer(signals.line());
}

/// Delivers a signal to the calling thread, which has called `signalLine`, until `ignoreSignal` is called as often;
/// or for ever, also when the thread has ended.
pub fn listenToSignal(number: i32, for_ever: i32) callconv(.c) i32 {
    const duration: signals.Duration = if (for_ever != 0) .for_ever else .until_ignored;
    return answer(signals.listen(std.math.cast(u32, number) orelse 0, duration));
}

pub fn ignoreSignal(number: i32) callconv(.c) void {
    signals.ignore(std.math.cast(u32, number) orelse 0);
}

/// Drops the handler that a signal had before, while other threads may still listen to it.
pub fn forgetPreviousHandler(number: i32) callconv(.c) void {
    signals.forgetPrevious(std.math.cast(u32, number) orelse 0);
}

/// The signals that have come since the last call, including those that the thread does not listen to: bit 0
/// is number 1.
pub fn takeSignals() callconv(.c) i32 {
    return @intCast(signals.take());
}

/// Parks until the deadline. Returns a waiter.
pub fn sleep(deadline: f64) callconv(.c) i32 {
    return answer(scheduler().park(.sleep, scheduler_module.deadlineFromMilliseconds(deadline)));
}

/// Parks until a descriptor of another library is ready. Returns a waiter.
pub fn watch(fd: i32, direction: i32, deadline: f64) callconv(.c) i32 {
    const wanted = std.enums.fromInt(abi.Direction, direction) orelse return Status.EINVAL.code();
    const point = scheduler_module.deadlineFromMilliseconds(deadline);
    return answer(thread().watching.wait(fd, wanted, point));
}

/// Blocks the thread until a socket is ready or so many milliseconds have passed, negative for
/// ever. Returns 1 when it is ready.
pub fn waitBlocking(handle: SocketHandle, direction: i32, timeout_milliseconds: i32) callconv(.c) i32 {
    const wanted = std.enums.fromInt(abi.Direction, direction) orelse return Status.EINVAL.code();
    const socket = scheduler().sockets.get(handle, .stream) catch return Status.stale_handle.code();
    // No poll sends meanwhile what the peer may be waiting for.
    if (socket.tls != .none) tls_transfers.flush(&thread().tls, socket);
    if (!system.pollOne(socket.fd, wanted == .writable, timeout_milliseconds)) return 0;
    connections.setReady(socket, wanted);
    return 1;
}

/// Frees a waiter of any kind. It is not woken any more.
pub fn drop(waiter: i32) callconv(.c) void {
    thread().drop(waiterOf(waiter) orelse return);
}

/// Receives up to `length` bytes. 0 is the end of the stream.
pub fn receive(handle: SocketHandle, buffer: [*]u8, length: f64) callconv(.c) i32 {
    return answer(connections.receive(thread(), handle, buffer, @trunc(length)));
}

/// Receives what has arrived by now, at most `length` bytes, although no poll has reported it yet.
pub fn tryReceive(handle: SocketHandle, buffer: [*]u8, length: f64) callconv(.c) i32 {
    return answer(connections.tryReceive(thread(), handle, buffer, @trunc(length)));
}

/// Sends from `buffer + offset`. After a value short of `length` the caller goes on with the rest when the
/// socket is writable, or calls `breakOff`.
pub fn send(handle: SocketHandle, buffer: [*]const u8, offset: f64, length: f64) callconv(.c) i32 {
    const start: usize = @trunc(offset);
    const size: usize = @trunc(length);
    return answer(connections.send(thread(), handle, .{ .bytes = buffer[start..][0..size] }));
}

/// Sends several buffers at once. `parts` holds an address and a length for each; `total` is what
/// the caller has to send, with what does not fit into this call.
pub fn sendVector(handle: SocketHandle, parts: [*]const f64, count: u32, total: f64) callconv(.c) i32 {
    var vector: [abi.Limits.vector_length]std.posix.iovec_const = undefined;
    if (count > vector.len) return Status.EINVAL.code();
    var used: usize = 0;
    var room: usize = abi.Limits.transfer_bytes;
    while (used < count and room > 0) : (used += 1) {
        const length: usize = @min(@as(usize, @trunc(parts[2 * used + 1])), room);
        vector[used] = .{ .base = @ptrFromInt(@as(usize, @trunc(parts[2 * used]))), .len = length };
        room -= length;
    }
    return answer(connections.send(thread(), handle, .{ .vector = .{ .parts = vector[0..used], .total = @trunc(total) } }));
}

/// Sends a part of a file. 0 is the file's end; EINVAL, ENOSYS and EOPNOTSUPP say that sendfile(2) does not
/// take it.
pub fn sendFile(handle: SocketHandle, fd: i32, offset: f64, length: f64) callconv(.c) i32 {
    const source: streams.Source = .{ .file = .{
        .fd = fd,
        .offset = @trunc(offset),
        .length = @trunc(length),
    } };
    return answer(connections.send(thread(), handle, source));
}

/// Opens a pipe within the kernel, and returns its number. It is the caller's to close.
pub fn openKernelPipe() callconv(.c) i32 {
    return answer(thread().kernel_pipes.open());
}

/// Closes a kernel pipe. What it still holds is lost.
pub fn closeKernelPipe(number: u32) callconv(.c) void {
    if (number < abi.Limits.kernel_pipes) thread().kernel_pipes.close(number);
}

/// Receives into an empty kernel pipe what is to be sent to `target` (splice(2)). 0 says that nothing was moved,
/// and that `receive` finds out what there is.
pub fn receivePiped(handle: SocketHandle, target: SocketHandle, number: u32) callconv(.c) i32 {
    return answer(connections.receivePiped(thread(), handle, target, number));
}

/// Sends what a kernel pipe holds. The caller goes on with the rest, or closes the pipe.
pub fn sendPiped(handle: SocketHandle, number: u32) callconv(.c) i32 {
    return answer(connections.sendPiped(thread(), handle, number));
}

/// Ends a transfer that was sent in part. Over TLS, the end of the stream is not announced then.
pub fn breakOff(handle: SocketHandle) callconv(.c) void {
    connections.breakOff(thread(), handle);
}

/// Copies bytes within JavaScript's memory, for less than a call of TypedArray.prototype.slice costs.
pub fn copy(target: [*]u8, source: [*]const u8, length: u32) callconv(.c) void {
    @memcpy(target[0..length], source[0..length]);
}

/// Masks the payload of a WebSocket frame: writes `length` bytes of `source` to `target`, each combined with a byte
/// of the key. The two are the same memory, or do not overlap. The lowest byte of the key is for the first byte.
pub fn mask(target: [*]u8, source: [*]const u8, length: u32, key: u32) callconv(.c) void {
    masking.mask(target[0..length], source[0..length], key);
}

pub fn shutdown(handle: SocketHandle) callconv(.c) i32 {
    return answer(connections.shutdown(thread(), handle));
}

pub fn close(handle: SocketHandle) callconv(.c) i32 {
    return answer(connections.close(thread(), handle));
}

pub fn reset(handle: SocketHandle) callconv(.c) i32 {
    return answer(connections.reset(thread(), handle));
}

/// Starts to connect to a literal address, from a local one if that has a length, and there from a port if that
/// is not 0. Returns a handle to wait for, writable, and then to give to `finishConnect`.
pub fn connect(
    host: [*]const u8,
    host_length: u32,
    port: u32,
    local: [*]const u8,
    local_length: u32,
    local_port: u32,
) callconv(.c) i32 {
    const remote = parse(host, host_length, port) orelse return Status.bad_address.code();
    if (local_length == 0) return answer(endpoints.connect(scheduler(), &remote, null));
    const source = parse(local, local_length, local_port) orelse return Status.bad_address.code();
    return answer(endpoints.connect(scheduler(), &remote, &source));
}

pub fn connectPath(path: [*]const u8, length: u32) callconv(.c) i32 {
    const remote = addresses.fromPath(path[0..length]) orelse return Status.ENAMETOOLONG.code();
    return answer(endpoints.connect(scheduler(), &remote, null));
}

pub fn finishConnect(handle: SocketHandle) callconv(.c) i32 {
    return answer(endpoints.finishConnect(scheduler(), handle));
}

/// Listens at a literal address. `flags` are `ListenFlags`.
pub fn listen(host: [*]const u8, host_length: u32, port: u32, backlog: u32, flags: u32) callconv(.c) i32 {
    if (!abi.isKnown(abi.ListenFlags, flags)) return Status.EINVAL.code();
    const local = parse(host, host_length, port) orelse return Status.bad_address.code();
    return answer(endpoints.listen(scheduler(), &local, backlog, flags));
}

pub fn listenPath(path: [*]const u8, length: u32, backlog: u32) callconv(.c) i32 {
    const local = addresses.fromPath(path[0..length]) orelse return Status.ENAMETOOLONG.code();
    return answer(endpoints.listen(scheduler(), &local, backlog, 0));
}

pub fn adoptListener(fd: i32, backlog: u32) callconv(.c) i32 {
    return answer(endpoints.adoptListener(scheduler(), fd, backlog));
}

pub fn adopt(fd: i32) callconv(.c) i32 {
    return answer(endpoints.adopt(scheduler(), fd));
}

/// Takes a connection off a listener's queue.
pub fn accept(handle: SocketHandle) callconv(.c) i32 {
    return answer(endpoints.accept(scheduler(), handle));
}

/// Whether the text is an IPv4 (4) or IPv6 (6) literal; 0 if it is neither.
pub fn literalVersion(host: [*]const u8, length: u32) callconv(.c) i32 {
    const literal = parse(host, length, 0) orelse return 0;
    return if (addresses.family(&literal) == .ipv4) 4 else 6;
}

/// Looks a host name up. Returns a waiter; when it is woken with `ok`, `takeAddresses` has them.
pub fn resolve(name: [*]const u8, length: u32, family: i32, deadline: f64) callconv(.c) i32 {
    const wanted = std.enums.fromInt(abi.AddressFamily, family) orelse return Status.EINVAL.code();
    const point = scheduler_module.deadlineFromMilliseconds(deadline);
    const waiter = scheduler().park(.resolve, point);
    if (waiter) |index| thread().resolver.start(index, name[0..length], wanted) catch |failure| {
        scheduler().wake(index, errors.statusOf(failure));
    } else |_| {}
    return answer(waiter);
}

/// Writes the addresses of a look-up, one a line, and returns the length of the text. When that is
/// more than the capacity nothing is written, and the caller asks again.
pub fn takeAddresses(waiter: i32, text: [*]u8, capacity: u32) callconv(.c) i32 {
    const index = waiterOf(waiter) orelse return Status.stale_handle.code();
    const length = thread().resolver.take(index, text[0..capacity]) orelse return Status.stale_handle.code();
    return @intCast(length);
}

/// Writes the address of one end of a socket and returns the length of the text. The port is in
/// `Shared`. The buffer has `Limits.address_text_bytes`.
pub fn address(handle: SocketHandle, end: i32, text: [*]u8) callconv(.c) i32 {
    const wanted = std.enums.fromInt(abi.Endpoint, end) orelse return Status.EINVAL.code();
    const index = scheduler().sockets.find(handle) orelse return Status.stale_handle.code();
    const socket = scheduler().sockets.at(index);
    const buffer = text[0..abi.Limits.address_text_bytes];
    if (wanted == .remote and socket.peer.family != .unix) {
        scheduler().shared.address_port = socket.peer.port;
        return @intCast(socket.peer.format(buffer));
    }
    const found = switch (wanted) {
        .remote => system.remoteAddress(socket.fd),
        .local => system.localAddress(socket.fd),
    };
    const known = found catch |failure| return errors.statusOf(failure).code();
    scheduler().shared.address_port = addresses.Peer.of(&known).port;
    return @intCast(addresses.format(&known, buffer));
}

/// The descriptor behind a handle, which stays the scheduler's.
pub fn descriptor(handle: SocketHandle) callconv(.c) i32 {
    const index = scheduler().sockets.find(handle) orelse return Status.stale_handle.code();
    const socket = scheduler().sockets.at(index);
    socket.flags.exposed = true;
    return socket.fd;
}

pub fn setNoDelay(handle: SocketHandle, on: i32) callconv(.c) i32 {
    const socket = scheduler().sockets.get(handle, .stream) catch return Status.stale_handle.code();
    if (!socket.flags.tcp) return 0;
    return answer(options.setNoDelay(socket.fd, on != 0));
}

/// Seconds or a count of 0 leave the system's default.
pub fn setKeepAlive(handle: SocketHandle, on: i32, idle_seconds: u32, interval_seconds: u32, count: u32) callconv(.c) i32 {
    const socket = scheduler().sockets.get(handle, .stream) catch return Status.stale_handle.code();
    if (!socket.flags.tcp) return 0;
    return answer(options.setKeepAlive(socket.fd, on != 0, idle_seconds, interval_seconds, count));
}

/// Seconds that closing may take to deliver what is left; 0 is the default.
pub fn setLinger(handle: SocketHandle, seconds: u32) callconv(.c) i32 {
    const socket = scheduler().sockets.get(handle, .stream) catch return Status.stale_handle.code();
    socket.linger_seconds = std.math.lossyCast(u16, seconds);
    return 0;
}

fn waiterOf(number: i32) ?WaiterIndex {
    return scheduler().waiters.find(std.math.cast(u32, number) orelse return null);
}

fn parse(text: [*]const u8, length: u32, port: u32) ?system.Address {
    return addresses.parse(text[0..length], std.math.cast(u16, port) orelse return null);
}
