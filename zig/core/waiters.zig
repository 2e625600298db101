//! Waiters. A caller that waits for a deadline, a look-up, a handshake, or a descriptor of another library has a
//! waiter. It is in at most one queue (a watched descriptor's, the queue of ready waiters, or that of delivered
//! ones) and has at most one deadline. It is woken once.

const abi = @import("../boundary/abi.zig");
const indices = @import("indices.zig");
const Links = @import("queue.zig").Links;
const Pool = @import("pool.zig").Pool;

const SocketIndex = indices.SocketIndex;
const WaiterIndex = indices.WaiterIndex;

pub const Waiter = struct {
    pub const State = enum(u8) {
        free,
        waiting,
        /// Woken, in the ready queue.
        ready,
        /// Written to the ring. The number stays taken until the next poll, for TypeScript reads
        /// the ring while new waiters are made.
        delivered,
    };

    pub const Kind = enum(u8) {
        /// Nothing but its deadline.
        sleep,
        /// A host name's addresses.
        resolve,
        /// The end of a TLS handshake, or its pause for the choice of a context.
        handshake,
        /// A descriptor of another library.
        watch_readable,
        watch_writable,
    };

    /// Belongs to the pool.
    next: WaiterIndex = .none,
    links: Links(WaiterIndex) = .{},
    /// The place in the deadline heap, or none.
    deadline_index: indices.DeadlineIndex = .none,
    /// The socket, or the watched descriptor's slot, that it waits for; or none.
    socket: SocketIndex = .none,
    status: abi.Status = .ok,
    kind: Kind = .sleep,
    state: State = .free,
};

pub const Waiters = Pool(Waiter, WaiterIndex, abi.Limits.waiters);
pub const Queue = @import("queue.zig").Queue(WaiterIndex, "links");
