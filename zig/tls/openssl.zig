//! The part of OpenSSL 3 that the core calls, declared by hand: importing its headers would bring
//! thousands of names for these few, and the core must type-check for systems whose headers are not
//! here. Macros of the headers are their numbers here, under OpenSSL's own names.

pub const Context = opaque {};
pub const Connection = opaque {};
pub const Session = opaque {};
pub const Cipher = opaque {};
pub const Method = opaque {};
pub const Bio = opaque {};
pub const BioMethod = opaque {};
pub const Certificate = opaque {};
pub const Name = opaque {};
pub const RevocationList = opaque {};
pub const PrivateKey = opaque {};
pub const Store = opaque {};
pub const Time = opaque {};
pub const StoreContext = opaque {};
pub const VerifyParameters = opaque {};
pub const Stack = opaque {};
pub const CipherAlgorithm = opaque {};
pub const CipherContext = opaque {};
pub const DigestAlgorithm = opaque {};
pub const DigestContext = opaque {};
pub const Pkcs12 = opaque {};

// -- Library
pub const INIT_NO_LOAD_CONFIG: u64 = 0x80;
pub const INIT_NO_ATEXIT: u64 = 0x80000;
pub const VERSION_TEXT: c_int = 0;
pub extern "c" fn OPENSSL_init_ssl(options: u64, settings: ?*anyopaque) c_int;
pub const Allocate = fn (usize, ?[*:0]const u8, c_int) callconv(.c) ?*anyopaque;
pub const Reallocate = fn (?*anyopaque, usize, ?[*:0]const u8, c_int) callconv(.c) ?*anyopaque;
pub const Free = fn (?*anyopaque, ?[*:0]const u8, c_int) callconv(.c) void;
pub extern "c" fn CRYPTO_set_mem_functions(*const Allocate, *const Reallocate, *const Free) c_int;
pub extern "c" fn RAND_bytes(output: [*]u8, length: c_int) c_int;
pub extern "c" fn OpenSSL_version(kind: c_int) [*:0]const u8;

// -- Ciphers and digests
pub const CTRL_AEAD_GET_TAG: c_int = 0x10;
pub const CTRL_AEAD_SET_TAG: c_int = 0x11;
pub extern "c" fn EVP_CIPHER_fetch(library: ?*anyopaque, name: [*:0]const u8, properties: ?[*:0]const u8) ?*CipherAlgorithm;
pub extern "c" fn EVP_CIPHER_free(cipher: *CipherAlgorithm) void;
pub extern "c" fn EVP_CIPHER_CTX_new() ?*CipherContext;
pub extern "c" fn EVP_CIPHER_CTX_free(context: ?*CipherContext) void;
pub extern "c" fn EVP_CIPHER_CTX_ctrl(context: ?*CipherContext, command: c_int, number: c_int, pointer: ?*anyopaque) c_int;
pub extern "c" fn EVP_CipherInit_ex(context: ?*CipherContext, cipher: ?*const CipherAlgorithm, engine: ?*anyopaque, key: ?[*]const u8, iv: ?[*]const u8, encrypts: c_int) c_int;
pub extern "c" fn EVP_EncryptUpdate(context: ?*CipherContext, output: ?[*]u8, output_length: *c_int, input: [*]const u8, length: c_int) c_int;
pub extern "c" fn EVP_EncryptFinal_ex(context: ?*CipherContext, output: [*]u8, output_length: *c_int) c_int;
pub extern "c" fn EVP_DecryptUpdate(context: ?*CipherContext, output: ?[*]u8, output_length: *c_int, input: [*]const u8, length: c_int) c_int;
pub extern "c" fn EVP_DecryptFinal_ex(context: ?*CipherContext, output: [*]u8, output_length: *c_int) c_int;
pub extern "c" fn EVP_MD_fetch(library: ?*anyopaque, name: [*:0]const u8, properties: ?[*:0]const u8) ?*DigestAlgorithm;
pub extern "c" fn EVP_MD_free(digest: *DigestAlgorithm) void;
pub extern "c" fn EVP_MD_CTX_new() ?*DigestContext;
pub extern "c" fn EVP_MD_CTX_free(context: ?*DigestContext) void;
pub extern "c" fn EVP_DigestInit_ex2(context: *DigestContext, digest: ?*const DigestAlgorithm, parameters: ?*const anyopaque) c_int;
pub extern "c" fn EVP_DigestUpdate(context: *DigestContext, bytes: [*]const u8, length: usize) c_int;
pub extern "c" fn EVP_DigestFinal_ex(context: *DigestContext, output: [*]u8, length: *c_uint) c_int;

// -- Errors
pub const LIB_PEM = 9;
pub const PEM_R_NO_START_LINE = 108;
pub const LIB_SSL = 20;
pub const SSL_R_BAD_KEY_UPDATE = 122;
pub const SSL_R_TOO_MANY_KEY_UPDATES = 132;
pub const SSL_R_DATA_LENGTH_TOO_LONG = 146;
pub const SSL_R_ENCRYPTED_LENGTH_TOO_LONG = 150;
pub const SSL_R_EXCESSIVE_MESSAGE_SIZE = 152;
pub const SSL_R_NOT_ON_RECORD_BOUNDARY = 182;
pub const SSL_R_INVALID_ALERT = 205;
pub const SSL_R_UNEXPECTED_MESSAGE = 244;
pub const SSL_R_WRONG_VERSION_NUMBER = 267;
pub const SSL_R_BAD_LENGTH = 271;
pub const SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC = 281;
pub const SSL_R_MIXED_HANDSHAKE_AND_NON_HANDSHAKE_DATA = 293;
pub const SSL_R_RECORD_TOO_SMALL = 298;
pub const SSL_R_TOO_MANY_WARN_ALERTS = 409;
pub const SSL_R_BAD_RECORD_TYPE = 443;
pub const ERR_R_MALLOC_FAILURE = 256 | 3 << 18;
pub const ERR_R_INTERNAL_ERROR = 259 | 3 << 18;
pub const AD_REASON_OFFSET = 1000;
pub extern "c" fn ERR_new() void;
pub extern "c" fn ERR_set_error(library: c_int, reason: c_int, format: ?[*:0]const u8, ...) void;
pub extern "c" fn ERR_clear_error() void;
pub extern "c" fn ERR_peek_last_error() c_ulong;
pub extern "c" fn ERR_get_error() c_ulong;
pub extern "c" fn ERR_lib_error_string(code: c_ulong) ?[*:0]const u8;
pub extern "c" fn ERR_reason_error_string(code: c_ulong) ?[*:0]const u8;
pub extern "c" fn X509_verify_cert_error_string(code: c_long) [*:0]const u8;

/// The library that an error code comes from, and its reason there (ERR_GET_LIB, ERR_GET_REASON).
pub fn libraryOf(code: c_ulong) c_ulong {
    return code >> 23 & 0xff;
}

pub fn reasonOf(code: c_ulong) c_ulong {
    return code & 0x7f_ffff;
}

/// The error code of a reason of libssl (ERR_PACK).
pub fn packReason(reason: c_ulong) c_ulong {
    return LIB_SSL << 23 | reason;
}

// -- Input and output
pub const BIO_TYPE_SOURCE_SINK: c_int = 0x400;
pub const BIO_FLAGS_READ: c_int = 1;
pub const BIO_FLAGS_SHOULD_RETRY: c_int = 8;
pub const BIO_CTRL_FLUSH: c_int = 11;
pub extern "c" fn BIO_meth_new(kind: c_int, name: [*:0]const u8) ?*BioMethod;
pub extern "c" fn BIO_meth_free(method: *BioMethod) void;
pub extern "c" fn BIO_meth_set_read(method: *BioMethod, function: *const fn (*Bio, [*]u8, c_int) callconv(.c) c_int) c_int;
pub extern "c" fn BIO_meth_set_write(method: *BioMethod, function: *const fn (*Bio, [*]const u8, c_int) callconv(.c) c_int) c_int;
pub extern "c" fn BIO_meth_set_ctrl(method: *BioMethod, function: *const fn (*Bio, c_int, c_long, ?*anyopaque) callconv(.c) c_long) c_int;
pub extern "c" fn BIO_new(method: *const BioMethod) ?*Bio;
pub extern "c" fn BIO_new_mem_buf(bytes: [*]const u8, length: c_int) ?*Bio;
pub extern "c" fn BIO_free(bio: *Bio) c_int;
pub extern "c" fn BIO_up_ref(bio: *Bio) c_int;
pub extern "c" fn BIO_set_data(bio: *Bio, data: ?*anyopaque) void;
pub extern "c" fn BIO_get_data(bio: *Bio) ?*anyopaque;
pub extern "c" fn BIO_set_init(bio: *Bio, init: c_int) void;
pub extern "c" fn BIO_set_flags(bio: *Bio, flags: c_int) void;
pub extern "c" fn BIO_clear_flags(bio: *Bio, flags: c_int) void;

// -- Certificates and keys
pub const PasswordCallback = fn ([*]u8, c_int, c_int, ?*anyopaque) callconv(.c) c_int;
pub extern "c" fn PEM_read_bio_X509_AUX(bio: *Bio, reused: ?*?*Certificate, callback: *const PasswordCallback, argument: ?*anyopaque) ?*Certificate;
pub extern "c" fn PEM_read_bio_X509_CRL(bio: *Bio, reused: ?*?*RevocationList, callback: *const PasswordCallback, argument: ?*anyopaque) ?*RevocationList;
pub extern "c" fn PEM_read_bio_PrivateKey(bio: *Bio, reused: ?*?*PrivateKey, callback: *const PasswordCallback, argument: ?*anyopaque) ?*PrivateKey;
pub extern "c" fn d2i_X509_bio(bio: *Bio, reused: ?*?*Certificate) ?*Certificate;
pub extern "c" fn d2i_X509_CRL_bio(bio: *Bio, reused: ?*?*RevocationList) ?*RevocationList;
pub extern "c" fn d2i_PrivateKey_bio(bio: *Bio, reused: ?*?*PrivateKey) ?*PrivateKey;
pub extern "c" fn d2i_PKCS8PrivateKey_bio(bio: *Bio, reused: ?*?*PrivateKey, callback: *const PasswordCallback, argument: ?*anyopaque) ?*PrivateKey;
pub extern "c" fn d2i_PKCS12_bio(bio: *Bio, reused: ?*?*Pkcs12) ?*Pkcs12;
pub extern "c" fn PKCS12_parse(store: *Pkcs12, password: ?[*:0]const u8, key: *?*PrivateKey, certificate: *?*Certificate, others: *?*Stack) c_int;
pub extern "c" fn PKCS12_free(store: *Pkcs12) void;
pub extern "c" fn X509_up_ref(certificate: *Certificate) c_int;
pub extern "c" fn X509_free(certificate: *Certificate) void;
pub extern "c" fn X509_CRL_free(list: *RevocationList) void;
pub extern "c" fn EVP_PKEY_free(key: *PrivateKey) void;
pub extern "c" fn i2d_X509(certificate: *const Certificate, output: ?*[*]u8) c_int;
pub extern "c" fn X509_get_subject_name(certificate: *const Certificate) *Name;
pub extern "c" fn i2d_X509_NAME(name: *const Name, output: ?*[*]u8) c_int;
pub extern "c" fn X509_check_host(certificate: *Certificate, name: [*]const u8, length: usize, flags: c_uint, peer_name: ?*?[*:0]u8) c_int;
extern "c" fn X509_get0_notAfter(certificate: *const Certificate) *const Time;
extern "c" fn X509_cmp_current_time(time: *const Time) c_int;
pub extern "c" fn X509_check_ip_asc(certificate: *Certificate, address: [*:0]const u8, flags: c_uint) c_int;
pub extern "c" fn X509_chain_up_ref(chain: *Stack) ?*Stack;
pub extern "c" fn OPENSSL_sk_num(stack: ?*const Stack) c_int;
pub extern "c" fn OPENSSL_sk_value(stack: ?*const Stack, index: c_int) ?*anyopaque;
pub extern "c" fn OPENSSL_sk_pop_free(stack: ?*Stack, free: *const fn (?*anyopaque) callconv(.c) void) void;

pub fn hasExpired(certificate: *const Certificate) bool {
    return X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0;
}

// -- Verification
pub const X509_V_OK = 0;
pub const X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT = 2;
pub const X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT = 18;
pub const X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN = 19;
pub const X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY = 20;
pub const X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE = 21;
pub const X509_V_FLAG_CRL_CHECK: c_ulong = 0x4;
pub const X509_V_FLAG_PARTIAL_CHAIN: c_ulong = 0x80000;
pub const X509_V_FLAG_CRL_CHECK_ALL: c_ulong = 0x8;
pub const X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS: c_uint = 0x4;
pub const X509_CHECK_FLAG_NEVER_CHECK_SUBJECT: c_uint = 0x20;
pub const VerifyCallback = fn (c_int, *StoreContext) callconv(.c) c_int;
pub const CertificateVerify = fn (*StoreContext, ?*anyopaque) callconv(.c) c_int;
pub extern "c" fn X509_verify_cert(context: *StoreContext) c_int;
pub extern "c" fn X509_STORE_add_cert(store: *Store, certificate: *Certificate) c_int;
pub extern "c" fn X509_STORE_add_crl(store: *Store, list: *RevocationList) c_int;
pub extern "c" fn X509_STORE_set_flags(store: *Store, flags: c_ulong) c_int;
pub extern "c" fn X509_STORE_CTX_get_ex_data(context: *const StoreContext, index: c_int) ?*anyopaque;
pub extern "c" fn X509_STORE_CTX_get0_cert(context: *const StoreContext) ?*Certificate;
pub extern "c" fn SSL_get_ex_data_X509_STORE_CTX_idx() c_int;
pub extern "c" fn X509_STORE_CTX_get_error(context: *const StoreContext) c_int;
pub extern "c" fn X509_VERIFY_PARAM_set1_host(parameters: *VerifyParameters, name: [*]const u8, length: usize) c_int;
pub extern "c" fn X509_VERIFY_PARAM_set1_ip_asc(parameters: *VerifyParameters, address: [*:0]const u8) c_int;
pub extern "c" fn X509_VERIFY_PARAM_set_flags(parameters: *VerifyParameters, flags: c_ulong) c_int;
pub extern "c" fn X509_VERIFY_PARAM_clear_flags(parameters: *VerifyParameters, flags: c_ulong) c_int;
pub extern "c" fn X509_VERIFY_PARAM_set_depth(parameters: *VerifyParameters, depth: c_int) void;
pub extern "c" fn X509_VERIFY_PARAM_set_hostflags(parameters: *VerifyParameters, flags: c_uint) void;

// -- Contexts
pub const CTRL_MODE: c_int = 33;
pub const CTRL_SET_SESS_CACHE_MODE: c_int = 44;
pub const CTRL_SET_MAX_CERT_LIST: c_int = 51;
pub const CTRL_SET_TLSEXT_SERVERNAME_CB: c_int = 53;
pub const CTRL_SET_TLSEXT_HOSTNAME: c_int = 55;
pub const CTRL_SET_TLSEXT_TICKET_KEYS: c_int = 59;
pub const CTRL_CHAIN: c_int = 88;
pub const CTRL_CHAIN_CERT: c_int = 89;
pub const CTRL_SET_GROUPS_LIST: c_int = 92;
pub const CTRL_SET_MIN_PROTO_VERSION: c_int = 123;
pub const CTRL_SET_MAX_PROTO_VERSION: c_int = 124;
pub const CTRL_GET_MIN_PROTO_VERSION: c_int = 130;
pub const CTRL_GET_MAX_PROTO_VERSION: c_int = 131;
pub const CTRL_GET_NEGOTIATED_GROUP: c_int = 134;
pub const MODE_RELEASE_BUFFERS: c_long = 0x10;
pub const SESS_CACHE_OFF: c_long = 0;
pub const SESS_CACHE_CLIENT: c_long = 1;
pub const SESS_CACHE_NO_INTERNAL: c_long = 0x300;
pub const OP_NO_COMPRESSION: u64 = 1 << 17;
pub const OP_PRIORITIZE_CHACHA: u64 = 1 << 21;
pub const OP_CIPHER_SERVER_PREFERENCE: u64 = 1 << 22;
pub const OP_NO_RENEGOTIATION: u64 = 1 << 30;
pub const VERIFY_NONE: c_int = 0;
pub const VERIFY_PEER: c_int = 1;
pub const VERIFY_FAIL_IF_NO_PEER_CERT: c_int = 2;
pub const TLS1_2_VERSION: c_long = 0x0303;
pub const TLS1_3_VERSION: c_int = 0x0304;
pub const TLSEXT_ERR_OK: c_int = 0;
pub const TLSEXT_ERR_ALERT_FATAL: c_int = 2;
pub const NPN_NEGOTIATED: c_int = 1;
pub const TICKET_SUCCESS: c_int = 5;
pub const TICKET_SUCCESS_RENEW: c_int = 6;
pub const TICKET_RETURN_IGNORE_RENEW: c_int = 2;
pub const TICKET_RETURN_USE: c_int = 3;
pub const TICKET_RETURN_USE_RENEW: c_int = 4;
pub const CLIENT_HELLO_SUCCESS: c_int = 1;
pub const CLIENT_HELLO_ERROR: c_int = 0;
pub const CLIENT_HELLO_RETRY: c_int = -1;
pub const AD_ILLEGAL_PARAMETER = 47;
pub const AD_DECODE_ERROR = 50;
pub const AD_INTERNAL_ERROR = 80;
pub const AD_UNRECOGNIZED_NAME: c_int = 112;

pub extern "c" fn TLS_method() *const Method;
pub extern "c" fn SSL_CTX_new(method: *const Method) ?*Context;
pub extern "c" fn SSL_CTX_free(context: *Context) void;
pub extern "c" fn SSL_CTX_ctrl(context: *Context, command: c_int, number: c_long, pointer: ?*anyopaque) c_long;
pub extern "c" fn SSL_CTX_callback_ctrl(context: *Context, command: c_int, callback: ?*const fn () callconv(.c) void) c_long;
pub extern "c" fn SSL_CTX_set_options(context: *Context, options: u64) u64;
pub extern "c" fn SSL_CTX_set_cipher_list(context: *Context, list: [*:0]const u8) c_int;
pub extern "c" fn SSL_CTX_set_ciphersuites(context: *Context, list: [*:0]const u8) c_int;
pub extern "c" fn SSL_CTX_set_alpn_protos(context: *Context, protocols: [*]const u8, length: c_uint) c_int;
pub extern "c" fn SSL_CTX_set_alpn_select_cb(context: *Context, callback: ?*const AlpnSelect, argument: ?*anyopaque) void;
pub extern "c" fn SSL_select_next_proto(output: *[*]const u8, output_length: *u8, server: [*]const u8, server_length: c_uint, client: [*]const u8, client_length: c_uint) c_int;
pub extern "c" fn SSL_CTX_use_certificate(context: *Context, certificate: *Certificate) c_int;
pub extern "c" fn SSL_CTX_use_PrivateKey(context: *Context, key: *PrivateKey) c_int;
pub extern "c" fn SSL_CTX_check_private_key(context: *const Context) c_int;
pub extern "c" fn SSL_CTX_get_cert_store(context: *const Context) *Store;
pub extern "c" fn SSL_CTX_set1_cert_store(context: *Context, store: *Store) void;
pub extern "c" fn SSL_CTX_add_client_CA(context: *Context, certificate: *Certificate) c_int;
pub extern "c" fn SSL_CTX_set_session_id_context(context: *Context, id: [*]const u8, length: c_uint) c_int;
pub extern "c" fn SSL_CTX_sess_set_new_cb(context: *Context, callback: ?*const NewSession) void;
pub extern "c" fn SSL_CTX_set_keylog_callback(context: *Context, callback: ?*const KeyLog) void;
pub extern "c" fn SSL_CTX_set_session_ticket_cb(context: *Context, generate: ?*const fn (*Connection, ?*anyopaque) callconv(.c) c_int, decrypt: *const DecryptedTicket, argument: ?*anyopaque) c_int;
pub extern "c" fn SSL_CTX_set_num_tickets(context: *Context, count: usize) c_int;
pub extern "c" fn SSL_CTX_set_client_hello_cb(context: *Context, callback: ?*const ClientHello, argument: ?*anyopaque) void;
pub extern "c" fn SSL_CTX_set_client_CA_list(context: *Context, names: ?*Stack) void;
pub extern "c" fn SSL_CTX_set_cert_verify_callback(context: *Context, callback: ?*const CertificateVerify, argument: ?*anyopaque) void;
pub extern "c" fn SSL_CTX_set_security_level(context: *Context, level: c_int) void;
pub extern "c" fn SSL_CTX_set_ex_data(context: *Context, index: c_int, data: ?*anyopaque) c_int;
pub extern "c" fn SSL_CTX_get_ex_data(context: *const Context, index: c_int) ?*anyopaque;

pub const AlpnSelect = fn (*Connection, *[*]const u8, *u8, [*]const u8, c_uint, ?*anyopaque) callconv(.c) c_int;
pub const NewSession = fn (*Connection, *Session) callconv(.c) c_int;
pub const KeyLog = fn (*const Connection, [*:0]const u8) callconv(.c) void;
pub const Message = fn (c_int, c_int, c_int, [*]const u8, usize, *Connection, ?*anyopaque) callconv(.c) void;
pub const ClientHello = fn (*Connection, *c_int, ?*anyopaque) callconv(.c) c_int;
pub const DecryptedTicket = fn (*Connection, ?*Session, ?[*]const u8, usize, c_int, ?*anyopaque) callconv(.c) c_int;

// -- Connections
pub const ERROR_WANT_READ = 2;
pub const ERROR_ZERO_RETURN = 6;
pub const ERROR_WANT_CLIENT_HELLO_CB = 11;
pub const KEY_UPDATE_NOT_REQUESTED: c_int = 0;
pub const KEY_UPDATE_REQUESTED: c_int = 1;
pub const RT_HANDSHAKE: c_int = 22;
pub const MT_CLIENT_HELLO = 1;
pub const TLSEXT_TYPE_server_name: c_uint = 0;
pub const TLSEXT_TYPE_padding: c_uint = 21;
pub const TLSEXT_TYPE_psk: c_uint = 41;
pub const TLSEXT_TYPE_early_data: c_uint = 42;
pub const TLSEXT_TYPE_key_share: c_uint = 51;
/// RFC 9849, section 5. OpenSSL does not know it.
pub const TLSEXT_TYPE_encrypted_client_hello: c_uint = 0xfe0d;
pub const TLSEXT_NAMETYPE_host_name: c_int = 0;

pub extern "c" fn SSL_new(context: *Context) ?*Connection;
pub extern "c" fn SSL_free(connection: *Connection) void;
pub extern "c" fn SSL_set_SSL_CTX(connection: *Connection, context: *Context) ?*Context;
pub extern "c" fn SSL_get_SSL_CTX(connection: *const Connection) ?*Context;
pub extern "c" fn SSL_set_bio(connection: *Connection, reader: *Bio, writer: *Bio) void;
pub extern "c" fn SSL_get_rbio(connection: *const Connection) ?*Bio;
pub extern "c" fn SSL_set_msg_callback(connection: *Connection, callback: ?*const Message) void;
pub extern "c" fn SSL_set_connect_state(connection: *Connection) void;
pub extern "c" fn SSL_set_accept_state(connection: *Connection) void;
pub extern "c" fn SSL_do_handshake(connection: *Connection) c_int;
pub extern "c" fn SSL_in_init(connection: *const Connection) c_int;
pub extern "c" fn SSL_read(connection: *Connection, buffer: [*]u8, length: c_int) c_int;
pub extern "c" fn SSL_write(connection: *Connection, buffer: [*]const u8, length: c_int) c_int;
pub extern "c" fn SSL_shutdown(connection: *Connection) c_int;
pub extern "c" fn SSL_get_error(connection: *const Connection, result: c_int) c_int;
pub extern "c" fn SSL_pending(connection: *const Connection) c_int;
pub extern "c" fn SSL_ctrl(connection: *Connection, command: c_int, number: c_long, pointer: ?*anyopaque) c_long;
pub extern "c" fn SSL_get0_param(connection: *Connection) *VerifyParameters;
pub extern "c" fn SSL_set_num_tickets(connection: *Connection, count: usize) c_int;
pub extern "c" fn SSL_set_verify(connection: *Connection, mode: c_int, callback: ?*const VerifyCallback) void;
pub extern "c" fn SSL_get_verify_result(connection: *const Connection) c_long;
pub extern "c" fn SSL_set_verify_result(connection: *Connection, result: c_long) void;
pub extern "c" fn SSL_get_version(connection: *const Connection) [*:0]const u8;
pub extern "c" fn SSL_version(connection: *const Connection) c_int;
pub extern "c" fn SSL_get_current_cipher(connection: *const Connection) ?*const Cipher;
pub extern "c" fn SSL_CIPHER_get_protocol_id(cipher: *const Cipher) u16;
pub extern "c" fn SSL_get_client_random(connection: *const Connection, output: [*]u8, length: usize) usize;
pub extern "c" fn SSL_get_session(connection: *const Connection) ?*Session;
pub extern "c" fn SSL_SESSION_get_max_fragment_length(session: *const Session) u8;
pub extern "c" fn SSL_CIPHER_get_name(cipher: ?*const Cipher) [*:0]const u8;
pub extern "c" fn SSL_group_to_name(connection: *Connection, id: c_int) ?[*:0]const u8;
pub extern "c" fn SSL_get0_alpn_selected(connection: *const Connection, protocol: *?[*]const u8, length: *c_uint) void;
pub extern "c" fn SSL_get_servername(connection: *const Connection, kind: c_int) ?[*:0]const u8;
pub extern "c" fn SSL_get0_peer_certificate(connection: *const Connection) ?*Certificate;
pub extern "c" fn SSL_get_peer_cert_chain(connection: *const Connection) ?*Stack;
pub extern "c" fn SSL_session_reused(connection: *const Connection) c_int;
pub extern "c" fn SSL_set_session(connection: *Connection, session: ?*Session) c_int;
pub extern "c" fn SSL_set_session_id_context(connection: *Connection, id: [*]const u8, length: c_uint) c_int;
pub extern "c" fn SSL_SESSION_get0_peer(session: *Session) ?*Certificate;
pub extern "c" fn SSL_SESSION_get0_hostname(session: *const Session) ?[*:0]const u8;
pub extern "c" fn SSL_SESSION_free(session: ?*Session) void;
pub extern "c" fn d2i_SSL_SESSION(reused: ?*?*Session, input: *[*]const u8, length: c_long) ?*Session;
pub extern "c" fn i2d_SSL_SESSION(session: *const Session, output: ?*[*]u8) c_int;
pub extern "c" fn SSL_key_update(connection: *Connection, kind: c_int) c_int;
pub extern "c" fn SSL_client_hello_get0_ext(connection: *Connection, kind: c_uint, data: *?[*]const u8, length: *usize) c_int;
