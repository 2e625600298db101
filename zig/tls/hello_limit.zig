//! Limits the length of a ClientHello before OpenSSL sees it: OpenSSL accepts 128 KiB, and allocates as much as
//! the message claims to be long.

const std = @import("std");
const framing = @import("record/framing.zig");

/// 16 KiB, which is more than clients send, and 8 KiB for key shares: those of all hybrid and pure groups of
/// ML-KEM are 7.5 KiB together.
const hello_bytes = 24 * 1024;

const handshake = 22;
const client_hello = 1;

/// Follows the handshake messages of one client through records that are not encrypted.
pub const HelloLimit = struct {
    header: [4]u8 = undefined,
    header_length: u8 = 0,
    /// A whole message has come.
    has_message: bool = false,
    /// Bytes that are still to come of a message whose header is complete.
    rest: u32 = 0,

    /// Whether a whole record may go to OpenSSL.
    pub fn admits(limit: *HelloLimit, record: []const u8) bool {
        if (record[0] != handshake) return true;
        var payload = record[framing.header_bytes..];
        while (payload.len > 0) {
            if (limit.header_length < limit.header.len) {
                limit.header[limit.header_length] = payload[0];
                limit.header_length += 1;
                payload = payload[1..];
                if (limit.header_length < limit.header.len) continue;
                limit.rest = std.mem.readInt(u24, limit.header[1..4], .big);
                if (limit.header[0] == client_hello and limit.rest > hello_bytes) return false;
            }
            const count: u32 = @min(limit.rest, payload.len);
            limit.rest -= count;
            payload = payload[count..];
            if (limit.rest > 0) return true;
            limit.header_length = 0;
            limit.has_message = true;
        }
        return true;
    }
};

test "a ClientHello is as long as its header says, wherever records are cut" {
    const expectEqual = std.testing.expectEqual;
    const Case = struct { []const u8, bool };
    const long = "\x01\x00\x60\x01";
    const cases = [_]Case{
        .{ "\x01\x00\x60\x00", true },
        .{ long, false },
        .{ "\x01\xff\xff\xff", false },
        // Other messages have limits of OpenSSL's.
        .{ "\x0b\x00\x60\x01", true },
        // The second message, as after a HelloRetryRequest.
        .{ "\x01\x00\x00\x02ab" ++ long, false },
        .{ "\x01\x00\x00\x00" ++ long, false },
        .{ "\x01\x00\x00\x05\x01\xff\xff\xff\xff\x01\x00\x60\x00", true },
    };
    for (cases) |case| {
        const bytes, const is_admitted = case;
        for (1..bytes.len + 1) |cut| {
            var limit: HelloLimit = .{};
            var rest = bytes;
            var all = true;
            while (rest.len > 0) {
                const part = rest[0..@min(cut, rest.len)];
                rest = rest[part.len..];
                var record: [64]u8 = undefined;
                record[0..framing.header_bytes].* = .{ handshake, 3, 1, 0, @intCast(part.len) };
                @memcpy(record[framing.header_bytes..][0..part.len], part);
                // Records of other kinds do not count.
                try expectEqual(true, limit.admits("\x14\x03\x03\x00\x01\x01"));
                all = all and limit.admits(record[0 .. framing.header_bytes + part.len]);
            }
            try expectEqual(is_admitted, all);
        }
    }
}
