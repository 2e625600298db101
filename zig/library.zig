//! The root of the shared library: the exports, and the number of the ABI that they make up.

const exports = @import("exports.zig");
const abi_text = @import("abi_text.zig");

comptime {
    for (@typeInfo(exports).@"struct".decls) |declaration| {
        @export(&@field(exports, declaration.name), .{ .name = abi_text.prefix ++ declaration.name });
    }
    @export(&abiNumber, .{ .name = abi_text.prefix ++ "abi" });
}

/// Compared with `abiNumber` of `src/abi.ts` before anything else is called.
fn abiNumber() callconv(.c) i32 {
    return @intCast(abi_text.number);
}
