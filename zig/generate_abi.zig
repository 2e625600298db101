//! Writes `src/core/abi.ts` to standard output: what `abi.zig` defines and what is exported, as
//! TypeScript sees it. The whole text is hashed into a number that both sides compare on load.

const std = @import("std");
const text = @import("boundary/abi_text.zig");

pub fn main() void {
    const bytes = text.module;
    var written: usize = 0;
    while (written < bytes.len) {
        const count = std.c.write(1, bytes.ptr + written, bytes.len - written);
        if (count <= 0) std.process.exit(1);
        written += @intCast(count);
    }
}
