//! The root of the shared library: the exports, and the number of the ABI that they make up.

const std = @import("std");
const abi_text = @import("boundary/abi_text.zig");
const bug = @import("os/bug.zig");

/// Without this the library has 256 KiB of thread-local storage for a signal stack of its own, which
/// every thread that calls it would have allocated and cleared.
pub const std_options: std.Options = .{ .signal_stack_size = null };

pub const panic = std.debug.FullPanic(bug.panicked);

comptime {
    for (abi_text.exports) |File| {
        for (@typeInfo(File).@"struct".decls) |declaration| {
            @export(&@field(File, declaration.name), .{ .name = abi_text.prefix ++ declaration.name });
        }
    }
    @export(&abiNumber, .{ .name = abi_text.prefix ++ "abi" });
    @export(&abi_number, .{ .name = abi_text.prefix ++ "abiNumber" });
}

/// The same number as data. A release is checked on another machine than its own, where the library is read, not run.
const abi_number: u32 = abi_text.number;

/// Compared with `abiNumber` of `src/core/abi.ts` before anything else is called.
fn abiNumber() callconv(.c) i32 {
    return @intCast(abi_text.number);
}
