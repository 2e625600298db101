//! The addresses of host names, by getaddrinfo(3).

const std = @import("std");
const c = std.c;
const abi = @import("../boundary/abi.zig");
const addresses = @import("addresses.zig");
const system = @import("system.zig");
const Error = @import("errors.zig").Error;

/// Looks a name up, which blocks the thread. Returns its addresses, at least one, in the order of the system. The
/// caller owns them.
pub fn lookUp(allocator: std.mem.Allocator, name: [*:0]const u8, family: abi.AddressFamily) Error![]addresses.Peer {
    var hints = std.mem.zeroes(c.addrinfo);
    hints.family = switch (family) {
        .ipv4 => c.AF.INET,
        .ipv6 => c.AF.INET6,
        else => c.AF.UNSPEC,
    };
    hints.socktype = c.SOCK.STREAM;
    var list: ?*c.addrinfo = null;
    const result = c.getaddrinfo(name, null, &hints, &list);
    if (@intFromEnum(result) != 0) return errorOf(@intFromEnum(result));
    defer if (list) |first| c.freeaddrinfo(first);
    const found = peersOf(allocator, list) catch return error.ENOMEM;
    return if (found.len == 0) error.ENOTFOUND else found;
}

fn peersOf(allocator: std.mem.Allocator, list: ?*c.addrinfo) ![]addresses.Peer {
    var peers: std.ArrayList(addresses.Peer) = .empty;
    defer peers.deinit(allocator);
    var next = list;
    while (next) |entry| : (next = entry.next) {
        const raw = entry.addr orelse continue;
        var address: system.Address = .{ .length = entry.addrlen };
        const bytes: [*]const u8 = @ptrCast(raw);
        const size: usize = @min(entry.addrlen, @sizeOf(@TypeOf(address.storage)));
        @memcpy(std.mem.asBytes(&address.storage)[0..size], bytes[0..size]);
        const peer: addresses.Peer = .of(&address);
        if (peer.family != .unspecified) try peers.append(allocator, peer);
    }
    return peers.toOwnedSlice(allocator);
}

/// Node gives the same names to most of these failures.
fn errorOf(failure: i32) Error {
    const EAI = c.EAI;
    inline for (.{ "NONAME", "NODATA", "ADDRFAMILY" }) |name| {
        if (@hasField(EAI, name) and failure == @intFromEnum(@field(EAI, name))) return error.ENOTFOUND;
    }
    if (failure == @intFromEnum(EAI.AGAIN)) return error.EAI_AGAIN;
    if (failure == @intFromEnum(EAI.MEMORY)) return error.ENOMEM;
    if (failure == @intFromEnum(EAI.FAMILY)) return error.EAFNOSUPPORT;
    if (failure != @intFromEnum(EAI.SYSTEM)) return error.EAI_FAIL;
    return switch (system.lastError()) {
        // The number of this error belongs to the thread of the look-up and would be lost.
        error.Other => error.EAI_FAIL,
        error.WouldBlock => error.EAI_AGAIN,
        else => |named| named,
    };
}
