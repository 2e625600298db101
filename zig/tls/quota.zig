//! How many records that bring no data a peer may send. A key update costs its receiver several times what
//! a short record of data does, and such records alone never end a call of OpenSSL's.

const std = @import("std");
const openssl = @import("openssl.zig");
const reasons = @import("reasons.zig");
const system = @import("../os/kernel.zig").system;

/// What a record was about, if not data.
pub const Kind = enum {
    /// Data of no length.
    empty,
    /// An alert that is only a warning.
    warning,
    key_update,
    /// A ticket for resumption, or a part of one.
    ticket,
    /// A message of TLS 1.2 that asks for a new handshake.
    renegotiation,

    /// OpenSSL's reason when there were too many of them. It has none for tickets.
    fn reason(kind: Kind) c_int {
        return switch (kind) {
            .empty => openssl.SSL_R_RECORD_TOO_SMALL,
            .warning => openssl.SSL_R_TOO_MANY_WARN_ALERTS,
            .key_update => openssl.SSL_R_TOO_MANY_KEY_UPDATES,
            .ticket => @intFromEnum(reasons.Own.too_many_tickets),
            .renegotiation => openssl.SSL_R_UNEXPECTED_MESSAGE,
        };
    }
};

/// Records with neither data nor a ticket within one period.
pub const records_at_most = 32;

/// Records of tickets within one period. Servers may send as many tickets as they want, and the longest
/// takes nine records; they cost their receiver no more than data does.
pub const ticket_records_at_most = 256;

/// In milliseconds.
pub const period = std.time.ms_per_s;

/// What has come since the last data, or since the period began.
pub const Quota = struct {
    /// When the period began, in milliseconds of the monotonic clock. It wraps, so only differences count.
    start: u32 = 0,
    records: u16 = 0,
    ticket_records: u16 = 0,

    /// Counts a record. Returns OpenSSL's reason when it is one too many.
    pub fn take(quota: *Quota, kind: Kind) ?c_int {
        quota.count(kind);
        // The first is often a record of data that is not open yet, for which the clock need not be asked.
        if (quota.records +| quota.ticket_records == 2) quota.start = milliseconds();
        if (quota.records <= records_at_most and quota.ticket_records <= ticket_records_at_most) return null;
        const now = milliseconds();
        if (now -% quota.start < period) return (if (quota.ticket_records > ticket_records_at_most) Kind.ticket else kind).reason();
        quota.* = .{ .start = now };
        quota.count(kind);
        return null;
    }

    fn count(quota: *Quota, kind: Kind) void {
        switch (kind) {
            .ticket => quota.ticket_records +|= 1,
            else => quota.records +|= 1,
        }
    }

    /// The last records, which were taken for something else, were a ticket.
    pub fn foundTicket(quota: *Quota) void {
        quota.records = 0;
        quota.count(.ticket);
    }

    /// Data has come.
    pub fn renew(quota: *Quota) void {
        quota.records = 0;
        quota.ticket_records = 0;
    }
};

fn milliseconds() u32 {
    return @truncate(@as(u64, @intCast(@divTrunc(system.nanoseconds(), std.time.ns_per_ms))));
}

test "records without data are counted since the last data, for a period" {
    const expectEqual = std.testing.expectEqual;
    const counted = [_]struct { Kind, usize, c_int }{
        .{ .empty, records_at_most, openssl.SSL_R_RECORD_TOO_SMALL },
        .{ .key_update, records_at_most, openssl.SSL_R_TOO_MANY_KEY_UPDATES },
        .{ .ticket, ticket_records_at_most, @intFromEnum(reasons.Own.too_many_tickets) },
    };
    for (counted) |each| {
        const kind, const at_most, const reason = each;
        var quota: Quota = .{};
        for (0..3) |_| {
            for (0..at_most) |_| try expectEqual(null, quota.take(kind));
            quota.renew();
        }
        for (0..3) |_| {
            // What is over the limit counts for the period that it begins.
            const first: usize = if (quota.records + quota.ticket_records > 0) 1 else 0;
            for (first..at_most) |_| try expectEqual(null, quota.take(kind));
            try expectEqual(reason, quota.take(kind));
            try expectEqual(reason, quota.take(kind));
            quota.start -%= period;
            try expectEqual(null, quota.take(kind));
        }
    }
}
