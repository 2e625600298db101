//! What every backend reports and takes.

/// What happened to the descriptor that was registered under `token`.
pub const Event = struct {
    token: u64,
    readable: bool = false,
    writable: bool = false,
    /// The end of the peer's stream, a failure, or urgent data, which splits reads. So a short read does not
    /// mean that nothing is left.
    special: bool = false,
};

pub const Interest = struct { readable: bool, writable: bool };

pub const Reason = enum { ready, hangup };

/// Events that one `wait` returns at the most.
pub const events_per_wait = 512;

/// Tokens at or above this one belong to the backend itself. `wait` does not return their events.
pub const reserved_tokens: u64 = 0xffff_ffff_0000_0000;
