//! OpenSSL's memory: the C library's, wiped when it is freed. OpenSSL wipes most keys, but frees the secrets of
//! a connection, which are in the middle of its `SSL`, as they are.

const std = @import("std");
const builtin = @import("builtin");
const openssl = @import("openssl.zig");

const State = enum(u8) { untouched, installing, installed };
var state: std.atomic.Value(State) = .init(.untouched);

/// To be called before anything else of OpenSSL's, by every thread: OpenSSL takes no other functions when
/// it has allocated something.
pub fn install() void {
    installFunctions(allocate, reallocate, free);
}

/// The same with functions that do more, for tests. Only the first call has an effect.
pub fn installFunctions(allocates: *const openssl.Allocate, reallocates: *const openssl.Reallocate, frees: *const openssl.Free) void {
    if (state.cmpxchgStrong(.untouched, .installing, .acquire, .acquire) == null) {
        const result = openssl.CRYPTO_set_mem_functions(allocates, reallocates, frees);
        // Nothing of OpenSSL's has allocated anything by now. Not `@panic`: with its handler, which prints a
        // stack trace, the fast build took 1.2 times as long for a handshake.
        if (result != 1) std.c.abort();
        state.store(.installed, .release);
    }
    while (state.load(.acquire) != .installed) std.atomic.spinLoopHint();
}

// With no length these do as OpenSSL's own do.

pub fn allocate(length: usize, _: ?[*:0]const u8, _: c_int) callconv(.c) ?*anyopaque {
    return if (length == 0) null else std.c.malloc(length);
}

pub fn reallocate(memory: ?*anyopaque, length: usize, file: ?[*:0]const u8, line: c_int) callconv(.c) ?*anyopaque {
    const old = memory orelse return allocate(length, file, line);
    const kept = @min(usableSize(old), length);
    // The C library's own would leave a copy behind.
    const new = if (length == 0) null else std.c.malloc(length) orelse return null;
    if (new) |place| @memcpy(bytesOf(place, kept), bytesOf(old, kept));
    free(old, file, line);
    return new;
}

pub fn free(memory: ?*anyopaque, _: ?[*:0]const u8, _: c_int) callconv(.c) void {
    const old = memory orelse return;
    wipe(bytesOf(old, usableSize(old)));
    std.c.free(old);
}

/// Far more than OpenSSL's functions for records need, and of those for a handshake which handle keys.
const stack_bytes = 8 * 1024;

/// Wipes what functions that have returned have left on the stack below the caller.
pub noinline fn wipeStack() void {
    var bytes: [stack_bytes]u8 = undefined;
    wipe(&bytes);
}

/// `std.crypto.secureZero` writes byte by byte, which takes many times as long.
fn wipe(bytes: []u8) void {
    @memset(bytes, 0);
    // The compiler must take the bytes for read, or it leaves the write out.
    asm volatile (""
        :
        : [bytes] "r" (bytes.ptr),
        : .{ .memory = true });
}

fn bytesOf(memory: *anyopaque, length: usize) []u8 {
    return @as([*]u8, @ptrCast(memory))[0..length];
}

fn usableSize(memory: *anyopaque) usize {
    return if (builtin.os.tag.isDarwin()) malloc_size(memory) else malloc_usable_size(memory);
}

extern "c" fn malloc_size(memory: *const anyopaque) usize;
extern "c" fn malloc_usable_size(memory: *anyopaque) usize;
