//! A TLS 1.3 connection after its handshake. OpenSSL has done the handshake and is let go: what a
//! connection needs from here on, to protect records and to answer a key update, is a few hundred
//! bytes, where OpenSSL holds twenty thousand. Records go from the caller's memory to the kernel's, and back,
//! without a copy in between.
//!
//! TLS 1.2 stays with OpenSSL, and so do clients that want to know of sessions for resumption.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("../boundary/abi.zig");
const contexts = @import("contexts.zig");
const hello = @import("hello.zig");
const openssl = @import("openssl.zig");
const protection = @import("protection.zig");
const quota = @import("quota.zig");
const records = @import("records.zig");
const Engine = @import("engine.zig").Engine;
const Session = @import("session.zig").Session;
const Suite = @import("primitives.zig").Suite;

/// The longest message after a handshake: a ticket with everything as long as it can be (RFC 8446, 4.6.1).
const longest_message = 4 + 4 + 1 + 255 + 2 + 65_535 + 2 + 65_534;

const key_update = 24;
const new_session_ticket = 4;

pub const Alert = enum(u8) {
    close_notify = 0,
    unexpected_message = 10,
    bad_record_mac = 20,
    record_overflow = 22,
    illegal_parameter = 47,
    decode_error = 50,
    internal_error = 80,
    user_canceled = 90,
    _,
};

/// Why reading ends: what the peer is told, and OpenSSL's code for it.
pub const Failure = struct { alert: ?Alert, reason: c_ulong };

pub fn failureOf(alert: Alert, reason: c_ulong) Failure {
    return .{ .alert = alert, .reason = openssl.packReason(reason) };
}

pub const Established = struct {
    suite: Suite = .aes_128_gcm_sha256,
    reading: protection.Keys = .{},
    writing: protection.Keys = .{},
    /// The lengths of the secrets that OpenSSL has told so far.
    secret_lengths: [2]u8 = @splat(0),
    is_server: bool = false,
    logs_keys: bool = false,
    resumed: bool = false,
    /// The peer wants our keys to be updated before we send anything else.
    owes_update: bool = false,
    message: Message = .{},
    verify_result: i32 = 0,
    cipher_name: ?[*:0]const u8 = null,
    group_name: ?[*:0]const u8 = null,
    /// The protocol that was agreed on, and behind it the server name.
    names: []u8 = &.{},
    protocol_length: u8 = 0,
    certificate: ?*openssl.Certificate = null,
    chain: ?*openssl.Stack = null,
    /// Content of a record that the reader has not taken yet, from `position` on.
    content: []u8 = &.{},
    position: u32 = 0,

    /// What is known of a message of the handshake protocol that is not complete.
    const Message = struct {
        header: [4]u8 = undefined,
        header_length: u8 = 0,
        rest: u32 = 0,

        fn isOpen(message: *const Message) bool {
            return message.header_length > 0;
        }
    };

    pub fn deinit(established: *Established, allocator: std.mem.Allocator) void {
        allocator.free(established.names);
        allocator.free(established.content);
        if (established.certificate) |certificate| openssl.X509_free(certificate);
        openssl.OPENSSL_sk_pop_free(established.chain, freeCertificate);
        std.crypto.secureZero(u8, std.mem.asBytes(established));
        allocator.destroy(established);
    }

    /// Takes its keys out of the ciphers that it has shared with others.
    pub fn forgetKeys(established: *const Established, engine: *Engine) void {
        engine.primitives.forget(established.suite, established.reading.number);
        engine.primitives.forget(established.suite, established.writing.number);
    }

    fn freeCertificate(certificate: ?*anyopaque) callconv(.c) void {
        openssl.X509_free(@ptrCast(certificate.?));
    }

    pub fn protocol(established: *const Established) []const u8 {
        return established.names[0..established.protocol_length];
    }

    pub fn serverName(established: *const Established) []const u8 {
        return established.names[established.protocol_length..];
    }

    // -- Receiving

    /// Hands out what is left of a record that was read in part.
    pub fn takeContent(established: *Established, allocator: std.mem.Allocator, buffer: []u8) usize {
        const rest = established.content[established.position..];
        const count = @min(rest.len, buffer.len);
        @memcpy(buffer[0..count], rest[0..count]);
        established.position += @intCast(count);
        if (count == rest.len) {
            allocator.free(established.content);
            established.content = &.{};
            established.position = 0;
        }
        return count;
    }

    pub const Result = union(enum) {
        /// Bytes that were put into the buffer.
        data: usize,
        /// The record brought no data, but this.
        other: quota.Kind,
        end_of_stream,
        failure: Failure,
    };

    /// Reads one record. What is not TLS 1.3 fails as OpenSSL would have it fail, but for tickets, into
    /// which nobody looks.
    pub fn read(established: *Established, engine: *Engine, session: *Session, record: []u8, buffer: []u8) Result {
        const opened = established.reading.open(&engine.primitives, established.suite, record, buffer) catch |refusal| return switch (refusal) {
            error.UnexpectedRecord => fatal(.unexpected_message, openssl.SSL_R_BAD_RECORD_TYPE),
            error.WrongVersion => fatal(.decode_error, openssl.SSL_R_WRONG_VERSION_NUMBER),
            error.RecordTooLong => fatal(.record_overflow, openssl.SSL_R_ENCRYPTED_LENGTH_TOO_LONG),
            error.BadRecord => fatal(.bad_record_mac, openssl.SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC),
            error.ContentTooLong => fatal(.record_overflow, openssl.SSL_R_DATA_LENGTH_TOO_LONG),
        };
        switch (opened.kind) {
            .application_data => {},
            .alert, .handshake => if (opened.content.len == 0) return fatal(.unexpected_message, openssl.SSL_R_BAD_LENGTH),
            else => return fatal(.unexpected_message, openssl.SSL_R_BAD_RECORD_TYPE),
        }
        // A message may be cut into several records, with nothing in between (RFC 8446, 5.1).
        if (established.message.isOpen() and opened.kind != .handshake) {
            return fatal(.unexpected_message, openssl.SSL_R_MIXED_HANDSHAKE_AND_NON_HANDSHAKE_DATA);
        }
        switch (opened.kind) {
            .application_data => return established.readData(engine.allocator, opened.content, buffer),
            .alert => return readAlert(opened.content),
            else => {
                if (established.readMessages(engine, session, opened.content)) |failure| return .{ .failure = failure };
                return .{ .other = if (established.message.header[0] == key_update) .key_update else .ticket };
            },
        }
    }

    fn readData(established: *Established, allocator: std.mem.Allocator, content: []const u8, buffer: []u8) Result {
        if (content.len == 0) return .{ .other = .empty };
        if (content.ptr == buffer.ptr) return .{ .data = content.len };
        const count = @min(content.len, buffer.len);
        @memcpy(buffer[0..count], content[0..count]);
        if (count == content.len) return .{ .data = count };
        assert(established.content.len == 0);
        established.content = allocator.dupe(u8, content[count..]) catch return fatal(.internal_error, openssl.ERR_R_MALLOC_FAILURE);
        return .{ .data = count };
    }

    fn readAlert(content: []const u8) Result {
        if (content.len != 2) return fatal(.unexpected_message, openssl.SSL_R_INVALID_ALERT);
        // The level says nothing in TLS 1.3 (RFC 8446, 6).
        switch (@as(Alert, @enumFromInt(content[1]))) {
            .close_notify => return .end_of_stream,
            .user_canceled => return .{ .other = .warning },
            else => |alert| return .{ .failure = .{
                .alert = null,
                .reason = openssl.packReason(openssl.AD_REASON_OFFSET + @as(c_ulong, @intFromEnum(alert))),
            } },
        }
    }

    fn fatal(alert: Alert, reason: c_ulong) Result {
        return .{ .failure = failureOf(alert, reason) };
    }

    /// Key updates, and tickets that nobody has asked for (RFC 8446, 4.6).
    fn readMessages(established: *Established, engine: *Engine, session: *Session, content: []const u8) ?Failure {
        const message = &established.message;
        var rest = content;
        while (rest.len > 0) {
            if (message.header_length < message.header.len) {
                message.header[message.header_length] = rest[0];
                message.header_length += 1;
                rest = rest[1..];
                if (message.header_length < message.header.len) continue;
                message.rest = std.mem.readInt(u24, message.header[1..4], .big);
                const refused: ?Failure = switch (message.header[0]) {
                    key_update => if (message.rest == 1) null else failureOf(.decode_error, openssl.SSL_R_BAD_KEY_UPDATE),
                    new_session_ticket => if (established.is_server)
                        failureOf(.unexpected_message, openssl.SSL_R_UNEXPECTED_MESSAGE)
                    else if (message.rest > longest_message)
                        failureOf(.illegal_parameter, openssl.SSL_R_EXCESSIVE_MESSAGE_SIZE)
                    else
                        null,
                    else => failureOf(.unexpected_message, openssl.SSL_R_UNEXPECTED_MESSAGE),
                };
                if (refused != null) return refused;
                if (message.rest > 0) continue;
            } else {
                const count = @min(message.rest, rest.len);
                message.rest -= @intCast(count);
                if (message.header[0] == key_update) {
                    const request = rest[0];
                    rest = rest[1..];
                    // What follows is under the next key, so that nothing may follow in this record.
                    if (rest.len > 0) return failureOf(.unexpected_message, openssl.SSL_R_NOT_ON_RECORD_BOUNDARY);
                    if (request > 1) return failureOf(.illegal_parameter, openssl.SSL_R_BAD_KEY_UPDATE);
                    if (!established.advance(engine, session, &established.reading)) return failureOf(.internal_error, openssl.ERR_R_INTERNAL_ERROR);
                    // One answer does for all requests that come before it (RFC 8446, 4.6.3).
                    if (request == 1) established.owes_update = true;
                } else rest = rest[count..];
                if (message.rest > 0) continue;
            }
            message.header_length = 0;
        }
        return null;
    }

    // -- Sending

    /// Writes a record behind what is `sealed`. False when memory is out.
    fn put(established: *Established, engine: *Engine, kind: protection.ContentType, plaintext: []const u8) bool {
        const length = plaintext.len + protection.overhead_bytes;
        engine.sealed.ensureUnusedCapacity(engine.allocator, length) catch return false;
        const output = engine.sealed.unusedCapacitySlice()[0..length];
        if (!established.writing.seal(&engine.primitives, established.suite, kind, plaintext, output)) return false;
        engine.sealed.items.len += length;
        return true;
    }

    /// Encrypts the data of one record.
    pub fn write(established: *Established, engine: *Engine, session: *Session, plaintext: []const u8) bool {
        if (established.writing.sequence >= protection.records_per_key) established.owes_update = true;
        return established.answerUpdate(engine, session) and established.put(engine, .application_data, plaintext);
    }

    /// Updates our keys if the peer has asked for it.
    pub fn answerUpdate(established: *Established, engine: *Engine, session: *Session) bool {
        return !established.owes_update or established.updateKeys(engine, session, false);
    }

    /// Announces new keys and uses them from here on.
    pub fn updateKeys(established: *Established, engine: *Engine, session: *Session, asks_peer: bool) bool {
        established.owes_update = false;
        const message = [_]u8{ key_update, 0, 0, 1, @intFromBool(asks_peer) };
        return established.put(engine, .handshake, &message) and established.advance(engine, session, &established.writing);
    }

    pub fn sendAlert(established: *Established, engine: *Engine, alert: Alert) bool {
        const level: u8 = if (alert == .close_notify) 1 else 2;
        return established.put(engine, .alert, &.{ level, @intFromEnum(alert) });
    }

    fn advance(established: *Established, engine: *Engine, session: *Session, keys: *protection.Keys) bool {
        if (!keys.update(&engine.primitives, established.suite)) return false;
        if (!established.logs_keys) return true;
        const is_clients = (keys == &established.reading) == established.is_server;
        const secret = keys.secret[0..established.suite.digest().length()];
        const label = if (is_clients) "CLIENT_TRAFFIC_SECRET_N" else "SERVER_TRAFFIC_SECRET_N";
        const extra = session.extra orelse return true;
        const digits = std.fmt.bytesToHex(keys.secret, .lower);
        engine.keepLine(session, &.{ label, &std.fmt.bytesToHex(extra.client_random, .lower), digits[0 .. 2 * secret.len] });
        return true;
    }
};

// -- From the handshake

const Secret = enum { clients, servers };

const secret_labels = std.StaticStringMap(Secret).initComptime(.{
    .{ "CLIENT_TRAFFIC_SECRET_0", .clients },
    .{ "SERVER_TRAFFIC_SECRET_0", .servers },
});

/// Keeps a secret that OpenSSL tells of for the key log (SSL_CTX_set_keylog_callback(3)): its label,
/// the client's random number, and the secret in hexadecimal, with spaces between them.
pub fn keepSecret(engine: *Engine, session: *Session, line: []const u8) !void {
    var words = std.mem.splitScalar(u8, line, ' ');
    const secret = secret_labels.get(words.first()) orelse return;
    _ = words.next() orelse return;
    const digits = words.next() orelse return;
    const established = session.established orelse blk: {
        const created = try engine.allocator.create(Established);
        created.* = .{ .is_server = session.flags.is_server };
        session.established = created;
        break :blk created;
    };
    const is_reading = (secret == .clients) == session.flags.is_server;
    const keys = if (is_reading) &established.reading else &established.writing;
    if (digits.len / 2 > keys.secret.len) return;
    const bytes = std.fmt.hexToBytes(&keys.secret, digits) catch return;
    established.secret_lengths[@intFromBool(is_reading)] = @intCast(bytes.len);
}

/// Lets OpenSSL's part of a connection go whose handshake has just succeeded. `sealed` is what its
/// last step has written. Does nothing where OpenSSL is still needed.
pub fn letGo(engine: *Engine, session: *Session, context: *const contexts.Context) void {
    const established = session.established orelse return;
    if (take(engine, session, established, context)) {
        openssl.SSL_free(session.connection.?);
        session.connection = null;
    } else session.dropEstablished(engine.allocator);
}

fn take(engine: *Engine, session: *Session, established: *Established, context: *const contexts.Context) bool {
    const connection = session.connection.?;
    const wants_sessions = !session.flags.is_server and context.notices & abi.TlsNotices.session != 0;
    if (wants_sessions or openssl.SSL_version(connection) != openssl.TLS1_3_VERSION) return false;
    const cipher = openssl.SSL_get_current_cipher(connection) orelse return false;
    const suite = Suite.fromNumber(openssl.SSL_CIPHER_get_protocol_id(cipher)) orelse return false;
    for (established.secret_lengths) |length| if (length != suite.digest().length()) return false;
    // A peer that can take short records only (RFC 6066, 4) is rare.
    const resumable = openssl.SSL_get_session(connection) orelse return false;
    if (openssl.SSL_SESSION_get_max_fragment_length(resumable) != 0) return false;
    if (!engine.primitives.prepare(suite)) return false;

    established.suite = suite;
    for ([_]*protection.Keys{ &established.reading, &established.writing }) |keys| {
        if (!keys.derive(&engine.primitives, suite)) return false;
    }
    // A server's last step has sent tickets under these keys, and nothing else: the rest of its
    // messages went out before it had the client's. A client has sent nothing under them yet.
    if (session.flags.is_server) established.writing.sequence = countRecords(engine.sealed.items) orelse return false;
    established.logs_keys = context.notices & abi.TlsNotices.key_log != 0;
    if (established.logs_keys) {
        const extra = session.extraOf(engine.allocator) catch return false;
        _ = openssl.SSL_get_client_random(connection, &extra.client_random, extra.client_random.len);
    }
    return takeFacts(engine, session, established, cipher);
}

fn countRecords(sealed: []const u8) ?u64 {
    var rest = sealed;
    var count: u64 = 0;
    while (rest.len > 0) : (count += 1) switch (records.first(rest)) {
        .complete => |size| rest = rest[size..],
        else => return null,
    };
    return count;
}

/// Copies what `reports.zig` tells of a connection.
fn takeFacts(engine: *Engine, session: *Session, established: *Established, cipher: *const openssl.Cipher) bool {
    const connection = session.connection.?;
    established.cipher_name = openssl.SSL_CIPHER_get_name(cipher);
    // The name belongs to the context, which the session holds.
    const group = openssl.SSL_ctrl(connection, openssl.CTRL_GET_NEGOTIATED_GROUP, 0, null);
    if (group != 0) established.group_name = openssl.SSL_group_to_name(connection, @intCast(group));
    established.resumed = openssl.SSL_session_reused(connection) == 1;
    established.verify_result = @intCast(openssl.SSL_get_verify_result(connection));

    var protocol: ?[*]const u8 = null;
    var protocol_length: c_uint = 0;
    openssl.SSL_get0_alpn_selected(connection, &protocol, &protocol_length);
    const chosen = if (protocol) |bytes| bytes[0..protocol_length] else "";
    var name_buffer: [hello.longest_name]u8 = undefined;
    const parts = [_][]const u8{ chosen, hello.serverName(connection, &name_buffer) };
    established.names = std.mem.concat(engine.allocator, u8, &parts) catch return false;
    established.protocol_length = @intCast(protocol_length);

    if (openssl.SSL_get0_peer_certificate(connection)) |certificate| {
        if (openssl.X509_up_ref(certificate) != 1) return false;
        established.certificate = certificate;
    }
    if (openssl.SSL_get_peer_cert_chain(connection)) |chain| {
        established.chain = openssl.X509_chain_up_ref(chain) orelse return false;
    }
    return true;
}
