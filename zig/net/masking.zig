//! Masking of WebSocket frames (RFC 6455, section 5.3): each byte of a payload is combined with a byte of the frame's
//! key by XOR. To mask twice with one key gives the payload again.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;

/// Bytes of a key.
const key_bytes = 4;

/// Bytes that are masked at once. The compiler makes as many vectors of the processor of them as it takes.
const block_bytes = 64;
const Block = @Vector(block_bytes, u8);

/// Writes the masked bytes of `source` to `target`, which is the same memory or does not overlap with it. On every
/// processor the lowest byte of `key` is for the first byte.
pub fn mask(target: []u8, source: []const u8, key: u32) void {
    assert(target.len == source.len, "a payload and its masked form differ in length");
    assert(target.ptr == source.ptr or areApart(target, source), "a payload overlaps with its masked form");
    var pattern: [block_bytes]u8 = undefined;
    for (0..block_bytes / key_bytes) |word| std.mem.writeInt(u32, pattern[key_bytes * word ..][0..key_bytes], key, .little);
    const mask_block: Block = pattern;

    var at: usize = 0;
    while (source.len - at >= block_bytes) : (at += block_bytes) {
        const block: Block = source[at..][0..block_bytes].*;
        target[at..][0..block_bytes].* = block ^ mask_block;
    }
    while (source.len - at >= key_bytes) : (at += key_bytes) {
        const word = std.mem.readInt(u32, source[at..][0..key_bytes], .little);
        std.mem.writeInt(u32, target[at..][0..key_bytes], word ^ key, .little);
    }
    for (source[at..], target[at..], pattern[0 .. source.len - at]) |byte, *masked, key_byte| masked.* = byte ^ key_byte;
}

fn areApart(one: []const u8, other: []const u8) bool {
    const start, const other_start = .{ @intFromPtr(one.ptr), @intFromPtr(other.ptr) };
    return start + one.len <= other_start or other_start + other.len <= start;
}

const testing = std.testing;

test "the masked text of RFC 6455, section 5.7" {
    const hello = [_]u8{ 0x7f, 0x9f, 0x4d, 0x51, 0x58 };
    var masked: [5]u8 = undefined;
    mask(&masked, "Hello", 0x3d21fa37);
    try testing.expectEqualSlices(u8, &hello, &masked);
    mask(&masked, &masked, 0x3d21fa37);
    try testing.expectEqualStrings("Hello", &masked);
}

test "every length and place is masked byte by byte, and nothing beside it is changed" {
    var random_state = std.Random.DefaultPrng.init(0x6d61736b);
    const random = random_state.random();
    var source: [3 * block_bytes + 8]u8 = undefined;
    random.bytes(&source);
    for (0..3 * block_bytes) |length| {
        for (0..8) |offset| {
            const key = random.int(u32);
            var key_in_order: [key_bytes]u8 = undefined;
            std.mem.writeInt(u32, &key_in_order, key, .little);
            var target: [source.len + 1]u8 = @splat(0xa5);
            mask(target[offset + 1 ..][0..length], source[offset..][0..length], key);
            for (target[offset + 1 ..][0..length], source[offset..][0..length], 0..) |masked, byte, index| {
                try testing.expectEqual(byte ^ key_in_order[index % key_bytes], masked);
            }
            for (target[0 .. offset + 1]) |untouched| try testing.expectEqual(0xa5, untouched);
            for (target[offset + 1 + length ..]) |untouched| try testing.expectEqual(0xa5, untouched);
            mask(target[offset + 1 ..][0..length], target[offset + 1 ..][0..length], key);
            try testing.expectEqualSlices(u8, source[offset..][0..length], target[offset + 1 ..][0..length]);
        }
    }
}
