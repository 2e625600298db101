//! What the functions of the ABI answer to values that TypeScript never passes.

const std = @import("std");
const abi = @import("abi.zig");
const exports = @import("exports.zig");
const tls_exports = @import("tls_exports.zig");
const Status = abi.Status;
const SocketHandle = @import("../core/indices.zig").SocketHandle;
const ContextId = @import("../core/indices.zig").ContextId;
const expectEqual = std.testing.expectEqual;

test "a kind that is none is refused, and never taken for another" {
    try expectEqual(0, exports.open());
    const listener: SocketHandle = @enumFromInt(exports.listen("127.0.0.1", 9, 0, 16, 0));
    try std.testing.expect(@intFromEnum(listener) >= 0);
    const invalid = Status.EINVAL.code();
    var text: [abi.Limits.address_text_bytes]u8 = undefined;
    for ([_]i32{ -1, 2, 255, std.math.minInt(i32), std.math.maxInt(i32) }) |kind| {
        try expectEqual(invalid, exports.watch(0, kind, 0));
        try expectEqual(invalid, exports.waitBlocking(listener, kind, 0));
        try expectEqual(invalid, exports.address(listener, kind, &text));
    }
    for ([_]i32{ -1, 4, 255, std.math.maxInt(i32) }) |family| {
        try expectEqual(invalid, exports.resolve("localhost", 9, family, 0));
    }
    for ([_]u32{ 8, 1 << 31, std.math.maxInt(u32) }) |flags| {
        try expectEqual(invalid, exports.listen("127.0.0.1", 9, 0, 16, flags));
    }
    try expectEqual(0, exports.shared()[@offsetOf(abi.Shared, "waiters")]);
    try expectEqual(0, exports.close(listener));
}

test "what was never a waiter or a socket is refused" {
    try expectEqual(0, exports.open());
    var text: [8]u8 = undefined;
    for ([_]i32{ -1, 0, 1 << 22, std.math.maxInt(i32), std.math.minInt(i32) }) |number| {
        exports.drop(number);
        try expectEqual(Status.stale_handle.code(), exports.takeAddresses(number, &text, text.len));
        try expectEqual(Status.stale_handle.code(), exports.close(@enumFromInt(number)));
        try expectEqual(Status.stale_handle.code(), exports.receive(@enumFromInt(number), &text, text.len));
    }
}

test "values that TLS does not know are refused, and change nothing" {
    try expectEqual(0, exports.open());
    const invalid = Status.EINVAL.code();
    const context: ContextId = @enumFromInt(tls_exports.tlsContextCreate());
    try std.testing.expect(@intFromEnum(context) > 0);
    for ([_]u32{ 4, 1 << 31, std.math.maxInt(u32) }) |notices| try expectEqual(invalid, tls_exports.tlsContextNotices(context, notices));
    for ([_]u32{ 3, 255, std.math.maxInt(u32) }) |mode| try expectEqual(invalid, tls_exports.tlsContextVerify(context, 0, 0, mode));
    for ([_]u32{ 1, 0x0302, 0x0305, std.math.maxInt(u32) }) |version| {
        try expectEqual(invalid, tls_exports.tlsContextVersions(context, version, 0));
        try expectEqual(invalid, tls_exports.tlsContextVersions(context, 0, version));
    }
    const found = @import("../tls/contexts.zig").find(&@import("../thread/current.zig").thread().tls, context).?;
    try std.testing.expect(found.verify_peer and found.verify_issuer and found.notices == 0);
    for ([_]i32{ -1, 0, @intFromEnum(context) + 1, std.math.maxInt(i32) }) |number| {
        const stranger: ContextId = @enumFromInt(number);
        try expectEqual(Status.stale_handle.code(), tls_exports.tlsContextNotices(stranger, 0));
        try expectEqual(Status.stale_handle.code(), tls_exports.tlsContextShareTrust(context, stranger));
        try expectEqual(Status.stale_handle.code(), tls_exports.tlsContextFree(stranger));
        try expectEqual(Status.stale_handle.code(), tls_exports.tlsHandshake(@enumFromInt(number)));
    }
    try expectEqual(0, tls_exports.tlsContextFree(context));
}
