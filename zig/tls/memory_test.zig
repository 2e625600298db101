//! What OpenSSL has allocated and not freed. It is counted from OpenSSL's first call on, for all tests.

const std = @import("std");
const builtin = @import("builtin");
const memory_module = @import("memory.zig");

/// Frees what OpenSSL keeps for a thread: its queue of errors, and its random numbers.
extern "c" fn OPENSSL_thread_stop() void;

/// Pieces of memory that OpenSSL has now.
var live: std.atomic.Value(usize) = .init(0);

/// Every harness calls this before it uses OpenSSL, which accepts no other functions later.
pub fn startCounting() void {
    memory_module.installFunctions(allocate, reallocate, free);
}

/// The pieces of memory that OpenSSL has, without those that it frees at the end of a thread.
pub fn count() usize {
    OPENSSL_thread_stop();
    return live.load(.acquire);
}

fn allocate(length: usize, file: ?[*:0]const u8, line: c_int) callconv(.c) ?*anyopaque {
    const memory = memory_module.allocate(length, file, line) orelse return null;
    _ = live.fetchAdd(1, .monotonic);
    return memory;
}

fn reallocate(memory: ?*anyopaque, length: usize, file: ?[*:0]const u8, line: c_int) callconv(.c) ?*anyopaque {
    if (memory == null) return allocate(length, file, line);
    if (length == 0) _ = live.fetchSub(1, .release);
    return memory_module.reallocate(memory, length, file, line);
}

fn free(memory: ?*anyopaque, file: ?[*:0]const u8, line: c_int) callconv(.c) void {
    if (memory == null) return;
    memory_module.free(memory, file, line);
    _ = live.fetchSub(1, .release);
}

/// Runs something until OpenSSL has as much memory afterwards as before. What OpenSSL makes once, such as an
/// algorithm at its first use, is there by then; a leak grows each time.
pub fn expectNoGrowth(context: anytype, comptime run: fn (@TypeOf(context)) anyerror!void) !void {
    var before = count();
    for (0..2) |_| {
        try run(context);
        const after = count();
        if (after == before) return;
        before = after;
    }
    try run(context);
    try std.testing.expectEqual(before, count());
}

test "no test of TLS leaves memory behind that OpenSSL has allocated" {
    var measured: usize = 0;
    for (builtin.test_functions) |each| {
        if (!std.mem.startsWith(u8, each.name, "tls.")) continue;
        // These tests measure by themselves.
        if (std.mem.startsWith(u8, each.name, "tls.memory_test") or std.mem.startsWith(u8, each.name, "tls.tampering_test")) continue;
        errdefer std.debug.print("in the test {s}\n", .{each.name});
        try expectNoGrowth(each, struct {
            fn run(it: std.builtin.TestFn) !void {
                it.func() catch |err| if (err != error.SkipZigTest) return err;
            }
        }.run);
        measured += 1;
    }
    try std.testing.expect(measured > 10);
}
