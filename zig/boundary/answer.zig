//! How an export reports what a call of the core has come to.

const errors = @import("../os/errors.zig");
const WaiterIndex = @import("../core/indices.zig").WaiterIndex;

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
        WaiterIndex => @intCast(@intFromEnum(value)),
        else => comptime unreachable,
    };
}
