//! How records are protected, compared with the traces of RFC 8448 and with values that were computed with
//! Python's hmac, hashlib and cryptography.

const std = @import("std");
const openssl = @import("../openssl.zig");
const protection = @import("protection.zig");
const primitives_module = @import("primitives.zig");
const framing = @import("framing.zig");
const Keys = protection.Keys;
const Primitives = primitives_module.Primitives;
const Suite = primitives_module.Suite;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectEqualSlices = std.testing.expectEqualSlices;

/// Bytes from hexadecimal digits, with spaces between them.
fn hex(comptime digits: []const u8) [compact(digits).len / 2]u8 {
    const text = comptime compact(digits);
    var bytes: [text.len / 2]u8 = undefined;
    _ = std.fmt.hexToBytes(&bytes, &text) catch unreachable;
    return bytes;
}

fn compact(comptime digits: []const u8) [digits.len - std.mem.count(u8, digits, " ")]u8 {
    @setEvalBranchQuota(100_000);
    var text: [digits.len - std.mem.count(u8, digits, " ")]u8 = undefined;
    _ = std.mem.replace(u8, digits, " ", "", &text);
    return text;
}

fn ready(suite: Suite) !Primitives {
    try expectEqual(1, openssl.OPENSSL_init_ssl(openssl.OPENSSL_INIT_NO_LOAD_CONFIG | openssl.OPENSSL_INIT_NO_ATEXIT, null));
    var primitives: Primitives = .{};
    errdefer primitives.deinit();
    try primitives.prepare(suite);
    return primitives;
}

fn keysOf(primitives: *Primitives, suite: Suite, secret: []const u8) !Keys {
    var keys: Keys = .{};
    keys.setSecret(secret);
    try keys.derive(primitives, suite);
    return keys;
}

fn expectKeys(keys: *const Keys, suite: Suite, key: []const u8, iv: []const u8) !void {
    try expectEqualSlices(u8, key, keys.key[0..suite.keyLength()]);
    try expectEqualSlices(u8, iv, &keys.iv);
}

/// One side of the simple handshake with one round trip (RFC 8448, 3).
const Trace = struct {
    secret: []const u8,
    key: []const u8,
    iv: []const u8,
    next_secret: []const u8,
    next_key: []const u8,
    next_iv: []const u8,
    records: []const struct { protection.ContentType, []const u8, []const u8 },
};

const payload = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031");

const clients: Trace = .{
    .secret = &hex("9e 40 64 6c e7 9a 7f 9d c0 5a f8 88 9b ce 65 52 87 5a fa 0b 06 df 00 87 f7 92 eb b7 c1 75 04 a5"),
    .key = &hex("17 42 2d da 59 6e d5 d9 ac d8 90 e3 c6 3f 50 51"),
    .iv = &hex("5b 78 92 3d ee 08 57 90 33 e5 23 d9"),
    // Not in the RFC.
    .next_secret = &hex("fcdfcc72725aaee48bf64e4fd8b749cdbdbab39d90da0b26e2245ca6ea167207"),
    .next_key = &hex("3879d82f5f14056e623f2ce5bfc66fce"),
    .next_iv = &hex("5dfb2c5938c3379b6cc5d1f2"),
    .records = &.{
        .{ .application_data, &payload, &hex("17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa " ++
            "66 bc ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d ea e6 3a " ++
            "ee bb 21 69 49 15 e4") },
        .{ .alert, "\x01\x00", &hex("17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3") },
    },
};

const servers: Trace = .{
    .secret = &hex("a1 1a f9 f0 55 31 f8 56 ad 47 11 6b 45 a9 50 32 82 04 b4 f4 4b fb 6b 3a 4b 4f 1f 3f cb 63 16 43"),
    .key = &hex("9f 02 28 3b 6c 9c 07 ef c2 6b b9 f2 ac 92 e3 56"),
    .iv = &hex("cf 78 2b 88 dd 83 54 9a ad f1 e9 84"),
    .next_secret = &hex("51921b8aa3001976eb401d0a4319a8516416a6c56001a357e5d162031e84f916"),
    .next_key = &hex("2e63be99d67b39097feb9786cf7a15a0"),
    .next_iv = &hex("628a0a8298ac953baef4255a"),
    .records = &.{
        // A ticket.
        .{ .handshake, &hex("04 00 00 c9 00 00 00 1e fa d6 aa c5 02 00 00 00 b2 2c 03 5d 82 93 59 ee 5f f7 af 4e c9 00 00 00 " ++
            "00 26 2a 64 94 dc 48 6d 2c 8a 34 cb 33 fa 90 bf 1b 00 70 ad 3c 49 88 83 c9 36 7c 09 a2 be 78 5a bc 55 cd 22 60 " ++
            "97 a3 a9 82 11 72 83 f8 2a 03 a1 43 ef d3 ff 5d d3 6d 64 e8 61 be 7f d6 1d 28 27 db 27 9c ce 14 50 77 d4 54 a3 " ++
            "66 4d 4e 6d a4 d2 9e e0 37 25 a6 a4 da fc d0 fc 67 d2 ae a7 05 29 51 3e 3d a2 67 7f a5 90 6c 5b 3f 7d 8f 92 f2 " ++
            "28 bd a4 0d da 72 14 70 f9 fb f2 97 b5 ae a6 17 64 6f ac 5c 03 27 2e 97 07 27 c6 21 a7 91 41 ef 5f 7d e6 50 5e " ++
            "5b fb c3 88 e9 33 43 69 40 93 93 4a e4 d3 57 00 08 00 2a 00 04 00 00 04 00"), &hex("17 03 03 00 de 3a 6b 8f 90 41 4a " ++
            "97 d6 95 9c 34 87 68 0d e5 13 4a 2b 24 0e 6c ff ac 11 6e 95 d4 1d 6a f8 f6 b5 80 dc f3 d1 1d 63 c7 58 db 28 9a " ++
            "01 59 40 25 2f 55 71 3e 06 1d c1 3e 07 88 91 a3 8e fb cf 57 53 ad 8e f1 70 ad 3c 73 53 d1 6d 9d a7 73 b9 ca 7f " ++
            "2b 9f a1 b6 c0 d4 a3 d0 3f 75 e0 9c 30 ba 1e 62 97 2a c4 6f 75 f7 b9 81 be 63 43 9b 29 99 ce 13 06 46 15 13 98 " ++
            "91 d5 e4 c5 b4 06 f1 6e 3f c1 81 a7 7c a4 75 84 00 25 db 2f 0a 77 f8 1b 5a b0 5b 94 c0 13 46 75 5f 69 23 2c 86 " ++
            "51 9d 86 cb ee ac 87 aa c3 47 d1 43 f9 60 5d 64 f6 50 db 4d 02 3e 70 e9 52 ca 49 fe 51 37 12 1c 74 bc 26 97 68 " ++
            "7e 24 87 46 d6 df 35 30 05 f3 bc e1 86 96 12 9c 81 53 55 6b 3b 6c 67 79 b3 7b f1 59 85 68 4f") },
        .{ .application_data, &payload, &hex("17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 " ++
            "5f 82 aa 1b 36 e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3 32 54 " ++
            "0d d0 32 e1 67 c2 95 5d") },
        .{ .alert, "\x01\x00", &hex("17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9") },
    },
};

test "the traces of RFC 8448 come out, sealed and opened, and the secrets after them" {
    const suite: Suite = .aes_128_gcm_sha256;
    var primitives = try ready(suite);
    defer primitives.deinit();
    for ([_]Trace{ clients, servers }) |trace| {
        var writing = try keysOf(&primitives, suite, trace.secret);
        var reading = writing;
        try expectKeys(&writing, suite, trace.key, trace.iv);
        for (trace.records) |record| {
            const kind, const content, const expected = record;
            var sealed: [256]u8 = undefined;
            const output = sealed[0 .. content.len + protection.overhead_bytes];
            try writing.seal(&primitives, suite, kind, content, output);
            try expectEqualSlices(u8, expected, output);
            var buffer: [256]u8 = undefined;
            const opened = try reading.open(&primitives, suite, output, &buffer);
            try expectEqual(kind, opened.kind);
            try expectEqualSlices(u8, content, opened.content);
        }
        try expectEqual(trace.records.len, writing.sequence);
        try expectEqual(trace.records.len, reading.sequence);
        try writing.update(&primitives, suite);
        try expectEqualSlices(u8, trace.next_secret, writing.secret[0..32]);
        try expectKeys(&writing, suite, trace.next_key, trace.next_iv);
        try expectEqual(0, writing.sequence);
    }
}

test "keys, their successors and a late record of the other suites" {
    const late = 0x0102030405060708;
    inline for (.{
        .{
            Suite.aes_256_gcm_sha384,
            "6877d022f1c61d24ebb7487c16752d9a4798e40431c75b39320e537c90e23225",
            "42822531a0fe88648fc09e9f",
            "401331b63e9d59f202e8f041042d9516f4cd7fa2e2ee14631d3b49fc340d7af37fc2c0c9f252d8036f81ec5b85cbe5db",
            "eb354f3b48924ed78de34dd8aa6a6a0a51d857ddad1454d5cfa7b69f60712911",
            "8478ffbe4f2e5450789775b3",
            "1703030016c9e531d3a857741197cd9f8bb6e4f0177cdad84f2e69",
        },
        .{
            Suite.chacha20_poly1305_sha256,
            "2ffbc449e87844051c7768f61ffd8ad070830f01ec2c520ef65f08e8296dffa0",
            "2f41c846a431a163814bcd71",
            "2cecd0a17506ef5fa73edc062d6e7b5397cf074ec1b4d8f99a120772932f0b45",
            "c690ede9a7525f64b759094f3bda2da3b5b52e50cffacd89a37bdf85affdd091",
            "4ef68fed17d39b5f23bb4b30",
            "1703030016fac1d2899bfcb057873a8b4673b910b7b14f757fcf88",
        },
    }) |case| {
        const suite, const key, const iv, const next_secret, const next_key, const next_iv, const record = case;
        var primitives = try ready(suite);
        defer primitives.deinit();
        // The secret is the bytes 0, 1, 2 and so on.
        var secret: [primitives_module.longest_digest]u8 = undefined;
        for (&secret, 0..) |*byte, place| byte.* = @intCast(place);
        var keys = try keysOf(&primitives, suite, secret[0..suite.digest().length()]);
        try expectKeys(&keys, suite, &hex(key), &hex(iv));
        keys.sequence = late;
        var output: [27]u8 = undefined;
        try keys.seal(&primitives, suite, .application_data, "plait", &output);
        try expectEqualSlices(u8, &hex(record), &output);
        try expectEqual(late + 1, keys.sequence);
        try keys.update(&primitives, suite);
        try expectEqualSlices(u8, &hex(next_secret), keys.secret[0..suite.digest().length()]);
        try expectKeys(&keys, suite, &hex(next_key), &hex(next_iv));
    }
}

test "keys of many connections that take turns do not get mixed up" {
    const suite: Suite = .chacha20_poly1305_sha256;
    var primitives = try ready(suite);
    defer primitives.deinit();
    var writing: [8]Keys = undefined;
    var reading: [8]Keys = undefined;
    for (&writing, &reading, 0..) |*ours, *theirs, number| {
        const secret: [32]u8 = @splat(@intCast(number));
        ours.* = try keysOf(&primitives, suite, &secret);
        theirs.* = try keysOf(&primitives, suite, &secret);
    }
    var random: std.Random.DefaultPrng = .init(1);
    for (0..500) |_| {
        const from = random.random().uintLessThan(usize, writing.len);
        const to = random.random().uintLessThan(usize, writing.len);
        var record: [22 + 4]u8 = undefined;
        var copy: [record.len]u8 = undefined;
        try writing[from].seal(&primitives, suite, .application_data, "data", &record);
        copy = record;
        // Another connection cannot open it, and its sequence number stays.
        if (to != from) try std.testing.expectError(error.BadRecord, reading[to].open(&primitives, suite, &copy, ""));
        const opened = try reading[from].open(&primitives, suite, &record, "");
        try std.testing.expectEqualStrings("data", opened.content);
    }
}

test "a buffer that may hold all of a record is decrypted to, and any other is left alone" {
    for (std.enums.values(Suite)) |suite| {
        var primitives = try ready(suite);
        defer primitives.deinit();
        const secret: [primitives_module.longest_digest]u8 = @splat('s');
        for (0..64) |size| {
            var writing = try keysOf(&primitives, suite, secret[0..suite.digest().length()]);
            var reading = try keysOf(&primitives, suite, secret[0..suite.digest().length()]);
            var record: [40 + protection.overhead_bytes]u8 = undefined;
            try writing.seal(&primitives, suite, .application_data, payload[0..40], &record);
            var memory: [64]u8 = @splat(0xee);
            const opened = try reading.open(&primitives, suite, &record, memory[0..size]);
            try expectEqualSlices(u8, payload[0..40], opened.content);
            const is_direct = opened.content.ptr == &memory;
            try expectEqual(size >= 41, is_direct);
            // Nothing but the content and the type behind it was written.
            for (memory[if (is_direct) 41 else 0..]) |byte| try expectEqual(0xee, byte);
        }
    }
}

test "what is not authentic leaves nothing behind, and no sequence number is used twice" {
    const suite: Suite = .aes_128_gcm_sha256;
    var primitives = try ready(suite);
    defer primitives.deinit();
    for ([_]usize{ 0, 64 }) |size| {
        var writing = try keysOf(&primitives, suite, clients.secret);
        var reading = writing;
        var record: [40 + protection.overhead_bytes]u8 = undefined;
        try writing.seal(&primitives, suite, .application_data, payload[0..40], &record);
        record[record.len - 1] ^= 1;
        var memory: [64]u8 = @splat(0xee);
        try std.testing.expectError(error.BadRecord, reading.open(&primitives, suite, &record, memory[0..size]));
        const decrypted = if (size == 0) record[framing.header_bytes..][0..41] else memory[0..41];
        try expect(std.mem.allEqual(u8, decrypted, 0));
    }
    var keys = try keysOf(&primitives, suite, clients.secret);
    keys.sequence = std.math.maxInt(u64);
    var record = clients.records[0][2][0..72].*;
    try std.testing.expectError(error.CryptoFailed, keys.seal(&primitives, suite, .application_data, &payload, &record));
    try std.testing.expectError(error.BadRecord, keys.open(&primitives, suite, &record, ""));
}
