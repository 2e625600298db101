//! Why OpenSSL has refused something, as text. OpenSSL keeps a queue of errors for each thread; one cause
//! often leaves several entries in it.

const std = @import("std");
const openssl = @import("openssl.zig");

/// The text of the thread's last failure of a context.
threadlocal var text: [256]u8 = undefined;
threadlocal var text_length: usize = 0;

/// Reasons of the core's own. OpenSSL does not use these numbers for its TLS library.
pub const Own = enum(c_int) {
    client_hello_changed = 998,
    too_many_tickets = 999,

    fn text(reason: Own) []const u8 {
        return switch (reason) {
            .client_hello_changed => "client hello changed",
            .too_many_tickets => "too many tickets",
        };
    }
};

/// Puts a reason of the TLS library, given as an error code, into the queue.
pub fn raise(code: c_ulong) void {
    openssl.ERR_new();
    openssl.ERR_set_error(openssl.ERR_LIB_SSL, @intCast(openssl.reasonOf(code)), null);
}

fn ownReason(code: c_ulong) ?Own {
    if (openssl.libraryOf(code) != openssl.ERR_LIB_SSL) return null;
    return std.enums.fromInt(Own, openssl.reasonOf(code));
}

/// Empties the queue and returns the most telling entry, or 0 when there is none. That is the first one with
/// a reason of the TLS library itself; entries of lower libraries only say how it found out ("cipher
/// operation failed"). Otherwise it is the first of all, which caused the others, unless it only says that
/// a decoder did not fit.
pub fn take() c_ulong {
    var chosen: c_ulong = 0;
    while (true) {
        const code = openssl.ERR_get_error();
        if (code == 0) return chosen;
        if (weightOf(code) > weightOf(chosen)) chosen = code;
    }
}

fn weightOf(code: c_ulong) u2 {
    if (code == 0) return 0;
    return switch (openssl.libraryOf(code)) {
        // From this number on a reason stands for another library or for a kind of failure.
        openssl.ERR_LIB_SSL => if (openssl.reasonOf(code) < openssl.ERR_RFLAG_FATAL) 3 else 2,
        // It only says which formats were tried.
        openssl.ERR_LIB_OSSL_DECODER => 1,
        else => 2,
    };
}

/// Empties the queue and keeps its reason as the text of a context's failure.
pub fn refused() error{TlsFailed} {
    keep();
    return error.TlsFailed;
}

/// The same with a text of the core's own.
pub fn refusedBecause(reason: []const u8) error{TlsFailed} {
    keepText(reason);
    return error.TlsFailed;
}

fn keep() void {
    const code = take();
    const library = span(openssl.ERR_lib_error_string(code)) orelse "OpenSSL";
    const reason = span(openssl.ERR_reason_error_string(code)) orelse "no reason given";
    const written = std.fmt.bufPrint(&text, "{s}: {s}", .{ library, reason }) catch return keepText("OpenSSL");
    text_length = written.len;
}

fn keepText(reason: []const u8) void {
    openssl.ERR_clear_error();
    text_length = @min(reason.len, text.len);
    @memcpy(text[0..text_length], reason[0..text_length]);
}

pub fn last() []const u8 {
    return text[0..text_length];
}

/// OpenSSL's reason for an entry of its queue.
pub fn reasonText(code: c_ulong) []const u8 {
    if (ownReason(code)) |reason| return reason.text();
    return span(openssl.ERR_reason_error_string(code)) orelse "";
}

fn span(string: ?[*:0]const u8) ?[]const u8 {
    return std.mem.span(string orelse return null);
}
