//! One TLS connection: its state, OpenSSL's part or what has taken over from it, and the ciphertext that
//! is on its way in or out. An idle connection holds neither input nor output.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const Error = @import("../os/errors.zig").Error;
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
        /// The handshake waits until the caller has chosen a context (`callbacks.zig`).
        paused,
        open,
        /// `failure` says why. OpenSSL must not be called to go on (SSL_get_error(3)).
        failed,
        /// Its socket is closed. Output may still wait.
        closed,
    };

    pub const Flags = packed struct(u16) {
        is_server: bool = false,
        /// The kernel has reported the end of the peer's stream.
        ended: bool = false,
        /// What arrives is not TLS. OpenSSL gets it as it comes, and finds the reason to fail.
        foreign: bool = false,
        /// A writer's data was sent in part, and it will offer the rest.
        mid_transfer: bool = false,
        /// The socket is to be half closed when the output is sent.
        ends_after_output: bool = false,
        /// A context was chosen for the client's server name, or the client refused.
        chosen: bool = false,
        /// The socket becomes writable when more has arrived (`transfers.mayWrite`).
        writer_needs_input: bool = false,
        /// A writer has broken off: the peer lacks a part of its data.
        was_broken_off: bool = false,
        /// A server has sent something in the handshake.
        answered: bool = false,
        /// It has done so since the last call of `handshakes.progress`.
        progressed: bool = false,
        /// The client's first message is longer than a server accepts.
        hello_too_long: bool = false,
        _: u5 = 0,
    };

    /// Belongs to the pool.
    next: TlsConnectionIndex = .none,
    /// Its own number in the pool.
    index: TlsConnectionIndex = .none,
    /// The slot of its socket.
    socket: indices.SocketIndex = .none,
    /// OpenSSL's part, until `takeover` replaces it.
    ssl: ?*openssl.SSL = null,
    /// What takes over from OpenSSL after the handshake. During the handshake it collects the secrets.
    takeover: ?*Takeover = null,
    /// The context that it began with. It owns a reference.
    context: ContextIndex = .none,
    /// The context that the server name led to, if that is another one. It owns a reference.
    chosen_context: ContextIndex = .none,
    state: State = .free,
    flags: Flags = .{},
    /// The notices that were not taken yet: bits of `abi.TlsNotices`.
    notices: u8 = 0,
    /// The alert with which the ClientHello is refused, or 0 (`callbacks.receiveMessage`).
    hello_alert: u8 = 0,
    /// Why the connection, or only its reading, has failed.
    failure: ?Error = null,
    /// OpenSSL's error code for it, or 0.
    reason: c_ulong = 0,
    /// The waiter for the handshake.
    waiter: indices.WaiterIndex = .none,
    /// Received and not read yet, from `input_position` on.
    input: []u8 = &.{},
    /// Ciphertext that the kernel has not taken yet, from `output_position` on.
    output: []u8 = &.{},
    input_position: u32 = 0,
    output_position: u32 = 0,
    /// Bytes of the writer's plaintext whose ciphertext is in `output`.
    output_plaintext: u32 = 0,
    /// Bytes of the writer's plaintext that were sent since its last call.
    unreported_plaintext: u32 = 0,
    /// Bytes that the peer of a closed socket had not acknowledged at the last call of `transfers.makesProgress`.
    unacknowledged: u32 = std.math.maxInt(u32),
    /// Links of the engine's queues.
    due: Links(TlsConnectionIndex) = .{},
    held: Links(TlsConnectionIndex) = .{},
    noticed: Links(TlsConnectionIndex) = .{},
    extra: ?*Extra = null,
    /// Used by a server during the handshake.
    hello_limit: HelloLimit = .{},
    /// Used after the handshake.
    quota: Quota = .{},

    /// State that only a few connections need, allocated on demand.
    pub const Extra = struct {
        /// The server name for which a paused handshake needs a context.
        server_name: []u8 = &.{},
        /// The first ClientHello, with which a second one is compared.
        first_hello: ?FirstHello = null,
        /// Lines of the key log that were not taken yet.
        key_log: std.ArrayList(u8) = .empty,
        /// Names the connection in the key log.
        client_random: [32]u8 = @splat(0),
        /// The last session that the server has given for resumption. An owned reference.
        resumable: ?*openssl.SSL_SESSION = null,
        /// The peer's certificate, if that made the handshake fail. An owned reference.
        refused: ?*openssl.X509 = null,
    };

    pub fn unread(connection: *const TlsConnection) []u8 {
        return connection.input[connection.input_position..];
    }

    pub fn unsent(connection: *const TlsConnection) []u8 {
        return connection.output[connection.output_position..];
    }

    /// Whether the unread input begins with a whole record, or with something else that can be acted upon.
    pub fn hasRecord(connection: *const TlsConnection) bool {
        return connection.isRecord(connection.unread());
    }

    pub fn isRecord(connection: *const TlsConnection, bytes: []const u8) bool {
        if (bytes.len == 0) return false;
        if (connection.flags.foreign) return true;
        const size = framing.first(bytes) catch return true;
        return size != null;
    }

    /// Marks input as read. The part of a record at its end is kept in memory of just its size, for it may
    /// stay for long.
    pub fn advance(connection: *TlsConnection, allocator: std.mem.Allocator, count: usize) !void {
        connection.input_position += @intCast(count);
        const rest = connection.unread();
        if (connection.input.len == 0 or (rest.len > 0 and connection.isRecord(rest))) return;
        if (rest.len == connection.input.len) return;
        const kept = try allocator.dupe(u8, rest);
        connection.dropInput(allocator);
        connection.input = kept;
    }

    /// Copies input that is in the engine's buffer.
    pub fn keepInput(connection: *TlsConnection, allocator: std.mem.Allocator, bytes: []const u8) !void {
        assert(connection.input.len == 0, "unread input is lost");
        if (bytes.len == 0) return;
        connection.input = try allocator.dupe(u8, bytes);
    }

    pub fn dropInput(connection: *TlsConnection, allocator: std.mem.Allocator) void {
        allocator.free(connection.input);
        connection.input = &.{};
        connection.input_position = 0;
    }

    /// Puts ciphertext behind the output that waits.
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

    /// Whether the peer lacks a part of a writer's data, so that the end of the stream must not be announced.
    pub fn isIncomplete(connection: *const TlsConnection) bool {
        return connection.flags.mid_transfer or connection.flags.was_broken_off;
    }

    /// A writer's transfer ends before all of it was sent.
    pub fn breakOff(connection: *TlsConnection) void {
        if (connection.flags.mid_transfer) connection.flags.was_broken_off = true;
        connection.endTransfer();
    }

    /// A writer's transfer ends. Its output is still sent, and is not reported to any writer.
    pub fn endTransfer(connection: *TlsConnection) void {
        connection.output_plaintext = 0;
        connection.unreported_plaintext = 0;
        connection.flags.mid_transfer = false;
    }
};

comptime {
    std.debug.assert(@sizeOf(TlsConnection) <= 176);
}
