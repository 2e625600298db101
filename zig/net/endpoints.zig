//! Makes sockets: connects, listens, accepts, and takes over descriptors of the caller.

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const addresses = @import("../os/addresses.zig");
const options = @import("../os/options.zig");
const system = @import("../os/kernel.zig").system;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const Socket = @import("../core/sockets.zig").Socket;
const Address = system.Address;
const Outcome = system.Outcome;
const SocketIndex = @import("../core/indices.zig").SocketIndex;
const Status = abi.Status;

fn failed(status: Status) Outcome {
    return .{ .failure = status };
}

const Entered = union(enum) { index: SocketIndex, failure: Status };

/// Puts a descriptor into the table and the backend. It is closed when that fails.
fn enter(scheduler: *Scheduler, fd: system.Descriptor, kind: Socket.Kind) Entered {
    const entered = adoptIntoTable(scheduler, fd, kind);
    if (entered == .failure) system.close(fd);
    return entered;
}

fn handleOf(scheduler: *Scheduler, index: SocketIndex) Outcome {
    return .{ .value = @intCast(scheduler.sockets.handle(index)) };
}

fn isInternet(address: *const Address) bool {
    return addresses.family(address) != .unix;
}

/// Starts to connect and returns the handle at once. When the socket is writable, `finishConnect`
/// has the result.
pub fn connect(scheduler: *Scheduler, remote: *const Address, local: ?*const Address) Outcome {
    const opened = system.socket(remote.storage.family, c.SOCK.STREAM);
    if (opened == .failure) return opened;
    const fd: system.Descriptor = @intCast(opened.value);
    // Sockets may be of IPv6 alone by default (bindv6only of Linux, net.inet6.ip6.v6only of FreeBSD).
    if (addresses.mappedIpv4(remote) != null) _ = options.setIpv6Only(fd, false);
    if (local) |address| {
        // `connect` chooses the port, not `bind`: it knows the peer, so a port may serve several peers.
        if (system.is_linux and isInternet(address)) {
            const ip_bind_address_no_port = 24;
            _ = system.setOption(fd, c.IPPROTO.IP, ip_bind_address_no_port, @as(c_int, 1));
        }
        if (system.bind(fd, address)) |status| {
            system.close(fd);
            return failed(status);
        }
    }
    const status = system.connect(fd, remote);
    if (status != null and status != .would_block) {
        system.close(fd);
        return failed(status.?);
    }
    // Registered only now: a socket that has not begun to connect reports a hang-up.
    const entered = enter(scheduler, fd, .stream);
    if (entered == .failure) return failed(entered.failure);
    const socket = scheduler.sockets.at(entered.index);
    socket.peer = .of(remote);
    socket.flags.tcp = isInternet(remote);
    socket.flags.connecting = status == .would_block;
    socket.flags.writable = status == null;
    return handleOf(scheduler, entered.index);
}

/// Whether the attempt has succeeded. On failure the caller closes the handle.
pub fn finishConnect(scheduler: *Scheduler, handle: i32) ?Status {
    const index = scheduler.sockets.findKind(handle, .stream) orelse return .stale_handle;
    const socket = scheduler.sockets.at(index);
    if (socket.flags.connecting) {
        if (system.pendingError(socket.fd)) |status| {
            socket.failure = status;
            return status;
        }
        socket.flags.connecting = false;
    }
    if (socket.flags.tcp and isConnectedToItself(socket)) {
        // A reset frees the port as soon as the socket is closed.
        _ = system.setOption(socket.fd, c.SOL.SOCKET, c.SO.LINGER, c.linger{ .onoff = 1, .linger = 0 });
        socket.failure = .ECONNREFUSED;
        return .ECONNREFUSED;
    }
    scheduler.shared.connected += 1;
    return null;
}

/// If no socket listens at a port of this machine, the kernel may choose that very port to connect
/// from: the socket is then connected to itself (RFC 9293, section 3.5, simultaneous open).
fn isConnectedToItself(socket: *const Socket) bool {
    const local = addresses.Peer.of(&(system.localAddress(socket.fd) orelse return false));
    if (local.port != socket.peer.port) return false;
    const remote = addresses.Peer.of(&(system.remoteAddress(socket.fd) orelse return false));
    return std.meta.eql(local, remote);
}

pub fn listen(scheduler: *Scheduler, address: *const Address, backlog: u32, flags: u32) Outcome {
    const opened = system.socket(address.storage.family, c.SOCK.STREAM);
    if (opened == .failure) return opened;
    const fd: system.Descriptor = @intCast(opened.value);
    const failure = prepareListener(fd, address, flags) orelse bindAndListen(fd, address, backlog, flags);
    if (failure) |status| {
        system.close(fd);
        return failed(status);
    }
    return enterListener(scheduler, fd, isInternet(address));
}

fn prepareListener(fd: system.Descriptor, address: *const Address, flags: u32) ?Status {
    if (!isInternet(address)) return null;
    const on: c_int = 1;
    if (system.setOption(fd, c.SOL.SOCKET, c.SO.REUSEADDR, on)) |status| return status;
    if (flags & abi.ListenFlags.reuse_port != 0) {
        if (system.setOption(fd, c.SOL.SOCKET, c.SO.REUSEPORT, on)) |status| return status;
    }
    if (address.storage.family == c.AF.INET6) {
        // An IPv4-mapped address is an IPv4 address: a socket of IPv6 alone cannot have it.
        const is_only = flags & abi.ListenFlags.ipv6_only != 0 and addresses.mappedIpv4(address) == null;
        if (options.setIpv6Only(fd, is_only)) |status| return status;
    }
    return null;
}

fn bindAndListen(fd: system.Descriptor, address: *const Address, backlog: u32, flags: u32) ?Status {
    if (system.bind(fd, address)) |status| return status;
    // Linux lets two sockets with this option bind the same port while neither listens, and lets the second
    // one listen later. Only `bind` needs the option, because of earlier connections in TIME_WAIT.
    if (flags & abi.ListenFlags.reserve != 0) return system.setOption(fd, c.SOL.SOCKET, c.SO.REUSEADDR, @as(c_int, 0));
    return system.listen(fd, backlog);
}

/// Accepted sockets have the option from their listener, which saves a system call for each of them.
fn inheritNoDelay(listener: system.Descriptor) void {
    _ = options.setNoDelay(listener, true);
}

fn enterListener(scheduler: *Scheduler, fd: system.Descriptor, tcp: bool) Outcome {
    if (tcp) inheritNoDelay(fd);
    const entered = enter(scheduler, fd, .listener);
    if (entered == .failure) return failed(entered.failure);
    scheduler.sockets.at(entered.index).flags.tcp = tcp;
    return handleOf(scheduler, entered.index);
}

/// Takes over a stream socket that listens already; a backlog of 0 leaves it its own. The descriptor
/// stays the caller's when this fails.
pub fn adoptListener(scheduler: *Scheduler, fd: system.Descriptor, backlog: u32) Outcome {
    const kind = system.getOption(fd, c.SOL.SOCKET, c.SO.TYPE) orelse return failed(system.lastStatus());
    if (kind != c.SOCK.STREAM) return failed(.EPROTOTYPE);
    const listens = system.getOption(fd, c.SOL.SOCKET, c.SO.ACCEPTCONN) orelse return failed(system.lastStatus());
    if (listens == 0) return failed(.EINVAL);
    const local = system.localAddress(fd) orelse return failed(system.lastStatus());
    if (system.setNonBlocking(fd)) |status| return failed(status);
    // On a socket that listens already this changes the backlog alone.
    if (backlog > 0) if (system.listen(fd, backlog)) |status| return failed(status);
    const entered = adoptIntoTable(scheduler, fd, .listener);
    if (entered == .failure) return failed(entered.failure);
    const index = entered.index;
    const tcp = isInternet(&local);
    scheduler.sockets.at(index).flags.tcp = tcp;
    scheduler.sockets.at(index).flags.exposed = true;
    if (tcp) inheritNoDelay(fd);
    return handleOf(scheduler, index);
}

/// As `enter`, for a descriptor that was not made here: it is left open when that fails.
fn adoptIntoTable(scheduler: *Scheduler, fd: system.Descriptor, kind: Socket.Kind) Entered {
    // A second registration would replace the first one in a kqueue.
    if (scheduler.sockets.has(fd)) return .{ .failure = .EEXIST };
    const index = scheduler.addSocket(fd, kind) orelse return .{ .failure = .exhausted };
    if (scheduler.backend.register(fd, scheduler.sockets.token(index))) |status| {
        scheduler.removeSocket(index);
        return .{ .failure = status };
    }
    return .{ .index = index };
}

/// Takes over a connected stream socket.
pub fn adopt(scheduler: *Scheduler, fd: system.Descriptor) Outcome {
    const kind = system.getOption(fd, c.SOL.SOCKET, c.SO.TYPE) orelse return failed(system.lastStatus());
    if (kind != c.SOCK.STREAM) return failed(.EPROTOTYPE);
    const remote = system.remoteAddress(fd) orelse return failed(system.lastStatus());
    if (system.setNonBlocking(fd)) |status| return failed(status);
    const entered = adoptIntoTable(scheduler, fd, .stream);
    if (entered == .failure) return failed(entered.failure);
    const index = entered.index;
    const socket = scheduler.sockets.at(index);
    socket.peer = .of(&remote);
    socket.flags.tcp = isInternet(&remote);
    socket.flags.exposed = true;
    socket.flags.writable = true;
    // Bytes may have been sent before: closing must not destroy them either.
    socket.flags.sent = true;
    return handleOf(scheduler, index);
}

/// Takes one connection off the listener's queue.
pub fn accept(scheduler: *Scheduler, handle: i32) Outcome {
    const index = scheduler.sockets.findKind(handle, .listener) orelse return failed(.stale_handle);
    const listener = scheduler.sockets.at(index);
    if (!listener.flags.readable) return failed(.would_block);
    var peer: Address = .{};
    while (true) {
        const accepted = system.accept(listener.fd, &peer);
        switch (accepted) {
            .value => {},
            .failure => |status| switch (status) {
                .would_block => {
                    listener.flags.readable = false;
                    return accepted;
                },
                // The connection ended before it was accepted. The next one may be open
                // (accept(2), "Error handling").
                .ECONNABORTED, .EPROTO, .ENETDOWN, .EHOSTDOWN, .EHOSTUNREACH, .ENETUNREACH, .EOPNOTSUPP, .ENOPROTOOPT, .ETIMEDOUT => continue,
                else => return accepted,
            },
        }
        const entered = enter(scheduler, @intCast(accepted.value), .stream);
        if (entered == .failure) return failed(entered.failure);
        const socket = scheduler.sockets.at(entered.index);
        socket.peer = .of(&peer);
        socket.flags.tcp = listener.flags.tcp;
        socket.flags.writable = true;
        scheduler.shared.accepted += 1;
        return handleOf(scheduler, entered.index);
    }
}
