//! One TLS connection: OpenSSL's part of it, and the ciphertext that is on its way in or out.
//!
//! An idle connection holds neither input nor output.

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
const TlsConnectionIndex = indices.TlsConnectionIndex;

pub const TlsConnection = struct {
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
        _: u5 = 0,
    };

    /// Belongs to the pool.
    next: TlsConnectionIndex = .none,
    /// Its own number in the pool.
    index: TlsConnectionIndex = .none,
    /// The slot of its socket.
    socket: indices.SocketIndex = .none,
    /// OpenSSL's part, until another one takes over.
    ssl: ?*openssl.SSL = null,
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
    /// Why the connection, or only its reading, has failed.
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
    due: Links(TlsConnectionIndex) = .{},
    /// In the queue of those whose output may leave with what is written next (`transfers.hold`).
    held: Links(TlsConnectionIndex) = .{},
    /// In the queue of those with notices.
    noticed: Links(TlsConnectionIndex) = .{},
    extra: ?*Extra = null,
    /// Of a server, in the handshake.
    hello_limit: HelloLimit = .{},
    /// Records without data that have come, after the handshake.
    quota: Quota = .{},

    /// What few connections have.
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

    pub fn unread(connection: *const TlsConnection) []u8 {
        return connection.input[connection.input_position..];
    }

    pub fn unsent(connection: *const TlsConnection) []u8 {
        return connection.output[connection.output_position..];
    }

    /// Whether OpenSSL would find something in the unread input.
    pub fn hasRecord(connection: *const TlsConnection) bool {
        return connection.isRecord(connection.unread());
    }

    pub fn isRecord(connection: *const TlsConnection, bytes: []const u8) bool {
        if (bytes.len == 0) return false;
        if (connection.flags.foreign) return true;
        return framing.first(bytes) != .partial;
    }

    /// Takes note of how much of the input was read. What is left of a record that is not complete
    /// is kept in memory of just its size, for it may stay for long.
    pub fn advance(connection: *TlsConnection, allocator: std.mem.Allocator, count: usize) !void {
        connection.input_position += @intCast(count);
        const rest = connection.unread();
        if (connection.input.len == 0 or (rest.len > 0 and connection.isRecord(rest))) return;
        if (rest.len == connection.input.len) return;
        const kept = try allocator.dupe(u8, rest);
        connection.dropInput(allocator);
        connection.input = kept;
    }

    /// Keeps input that is in memory of somebody else.
    pub fn keepInput(connection: *TlsConnection, allocator: std.mem.Allocator, bytes: []const u8) !void {
        assert(connection.input.len == 0);
        if (bytes.len == 0) return;
        connection.input = try allocator.dupe(u8, bytes);
    }

    pub fn dropInput(connection: *TlsConnection, allocator: std.mem.Allocator) void {
        allocator.free(connection.input);
        connection.input = &.{};
        connection.input_position = 0;
    }

    /// Puts ciphertext behind what is still to be sent.
    pub fn keepOutput(connection: *TlsConnection, allocator: std.mem.Allocator, bytes: []const u8) !void {
        const before = connection.unsent();
        const output = try allocator.alloc(u8, before.len + bytes.len);
        @memcpy(output[0..before.len], before);
        @memcpy(output[before.len..], bytes);
        connection.dropOutput(allocator);
        connection.output = output;
    }

    pub fn dropOutput(connection: *TlsConnection, allocator: std.mem.Allocator) void {
        allocator.free(connection.output);
        connection.output = &.{};
        connection.output_position = 0;
    }

    pub fn extraOf(connection: *TlsConnection, allocator: std.mem.Allocator) !*Extra {
        if (connection.extra) |extra| return extra;
        const extra = try allocator.create(Extra);
        extra.* = .{};
        connection.extra = extra;
        return extra;
    }

    pub fn takeoverOf(connection: *TlsConnection, allocator: std.mem.Allocator) !*Takeover {
        if (connection.takeover == null) connection.takeover = try .create(allocator, connection.flags.is_server);
        return connection.takeover.?;
    }

    pub fn dropTakeover(connection: *TlsConnection, allocator: std.mem.Allocator, primitives: *Primitives) void {
        if (connection.takeover) |takeover| takeover.destroy(allocator, primitives);
        connection.takeover = null;
    }

    /// What has taken over from OpenSSL, if it has.
    pub fn takenOver(connection: *const TlsConnection) ?*Takeover {
        return if (connection.ssl == null) connection.takeover else null;
    }

    pub fn dropFirstHello(connection: *TlsConnection, allocator: std.mem.Allocator) void {
        const extra = connection.extra orelse return;
        if (extra.first_hello) |*first| first.deinit(allocator);
        extra.first_hello = null;
    }

    pub fn dropExtra(connection: *TlsConnection, allocator: std.mem.Allocator) void {
        connection.dropFirstHello(allocator);
        const extra = connection.extra orelse return;
        allocator.free(extra.server_name);
        extra.key_log.deinit(allocator);
        if (extra.refused) |certificate| openssl.X509_free(certificate);
        if (extra.resumable) |resumable| openssl.SSL_SESSION_free(resumable);
        allocator.destroy(extra);
        connection.extra = null;
    }

    /// A transfer ends before all of it was sent, against its writer's will.
    pub fn breakOffTransfer(connection: *TlsConnection) void {
        if (connection.flags.mid_transfer) connection.flags.was_broken_off = true;
        connection.abandonTransfer();
    }

    /// A transfer ends: what is on its way is sent, and counts for no writer any more.
    pub fn abandonTransfer(connection: *TlsConnection) void {
        connection.credit = 0;
        connection.credited = 0;
        connection.flags.mid_transfer = false;
    }
};

comptime {
    assert(@sizeOf(TlsConnection) <= 176);
}
