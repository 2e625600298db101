//! What the TLS connections of a thread share: the buffers, the BIO through which OpenSSL reads and
//! writes them, and the tables of connections and contexts.
//!
//! OpenSSL makes no system calls. It reads from `input` and writes to `sealed`; `transfers.zig` moves
//! both, many records at a time. One BIO serves all connections of the thread, since only one call of
//! OpenSSL is under way at a time: that saves 150 bytes for each connection.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const abi = @import("../boundary/abi.zig");
const indices = @import("../core/indices.zig");
const memory = @import("memory.zig");
const openssl = @import("openssl.zig");
const framing = @import("record/framing.zig");
const quota = @import("record/quota.zig");
const system = @import("../os/kernel.zig").system;
const Context = @import("context.zig").Context;
const Pool = @import("../core/pool.zig").Pool;
const reasons = @import("reasons.zig");
const Failure = @import("record/refusals.zig").Failure;
const Refusal = @import("record/refusals.zig").Refusal;
const Primitives = @import("record/primitives.zig").Primitives;
const Queue = @import("../core/queue.zig").Queue;
const Scheduler = @import("../core/scheduler.zig").Scheduler;
const ContextIndex = indices.ContextIndex;
const TlsConnection = @import("connection.zig").TlsConnection;
const TlsConnectionIndex = indices.TlsConnectionIndex;

/// The most plaintext that one call seals.
pub const chunk_bytes = 128 * 1024;

/// Room for the longest chunk and its records' overhead, so that the buffer does not grow in use.
const sealed_bytes = chunk_bytes + 8 * 1024;

/// The most ciphertext that one call receives, with the part of a record before it.
const received_bytes = chunk_bytes + 2 * framing.longest_record;

/// The most bytes of key log lines that wait for the caller on one connection. A handshake makes about
/// 1 KiB; a peer can make more by updating its keys again and again.
const longest_key_log = 16 * 1024;

pub const Engine = struct {
    allocator: std.mem.Allocator,
    scheduler: *Scheduler,
    connections: Pool(TlsConnection, TlsConnectionIndex, abi.Limits.sockets) = .{},
    contexts: Pool(Context, ContextIndex, abi.Limits.tls_contexts) = .{},
    /// The contexts that the caller has not freed, by their numbers in the ABI.
    context_ids: std.AutoHashMapUnmanaged(indices.ContextId, ContextIndex) = .empty,
    /// The length of `noticed`, in memory that TypeScript reads.
    notice_count: *u32,
    method: ?*openssl.BIO_METHOD = null,
    bio: ?*openssl.BIO = null,
    /// Holds what the kernel has delivered. What is not read at once moves to the connection.
    received: []u8 = &.{},
    /// Holds small buffers that are gathered into a record.
    gathered: []u8 = &.{},
    /// Records that the call that is under way has sealed.
    sealed: std.ArrayList(u8) = .empty,
    /// The ciphers and digests of the record layer.
    primitives: Primitives = .{},
    /// The connection whose call is under way.
    current: ?*TlsConnection = null,
    /// Whether that call leaves keys on the stack.
    leaves_keys: bool = false,
    /// What that call may read, from `position` on. OpenSSL reads no further than `record_end` at a time.
    input: []u8 = &.{},
    position: usize = 0,
    record_end: usize = 0,
    /// Connections whose handshake can go on.
    due: Queue(TlsConnectionIndex, "due") = .{},
    /// Connections that hold the end of their handshake back until the next poll (`transfers.hold`).
    held: Queue(TlsConnectionIndex, "held") = .{},
    /// Connections with notices for the caller.
    noticed: Queue(TlsConnectionIndex, "noticed") = .{},

    pub fn deinit(engine: *Engine) void {
        for (0..engine.connections.length) |number| {
            const index: TlsConnectionIndex = @enumFromInt(number);
            const connection = engine.connections.at(index);
            // The scheduler frees the waiters.
            connection.waiter = .none;
            if (connection.state != .free) engine.release(index);
        }
        for (0..engine.contexts.length) |number| engine.contexts.at(@enumFromInt(number)).destroy();
        engine.primitives.deinit();
        engine.connections.deinit(engine.allocator);
        engine.contexts.deinit(engine.allocator);
        engine.context_ids.deinit(engine.allocator);
        if (engine.bio) |bio| _ = openssl.BIO_free(bio);
        if (engine.method) |method| openssl.BIO_meth_free(method);
        engine.allocator.free(engine.received);
        engine.allocator.free(engine.gathered);
        engine.sealed.deinit(engine.allocator);
    }

    /// Prepares OpenSSL and the BIO. Called for each context; only the first call has an effect.
    pub fn prepare(engine: *Engine) !void {
        if (engine.bio != null) return;
        memory.install();
        // The configuration of the system's OpenSSL must not change what plait does. The process may exit
        // while other threads still use OpenSSL.
        const settings = openssl.OPENSSL_INIT_NO_LOAD_CONFIG | openssl.OPENSSL_INIT_NO_ATEXIT;
        if (openssl.OPENSSL_init_ssl(settings, null) != 1) return error.OutOfMemory;
        if (engine.method == null) {
            engine.method = openssl.BIO_meth_new(openssl.BIO_TYPE_SOURCE_SINK, "plait") orelse return error.OutOfMemory;
        }
        const method = engine.method.?;
        _ = openssl.BIO_meth_set_read(method, readInput);
        _ = openssl.BIO_meth_set_write(method, writeSealed);
        _ = openssl.BIO_meth_set_ctrl(method, control);
        const bio = openssl.BIO_new(method) orelse return error.OutOfMemory;
        openssl.BIO_set_data(bio, engine);
        openssl.BIO_set_init(bio, 1);
        engine.bio = bio;
    }

    /// Makes the buffers. Called for each connection; only the first call has an effect.
    pub fn prepareBuffers(engine: *Engine) !void {
        if (engine.received.len == 0) engine.received = try engine.allocator.alloc(u8, received_bytes);
        if (engine.gathered.len == 0) engine.gathered = try engine.allocator.alloc(u8, framing.plaintext_bytes);
        try engine.sealed.ensureTotalCapacity(engine.allocator, sealed_bytes);
    }

    /// The engine of a connection that OpenSSL is working on.
    pub fn of(ssl: *const openssl.SSL) *Engine {
        return @ptrCast(@alignCast(openssl.BIO_get_data(openssl.SSL_get_rbio(ssl).?).?));
    }

    /// Frees a connection with all that it holds.
    pub fn release(engine: *Engine, index: TlsConnectionIndex) void {
        const connection = engine.connections.at(index);
        assert(connection.state != .free, "a TLS connection is freed twice");
        assert(connection.waiter == .none, "a TLS connection is freed that a caller waits for");
        engine.disconnect(index);
        connection.dropOutput(engine.allocator);
        connection.state = .free;
        engine.connections.release(index);
    }

    /// Frees everything of a connection but its output. It is closed from then on.
    pub fn disconnect(engine: *Engine, index: TlsConnectionIndex) void {
        const connection = engine.connections.at(index);
        assert(engine.current != connection, "a TLS connection is freed while it is worked on");
        engine.due.remove(&engine.connections, index);
        engine.held.remove(&engine.connections, index);
        engine.noticed.remove(&engine.connections, index);
        engine.notice_count.* = engine.noticed.length;
        if (connection.ssl) |ssl| openssl.SSL_free(ssl);
        connection.ssl = null;
        connection.dropTakeover(engine.allocator, &engine.primitives);
        connection.dropInput(engine.allocator);
        connection.dropExtra(engine.allocator);
        if (connection.context != .none) engine.releaseContext(connection.context);
        if (connection.chosen_context != .none) engine.releaseContext(connection.chosen_context);
        connection.context = .none;
        connection.chosen_context = .none;
        connection.state = .closed;
    }

    /// Gives up a reference to a context, and the context with the last one.
    pub fn releaseContext(engine: *Engine, index: ContextIndex) void {
        const context = engine.contexts.at(index);
        assert(context.references > 0, "a TLS context is given up too often");
        context.references -= 1;
        if (context.references > 0) return;
        var members = context.names.valueIterator();
        // A member has no members of its own, so this goes no deeper.
        while (members.next()) |member| engine.releaseContext(member.*);
        context.destroy();
        engine.contexts.release(index);
    }

    /// Makes a notice for the caller. Notices of the same kind become one.
    pub fn notice(engine: *Engine, connection: *TlsConnection, kind: u8) void {
        connection.notices |= kind;
        engine.noticed.pushBack(&engine.connections, connection.index);
        engine.notice_count.* = engine.noticed.length;
    }

    /// Keeps a line for the connection's key log: the words, with spaces between them.
    pub fn keepLine(engine: *Engine, connection: *TlsConnection, words: []const []const u8) void {
        const extra = connection.extraOf(engine.allocator) catch return;
        const start = extra.key_log.items.len;
        for (words, 0..) |word, index| {
            if (index > 0) extra.key_log.append(engine.allocator, ' ') catch return extra.key_log.shrinkRetainingCapacity(start);
            extra.key_log.appendSlice(engine.allocator, word) catch return extra.key_log.shrinkRetainingCapacity(start);
        }
        extra.key_log.append(engine.allocator, '\n') catch return extra.key_log.shrinkRetainingCapacity(start);
        if (extra.key_log.items.len > longest_key_log) return extra.key_log.shrinkRetainingCapacity(start);
        engine.notice(connection, abi.TlsNotices.key_log);
    }

    // -- A call of OpenSSL

    /// Begins one or more calls for a connection, which read from `input` and write to `sealed`.
    pub fn enter(engine: *Engine, connection: *TlsConnection, input: []u8) void {
        assert(engine.current == null, "two TLS connections are worked on at once");
        engine.current = connection;
        engine.leaves_keys = leavesKeys(connection);
        engine.setInput(input);
        engine.sealed.clearRetainingCapacity();
        // SSL_get_error(3) would take errors of earlier calls for errors of this one.
        if (connection.ssl != null) openssl.ERR_clear_error();
    }

    pub fn setInput(engine: *Engine, input: []u8) void {
        engine.input = input;
        engine.position = 0;
        engine.record_end = 0;
    }

    /// Ends them. The caller keeps the input that was not read, and sends what is `sealed`.
    pub fn leave(engine: *Engine) void {
        if (engine.leaves_keys) memory.wipeStack();
        engine.current = null;
        engine.input = &.{};
        engine.position = 0;
        engine.record_end = 0;
    }

    pub fn rest(engine: *const Engine) []u8 {
        return engine.input[engine.position..];
    }

    /// Whether the next call would find something to read.
    pub fn hasRecord(engine: *const Engine) bool {
        return engine.position < engine.record_end or engine.current.?.isRecord(engine.rest());
    }
};

/// OpenSSL's handshake leaves secrets on the stack, and so does ChaCha20, which has too few registers for
/// its key. AES keeps its key in the memory of the cipher.
fn leavesKeys(connection: *const TlsConnection) bool {
    const takeover = connection.takenOver() orelse return true;
    return takeover.layer.suite == .chacha20_poly1305_sha256;
}

/// Hands out whole records only. Then OpenSSL keeps no buffer for a part of one while a connection is idle.
fn readInput(bio: *openssl.BIO, buffer: [*]u8, length: c_int) callconv(.c) c_int {
    const engine: *Engine = @ptrCast(@alignCast(openssl.BIO_get_data(bio).?));
    openssl.BIO_clear_flags(bio, openssl.BIO_FLAGS_READ | openssl.BIO_FLAGS_SHOULD_RETRY);
    const connection = engine.current orelse return -1;
    if (length <= 0) return 0;
    if (engine.position == engine.record_end) {
        const rest = engine.rest();
        const size = if (connection.flags.foreign) rest.len else framing.first(rest) catch blk: {
            connection.flags.foreign = true;
            break :blk rest.len;
        } orelse 0;
        if (size > 0 and !connection.flags.foreign) admit(connection, rest[0..size]) catch |refusal| {
            reasons.raise(Failure.of(refusal).reason);
            return -1;
        };
        engine.record_end += size;
    }
    const available = engine.record_end - engine.position;
    if (available == 0) {
        openssl.BIO_set_flags(bio, openssl.BIO_FLAGS_READ | openssl.BIO_FLAGS_SHOULD_RETRY);
        return -1;
    }
    const count = @min(available, @as(usize, @intCast(length)));
    @memcpy(buffer[0..count], engine.input[engine.position..][0..count]);
    engine.position += count;
    return @intCast(count);
}

/// Refuses a whole record that must not go to OpenSSL.
fn admit(connection: *TlsConnection, record: []const u8) Refusal!void {
    if (connection.state == .open) return connection.quota.take(kindOf(connection.ssl.?, record[0]), system.nanoseconds);
    if (connection.state != .handshaking or !connection.flags.is_server) return;
    // In TLS 1.2 records behind the ClientHello may be encrypted.
    if (connection.hello_limit.has_message and openssl.SSL_version(connection.ssl.?) != openssl.TLS1_3_VERSION) return;
    if (connection.hello_limit.admits(record)) return;
    connection.flags.hello_too_long = true;
    return error.MessageTooLong;
}

/// What a record for OpenSSL counts as until it turns out to have data. Records of TLS 1.3 all look alike.
fn kindOf(ssl: *const openssl.SSL, content_type: u8) quota.Kind {
    if (openssl.SSL_version(ssl) == openssl.TLS1_3_VERSION) return .key_update;
    return switch (content_type) {
        21 => .warning,
        22 => .renegotiation,
        else => .empty,
    };
}

/// Takes everything, so that OpenSSL never has to repeat a write.
fn writeSealed(bio: *openssl.BIO, bytes: [*]const u8, length: c_int) callconv(.c) c_int {
    const engine: *Engine = @ptrCast(@alignCast(openssl.BIO_get_data(bio).?));
    openssl.BIO_clear_flags(bio, openssl.BIO_FLAGS_READ | openssl.BIO_FLAGS_SHOULD_RETRY);
    if (length <= 0) return 0;
    engine.sealed.appendSlice(engine.allocator, bytes[0..@intCast(length)]) catch return -1;
    return length;
}

fn control(_: *openssl.BIO, command: c_int, _: c_long, _: ?*anyopaque) callconv(.c) c_long {
    return if (command == openssl.BIO_CTRL_FLUSH) 1 else 0;
}
