//! Socket options, under names that do not depend on the system.

const std = @import("std");
const c = std.c;
const system = @import("kernel.zig").system;
const Error = @import("errors.zig").Error;

const ipv6_only: u32 = if (system.is_linux) 26 else 27;

const keep_alive_idle: u32 = if (system.is_linux) 4 else if (system.is_darwin) 0x10 else 256;
const keep_alive_interval: u32 = if (system.is_linux) 5 else if (system.is_darwin) 0x101 else 512;
const keep_alive_count: u32 = if (system.is_linux) 6 else if (system.is_darwin) 0x102 else 1024;
const no_delay: u32 = 1;

/// Whether an IPv6 socket refuses IPv4 (RFC 3493, section 5.3).
pub fn setIpv6Only(fd: system.Descriptor, on: bool) Error!void {
    return system.setOption(fd, c.IPPROTO.IPV6, ipv6_only, @as(c_int, @intFromBool(on)));
}

/// Makes closing send a reset, so that what has not arrived yet is thrown away (tcp(7), SO_LINGER with a time of
/// zero).
pub fn setToReset(fd: system.Descriptor) void {
    system.setOption(fd, c.SOL.SOCKET, c.SO.LINGER, c.linger{ .onoff = 1, .linger = 0 }) catch {};
}

pub fn setNoDelay(fd: system.Descriptor, on: bool) Error!void {
    return system.setOption(fd, c.IPPROTO.TCP, no_delay, @as(c_int, @intFromBool(on)));
}

/// Probes an idle connection. Seconds or a count of 0 leave the system's default (tcp(7)).
pub fn setKeepAlive(fd: system.Descriptor, on: bool, idle_seconds: u32, interval_seconds: u32, count: u32) Error!void {
    try system.setOption(fd, c.SOL.SOCKET, c.SO.KEEPALIVE, @as(c_int, @intFromBool(on)));
    if (!on) return;
    const settings = [_]struct { name: u32, value: u32 }{
        .{ .name = keep_alive_idle, .value = idle_seconds },
        .{ .name = keep_alive_interval, .value = interval_seconds },
        .{ .name = keep_alive_count, .value = count },
    };
    for (settings) |setting| {
        if (setting.value == 0) continue;
        try system.setOption(fd, c.IPPROTO.TCP, setting.name, @as(c_int, @intCast(setting.value)));
    }
}
