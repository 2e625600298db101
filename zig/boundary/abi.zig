//! What crosses the boundary between the core and TypeScript: status codes, kinds, flags, limits and the layout
//! of the memory that both sides read. `generate_abi.zig` turns this file and the exports into
//! `src/core/abi.ts`. Every layer of the core may import this file; it imports none.

const std = @import("std");

/// The outcome of a call or of a wait. A call returns a value of 0 or more, or the negated code.
///
/// The names in capitals are the C library's errors; their numbers differ between systems, the
/// numbers here do not.
pub const Status = enum(i32) {
    ok = 0,
    /// The call would have to wait: the caller tries again when a poll reports that the socket is ready.
    would_block,
    timed_out,
    cancelled,
    /// The socket was closed while, or before, the call was made.
    closed,
    /// The handle names a slot that was never in use, or has another owner by now.
    stale_handle,
    /// A fixed limit of the core (`Limits`) is reached.
    exhausted,
    /// The text given as an address is neither an IPv4 nor an IPv6 address.
    bad_address,
    /// A C library error without a name below; `lastErrno` has its number.
    other,
    /// TLS has failed: `tlsText` and `tlsVerifyResult` say why, and `tlsContextReason` for a context.
    tls_failed,
    /// The stream has ended without the peer's announcement (close_notify), or in a handshake.
    tls_truncated,
    /// The handshake waits for the choice of a context by the client's server name.
    tls_server_name,

    E2BIG,
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EALREADY,
    EBADF,
    EBUSY,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EDESTADDRREQ,
    EEXIST,
    EFAULT,
    EHOSTDOWN,
    EHOSTUNREACH,
    EINVAL,
    EIO,
    EISCONN,
    EISDIR,
    ELOOP,
    EMFILE,
    EMSGSIZE,
    ENAMETOOLONG,
    ENETDOWN,
    ENETRESET,
    ENETUNREACH,
    ENFILE,
    ENOBUFS,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOPROTOOPT,
    ENOSPC,
    ENOSYS,
    ENOTCONN,
    ENOTDIR,
    ENOTSOCK,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
    EPIPE,
    EPROTO,
    EPROTONOSUPPORT,
    EPROTOTYPE,
    EROFS,
    ESPIPE,
    ETIMEDOUT,

    /// Results of name resolution, with the names that Node uses for them.
    ENOTFOUND,
    EAI_AGAIN,
    EAI_FAIL,

    /// The value by which a call reports this status.
    pub fn code(status: Status) i32 {
        std.debug.assert(status != .ok);
        return -@intFromEnum(status);
    }
};

/// What a socket is ready for, as `poll` reports it: bits that are added up.
pub const Ready = struct {
    /// Data, an end of stream or an error can be received, or a connection accepted.
    pub const readable: u32 = 1;
    /// There is room to send, or an attempt to connect has ended.
    pub const writable: u32 = 2;
};

/// The two directions of a socket or of a descriptor.
pub const Direction = enum(i32) { readable, writable };

/// The two ends of a connection, for `address`.
pub const Endpoint = enum(i32) { local, remote };

/// The kinds of address, as `address` reports them.
pub const AddressFamily = enum(u8) { unspecified, ipv4, ipv6, unix };

/// Choices of `listen`, added up.
pub const ListenFlags = struct {
    pub const reuse_port: u32 = 1;
    /// Accept IPv6 only, where the address would otherwise take IPv4 connections too.
    pub const ipv6_only: u32 = 2;
    /// Bind and do not listen: the port is taken, and no connection comes.
    pub const reserve: u32 = 4;
};

/// Whether a sum of flags has none but those of this kind.
pub fn isKnown(comptime Flags: type, sum: u32) bool {
    comptime var known: u32 = 0;
    inline for (@typeInfo(Flags).@"struct".decls) |flag| known |= @field(Flags, flag.name);
    return sum & ~known == 0;
}

/// The properties of a TLS connection that `tlsText` writes.
pub const TlsText = enum(u8) {
    protocol,
    cipher,
    group,
    alpn,
    server_name,
    /// DER: the peer's own at index 0, then those that it has sent along.
    certificate,
    /// The last session that the server has given for resumption, serialized.
    session,
    /// The lines that came since this was asked last.
    key_log,
    /// Why it has failed, in OpenSSL's words.
    reason,
};

/// What `tlsTakeNotice` announces and `tlsContextNotices` asks for, added up.
pub const TlsNotices = struct {
    pub const session: u32 = 1;
    pub const key_log: u32 = 2;
};

/// How far the handshake of a server is (`tlsProgress`).
pub const TlsProgress = struct {
    /// The server has something to do.
    pub const pending: u32 = 0;
    /// The client has not sent enough to be answered.
    pub const none: u32 = 1;
    /// It has been answered, but not since this was asked last.
    pub const stalled: u32 = 2;
    /// It has been answered since then.
    pub const made: u32 = 3;
};

pub const Limits = struct {
    pub const sockets: u32 = 1 << 20;
    pub const waiters: u32 = 1 << 22;
    pub const tls_contexts: u32 = 1 << 16;
    /// Sockets, and waiters, that one `poll` reports; the rest stay in their queues for the next one.
    pub const sockets_per_poll: u32 = 1024;
    pub const waiters_per_poll: u32 = 1024;
    /// Buffers that one `sendVector` takes; the least IOV_MAX that systems have in use.
    pub const vector_length: u32 = 1024;
    /// Bytes of the longest text that `address` writes: a Unix path of 108 bytes.
    pub const address_text_bytes: u32 = 128;
    /// Bytes that one call sends or receives at most. With a peer that keeps up, the kernel would copy all
    /// there is, and other connections would wait for that long. With a quarter of this limit a large transfer
    /// costs a tenth more CPU; a higher limit does not make it cheaper.
    pub const transfer_bytes: u32 = 1 << 20;
    /// Kernel pipes of one thread, each with two descriptors. A user without privileges may have 256 of this
    /// size in all (pipe(7), pipe-user-pages-soft).
    pub const kernel_pipes: u32 = 32;
    /// Bytes that a kernel pipe holds at most.
    pub const kernel_pipe_bytes: u32 = 1 << 18;
};

/// Memory of a scheduler that TypeScript reads and writes in place.
pub const Shared = extern struct {
    /// The monotonic clock at the last `poll`, in milliseconds.
    now_milliseconds: f64 = 0,
    /// Sockets that are ready and waiters that are woken, and not yet reported.
    ready: u32 = 0,
    /// Waiters of callers, woken or not.
    waiters: u32 = 0,
    /// Sockets, listeners and watched descriptors.
    sockets: u32 = 0,
    /// Closed sockets whose last bytes are still on their way.
    lingering: u32 = 0,
    /// TLS connections with something for `tlsTakeNotice`.
    tls_notices: u32 = 0,
    /// Whether the last `spinPoll` ended because Bun's loop has something to do.
    host_is_ready: u32 = 0,
    /// The port of the address that `address` wrote last.
    address_port: u32 = 0,
    polls: f64 = 0,
    events: f64 = 0,
    wakeups: f64 = 0,
    timeouts: f64 = 0,
    accepted: f64 = 0,
    connected: f64 = 0,
    bytes_received: f64 = 0,
    bytes_sent: f64 = 0,
    /// Pairs that `poll` writes: a socket's handle and what it is ready for (`Ready`), or a waiter's number
    /// with all bits inverted, so that it is negative, and its `Status`.
    ring: [2 * (Limits.sockets_per_poll + Limits.waiters_per_poll)]i32 = @splat(0),
};
