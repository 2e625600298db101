//! How many records without data a peer may send. A key update costs its receiver several times what
//! a short record of data does, and OpenSSL reads such records for as long as they come.

const std = @import("std");

/// What a record without data brought.
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
};

pub const Exceeded = error{ TooManyEmptyRecords, TooManyWarnings, TooManyKeyUpdates, TooManyTickets, TooManyRenegotiations };

/// Records with neither data nor a ticket within one period.
pub const records_at_most = 32;

/// Records of tickets within one period. A server may send as many tickets as it wants, and the longest
/// takes nine records; they cost their receiver no more than data does.
pub const ticket_records_at_most = 256;

pub const period_milliseconds = std.time.ms_per_s;

/// What has come since the last data, or since the period began.
pub const Quota = struct {
    /// When the period began, in milliseconds of the monotonic clock. It wraps, so only differences count.
    start_milliseconds: u32 = 0,
    records: u16 = 0,
    ticket_records: u16 = 0,

    /// Counts a record. `clock` returns nanoseconds of the monotonic clock; it is read only when the
    /// time matters.
    pub fn take(quota: *Quota, kind: Kind, comptime clock: fn () i64) Exceeded!void {
        quota.count(kind);
        // The first one is often a record of data that is not open yet.
        if (quota.records +| quota.ticket_records == 2) quota.start_milliseconds = milliseconds(clock());
        const has_too_many_tickets = quota.ticket_records > ticket_records_at_most;
        if (quota.records <= records_at_most and !has_too_many_tickets) return;
        const now = milliseconds(clock());
        if (now -% quota.start_milliseconds < period_milliseconds) {
            return switch (if (has_too_many_tickets) .ticket else kind) {
                .empty => error.TooManyEmptyRecords,
                .warning => error.TooManyWarnings,
                .key_update => error.TooManyKeyUpdates,
                .ticket => error.TooManyTickets,
                .renegotiation => error.TooManyRenegotiations,
            };
        }
        quota.* = .{ .start_milliseconds = now };
        quota.count(kind);
    }

    fn count(quota: *Quota, kind: Kind) void {
        switch (kind) {
            .ticket => quota.ticket_records +|= 1,
            else => quota.records +|= 1,
        }
    }

    /// The last records, which were counted as something else, turned out to be a ticket.
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

fn milliseconds(nanoseconds: i64) u32 {
    return @truncate(@as(u64, @intCast(@divTrunc(nanoseconds, std.time.ns_per_ms))));
}

var test_nanoseconds: i64 = 0;

fn testClock() i64 {
    return test_nanoseconds;
}

test "records without data are counted since the last data, for a period" {
    const expectEqual = std.testing.expectEqual;
    const counted = [_]struct { Kind, usize, Exceeded }{
        .{ .empty, records_at_most, error.TooManyEmptyRecords },
        .{ .warning, records_at_most, error.TooManyWarnings },
        .{ .key_update, records_at_most, error.TooManyKeyUpdates },
        .{ .ticket, ticket_records_at_most, error.TooManyTickets },
        .{ .renegotiation, records_at_most, error.TooManyRenegotiations },
    };
    // The second time the milliseconds wrap.
    for ([_]i64{ 5, (1 << 32) - 3 }) |start| for (counted) |each| {
        const kind, const at_most, const failure = each;
        test_nanoseconds = start * std.time.ns_per_ms;
        var quota: Quota = .{};
        for (0..3) |_| {
            for (0..at_most) |_| try quota.take(kind, testClock);
            quota.renew();
        }
        for (0..3) |_| {
            // What is over the limit counts for the period that it begins.
            const first: usize = if (quota.records + quota.ticket_records > 0) 1 else 0;
            for (first..at_most) |_| try quota.take(kind, testClock);
            try std.testing.expectError(failure, quota.take(kind, testClock));
            test_nanoseconds += (period_milliseconds - 1) * std.time.ns_per_ms;
            try std.testing.expectError(failure, quota.take(kind, testClock));
            test_nanoseconds += std.time.ns_per_ms;
            try expectEqual({}, try quota.take(kind, testClock));
        }
    };
}
