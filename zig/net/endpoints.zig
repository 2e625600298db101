//! Makes sockets: connects, listens, accepts, and takes over descriptors of the caller.

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const addresses = @import("../os/addresses.zig");
const errors = @import("../os/errors.zig");
const options = @import("../os/options.zig");
const system = @import("../os/kernel.zig").system;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const Socket = @import("../core/sockets.zig").Socket;
const Address = system.Address;
const Error = errors.Error;
const SocketIndex = @import("../core/indices.zig").SocketIndex;

/// Puts a descriptor into the table and the backend.
fn enter(scheduler: *Scheduler, fd: system.Descriptor, kind: Socket.Kind) Error!SocketIndex {
    // A second registration would replace the first one in a kqueue.
    if (scheduler.sockets.has(fd)) return error.EEXIST;
    const index = scheduler.addSocket(fd, kind) orelse return error.Exhausted;
    errdefer scheduler.removeSocket(index);
    try scheduler.backend.register(fd, scheduler.sockets.token(index));
    return index;
}

fn isInternet(address: *const Address) bool {
    return addresses.family(address) != .unix;
}

/// Starts to connect and returns the handle at once. When the socket is writable, `finishConnect`
/// has the result.
pub fn connect(scheduler: *Scheduler, remote: *const Address, local: ?*const Address) Error!i32 {
    const fd = try system.socket(remote.storage.family, c.SOCK.STREAM);
    errdefer system.close(fd);
    // Sockets may be of IPv6 alone by default (bindv6only of Linux, net.inet6.ip6.v6only of FreeBSD).
    if (addresses.mappedIpv4(remote) != null) options.setIpv6Only(fd, false) catch {};
    if (local) |address| {
        // A port that was given may still be held by earlier connections (TIME_WAIT of tcp(7)).
        if (addresses.Peer.of(address).port != 0) {
            try system.setOption(fd, c.SOL.SOCKET, c.SO.REUSEADDR, @as(c_int, 1));
        }
        // `connect` chooses a port of 0, not `bind`: it knows the peer, so a port may serve several peers.
        if (system.is_linux and isInternet(address)) {
            const ip_bind_address_no_port = 24;
            system.setOption(fd, c.IPPROTO.IP, ip_bind_address_no_port, @as(c_int, 1)) catch {};
        }
        try system.bind(fd, address);
    }
    const is_connecting = if (system.connect(fd, remote)) false else |failure| switch (failure) {
        error.WouldBlock => true,
        else => return failure,
    };
    // Registered only now: a socket that has not begun to connect reports a hang-up.
    const index = try enter(scheduler, fd, .stream);
    const socket = scheduler.sockets.at(index);
    socket.peer = .of(remote);
    socket.flags.tcp = isInternet(remote);
    socket.flags.connecting = is_connecting;
    socket.flags.writable = !is_connecting;
    return scheduler.sockets.handle(index);
}

/// Whether the attempt has succeeded. On failure the caller closes the handle.
pub fn finishConnect(scheduler: *Scheduler, handle: i32) Error!void {
    const index = scheduler.sockets.findKind(handle, .stream) orelse return error.StaleHandle;
    const socket = scheduler.sockets.at(index);
    if (socket.flags.connecting) {
        if (system.pendingError(socket.fd)) |status| {
            socket.failure = status;
            return errors.errorOf(status);
        }
        socket.flags.connecting = false;
    }
    if (socket.flags.tcp and isConnectedToItself(socket)) {
        // A reset frees the port as soon as the socket is closed.
        system.setOption(socket.fd, c.SOL.SOCKET, c.SO.LINGER, c.linger{ .onoff = 1, .linger = 0 }) catch {};
        socket.failure = .ECONNREFUSED;
        return error.ECONNREFUSED;
    }
    scheduler.shared.connected += 1;
}

/// If no socket listens at a port of this machine, the kernel may choose that very port to connect
/// from: the socket is then connected to itself (RFC 9293, section 3.5, simultaneous open).
fn isConnectedToItself(socket: *const Socket) bool {
    const local = addresses.Peer.of(&(system.localAddress(socket.fd) catch return false));
    if (local.port != socket.peer.port) return false;
    const remote = addresses.Peer.of(&(system.remoteAddress(socket.fd) catch return false));
    return std.meta.eql(local, remote);
}

pub fn listen(scheduler: *Scheduler, address: *const Address, backlog: u32, flags: u32) Error!i32 {
    const fd = try system.socket(address.storage.family, c.SOCK.STREAM);
    errdefer system.close(fd);
    try prepareListener(fd, address, flags);
    try bindAndListen(fd, address, backlog, flags);
    const index = try enterListener(scheduler, fd, isInternet(address));
    return scheduler.sockets.handle(index);
}

fn prepareListener(fd: system.Descriptor, address: *const Address, flags: u32) Error!void {
    if (!isInternet(address)) return;
    const on: c_int = 1;
    try system.setOption(fd, c.SOL.SOCKET, c.SO.REUSEADDR, on);
    if (flags & abi.ListenFlags.reuse_port != 0) {
        try system.setOption(fd, c.SOL.SOCKET, c.SO.REUSEPORT, on);
    }
    if (address.storage.family == c.AF.INET6) {
        // An IPv4-mapped address is an IPv4 address: a socket of IPv6 alone cannot have it.
        const is_only = flags & abi.ListenFlags.ipv6_only != 0 and addresses.mappedIpv4(address) == null;
        try options.setIpv6Only(fd, is_only);
    }
}

fn bindAndListen(fd: system.Descriptor, address: *const Address, backlog: u32, flags: u32) Error!void {
    try system.bind(fd, address);
    // Linux lets two sockets with this option bind the same port while neither listens, and lets the second
    // one listen later. Only `bind` needs the option, because of earlier connections in TIME_WAIT.
    if (flags & abi.ListenFlags.reserve != 0) return system.setOption(fd, c.SOL.SOCKET, c.SO.REUSEADDR, @as(c_int, 0));
    return system.listen(fd, backlog);
}

/// Accepted sockets have the option from their listener, which saves a system call for each of them.
fn inheritNoDelay(listener: system.Descriptor) void {
    options.setNoDelay(listener, true) catch {};
}

fn enterListener(scheduler: *Scheduler, fd: system.Descriptor, tcp: bool) Error!SocketIndex {
    const index = try enter(scheduler, fd, .listener);
    scheduler.sockets.at(index).flags.tcp = tcp;
    if (tcp) inheritNoDelay(fd);
    return index;
}

/// Takes over a stream socket that listens already; a backlog of 0 leaves it its own. The descriptor
/// stays the caller's when this fails.
pub fn adoptListener(scheduler: *Scheduler, fd: system.Descriptor, backlog: u32) Error!i32 {
    const kind = try system.getOption(fd, c.SOL.SOCKET, c.SO.TYPE);
    if (kind != c.SOCK.STREAM) return error.EPROTOTYPE;
    const listens = try system.getOption(fd, c.SOL.SOCKET, c.SO.ACCEPTCONN);
    if (listens == 0) return error.EINVAL;
    const local = try system.localAddress(fd);
    try system.setNonBlocking(fd);
    // On a socket that listens already this changes the backlog alone.
    if (backlog > 0) try system.listen(fd, backlog);
    const index = try enterListener(scheduler, fd, isInternet(&local));
    scheduler.sockets.at(index).flags.exposed = true;
    return scheduler.sockets.handle(index);
}

/// Takes over a connected stream socket.
pub fn adopt(scheduler: *Scheduler, fd: system.Descriptor) Error!i32 {
    const kind = try system.getOption(fd, c.SOL.SOCKET, c.SO.TYPE);
    if (kind != c.SOCK.STREAM) return error.EPROTOTYPE;
    const remote = try system.remoteAddress(fd);
    try system.setNonBlocking(fd);
    const index = try enter(scheduler, fd, .stream);
    const socket = scheduler.sockets.at(index);
    socket.peer = .of(&remote);
    socket.flags.tcp = isInternet(&remote);
    socket.flags.exposed = true;
    socket.flags.writable = true;
    // Bytes may have been sent before: closing must not destroy them either.
    socket.flags.sent = true;
    return scheduler.sockets.handle(index);
}

/// Takes one connection off the listener's queue. It is closed when the tables are full.
pub fn accept(scheduler: *Scheduler, handle: i32) Error!i32 {
    const found = scheduler.sockets.findKind(handle, .listener) orelse return error.StaleHandle;
    const listener = scheduler.sockets.at(found);
    if (!listener.flags.readable) return error.WouldBlock;
    var peer: Address = .{};
    const fd = while (true) {
        break system.accept(listener.fd, &peer) catch |failure| switch (failure) {
            error.WouldBlock => {
                listener.flags.readable = false;
                return failure;
            },
            // The connection ended before it was accepted. The next one may be open
            // (accept(2), "Error handling").
            error.ECONNABORTED, error.EPROTO, error.ENETDOWN, error.EHOSTDOWN, error.EHOSTUNREACH => continue,
            error.ENETUNREACH, error.EOPNOTSUPP, error.ENOPROTOOPT, error.ETIMEDOUT => continue,
            else => return failure,
        };
    };
    errdefer system.close(fd);
    const index = try enter(scheduler, fd, .stream);
    const socket = scheduler.sockets.at(index);
    socket.peer = .of(&peer);
    socket.flags.tcp = listener.flags.tcp;
    socket.flags.writable = true;
    scheduler.shared.accepted += 1;
    return scheduler.sockets.handle(index);
}
