//! The keys with which servers encrypt their tickets. Contexts with the same identity share them in all threads
//! of the process, so that each thread of a port resumes sessions of the others.

const std = @import("std");
const assert = @import("../os/bug.zig").assert;
const c = std.c;
const openssl = @import("openssl.zig");
const system = @import("../os/kernel.zig").system;

/// A digest of all settings of a context: two contexts with the same identity differ in nothing.
pub const Identity = [32]u8;

/// How long tickets are made with the same keys. With these keys one can read connections of TLS 1.2 that
/// were resumed with such tickets. A ticket from before a change leads to a full handshake.
const lifetime_nanoseconds = 12 * std.time.ns_per_hour;

/// A name, a key for HMAC-SHA-256, and one for AES-256 (SSL_CTX_set_tlsext_ticket_keys(3)).
const Keys = [16 + 32 + 32]u8;

/// Guards everything here.
var mutex: system.Mutex = .{};
var shared: std.AutoHashMapUnmanaged(Identity, *TicketKeys) = .empty;

pub const TicketKeys = struct {
    identity: Identity,
    keys: Keys,
    /// When they were made, in nanoseconds of the monotonic clock.
    since: std.atomic.Value(i64),
    /// Increases with each change.
    version: std.atomic.Value(u32) = .init(1),
    references: u32 = 1,

    /// The keys for this identity. The caller gives its reference back with `release`. Null without memory or
    /// random numbers.
    pub fn acquire(identity: Identity) ?*TicketKeys {
        mutex.lock();
        defer mutex.unlock();
        if (shared.get(identity)) |known| {
            known.references += 1;
            return known;
        }
        const allocator = std.heap.c_allocator;
        const made = allocator.create(TicketKeys) catch return null;
        made.* = .{ .identity = identity, .keys = undefined, .since = .init(system.nanoseconds()) };
        if (openssl.RAND_bytes(&made.keys, made.keys.len) == 1) {
            if (shared.put(allocator, identity, made)) |_| return made else |_| {}
        }
        allocator.destroy(made);
        return null;
    }

    pub fn release(ticket_keys: *TicketKeys) void {
        mutex.lock();
        defer mutex.unlock();
        ticket_keys.references -= 1;
        if (ticket_keys.references > 0) return;
        assert(shared.remove(ticket_keys.identity), "ticket keys are freed that nothing shares");
        std.crypto.secureZero(u8, &ticket_keys.keys);
        std.heap.c_allocator.destroy(ticket_keys);
    }

    /// Gives a context the current keys, after changing them if that is due. `version` is the version that
    /// the context has; the result is the version that it has then.
    pub fn apply(ticket_keys: *TicketKeys, context: *openssl.SSL_CTX, version: u32) u32 {
        const is_due = system.nanoseconds() - ticket_keys.since.load(.monotonic) >= lifetime_nanoseconds;
        if (!is_due and ticket_keys.version.load(.acquire) == version) return version;
        mutex.lock();
        defer mutex.unlock();
        ticket_keys.renew();
        const current = ticket_keys.version.load(.monotonic);
        if (current == version) return version;
        const is_set = openssl.SSL_CTX_ctrl(context, openssl.SSL_CTRL_SET_TLSEXT_TICKET_KEYS, ticket_keys.keys.len, &ticket_keys.keys) == 1;
        return if (is_set) current else version;
    }

    fn renew(ticket_keys: *TicketKeys) void {
        const now = system.nanoseconds();
        // Another thread may have changed them already.
        if (now - ticket_keys.since.load(.monotonic) < lifetime_nanoseconds) return;
        var keys: Keys = undefined;
        defer std.crypto.secureZero(u8, &keys);
        // Without random numbers the old keys are better than none.
        if (openssl.RAND_bytes(&keys, keys.len) != 1) return;
        ticket_keys.keys = keys;
        ticket_keys.since.store(now, .monotonic);
        _ = ticket_keys.version.fetchAdd(1, .release);
    }
};
