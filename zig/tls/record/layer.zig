//! The records of a TLS 1.3 connection whose handshake is done (RFC 8446, 4.6, 5 and 6): secrets go in, and
//! then records go in and out. The layer owns the keys. The caller owns all other memory, moves the bytes,
//! and ends the connection when a record is refused. What a peer must not send is refused as OpenSSL refuses
//! it. Tickets are skipped.

const std = @import("std");
const assert = @import("../../os/bug.zig").assert;
const primitives_module = @import("primitives.zig");
const protection = @import("protection.zig");
const quota = @import("quota.zig");
const refusals = @import("refusals.zig");
const Alert = refusals.Alert;
const ContentType = protection.ContentType;
const Keys = protection.Keys;
const Primitives = primitives_module.Primitives;
const Refusal = refusals.Refusal;
const Suite = primitives_module.Suite;

/// The longest message after a handshake: a ticket with everything as long as it can be (RFC 8446, 4.6.1).
const longest_message = 4 + 4 + 1 + 255 + 2 + 65_535 + 2 + 65_534;

const MessageType = enum(u8) { new_session_ticket = 4, key_update = 24, _ };

/// What a record brought.
pub const Opened = union(enum) {
    /// Data, of at least one byte: in the caller's buffer if that had room for all of the record, and in
    /// the record's own memory otherwise.
    data: []u8,
    /// Something else, which the layer has acted upon.
    other: quota.Kind,
    /// The peer sends nothing more (close_notify).
    end_of_stream,
    /// The peer has ended the connection.
    alert: Alert,
};

pub const SealError = primitives_module.CryptoError || std.mem.Allocator.Error;

/// Where sealed records go: behind what is there.
pub const Output = struct {
    allocator: std.mem.Allocator,
    bytes: *std.ArrayList(u8),
};

pub const RecordLayer = struct {
    suite: Suite = .aes_128_gcm_sha256,
    is_server: bool,
    reading: Keys = .{},
    writing: Keys = .{},
    /// New keys are due, which have to be announced before anything else is sent.
    owes_update: bool = false,
    message: Message = .{},

    /// A message of the handshake protocol that has arrived in part.
    const Message = struct {
        header: [4]u8 = undefined,
        header_length: u8 = 0,
        /// Bytes that are still to come, once the header is complete.
        rest: u32 = 0,

        fn isOpen(message: *const Message) bool {
            return message.header_length > 0;
        }

        fn kind(message: *const Message) MessageType {
            return @enumFromInt(message.header[0]);
        }
    };

    /// Derives the keys from both directions' secrets, which are set.
    pub fn start(layer: *RecordLayer, primitives: *Primitives, suite: Suite) primitives_module.CryptoError!void {
        try primitives.prepare(suite);
        layer.suite = suite;
        try layer.reading.derive(primitives, suite);
        try layer.writing.derive(primitives, suite);
    }

    /// Wipes the keys, here and in the cipher contexts that all connections share.
    pub fn deinit(layer: *RecordLayer, primitives: *Primitives) void {
        primitives.forget(layer.suite, layer.reading.number);
        primitives.forget(layer.suite, layer.writing.number);
        std.crypto.secureZero(u8, std.mem.asBytes(layer));
    }

    // -- Receiving

    /// Opens a whole record, whose memory it may overwrite. An error ends the connection; `refusals.Failure`
    /// has the alert for the peer.
    pub fn open(layer: *RecordLayer, primitives: *Primitives, record: []u8, buffer: []u8) Refusal!Opened {
        const opened = try layer.reading.open(primitives, layer.suite, record, buffer);
        switch (opened.kind) {
            .application_data => {},
            .alert, .handshake => if (opened.content.len == 0) return error.EmptyMessage,
            else => return error.UnexpectedRecord,
        }
        // A message may take several records, with nothing between them (RFC 8446, 5.1).
        if (layer.message.isOpen() and opened.kind != .handshake) return error.InterruptedMessage;
        switch (opened.kind) {
            .application_data => return if (opened.content.len > 0) .{ .data = opened.content } else .{ .other = .empty },
            .alert => return readAlert(opened.content),
            else => {
                const last = try layer.readMessages(primitives, opened.content);
                return .{ .other = if (last == .key_update) .key_update else .ticket };
            },
        }
    }

    fn readAlert(content: []const u8) Refusal!Opened {
        if (content.len != 2) return error.InvalidAlert;
        // The level means nothing in TLS 1.3 (RFC 8446, 6).
        return switch (@as(Alert, @enumFromInt(content[1]))) {
            .close_notify => .end_of_stream,
            .user_canceled => .{ .other = .warning },
            else => |alert| .{ .alert = alert },
        };
    }

    /// Reads key updates and skips tickets (RFC 8446, 4.6). Returns the type of the last message, which
    /// may go on in the next record.
    fn readMessages(layer: *RecordLayer, primitives: *Primitives, content: []const u8) Refusal!MessageType {
        const message = &layer.message;
        var rest = content;
        while (rest.len > 0) {
            if (message.header_length < message.header.len) {
                message.header[message.header_length] = rest[0];
                message.header_length += 1;
                rest = rest[1..];
                if (message.header_length < message.header.len) continue;
                message.rest = std.mem.readInt(u24, message.header[1..4], .big);
                try layer.admit(message.kind(), message.rest);
            } else {
                const part = rest[0..@min(message.rest, rest.len)];
                rest = rest[part.len..];
                message.rest -= @intCast(part.len);
                if (message.kind() == .key_update) {
                    assert(part.len == 1 and message.rest == 0, "a key update has more than one byte");
                    // What follows is under the next key, so that nothing may follow in this record.
                    if (rest.len > 0) return error.NotOnRecordBoundary;
                    if (part[0] > 1) return error.KeyUpdateValue;
                    try layer.reading.update(primitives, layer.suite);
                    // One answer does for all requests that come before it (RFC 8446, 4.6.3).
                    if (part[0] == 1) layer.owes_update = true;
                }
            }
            if (message.rest == 0) message.header_length = 0;
        }
        return message.kind();
    }

    fn admit(layer: *const RecordLayer, kind: MessageType, length: u32) Refusal!void {
        switch (kind) {
            .key_update => if (length != 1) return error.KeyUpdateLength,
            .new_session_ticket => {
                if (layer.is_server) return error.UnexpectedMessage;
                if (length > longest_message) return error.MessageTooLong;
            },
            else => return error.UnexpectedMessage,
        }
    }

    // -- Sending

    /// Seals one record of data, behind a key update if one is due.
    pub fn seal(layer: *RecordLayer, primitives: *Primitives, output: Output, plaintext: []const u8) SealError!void {
        if (layer.writing.sequence >= protection.records_per_key) layer.owes_update = true;
        if (layer.owes_update) try layer.sealKeyUpdate(primitives, output, false);
        try layer.put(primitives, output, .application_data, plaintext);
    }

    /// Announces new keys, and uses them from here on.
    pub fn sealKeyUpdate(layer: *RecordLayer, primitives: *Primitives, output: Output, asks_peer: bool) SealError!void {
        layer.owes_update = false;
        try layer.put(primitives, output, .handshake, &.{ @intFromEnum(MessageType.key_update), 0, 0, 1, @intFromBool(asks_peer) });
        try layer.writing.update(primitives, layer.suite);
    }

    pub fn sealAlert(layer: *RecordLayer, primitives: *Primitives, output: Output, alert: Alert) SealError!void {
        const level: u8 = if (alert == .close_notify) 1 else 2;
        try layer.put(primitives, output, .alert, &.{ level, @intFromEnum(alert) });
    }

    fn put(layer: *RecordLayer, primitives: *Primitives, output: Output, kind: ContentType, plaintext: []const u8) SealError!void {
        const length = plaintext.len + protection.overhead_bytes;
        try output.bytes.ensureUnusedCapacity(output.allocator, length);
        try layer.writing.seal(primitives, layer.suite, kind, plaintext, output.bytes.unusedCapacitySlice()[0..length]);
        output.bytes.items.len += length;
    }
};
