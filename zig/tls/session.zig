//! One TLS connection: OpenSSL's part of it, and the ciphertext that is on its way in or out.
//!
//! An idle session holds neither input nor output.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("../boundary/abi.zig");
const indices = @import("../core/indices.zig");
const openssl = @import("openssl.zig");
const framing = @import("record/framing.zig");
const FirstHello = @import("client_hello.zig").FirstHello;
const Links = @import("../core/queue.zig").Links;
const Primitives = @import("record/primitives.zig").Primitives;
const Quota = @import("record/quota.zig").Quota;
const HelloLimit = @import("hello_limit.zig").HelloLimit;
const Takeover = @import("takeover.zig").Takeover;
const ContextIndex = indices.ContextIndex;
const SessionIndex = indices.SessionIndex;

pub const Session = struct {
    pub const State = enum(u8) {
        free,
        handshaking,
        /// The handshake waits for the choice of a context (`hello.zig`).
        paused,
        open,
        /// `failure` says why. OpenSSL must not be asked to go on (SSL_get_error(3)).
        failed,
        /// Its socket is closed; its last output is still to be sent.
        closed,
    };

    pub const Flags = packed struct(u16) {
        is_server: bool = false,
        /// The kernel may have more: the socket's own flag tells of decrypted data too.
        kernel_readable: bool = false,
        /// The kernel has reported the end of the peer's stream.
        ended: bool = false,
        /// What arrives is not TLS: OpenSSL sees it as it comes, and finds its own words for it.
        foreign: bool = false,
        /// A transfer was sent in part, and its rest is still to come.
        mid_transfer: bool = false,
        /// The socket is to be half closed as soon as the output is sent.
        ends_after_output: bool = false,
        /// The choice of a context for the client's server name was left to the caller, and made.
        chosen: bool = false,
        /// The socket becomes writable when more has arrived (`transfers.mayWrite`).
        writer_needs_input: bool = false,
        /// A writer was stopped in mid-transfer: the peer lacks a part of what it was to have.
        was_broken_off: bool = false,
        /// A server has answered something in the handshake.
        answered: bool = false,
        /// The same since `handshakes.progress` was asked last.
        progressed: bool = false,
        /// The client's first message is longer than a server takes.
        hello_too_long: bool = false,
        _: u4 = 0,
    };

    /// Belongs to the pool.
    next: SessionIndex = .none,
    /// Its own number in the pool.
    index: SessionIndex = .none,
    /// The slot of its socket.
    socket: indices.SocketIndex = .none,
    /// OpenSSL's part, until another one takes over.
    connection: ?*openssl.SSL = null,
    /// What takes over from OpenSSL after the handshake; before that, it has the secrets.
    takeover: ?*Takeover = null,
    /// The context that it began with, of which it holds a reference.
    context: ContextIndex = .none,
    /// The context that the server name led to, if another one; also held.
    chosen_context: ContextIndex = .none,
    state: State = .free,
    flags: Flags = .{},
    /// What notices were not taken yet, as `abi.TlsNotices`.
    notices: u8 = 0,
    /// The alert that the client's hello is refused with, or 0 (`hello.receiveMessage`).
    hello_alert: u8 = 0,
    /// Why the session, or only its reading, has failed.
    failure: abi.Status = .ok,
    /// OpenSSL's error code for it, or 0.
    reason: c_ulong = 0,
    /// Who waits for the handshake.
    waiter: indices.WaiterIndex = .none,
    /// Received and not read yet, from `input_position` on.
    input: []u8 = &.{},
    /// Ciphertext that the kernel has not taken yet, from `output_position` on.
    output: []u8 = &.{},
    input_position: u32 = 0,
    output_position: u32 = 0,
    /// Plaintext that the output stands for, and that its writer is told of when it is sent.
    credit: u32 = 0,
    /// Plaintext that has been sent since, of which the writer was not told yet.
    credited: u32 = 0,
    /// What the peer of a closed socket had not acknowledged when that was looked at last.
    unacknowledged: u32 = std.math.maxInt(u32),
    /// In the queue of handshakes that have something to do.
    due: Links(SessionIndex) = .{},
    /// In the queue of those whose output may leave with what is written next (`transfers.hold`).
    held: Links(SessionIndex) = .{},
    /// In the queue of those with notices.
    noticed: Links(SessionIndex) = .{},
    extra: ?*Extra = null,
    /// Of a server, in the handshake.
    hello_limit: HelloLimit = .{},
    /// Records without data that have come, after the handshake.
    quota: Quota = .{},

    /// What few sessions have.
    pub const Extra = struct {
        /// The server name that a paused handshake asks about.
        server_name: []u8 = &.{},
        /// What a second hello of the handshake under way is held against.
        first_hello: ?FirstHello = null,
        /// Lines of the key log that were not taken yet.
        key_log: std.ArrayList(u8) = .empty,
        /// What names the connection in the key log, if it is established and logged.
        client_random: [32]u8 = @splat(0),
        /// The last session that the server has given for resumption. A reference.
        resumable: ?*openssl.SSL_SESSION = null,
        /// The peer's certificate, if that was why the handshake failed. A reference.
        refused: ?*openssl.X509 = null,
    };

    pub fn unread(session: *const Session) []u8 {
        return session.input[session.input_position..];
    }

    pub fn unsent(session: *const Session) []u8 {
        return session.output[session.output_position..];
    }

    /// Whether OpenSSL would find something in the unread input.
    pub fn hasRecord(session: *const Session) bool {
        return session.isRecord(session.unread());
    }

    pub fn isRecord(session: *const Session, bytes: []const u8) bool {
        if (bytes.len == 0) return false;
        if (session.flags.foreign) return true;
        return framing.first(bytes) != .partial;
    }

    /// Takes note of how much of the input was read. What is left of a record that is not complete
    /// is kept in memory of just its size, for it may stay for long.
    pub fn advance(session: *Session, allocator: std.mem.Allocator, count: usize) !void {
        session.input_position += @intCast(count);
        const rest = session.unread();
        if (session.input.len == 0 or (rest.len > 0 and session.isRecord(rest))) return;
        if (rest.len == session.input.len) return;
        const kept = try allocator.dupe(u8, rest);
        session.dropInput(allocator);
        session.input = kept;
    }

    /// Keeps input that is in memory of somebody else.
    pub fn keepInput(session: *Session, allocator: std.mem.Allocator, bytes: []const u8) !void {
        assert(session.input.len == 0);
        if (bytes.len == 0) return;
        session.input = try allocator.dupe(u8, bytes);
    }

    pub fn dropInput(session: *Session, allocator: std.mem.Allocator) void {
        allocator.free(session.input);
        session.input = &.{};
        session.input_position = 0;
    }

    /// Puts ciphertext behind what is still to be sent.
    pub fn keepOutput(session: *Session, allocator: std.mem.Allocator, bytes: []const u8) !void {
        const before = session.unsent();
        const output = try allocator.alloc(u8, before.len + bytes.len);
        @memcpy(output[0..before.len], before);
        @memcpy(output[before.len..], bytes);
        session.dropOutput(allocator);
        session.output = output;
    }

    pub fn dropOutput(session: *Session, allocator: std.mem.Allocator) void {
        allocator.free(session.output);
        session.output = &.{};
        session.output_position = 0;
    }

    pub fn extraOf(session: *Session, allocator: std.mem.Allocator) !*Extra {
        if (session.extra) |extra| return extra;
        const extra = try allocator.create(Extra);
        extra.* = .{};
        session.extra = extra;
        return extra;
    }

    pub fn takeoverOf(session: *Session, allocator: std.mem.Allocator) !*Takeover {
        if (session.takeover == null) session.takeover = try .create(allocator, session.flags.is_server);
        return session.takeover.?;
    }

    pub fn dropTakeover(session: *Session, allocator: std.mem.Allocator, primitives: *Primitives) void {
        if (session.takeover) |takeover| takeover.destroy(allocator, primitives);
        session.takeover = null;
    }

    /// What has taken over from OpenSSL, if it has.
    pub fn takenOver(session: *const Session) ?*Takeover {
        return if (session.connection == null) session.takeover else null;
    }

    pub fn dropFirstHello(session: *Session, allocator: std.mem.Allocator) void {
        const extra = session.extra orelse return;
        if (extra.first_hello) |*first| first.deinit(allocator);
        extra.first_hello = null;
    }

    pub fn dropExtra(session: *Session, allocator: std.mem.Allocator) void {
        session.dropFirstHello(allocator);
        const extra = session.extra orelse return;
        allocator.free(extra.server_name);
        extra.key_log.deinit(allocator);
        if (extra.refused) |certificate| openssl.X509_free(certificate);
        if (extra.resumable) |resumable| openssl.SSL_SESSION_free(resumable);
        allocator.destroy(extra);
        session.extra = null;
    }

    /// A transfer ends before all of it was sent, against its writer's will.
    pub fn breakOffTransfer(session: *Session) void {
        if (session.flags.mid_transfer) session.flags.was_broken_off = true;
        session.abandonTransfer();
    }

    /// A transfer ends: what is on its way is sent, and counts for no writer any more.
    pub fn abandonTransfer(session: *Session) void {
        session.credit = 0;
        session.credited = 0;
        session.flags.mid_transfer = false;
    }
};

comptime {
    assert(@sizeOf(Session) <= 176);
}
