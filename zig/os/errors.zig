//! Why a call of the core fails: an error for each `Status` that a call can report, of the same name. Inside of the
//! core failures are errors; the boundary turns them into statuses.

const std = @import("std");
const Status = @import("../boundary/abi.zig").Status;

// zig fmt: off
pub const Error = error{
    WouldBlock, TimedOut, Cancelled, Closed, StaleHandle, Exhausted, BadAddress, Other,
    TlsFailed, TlsTruncated, TlsServerName,
    E2BIG, EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EALREADY, EBADF, EBUSY, ECONNABORTED, ECONNREFUSED,
    ECONNRESET, EDESTADDRREQ, EEXIST, EFAULT, EHOSTDOWN, EHOSTUNREACH, EINVAL, EIO, EISCONN, EISDIR, ELOOP, EMFILE,
    EMSGSIZE, ENAMETOOLONG, ENETDOWN, ENETRESET, ENETUNREACH, ENFILE, ENOBUFS, ENODEV, ENOENT, ENOMEM, ENOPROTOOPT,
    ENOSPC, ENOSYS, ENOTCONN, ENOTDIR, ENOTSOCK, EOPNOTSUPP, EOVERFLOW, EPERM, EPIPE, EPROTO, EPROTONOSUPPORT,
    EPROTOTYPE, EROFS, ESPIPE, ETIMEDOUT,
    ENOTFOUND, EAI_AGAIN, EAI_FAIL,
};
// zig fmt: on

pub fn statusOf(failure: Error) Status {
    return switch (failure) {
        inline else => |each| comptime statusNamed(@errorName(each)),
    };
}

fn statusNamed(comptime name: []const u8) Status {
    for (std.enums.values(Status)) |status| {
        if (std.mem.eql(u8, errorName(@tagName(status)), name)) return status;
    }
    @compileError("no status for " ++ name);
}

/// `would_block` as `WouldBlock`; names in capitals stay as they are.
fn errorName(comptime name: []const u8) []const u8 {
    @setEvalBranchQuota(1_000_000);
    if (std.ascii.isUpper(name[0])) return name;
    var out: []const u8 = "";
    var raise = true;
    for (name) |character| {
        if (character != '_') out = out ++ &[_]u8{if (raise) std.ascii.toUpper(character) else character};
        raise = character == '_';
    }
    return out;
}

test "every status but success is an error, and the other way round" {
    try std.testing.expectEqual(.would_block, statusOf(error.WouldBlock));
    var statuses: std.EnumSet(Status) = .initOne(.ok);
    inline for (@typeInfo(Error).error_set.?) |each| statuses.insert(statusOf(@field(Error, each.name)));
    try std.testing.expect(statuses.eql(.initFull()));
}
