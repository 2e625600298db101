//! The C ABI, whole: every public function here is exported by `library.zig` under its name with
//! `plait_` before it, for names like `close` are the C library's. Every function belongs to the calling thread's scheduler, which `open` makes.
//! Unless it says otherwise, a function returns a value of 0 or more, or a negated `Status`.
//!
//! Memory: pointers into JavaScript's memory are used during the call only. The block that `shared`
//! returns belongs to the scheduler and lives as long as its thread's VM.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("abi.zig");
const addresses = @import("addresses.zig");
const dump_signals = @import("dump_signals.zig");
const endpoints = @import("endpoints.zig");
const options = @import("options.zig");
const scheduler_module = @import("scheduler.zig");
const streams = @import("streams.zig");
const system = @import("system.zig");
const tls_contexts = @import("tls/contexts.zig");
const tls_credentials = @import("tls/credentials.zig");
const tls_handshakes = @import("tls/handshakes.zig");
const tls_openssl = @import("tls/openssl.zig");
const tls_reasons = @import("tls/reasons.zig");
const tls_reports = @import("tls/reports.zig");
const tls_transfers = @import("tls/transfers.zig");
const watching = @import("watching.zig");
const Scheduler = scheduler_module.Scheduler;
const Status = abi.Status;
const waker_module = @import("waker.zig");
const Waker = waker_module.Waker;

threadlocal var current: ?*Scheduler = null;
threadlocal var waker: *Waker = undefined;
threadlocal var waker_number: u64 = 0;
threadlocal var bell: system.Descriptor = -1;
threadlocal var bell_inode: ?u64 = null;
/// How often the thread has made a scheduler.
threadlocal var openings: u32 = 0;

const allocator = std.heap.c_allocator;

/// The thread's scheduler. TypeScript opens it before it makes any other call.
fn scheduler() *Scheduler {
    return current.?;
}

fn result(status: ?Status) i32 {
    return if (status) |failure| failure.code() else 0;
}

/// Makes the thread's scheduler and its waker thread. When the module is loaded anew in a thread that
/// has a scheduler (`bun --hot`), that one is retired: its sockets are closed and its handles stale.
pub fn open() callconv(.c) i32 {
    if (current != null) waker_module.retire(waker_number, .keep_shared);
    current = null;
    system.onThreadEnd(threadEnded);
    system.keepLoaded();
    system.ignoreBrokenPipeSignal();
    const created = Scheduler.create(allocator) orelse return Status.EMFILE.code();
    created.sockets.first_generation = @intCast(1 + openings % 1024);
    waker, bell = Waker.start(created) orelse {
        created.destroy();
        return Status.EMFILE.code();
    };
    waker_number = waker.number;
    bell_inode = system.inode(bell);
    openings +%= 1;
    created.bell = bell;
    current = created;
    return 0;
}

/// The end of the bell that belongs into Bun's loop. The caller owns the descriptor.
pub fn takeBell() callconv(.c) i32 {
    return bell;
}

/// The thread ends. A Worker that was terminated early may never have had the bell in its loop, which
/// then has not closed it; the inode tells whether the descriptor is still the bell's.
fn threadEnded(_: *anyopaque) callconv(.c) void {
    dump_signals.threadEnded();
    if (bell >= 0 and system.inode(bell) == bell_inode) system.close(bell);
    if (current != null) waker_module.retire(waker_number, .forget);
}

/// The memory block that both sides read, an `abi.Shared`.
pub fn shared() callconv(.c) [*]u8 {
    return std.mem.asBytes(scheduler().shared);
}

/// Whether this is a build with safety checks.
pub fn isChecked() callconv(.c) i32 {
    return @intFromBool(builtin.mode == .Debug or builtin.mode == .ReleaseSafe);
}

/// The C library's number for the error that was last reported as `Status.other`.
pub fn lastErrno() callconv(.c) i32 {
    return system.last_errno;
}

/// The monotonic clock in milliseconds.
pub fn now() callconv(.c) f64 {
    return scheduler_module.milliseconds(system.nanoseconds());
}

/// Delivers what is ready, waiting up to so many microseconds for it; negative waits for ever.
/// Returns the number of pairs in `Shared.wakeup`.
pub fn poll(timeout_microseconds: i32) callconv(.c) i32 {
    const timeout: ?i64 = if (timeout_microseconds < 0)
        null
    else
        @as(i64, timeout_microseconds) * std.time.ns_per_us;
    return @intCast(scheduler().poll(timeout));
}

/// Begins a turn of the attached driver, which may use `lingeringPoll`.
pub fn beginTurn() callconv(.c) void {
    scheduler().setLingers(.attached);
}

/// Begins the blocking driver, which may use `lingeringPoll` as well.
pub fn beginBlocking() callconv(.c) void {
    scheduler().setLingers(.blocking);
}

/// As `poll`, but waits until so many microseconds have passed since the last wake-up, or until Bun's
/// loop has something to do; `Shared.host_is_ready` tells if it was that.
pub fn lingeringPoll(linger_microseconds: i32) callconv(.c) i32 {
    return @intCast(scheduler().lingeringPoll(@as(i64, linger_microseconds) * std.time.ns_per_us));
}

/// Has the waker ring the bell once, as soon as `poll` has something to deliver.
pub fn arm() callconv(.c) void {
    scheduler().setLingers(.none);
    scheduler().setTimer();
    waker.alarm.arm();
}

/// Makes an armed waker ring in time for a deadline that was set after it was armed.
pub fn setTimer() callconv(.c) void {
    scheduler().setTimer();
}

/// Has a signal ask the calling thread for a dump. Returns a descriptor to `watch`, which is readable
/// when it has come, and which stays the core's.
pub fn installDumpSignal(number: i32) callconv(.c) i32 {
    return dump_signals.install(std.math.cast(u32, number) orelse 0).code();
}

/// Whether the calling thread was asked for a dump since this was called last.
pub fn takeDumpRequest() callconv(.c) i32 {
    return @intFromBool(dump_signals.take());
}

/// Parks until a socket is ready in the direction that `kind` names. Returns a waiter.
pub fn wait(handle: i32, kind: i32, deadline: f64, keeps_turn: i32) callconv(.c) i32 {
    const index = scheduler().sockets.find(handle) orelse return Status.stale_handle.code();
    const kind_of_wait: abi.WaitKind = if (kind == @intFromEnum(abi.WaitKind.writable)) .writable else .readable;
    switch (scheduler().sockets.at(index).kind) {
        .stream, .listener => {},
        .free, .watched, .lingering => return Status.stale_handle.code(),
    }
    const point = scheduler_module.deadlineFromMilliseconds(deadline);
    if (kind == @intFromEnum(abi.WaitKind.handshake)) {
        const session = tls_handshakes.find(scheduler(), handle) orelse return Status.EINVAL.code();
        return @intCast(tls_handshakes.wait(scheduler(), session, point) orelse return Status.exhausted.code());
    }
    const waiter = scheduler().parkOnSocket(index, kind_of_wait, point, keeps_turn != 0) orelse
        return Status.exhausted.code();
    return @intCast(waiter);
}

/// Parks until the deadline. Returns a waiter.
pub fn sleep(deadline: f64) callconv(.c) i32 {
    const waiter = scheduler().park(.sleep, scheduler_module.deadlineFromMilliseconds(deadline)) orelse
        return Status.exhausted.code();
    return @intCast(waiter);
}

/// Parks behind all that are ready. Returns a waiter.
pub fn yield() callconv(.c) i32 {
    const waiter = scheduler().park(.yield, null) orelse return Status.exhausted.code();
    return @intCast(waiter);
}

/// Parks until a descriptor of another library is ready. Returns a waiter.
pub fn watch(fd: i32, kind: i32, deadline: f64) callconv(.c) i32 {
    const kind_of_wait: abi.WaitKind = if (kind == @intFromEnum(abi.WaitKind.writable)) .writable else .readable;
    const point = scheduler_module.deadlineFromMilliseconds(deadline);
    return switch (watching.wait(scheduler(), fd, kind_of_wait, point)) {
        .waiter => |waiter| @intCast(waiter),
        .failure => |status| status.code(),
    };
}

/// Blocks the thread until a socket is ready or so many milliseconds have passed, negative for
/// ever. Returns 1 when it is ready. Refused while a fiber waits in the same direction.
pub fn waitBlocking(handle: i32, kind: i32, timeout_milliseconds: i32) callconv(.c) i32 {
    const index = streams.find(scheduler(), handle, .stream) orelse return Status.stale_handle.code();
    const for_write = kind == @intFromEnum(abi.WaitKind.writable);
    const socket = scheduler().sockets.at(index);
    // A fiber has the turn, and no fiber runs meanwhile.
    const is_taken = if (for_write) socket.flags.write_granted else socket.flags.read_granted;
    const queue = if (for_write) socket.writers else socket.readers;
    if (is_taken or !queue.isEmpty()) return Status.EALREADY.code();
    // No poll sends meanwhile what the peer may be waiting for.
    if (socket.tls != tls_transfers.none) tls_transfers.flush(scheduler(), socket, tls_transfers.sessionOf(scheduler(), socket));
    if (!system.pollOne(socket.fd, for_write, timeout_milliseconds)) return 0;
    streams.setReady(scheduler(), socket, if (for_write) .writable else .readable);
    return 1;
}

/// Wakes a waiter with a status before its time. Returns 1, or 0 when it was woken before.
pub fn cancel(waiter: i32, status: i32) callconv(.c) i32 {
    if (waiter < 0) return 0;
    const reason = std.enums.fromInt(Status, status) orelse .cancelled;
    return @intFromBool(scheduler().cancel(@intCast(waiter), reason));
}

/// Frees a waiter of `sleep`, or of `wait` on a socket, that nobody waits for any more. Returns 1, or 0
/// when it was woken.
pub fn drop(waiter: i32) callconv(.c) i32 {
    if (waiter < 0) return 0;
    return @intFromBool(scheduler().drop(@intCast(waiter)));
}

/// Receives up to `length` bytes to `buffer + offset`. 0 is the end of the stream.
pub fn receive(handle: i32, buffer: [*]u8, offset: f64, length: f64, granted: i32) callconv(.c) i32 {
    const start: usize = @trunc(offset);
    return streams.receive(scheduler(), handle, buffer + start, @trunc(length), granted != 0).code();
}

/// Receives what is there by now, at most `length` bytes, as long as nobody waits for it.
pub fn tryReceive(handle: i32, buffer: [*]u8, length: f64) callconv(.c) i32 {
    return streams.tryReceive(scheduler(), handle, buffer, @trunc(length)).code();
}

/// Sends from `buffer + offset`. A value short of `length` leaves the turn with the caller.
pub fn send(handle: i32, buffer: [*]const u8, offset: f64, length: f64, granted: i32) callconv(.c) i32 {
    const start: usize = @trunc(offset);
    const size: usize = @trunc(length);
    return streams.send(scheduler(), handle, .{ .bytes = buffer[start..][0..size] }, granted != 0).code();
}

/// Sends several buffers at once. `parts` holds an address and a length for each; `total` is what
/// the caller has to send, with the parts that did not fit into this call.
pub fn sendVector(handle: i32, parts: [*]const f64, count: u32, total: f64, granted: i32) callconv(.c) i32 {
    var vector: [abi.Limits.vector_length]std.posix.iovec_const = undefined;
    if (count > vector.len) return Status.EINVAL.code();
    for (vector[0..count], 0..) |*part, index| {
        part.* = .{ .base = @ptrFromInt(@as(usize, @trunc(parts[2 * index]))), .len = @trunc(parts[2 * index + 1]) };
    }
    return streams.send(scheduler(), handle, .{ .vector = .{ .parts = vector[0..count], .total = @trunc(total) } }, granted != 0).code();
}

/// Sends a part of a file. 0 is the file's end, and leaves the turn with the caller.
pub fn sendFile(handle: i32, fd: i32, offset: f64, length: f64, granted: i32) callconv(.c) i32 {
    const source: streams.Source = .{ .file = .{
        .fd = fd,
        .offset = @trunc(offset),
        .length = @trunc(length),
    } };
    return streams.send(scheduler(), handle, source, granted != 0).code();
}

/// Ends the caller's turn to send before everything is sent. `is_broken_off` says that the peer lacks
/// something: over TLS, closing does not announce the end of the stream then.
pub fn endSend(handle: i32, is_broken_off: i32) callconv(.c) void {
    if (is_broken_off != 0) streams.breakOffTurn(scheduler(), handle) else streams.endTurn(scheduler(), handle, .writable);
}

/// Copies bytes within JavaScript's memory, for less than a call of TypedArray.prototype.slice costs.
pub fn copy(target: [*]u8, source: [*]const u8, length: u32) callconv(.c) void {
    @memcpy(target[0..length], source[0..length]);
}

/// Ends the caller's turn to receive without receiving.
pub fn endReceive(handle: i32) callconv(.c) void {
    streams.endTurn(scheduler(), handle, .readable);
}

pub fn shutdown(handle: i32, granted: i32) callconv(.c) i32 {
    return result(streams.shutdown(scheduler(), handle, granted != 0));
}

pub fn close(handle: i32) callconv(.c) i32 {
    return result(streams.close(scheduler(), handle));
}

pub fn reset(handle: i32) callconv(.c) i32 {
    return result(streams.reset(scheduler(), handle));
}

/// Starts to connect to a literal address, from a local one if that has a length. Returns a handle
/// to wait for, writable, and then to give to `finishConnect`.
pub fn connect(
    host: [*]const u8,
    host_length: u32,
    port: u32,
    local: [*]const u8,
    local_length: u32,
    local_port: u32,
) callconv(.c) i32 {
    const remote = parse(host, host_length, port) orelse return Status.bad_address.code();
    if (local_length == 0) return endpoints.connect(scheduler(), &remote, null).code();
    const source = parse(local, local_length, local_port) orelse return Status.bad_address.code();
    return endpoints.connect(scheduler(), &remote, &source).code();
}

pub fn connectPath(path: [*]const u8, length: u32) callconv(.c) i32 {
    const remote = addresses.fromPath(path[0..length]) orelse return Status.ENAMETOOLONG.code();
    return endpoints.connect(scheduler(), &remote, null).code();
}

pub fn finishConnect(handle: i32) callconv(.c) i32 {
    return result(endpoints.finishConnect(scheduler(), handle));
}

/// Listens at a literal address. `flags` are `ListenFlags`.
pub fn listen(host: [*]const u8, host_length: u32, port: u32, backlog: u32, flags: u32) callconv(.c) i32 {
    const local = parse(host, host_length, port) orelse return Status.bad_address.code();
    return endpoints.listen(scheduler(), &local, backlog, flags).code();
}

pub fn listenPath(path: [*]const u8, length: u32, backlog: u32) callconv(.c) i32 {
    const local = addresses.fromPath(path[0..length]) orelse return Status.ENAMETOOLONG.code();
    return endpoints.listen(scheduler(), &local, backlog, 0).code();
}

pub fn adoptListener(fd: i32, backlog: u32) callconv(.c) i32 {
    return endpoints.adoptListener(scheduler(), fd, backlog).code();
}

pub fn adopt(fd: i32) callconv(.c) i32 {
    return endpoints.adopt(scheduler(), fd).code();
}

/// Takes a connection off the queue of a listener that the caller was woken for.
pub fn accept(handle: i32) callconv(.c) i32 {
    return endpoints.accept(scheduler(), handle).code();
}

/// Ends the caller's turn to accept.
pub fn endAccept(handle: i32) callconv(.c) void {
    endpoints.endAccept(scheduler(), handle);
}

/// Whether the text is an IPv4 (4) or IPv6 (6) literal; 0 if it is neither.
pub fn literalVersion(host: [*]const u8, length: u32) callconv(.c) i32 {
    const literal = parse(host, length, 0) orelse return 0;
    return if (addresses.family(&literal) == .ipv4) 4 else 6;
}

/// Looks a host name up. Returns a waiter; when it is woken with `ok`, `takeAddresses` has them.
pub fn resolve(name: [*]const u8, length: u32, family: i32, deadline: f64) callconv(.c) i32 {
    const point = scheduler_module.deadlineFromMilliseconds(deadline);
    const waiter = scheduler().park(.resolve, point) orelse return Status.exhausted.code();
    const wanted = std.enums.fromInt(abi.AddressFamily, family) orelse .unspecified;
    if (scheduler().resolver.start(waiter, name[0..length], wanted)) |status| scheduler().wake(waiter, status);
    return @intCast(waiter);
}

/// Writes the addresses of a look-up, one a line, and returns the length of the text. When that is
/// more than the capacity nothing is written, and the caller asks again.
pub fn takeAddresses(waiter: i32, text: [*]u8, capacity: u32) callconv(.c) i32 {
    const length = scheduler().resolver.take(@intCast(waiter), text[0..capacity]) orelse
        return Status.stale_handle.code();
    return @intCast(length);
}

/// Writes the address of one end of a socket and returns the length of the text. The port and the
/// family are in `Shared`. The buffer has `Limits.address_text_bytes`.
pub fn address(handle: i32, end: i32, text: [*]u8) callconv(.c) i32 {
    const index = scheduler().sockets.find(handle) orelse return Status.stale_handle.code();
    const socket = scheduler().sockets.at(index);
    const buffer = text[0..abi.Limits.address_text_bytes];
    if (end == @intFromEnum(abi.Endpoint.remote) and socket.peer.family != .unix) {
        scheduler().shared.address_port = socket.peer.port;
        scheduler().shared.address_family = @intCast(@intFromEnum(socket.peer.family));
        return @intCast(socket.peer.format(buffer));
    }
    const found = if (end == @intFromEnum(abi.Endpoint.remote))
        system.remoteAddress(socket.fd)
    else
        system.localAddress(socket.fd);
    const known = found orelse return system.lastStatus().code();
    return @intCast(addresses.format(&known, scheduler().shared, buffer));
}

/// The descriptor behind a handle, which stays the scheduler's.
pub fn descriptor(handle: i32) callconv(.c) i32 {
    const index = scheduler().sockets.find(handle) orelse return Status.stale_handle.code();
    const socket = scheduler().sockets.at(index);
    socket.flags.exposed = true;
    return socket.fd;
}

pub fn setNoDelay(handle: i32, on: i32) callconv(.c) i32 {
    const index = streams.find(scheduler(), handle, .stream) orelse return Status.stale_handle.code();
    const socket = scheduler().sockets.at(index);
    if (!socket.flags.tcp) return 0;
    return result(options.setNoDelay(socket.fd, on != 0));
}

/// Seconds or a count of 0 leave the system's default.
pub fn setKeepAlive(handle: i32, on: i32, idle_seconds: u32, interval_seconds: u32, count: u32) callconv(.c) i32 {
    const index = streams.find(scheduler(), handle, .stream) orelse return Status.stale_handle.code();
    const socket = scheduler().sockets.at(index);
    if (!socket.flags.tcp) return 0;
    return result(options.setKeepAlive(socket.fd, on != 0, idle_seconds, interval_seconds, count));
}

/// Seconds that closing may take to deliver what is left; 0 is the default.
pub fn setLinger(handle: i32, seconds: u32) callconv(.c) i32 {
    const index = streams.find(scheduler(), handle, .stream) orelse return Status.stale_handle.code();
    scheduler().sockets.at(index).linger_seconds = std.math.lossyCast(u16, seconds);
    return 0;
}

// -- TLS

/// Makes a context, with the defaults of a client and a server. Returns its number, from 1 on.
pub fn tlsContextCreate() callconv(.c) i32 {
    const id = tls_contexts.create(&scheduler().tls) catch |failure| return switch (failure) {
        error.Refused => Status.tls_failed.code(),
        error.Exhausted, error.OutOfMemory => Status.exhausted.code(),
    };
    return id;
}

/// Gives a context up. Connections that use it keep it.
pub fn tlsContextFree(id: i32) callconv(.c) i32 {
    return result(tls_contexts.free(&scheduler().tls, id));
}

/// The context that a number names; the caller has made it and not freed it.
fn tlsContext(id: i32) ?*tls_contexts.Context {
    return tls_contexts.find(&scheduler().tls, id);
}

/// A certificate and those that lead to a trusted one, PEM or DER. Another one, with a key of
/// another kind, may follow when the first has its key.
pub fn tlsContextCertificate(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_credentials.addCertificates(context, bytes[0..length]));
}

/// The key of the certificate that was set last.
pub fn tlsContextKey(id: i32, bytes: [*]const u8, length: u32, passphrase: [*]const u8, passphrase_length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_credentials.setKey(context, bytes[0..length], passphrase[0..passphrase_length]));
}

/// A certificate, its key and its chain in one.
pub fn tlsContextPkcs12(id: i32, bytes: [*]const u8, length: u32, passphrase: [*]const u8, passphrase_length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_credentials.usePkcs12(context, bytes[0..length], passphrase[0..passphrase_length]));
}

/// Certificates to trust, PEM or DER.
pub fn tlsContextAuthorities(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_credentials.addAuthorities(context, bytes[0..length]));
}

/// A file of certificates to trust, or a folder of files that are named by their hashes.
pub fn tlsContextTrustPath(id: i32, path: [*]const u8, length: u32, is_folder: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_contexts.addTrustPath(context, path[0..length], is_folder != 0));
}

/// Trusts whom another context trusts, which takes no time. Neither may get more of its own then.
pub fn tlsContextShareTrust(id: i32, other: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_contexts.shareTrust(context, other));
}

/// Lists of revoked certificates, PEM or DER. Every certificate of a chain needs one from then on.
pub fn tlsContextRevocations(id: i32, bytes: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_credentials.addRevocations(context, bytes[0..length]));
}

/// The cipher suites of TLS 1.2 (openssl-ciphers(1)).
pub fn tlsContextCiphers(id: i32, list: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_contexts.setCiphers(context, list[0..length]));
}

/// The cipher suites of TLS 1.3.
pub fn tlsContextCipherSuites(id: i32, list: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_contexts.setCipherSuites(context, list[0..length]));
}

/// The groups for the key exchange.
pub fn tlsContextGroups(id: i32, list: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_contexts.setGroups(context, list[0..length]));
}

/// The oldest and the newest version, as they are in TLS records; 0 is the default.
pub fn tlsContextVersions(id: i32, least: u32, most: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_contexts.setVersions(context, least, most));
}

/// Application protocols, each behind a byte with its length, the preferred one first.
pub fn tlsContextAlpn(id: i32, wire: [*]const u8, length: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_contexts.setProtocols(context, wire[0..length]));
}

/// Who is verified, and how: without `verify_issuer` an unknown issuer is accepted, and everything
/// else still counts. `client_authentication` is 0 for none, 1 to request it, 2 to require it.
pub fn tlsContextVerify(id: i32, verify_peer: i32, verify_issuer: i32, client_authentication: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    context.verify_peer = verify_peer != 0;
    context.verify_issuer = verify_issuer != 0;
    context.client_authentication = std.enums.fromInt(tls_contexts.ClientAuthentication, client_authentication) orelse
        return Status.EINVAL.code();
    return 0;
}

/// Serves a server name, or "*." and the rest of it, with another context.
pub fn tlsContextServerName(id: i32, name: [*]const u8, length: u32, other: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    return result(tls_contexts.addName(context, name[0..length], other));
}

/// Whether handshakes pause with `tls_server_name` for a name that no other context is known for.
pub fn tlsContextAskServerName(id: i32, on: i32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    context.asks_server_name = on != 0;
    return 0;
}

/// Which notices its connections give: `TlsNotices`, added up.
pub fn tlsContextNotices(id: i32, mask: u32) callconv(.c) i32 {
    const context = tlsContext(id) orelse return Status.stale_handle.code();
    tls_contexts.setNotices(context, mask);
    return 0;
}

/// Writes why a call of this thread on a context last failed, and returns the text's length.
pub fn tlsContextReason(text: [*]u8, capacity: u32) callconv(.c) i32 {
    return @intCast(tls_reports.write(tls_reasons.last(), text[0..capacity]));
}

/// Turns an open stream into a TLS connection and begins its handshake. `name` is what a client asks
/// for and expects in the certificate; `session` one to be resumed.
pub fn tlsStart(
    handle: i32,
    context: i32,
    is_server: i32,
    name: [*]const u8,
    name_length: u32,
    session: [*]const u8,
    session_length: u32,
) callconv(.c) i32 {
    return result(tls_handshakes.start(scheduler(), handle, context, .{
        .is_server = is_server != 0,
        .name = name[0..name_length],
        .session = session[0..session_length],
    }));
}

/// 0 when the handshake is done; otherwise why not, or that it goes on.
pub fn tlsHandshake(handle: i32) callconv(.c) i32 {
    return result(tls_handshakes.outcome(scheduler(), handle));
}

/// Goes on with a paused handshake with this context; 0 refuses the client.
pub fn tlsChooseContext(handle: i32, context: i32) callconv(.c) i32 {
    return result(tls_handshakes.chooseContext(scheduler(), handle, context));
}

/// Writes one of the properties in `TlsText` and returns its length, 0 if the connection has none.
/// What is longer than `capacity` is not written.
pub fn tlsText(handle: i32, what: u32, index: u32, text: [*]u8, capacity: u32) callconv(.c) i32 {
    const session = tls_handshakes.find(scheduler(), handle) orelse return Status.stale_handle.code();
    const kind = std.enums.fromInt(abi.TlsText, what) orelse return Status.EINVAL.code();
    return tls_reports.report(&scheduler().tls, session, kind, index, text[0..capacity]).code();
}

/// The code of OpenSSL's verdict on the peer's certificate; 0 is well, or that there is none.
pub fn tlsVerifyResult(handle: i32) callconv(.c) i32 {
    const session = tls_handshakes.find(scheduler(), handle) orelse return Status.stale_handle.code();
    return tls_reports.verifyResult(session);
}

/// Writes OpenSSL's text for such a code and returns its length.
pub fn tlsVerifyName(code: i32, text: [*]u8, capacity: u32) callconv(.c) i32 {
    const name = std.mem.span(tls_openssl.X509_verify_cert_error_string(code));
    return @intCast(tls_reports.write(name, text[0..capacity]));
}

/// Whether the connection has resumed an earlier session.
pub fn tlsIsResumed(handle: i32) callconv(.c) i32 {
    const session = tls_handshakes.find(scheduler(), handle) orelse return Status.stale_handle.code();
    return @intFromBool(tls_reports.isResumed(session));
}

/// Uses new keys from here on, in TLS 1.3, and has the peer do so as well if `ask_peer` says so.
pub fn tlsUpdateKeys(handle: i32, ask_peer: i32) callconv(.c) i32 {
    const session = tls_handshakes.find(scheduler(), handle) orelse return Status.stale_handle.code();
    return result(tls_reports.updateKeys(scheduler(), session, ask_peer != 0));
}

/// Takes a connection with something to tell: its handle times 4, and its `TlsNotices`; -1 when
/// there is none.
pub fn tlsTakeNotice() callconv(.c) f64 {
    const notice = tls_reports.takeNotice(scheduler()) orelse return -1;
    return @as(f64, @floatFromInt(notice.handle)) * 4 + @as(f64, @floatFromInt(notice.kinds));
}

/// Writes the name and version of the OpenSSL that is linked, and returns the text's length.
pub fn tlsOpensslVersion(text: [*]u8, capacity: u32) callconv(.c) i32 {
    const version = std.mem.span(tls_openssl.OpenSSL_version(tls_openssl.VERSION_TEXT));
    return @intCast(tls_reports.write(version, text[0..capacity]));
}

fn parse(text: [*]const u8, length: u32, port: u32) ?system.Address {
    return addresses.parse(text[0..length], std.math.cast(u16, port) orelse return null);
}
