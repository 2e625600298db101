//! The checks of a peer's certificates: what OpenSSL checks, and the functions that it calls meanwhile.

const openssl = @import("openssl.zig");
const Context = @import("context.zig").Context;
const Engine = @import("engine.zig").Engine;

/// The most authorities between a certificate and the root. Each costs the check of a signature, which takes
/// milliseconds for large keys.
const longest_chain = 10;

/// The longest certificate of a client, in bytes, that gets a ticket. It is part of the ticket, which the client
/// sends with its next ClientHello.
const longest_in_ticket = 12 * 1024;

/// Tells OpenSSL whether the peer is verified, and how strictly.
pub fn apply(context: *const Context, ssl: *openssl.SSL, is_server: bool) void {
    const mode = if (!is_server)
        (if (context.verify_peer) openssl.SSL_VERIFY_PEER else openssl.SSL_VERIFY_NONE)
    else switch (context.client_authentication) {
        .none => openssl.SSL_VERIFY_NONE,
        .request => openssl.SSL_VERIFY_PEER,
        .require => openssl.SSL_VERIFY_PEER | openssl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    };
    const callback: ?*const openssl.VerifyCallback = if (!context.verify_peer)
        null
    else if (!context.verify_issuer)
        acceptAnyIssuer
    else
        acceptValid;
    openssl.SSL_set_verify(ssl, mode, callback);
    // A trusted certificate ends the chain, whether or not it is a root. With revocation lists the chain must
    // lead to a root, for OpenSSL looks for the lists along it.
    const parameters = openssl.SSL_get0_param(ssl);
    openssl.X509_VERIFY_PARAM_set_depth(parameters, longest_chain);
    _ = if (context.checks_revocation)
        openssl.X509_VERIFY_PARAM_clear_flags(parameters, openssl.X509_V_FLAG_PARTIAL_CHAIN)
    else
        openssl.X509_VERIFY_PARAM_set_flags(parameters, openssl.X509_V_FLAG_PARTIAL_CHAIN);
}

/// Called with the certificates that a peer has sent. Without `verify_peer` OpenSSL stops at the first error,
/// which becomes the result. Mostly that is an unknown issuer, which is found before any signature is checked.
pub fn verifyCertificates(store: *openssl.X509_STORE_CTX, argument: ?*anyopaque) callconv(.c) c_int {
    const context: *const Context = @ptrCast(@alignCast(argument.?));
    limitTickets(store);
    const result = openssl.X509_verify_cert(store);
    if (context.verify_peer) return result;
    // Errors in the queue would count as a failure of the handshake.
    openssl.ERR_clear_error();
    return 1;
}

fn acceptValid(is_valid: c_int, store: *openssl.X509_STORE_CTX) callconv(.c) c_int {
    if (is_valid != 1) keepRefused(store);
    return is_valid;
}

/// Accepts a chain that does not lead to a trusted certificate, and no other error. The error stays the result
/// of the verification.
fn acceptAnyIssuer(is_valid: c_int, store: *openssl.X509_STORE_CTX) callconv(.c) c_int {
    if (is_valid == 1) return 1;
    if (isAboutIssuer(openssl.X509_STORE_CTX_get_error(store))) return 1;
    keepRefused(store);
    return 0;
}

/// Whether a result of verification says only that the chain does not lead to a trusted certificate.
pub fn isAboutIssuer(result: c_long) bool {
    return switch (result) {
        openssl.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
        openssl.X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
        openssl.X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
        openssl.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        openssl.X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
        => true,
        else => false,
    };
}

/// A client with a long certificate gets no ticket.
fn limitTickets(store: *openssl.X509_STORE_CTX) void {
    const ssl = sslOf(store) orelse return;
    const certificate = openssl.X509_STORE_CTX_get0_cert(store) orelse return;
    const connection = Engine.of(ssl).current orelse return;
    if (!connection.flags.is_server or openssl.i2d_X509(certificate, null) <= longest_in_ticket) return;
    _ = openssl.SSL_set_num_tickets(ssl, 0);
}

fn sslOf(store: *const openssl.X509_STORE_CTX) ?*openssl.SSL {
    const place = openssl.SSL_get_ex_data_X509_STORE_CTX_idx();
    return @ptrCast(openssl.X509_STORE_CTX_get_ex_data(store, place) orelse return null);
}

/// Keeps a certificate that is about to be refused, since OpenSSL does not: the caller may ask for it.
fn keepRefused(store: *openssl.X509_STORE_CTX) void {
    const ssl = sslOf(store) orelse return;
    const engine = Engine.of(ssl);
    const connection = engine.current orelse return;
    const extra = connection.extraOf(engine.allocator) catch return;
    const certificate = openssl.X509_STORE_CTX_get0_cert(store) orelse return;
    if (extra.refused != null or openssl.X509_up_ref(certificate) != 1) return;
    extra.refused = certificate;
}
