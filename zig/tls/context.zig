//! A TLS context: certificates, trust and settings that connections share. It serves clients and
//! servers alike; what differs between the two is applied to the connection when it starts.

const std = @import("std");
const openssl = @import("openssl.zig");
const ContextIndex = @import("../core/indices.zig").ContextIndex;
const reasons = @import("reasons.zig");
const ticket_keys = @import("ticket_keys.zig");
const TicketKeys = ticket_keys.TicketKeys;
const ContextId = @import("../core/indices.zig").ContextId;

/// Why a call on a context fails. When OpenSSL has refused something, `reasons.last` says why.
pub const Error = error{ TlsFailed, EINVAL, StaleHandle, Exhausted, OutOfMemory };

/// The groups for the key exchange: OpenSSL's own without the finite fields, with which clients can make a
/// server compute for long (CVE-2002-20001). OpenSSL before 3.5 accepts the second list only.
const default_groups = [_][:0]const u8{
    "?*X25519MLKEM768 / ?*X25519:?secp256r1 / ?X448:?secp384r1:?secp521r1",
    "X25519:secp256r1:X448:secp384r1:secp521r1",
};

pub const Context = struct {
    pub const ClientAuthentication = enum(u8) { none, request, require };

    next: ContextIndex = .none,
    /// Its slot, and its number in the ABI.
    index: ContextIndex = .none,
    id: ContextId = .none,
    raw: ?*openssl.SSL_CTX = null,
    allocator: std.mem.Allocator = undefined,
    /// One reference of the caller until `contexts.free`, one of each connection, and one of each table of
    /// names that it is in.
    references: u32 = 0,
    verify_peer: bool = true,
    verify_issuer: bool = true,
    client_authentication: ClientAuthentication = .none,
    /// Whether it has revocation lists.
    checks_revocation: bool = false,
    /// Notices that its connections make: bits of `abi.TlsNotices`.
    notices: u32 = 0,
    /// Null unless `identify` has set it.
    identity: ?ticket_keys.Identity = null,
    /// Bytes that the names of its authorities take in a request for a certificate.
    authorities_length: usize = 0,
    /// The keys of its tickets, when it has served and has an identity. Otherwise OpenSSL has keys of its own,
    /// which do not change.
    ticket_keys: ?*TicketKeys = null,
    ticket_keys_version: u32 = 0,
    /// Whether the caller chooses a context for a server name that is not in `names`.
    asks_server_name: bool = false,
    /// Whether it is in another context's table of names.
    is_member: bool = false,
    /// The groups for the key exchange; null stands for the default ones.
    groups: ?[:0]u8 = null,
    /// The protocols a server chooses from, in its order of preference, in wire format.
    protocols: []u8 = &.{},
    /// Contexts by server name, in lower case; "*.example.org" stands for one label and the rest.
    names: std.StringHashMapUnmanaged(ContextIndex) = .empty,

    /// The context that an SSL object has now.
    pub fn of(ssl: *const openssl.SSL) *Context {
        const raw = openssl.SSL_get_SSL_CTX(ssl).?;
        return @ptrCast(@alignCast(openssl.SSL_CTX_get_ex_data(raw, 0).?));
    }

    /// Frees what the context has. Its slot stays.
    pub fn destroy(context: *Context) void {
        const allocator = context.allocator;
        if (context.raw) |raw| openssl.SSL_CTX_free(raw);
        if (context.ticket_keys) |keys| keys.release();
        allocator.free(context.protocols);
        if (context.groups) |list| allocator.free(list);
        var keys = context.names.keyIterator();
        while (keys.next()) |key| allocator.free(key.*);
        context.names.deinit(allocator);
        context.* = .{ .next = context.next };
    }

    pub fn setCiphers(context: *Context, list: []const u8) Error!void {
        try context.setList(list, openssl.SSL_CTX_set_cipher_list);
    }

    pub fn setCipherSuites(context: *Context, list: []const u8) Error!void {
        try context.setList(list, openssl.SSL_CTX_set_ciphersuites);
    }

    fn setList(context: *Context, list: []const u8, comptime set: anytype) Error!void {
        openssl.ERR_clear_error();
        const text = try context.allocator.dupeZ(u8, list);
        defer context.allocator.free(text);
        if (set(context.raw.?, text) != 1) return reasons.refused();
    }

    pub fn setGroups(context: *Context, list: []const u8) Error!void {
        openssl.ERR_clear_error();
        const text = try context.allocator.dupeZ(u8, list);
        errdefer context.allocator.free(text);
        if (!applyGroups(context.raw.?, text)) return reasons.refused();
        if (context.groups) |earlier| context.allocator.free(earlier);
        context.groups = text;
    }

    /// Sets the groups of a context or a connection; null stands for the default ones.
    pub fn applyGroups(target: anytype, list: ?[:0]u8) bool {
        const call = if (@TypeOf(target) == *openssl.SSL_CTX) openssl.SSL_CTX_ctrl else openssl.SSL_ctrl;
        if (list) |text| return call(target, openssl.SSL_CTRL_SET_GROUPS_LIST, 0, text.ptr) == 1;
        for (default_groups) |text| {
            if (call(target, openssl.SSL_CTRL_SET_GROUPS_LIST, 0, @constCast(text.ptr)) != 1) continue;
            openssl.ERR_clear_error();
            return true;
        }
        return false;
    }

    /// 0 stands for the default: TLS 1.2, or the newest.
    pub fn setVersions(context: *Context, least: u32, most: u32) Error!void {
        for ([_]u32{ least, most }) |version| switch (version) {
            0, 0x0303, 0x0304 => {},
            else => return error.EINVAL,
        };
        if (least != 0 and most != 0 and least > most) return error.EINVAL;
        const bottom = if (least == 0) openssl.TLS1_2_VERSION else least;
        _ = openssl.SSL_CTX_ctrl(context.raw.?, openssl.SSL_CTRL_SET_MIN_PROTO_VERSION, bottom, null);
        _ = openssl.SSL_CTX_ctrl(context.raw.?, openssl.SSL_CTRL_SET_MAX_PROTO_VERSION, most, null);
    }

    /// Sets protocols in wire format (RFC 7301, 3.1): each behind a byte with its length.
    pub fn setProtocols(context: *Context, wire: []const u8) Error!void {
        var position: usize = 0;
        while (position < wire.len) {
            const length = wire[position];
            if (length == 0 or wire.len - position - 1 < length) return error.EINVAL;
            position += 1 + @as(usize, length);
        }
        if (wire.len > std.math.maxInt(u16)) return error.EINVAL;
        const copy = try context.allocator.dupe(u8, wire);
        context.allocator.free(context.protocols);
        context.protocols = copy;
        // This function returns 0 for success.
        if (openssl.SSL_CTX_set_alpn_protos(context.raw.?, copy.ptr, @intCast(copy.len)) != 0) return error.OutOfMemory;
    }

    /// Sets the identity: contexts of any thread with the same identity resume each other's sessions. A
    /// context that has served connections keeps what it has.
    pub fn identify(context: *Context, identity: ticket_keys.Identity) Error!void {
        if (context.ticket_keys != null) return error.EINVAL;
        openssl.ERR_clear_error();
        if (openssl.SSL_CTX_set_session_id_context(context.raw.?, &identity, identity.len) != 1) return reasons.refused();
        context.identity = identity;
    }

    // -- What a connection takes from its context

    /// Gives a server the current keys for its tickets.
    pub fn renewTicketKeys(context: *Context) void {
        const keys = context.ticket_keys orelse TicketKeys.acquire(context.identity orelse return) orelse return;
        context.ticket_keys = keys;
        context.ticket_keys_version = keys.apply(context.raw.?, context.ticket_keys_version);
    }

    /// Replaces the context of a connection by this one. OpenSSL replaces the certificates; settings of the
    /// connection itself are replaced here, but for those of `verification.apply`.
    pub fn applyTo(context: *const Context, ssl: *openssl.SSL) bool {
        const raw = context.raw.?;
        const before: *const Context = .of(ssl);
        if (openssl.SSL_set_SSL_CTX(ssl, raw) == null) return false;
        if ((before.groups != null or context.groups != null) and !applyGroups(ssl, context.groups)) return false;
        const least = openssl.SSL_CTX_ctrl(raw, openssl.SSL_CTRL_GET_MIN_PROTO_VERSION, 0, null);
        const most = openssl.SSL_CTX_ctrl(raw, openssl.SSL_CTRL_GET_MAX_PROTO_VERSION, 0, null);
        return openssl.SSL_ctrl(ssl, openssl.SSL_CTRL_SET_MIN_PROTO_VERSION, least, null) == 1 and
            openssl.SSL_ctrl(ssl, openssl.SSL_CTRL_SET_MAX_PROTO_VERSION, most, null) == 1;
    }
};
