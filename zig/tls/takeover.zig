//! What takes over from OpenSSL on a TLS 1.3 connection when the handshake is done: the record layer, and the facts
//! of the handshake for which callers may still ask. OpenSSL holds 20,000 bytes for a connection, this a few
//! hundred. Records are sealed from the caller's memory and opened into it, without a copy in between.
//!
//! OpenSSL stays with TLS 1.2, and with clients that want sessions for resumption.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const framing = @import("record/framing.zig");
const openssl = @import("openssl.zig");
const server_name = @import("server_name.zig");
const Primitives = @import("record/primitives.zig").Primitives;
const RecordLayer = @import("record/layer.zig").RecordLayer;
const Suite = @import("record/primitives.zig").Suite;

pub const Takeover = struct {
    layer: RecordLayer,
    logs_keys: bool = false,
    resumed: bool = false,
    verify_result: i32 = 0,
    cipher_name: ?[*:0]const u8 = null,
    group_name: ?[*:0]const u8 = null,
    /// The protocol that was agreed on, and behind it the server name.
    names: []u8 = &.{},
    protocol_length: u8 = 0,
    certificate: ?*openssl.X509 = null,
    chain: ?*openssl.OPENSSL_STACK = null,
    /// The secret of exporters, which `exporter.zig` derives from.
    exporter_secret: [48]u8 = undefined,
    exporter_length: u8 = 0,
    /// Content of a record that was read in part; the rest begins at `position`.
    content: []u8 = &.{},
    position: u32 = 0,

    pub fn create(allocator: std.mem.Allocator, is_server: bool) !*Takeover {
        const takeover = try allocator.create(Takeover);
        takeover.* = .{ .layer = .{ .is_server = is_server } };
        return takeover;
    }

    pub fn destroy(takeover: *Takeover, allocator: std.mem.Allocator, primitives: *Primitives) void {
        std.crypto.secureZero(u8, &takeover.exporter_secret);
        takeover.layer.deinit(primitives);
        allocator.free(takeover.names);
        allocator.free(takeover.content);
        if (takeover.certificate) |certificate| openssl.X509_free(certificate);
        openssl.OPENSSL_sk_pop_free(takeover.chain, freeCertificate);
        allocator.destroy(takeover);
    }

    fn freeCertificate(certificate: ?*anyopaque) callconv(.c) void {
        openssl.X509_free(@ptrCast(certificate.?));
    }

    pub fn protocol(takeover: *const Takeover) []const u8 {
        return takeover.names[0..takeover.protocol_length];
    }

    pub fn serverName(takeover: *const Takeover) []const u8 {
        return takeover.names[takeover.protocol_length..];
    }

    // -- Content that is read in parts

    pub fn keepContent(takeover: *Takeover, allocator: std.mem.Allocator, content: []const u8) !void {
        assert(takeover.content.len == 0 and takeover.position == 0, "unread content of a record is lost");
        assert(content.len > 0, "no content is kept");
        takeover.content = try allocator.dupe(u8, content);
    }

    /// Moves kept content to the buffer, as much as fits.
    pub fn takeContent(takeover: *Takeover, allocator: std.mem.Allocator, buffer: []u8) usize {
        const rest = takeover.content[takeover.position..];
        const count = @min(rest.len, buffer.len);
        @memcpy(buffer[0..count], rest[0..count]);
        takeover.position += @intCast(count);
        if (count == rest.len) {
            allocator.free(takeover.content);
            takeover.content = &.{};
            takeover.position = 0;
        }
        return count;
    }

    // -- From the handshake

    const Secret = struct { is_clients: bool, digits: []const u8 };

    /// The traffic secret in a line for the key log (SSL_CTX_set_keylog_callback(3)): its label, the
    /// client's random number, and the secret in hexadecimal, with spaces between them.
    pub fn secretIn(line: []const u8) ?Secret {
        var words = std.mem.splitScalar(u8, line, ' ');
        const label = words.first();
        const is_clients = std.mem.eql(u8, label, "CLIENT_TRAFFIC_SECRET_0");
        if (!is_clients and !std.mem.eql(u8, label, "SERVER_TRAFFIC_SECRET_0")) return null;
        _ = words.next() orelse return null;
        return .{ .is_clients = is_clients, .digits = words.next() orelse return null };
    }

    /// Keeps a secret. A connection whose secrets are not well-formed stays with OpenSSL.
    pub fn keepSecret(takeover: *Takeover, secret: Secret) void {
        const keys = if (secret.is_clients == takeover.layer.is_server) &takeover.layer.reading else &takeover.layer.writing;
        if (secret.digits.len / 2 > keys.secret.len) return;
        const bytes = std.fmt.hexToBytes(&keys.secret, secret.digits) catch return;
        keys.secret_length = @intCast(bytes.len);
    }

    /// The secret of exporters in a line for the key log, in hexadecimal.
    pub fn exporterSecretIn(line: []const u8) ?[]const u8 {
        var words = std.mem.splitScalar(u8, line, ' ');
        if (!std.mem.eql(u8, words.first(), "EXPORTER_SECRET")) return null;
        _ = words.next() orelse return null;
        return words.next();
    }

    pub fn keepExporterSecret(takeover: *Takeover, digits: []const u8) void {
        if (digits.len / 2 > takeover.exporter_secret.len) return;
        const bytes = std.fmt.hexToBytes(&takeover.exporter_secret, digits) catch return;
        takeover.exporter_length = @intCast(bytes.len);
    }

    /// Takes over from a connection whose handshake has just succeeded. `sealed` is what OpenSSL's last
    /// step has written. Fails where OpenSSL is still needed, or memory is out; then OpenSSL goes on.
    pub fn take(
        takeover: *Takeover,
        allocator: std.mem.Allocator,
        primitives: *Primitives,
        ssl: *openssl.SSL,
        sealed: []const u8,
    ) !void {
        if (openssl.SSL_version(ssl) != openssl.TLS1_3_VERSION) return error.StaysWithOpenssl;
        const cipher = openssl.SSL_get_current_cipher(ssl) orelse return error.StaysWithOpenssl;
        const suite = Suite.fromNumber(openssl.SSL_CIPHER_get_protocol_id(cipher)) orelse return error.StaysWithOpenssl;
        const layer = &takeover.layer;
        for ([_]u8{ layer.reading.secret_length, layer.writing.secret_length }) |length| {
            if (length != suite.digest().length()) return error.StaysWithOpenssl;
        }
        // A peer that can take short records only (RFC 6066, 4) is rare.
        const session = openssl.SSL_get_session(ssl) orelse return error.StaysWithOpenssl;
        if (openssl.SSL_SESSION_get_max_fragment_length(session) != 0) return error.StaysWithOpenssl;
        try layer.start(primitives, suite);
        // A server's last step has sent tickets under these keys, and nothing else: its other messages were
        // sent before it had the client's last one. A client has sent nothing under them yet.
        if (layer.is_server) layer.writing.sequence = try countRecords(sealed);
        try takeover.takeFacts(allocator, ssl, cipher);
    }

    fn countRecords(sealed: []const u8) !u64 {
        var rest = sealed;
        var count: u64 = 0;
        while (rest.len > 0) : (count += 1) rest = rest[try framing.first(rest) orelse return error.StaysWithOpenssl ..];
        return count;
    }

    /// Copies the properties that `reports.zig` writes.
    fn takeFacts(takeover: *Takeover, allocator: std.mem.Allocator, ssl: *openssl.SSL, cipher: *const openssl.SSL_CIPHER) !void {
        takeover.cipher_name = openssl.SSL_CIPHER_get_name(cipher);
        // The name belongs to the context, which the connection holds.
        const group = openssl.SSL_ctrl(ssl, openssl.SSL_CTRL_GET_NEGOTIATED_GROUP, 0, null);
        if (group != 0) takeover.group_name = openssl.SSL_group_to_name(ssl, @intCast(group));
        takeover.resumed = openssl.SSL_session_reused(ssl) == 1;
        takeover.verify_result = @intCast(openssl.SSL_get_verify_result(ssl));

        var chosen: ?[*]const u8 = null;
        var chosen_length: c_uint = 0;
        openssl.SSL_get0_alpn_selected(ssl, &chosen, &chosen_length);
        var name_buffer: [server_name.longest]u8 = undefined;
        const parts = [_][]const u8{
            if (chosen) |bytes| bytes[0..chosen_length] else "",
            server_name.ofConnection(ssl, &name_buffer),
        };
        takeover.names = try std.mem.concat(allocator, u8, &parts);
        takeover.protocol_length = @intCast(parts[0].len);

        if (openssl.SSL_get0_peer_certificate(ssl)) |certificate| {
            if (openssl.X509_up_ref(certificate) != 1) return error.OutOfMemory;
            takeover.certificate = certificate;
        }
        if (openssl.SSL_get_peer_cert_chain(ssl)) |chain| {
            takeover.chain = openssl.X509_chain_up_ref(chain) orelse return error.OutOfMemory;
        }
    }
};
