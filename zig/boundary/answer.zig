//! How an export reports what a call of the core has come to.

const errors = @import("../os/errors.zig");
const indices = @import("../core/indices.zig");

/// The value of a call, from 0 on, or the negated status of its error. A call without a value returns 0.
pub fn answer(outcome: anytype) i32 {
    const value = outcome catch |failure| return switch (@as(errors.Error || error{OutOfMemory}, failure)) {
        error.OutOfMemory => errors.statusOf(error.Exhausted).code(),
        else => |named| errors.statusOf(named).code(),
    };
    return switch (@TypeOf(value)) {
        void => 0,
        i32 => value,
        usize => @intCast(value),
        indices.SocketHandle, indices.ContextId => @intFromEnum(value),
        indices.WaiterIndex => @intCast(@intFromEnum(value)),
        else => comptime unreachable,
    };
}
