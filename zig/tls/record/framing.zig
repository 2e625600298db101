//! Where a TLS record begins and ends, by its header.

const std = @import("std");

/// Type, version and length (RFC 8446, 5.1).
pub const header_bytes = 5;

/// The most plaintext that a record carries (RFC 8446, 5.1).
pub const plaintext_bytes = 16 * 1024;

/// The longest payload that OpenSSL takes (SSL3_RT_MAX_ENCRYPTED_LENGTH): TLS 1.3 allows 256 bytes
/// more than the plaintext, and TLS 1.2's padding and MAC never need more than 320.
pub const longest_payload = plaintext_bytes + 320;

pub const longest_record = header_bytes + longest_payload;

pub const First = union(enum) {
    /// The record's whole length.
    complete: usize,
    /// The rest of the record has not arrived.
    partial,
    /// Not a record that OpenSSL would take: another protocol, or a length beyond the limit.
    foreign,
};

/// Looks at the record with which the bytes begin.
pub fn first(bytes: []const u8) First {
    if (bytes.len == 0) return .partial;
    checkHeader(bytes) catch return .foreign;
    if (bytes.len < header_bytes) return .partial;
    const whole = header_bytes + @as(usize, payloadLength(bytes));
    return if (bytes.len >= whole) .{ .complete = whole } else .partial;
}

pub const HeaderRefusal = error{ UnexpectedRecord, WrongVersion, RecordTooLong };

/// Refuses a header of which the part that has arrived is wrong.
pub fn checkHeader(bytes: []const u8) HeaderRefusal!void {
    if (bytes.len >= 1 and (bytes[0] < 20 or bytes[0] > 23)) return error.UnexpectedRecord;
    if (bytes.len >= 2 and bytes[1] != 3) return error.WrongVersion;
    if (bytes.len >= header_bytes and payloadLength(bytes) > longest_payload) return error.RecordTooLong;
}

fn payloadLength(bytes: []const u8) u16 {
    return std.mem.readInt(u16, bytes[3..5], .big);
}

test "records are recognized" {
    const expectEqual = std.testing.expectEqual;
    try expectEqual(First.partial, first(""));
    try expectEqual(First.foreign, first("GET / HTTP/1.1\r\n"));
    try expectEqual(First.foreign, first("\x80\x2e\x01\x03\x01"));
    try expectEqual(First.foreign, first("\x16\x02"));
    try expectEqual(First.partial, first("\x16\x03\x01\x00"));
    try expectEqual(First.partial, first("\x16\x03\x01\x00\x02a"));
    try expectEqual(First{ .complete = 7 }, first("\x16\x03\x01\x00\x02abc"));
    try expectEqual(First.partial, first("\x17\x03\x03\x41\x40"));
    try expectEqual(First.foreign, first("\x17\x03\x03\x41\x41"));
}
