//! What the core does when it finds a mistake of its own: it prints one line that says what it was, and ends the
//! process. To go on could corrupt the memory of the program.

const std = @import("std");
const c = std.c;

/// Ends the process unless this holds, in every kind of build. `what` says what is wrong if it does not.
pub inline fn assert(holds: bool, comptime what: []const u8) void {
    if (!holds) {
        @branchHint(.cold);
        @panic(what);
    }
}

/// The panic handler of the shared library, which has no symbols to print a stack with.
pub fn panicked(message: []const u8, _: ?usize) noreturn {
    @branchHint(.cold);
    const parts = [_][]const u8{ "plait: bug: ", message, " (please report)\n" };
    var vector: [parts.len]std.posix.iovec_const = undefined;
    for (&vector, parts) |*entry, part| entry.* = .{ .base = part.ptr, .len = part.len };
    // One call, so that the line stays whole beside those of other threads.
    _ = c.writev(2, &vector, vector.len);
    c.abort();
}
