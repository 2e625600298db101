//! OpenSSL's memory: the C library's, wiped when it is freed. OpenSSL wipes most keys itself, but not the
//! secrets of a connection, which are in the middle of its `SSL`.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const builtin = @import("builtin");
const openssl = @import("openssl.zig");

const State = enum(u8) { untouched, installing, installed };
var state: std.atomic.Value(State) = .init(.untouched);

/// Every thread calls this before any function of OpenSSL's: OpenSSL refuses other functions for its
/// memory when it has allocated something.
pub fn install() void {
    installFunctions(allocate, reallocate, free);
}

/// The same with functions that do more, for tests. Only the first call has an effect.
pub fn installFunctions(allocates: *const openssl.Allocate, reallocates: *const openssl.Reallocate, frees: *const openssl.Free) void {
    if (state.cmpxchgStrong(.untouched, .installing, .acquire, .acquire) == null) {
        const result = openssl.CRYPTO_set_mem_functions(allocates, reallocates, frees);
        assert(result == 1, "OpenSSL has allocated memory before it was given functions for that");
        state.store(.installed, .release);
    }
    while (state.load(.acquire) != .installed) std.atomic.spinLoopHint();
}

// A length of 0 has the meaning that it has for OpenSSL's own functions.

pub fn allocate(length: usize, _: ?[*:0]const u8, _: c_int) callconv(.c) ?*anyopaque {
    return if (length == 0) null else std.c.malloc(length);
}

pub fn reallocate(memory: ?*anyopaque, length: usize, file: ?[*:0]const u8, line: c_int) callconv(.c) ?*anyopaque {
    const old = memory orelse return allocate(length, file, line);
    const kept = @min(usableSize(old), length);
    // realloc(3) may leave a copy behind.
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

/// Far more stack than OpenSSL's functions that handle keys need.
const stack_bytes = 8 * 1024;

/// Wipes the stack below the caller, where functions that have returned may have left secrets.
pub noinline fn wipeStack() void {
    var bytes: [stack_bytes]u8 = undefined;
    wipe(&bytes);
}

/// `std.crypto.secureZero` writes byte by byte, which takes many times as long.
fn wipe(bytes: []u8) void {
    @memset(bytes, 0);
    // Tells the compiler that the bytes are read; otherwise it removes the write.
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
