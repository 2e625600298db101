//! The numbers of the slots of tables. Each table has a type of its own, so that the number of a slot in one
//! table cannot be used in another.

const std = @import("std");

const no_slot = std.math.maxInt(u32);

pub const SocketIndex = enum(u32) { none = no_slot, _ };
/// What names a socket outside of the core: its slot and that slot's generation (`sockets.zig`). A call may come with
/// any number.
pub const SocketHandle = enum(i32) { _ };
pub const WaiterIndex = enum(u32) { none = no_slot, _ };
/// A place in the heap of deadlines.
pub const DeadlineIndex = enum(u32) { none = no_slot, _ };
/// What names a TLS context outside of the core. A call may come with any number.
pub const ContextId = enum(i32) { none = 0, _ };
/// The tables of these two are the TLS engine's.
pub const TlsConnectionIndex = enum(u32) { none = no_slot, _ };
pub const ContextIndex = enum(u32) { none = no_slot, _ };
