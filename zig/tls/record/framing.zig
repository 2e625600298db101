//! Where a TLS record begins and ends, by its header.

const std = @import("std");

/// Type, version and length (RFC 8446, 5.1).
pub const header_bytes = 5;

/// The most plaintext that a record carries (RFC 8446, 5.1).
pub const plaintext_bytes = 16 * 1024;

/// The longest payload that OpenSSL takes (SSL3_RT_MAX_ENCRYPTED_LENGTH): TLS 1.3 allows 256 bytes
/// more than the plaintext, and TLS 1.2's padding and MAC never need more than 320.
const longest_payload = plaintext_bytes + 320;

pub const longest_record = header_bytes + longest_payload;

/// Why bytes are not a record that OpenSSL would accept: another protocol, or a length beyond the limit.
pub const HeaderRefusal = error{ UnexpectedRecord, WrongVersion, RecordTooLong };

/// The length of the record with which the bytes begin; null when the rest of it has not arrived.
pub fn first(bytes: []const u8) HeaderRefusal!?usize {
    if (bytes.len == 0) return null;
    if (bytes[0] < 20 or bytes[0] > 23) return error.UnexpectedRecord;
    if (bytes.len >= 2 and bytes[1] != 3) return error.WrongVersion;
    if (bytes.len < header_bytes) return null;
    const payload = std.mem.readInt(u16, bytes[3..5], .big);
    if (payload > longest_payload) return error.RecordTooLong;
    const whole = header_bytes + @as(usize, payload);
    return if (bytes.len >= whole) whole else null;
}

test "records are recognized" {
    const expectEqual = std.testing.expectEqual;
    const expectError = std.testing.expectError;
    try expectEqual(null, try first(""));
    try expectError(error.UnexpectedRecord, first("GET / HTTP/1.1\r\n"));
    try expectError(error.UnexpectedRecord, first("\x80\x2e\x01\x03\x01"));
    try expectError(error.WrongVersion, first("\x16\x02"));
    try expectEqual(null, try first("\x16\x03\x01\x00"));
    try expectEqual(null, try first("\x16\x03\x01\x00\x02a"));
    try expectEqual(7, try first("\x16\x03\x01\x00\x02abc"));
    try expectEqual(null, try first("\x17\x03\x03\x41\x40"));
    try expectError(error.RecordTooLong, first("\x17\x03\x03\x41\x41"));
}
