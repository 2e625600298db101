//! Why a record ends the connection: the alert that the peer gets (RFC 8446, 6.2), and the reason as OpenSSL's
//! code. Both are those that OpenSSL itself uses in the same case.

const openssl = @import("../openssl.zig");
const framing = @import("framing.zig");
const protection = @import("protection.zig");
const quota = @import("quota.zig");
const reasons = @import("../reasons.zig");

pub const Alert = enum(u8) {
    close_notify = 0,
    unexpected_message = 10,
    bad_record_mac = 20,
    record_overflow = 22,
    illegal_parameter = 47,
    decode_error = 50,
    internal_error = 80,
    user_canceled = 90,
    _,
};

/// What a peer must not send after the handshake.
const MessageRefusal = error{
    EmptyMessage,
    /// Another record came between the parts of a message.
    InterruptedMessage,
    InvalidAlert,
    UnexpectedMessage,
    MessageTooLong,
    KeyUpdateLength,
    KeyUpdateValue,
    /// A key update is not the end of its record.
    NotOnRecordBoundary,
    /// The next keys cannot be derived.
    CryptoFailed,
};

pub const Refusal = framing.HeaderRefusal || protection.Refusal || quota.Exceeded || MessageRefusal || error{OutOfMemory};

pub const Failure = struct {
    /// What the peer gets, if anything.
    alert: ?Alert = null,
    reason: c_ulong,

    pub fn of(refusal: Refusal) Failure {
        return switch (refusal) {
            error.UnexpectedRecord => because(.unexpected_message, openssl.SSL_R_BAD_RECORD_TYPE),
            error.WrongVersion => because(.decode_error, openssl.SSL_R_WRONG_VERSION_NUMBER),
            error.RecordTooLong => because(.record_overflow, openssl.SSL_R_ENCRYPTED_LENGTH_TOO_LONG),
            error.BadRecord => because(.bad_record_mac, openssl.SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC),
            error.ContentTooLong => because(.record_overflow, openssl.SSL_R_DATA_LENGTH_TOO_LONG),
            error.EmptyMessage => because(.unexpected_message, openssl.SSL_R_BAD_LENGTH),
            error.InterruptedMessage => because(.unexpected_message, openssl.SSL_R_MIXED_HANDSHAKE_AND_NON_HANDSHAKE_DATA),
            error.InvalidAlert => because(.unexpected_message, openssl.SSL_R_INVALID_ALERT),
            error.UnexpectedMessage, error.TooManyRenegotiations => because(.unexpected_message, openssl.SSL_R_UNEXPECTED_MESSAGE),
            error.MessageTooLong => because(.illegal_parameter, openssl.SSL_R_EXCESSIVE_MESSAGE_SIZE),
            error.KeyUpdateLength => because(.decode_error, openssl.SSL_R_BAD_KEY_UPDATE),
            error.KeyUpdateValue => because(.illegal_parameter, openssl.SSL_R_BAD_KEY_UPDATE),
            error.NotOnRecordBoundary => because(.unexpected_message, openssl.SSL_R_NOT_ON_RECORD_BOUNDARY),
            error.TooManyEmptyRecords => because(.unexpected_message, openssl.SSL_R_RECORD_TOO_SMALL),
            error.TooManyWarnings => because(.unexpected_message, openssl.SSL_R_TOO_MANY_WARN_ALERTS),
            error.TooManyKeyUpdates => because(.unexpected_message, openssl.SSL_R_TOO_MANY_KEY_UPDATES),
            // OpenSSL has no reason for this.
            error.TooManyTickets => because(.unexpected_message, @intFromEnum(reasons.Own.too_many_tickets)),
            error.OutOfMemory => because(.internal_error, openssl.ERR_R_MALLOC_FAILURE),
            error.CryptoFailed => because(.internal_error, openssl.ERR_R_INTERNAL_ERROR),
        };
    }

    /// The peer has sent this alert and expects no answer.
    pub fn ofPeersAlert(alert: Alert) Failure {
        return .{ .reason = openssl.packReason(openssl.SSL_AD_REASON_OFFSET + @as(c_ulong, @intFromEnum(alert))) };
    }

    fn because(alert: Alert, reason: c_ulong) Failure {
        return .{ .alert = alert, .reason = openssl.packReason(reason) };
    }
};
