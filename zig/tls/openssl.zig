//! The part of OpenSSL 3 that the core calls, declared by hand under OpenSSL's own names: importing its
//! headers takes a minute, and the core must type-check for systems whose headers are not here. Each
//! declaration and number is compared with the headers when the core's tests are built
//! (`openssl_headers_test.zig`). In a pointer, `u8` stands for `char`, `unsigned char` and `void`.

pub const SSL_CTX = opaque {};
pub const SSL = opaque {};
pub const SSL_SESSION = opaque {};
pub const SSL_CIPHER = opaque {};
pub const SSL_METHOD = opaque {};
pub const BIO = opaque {};
pub const BIO_METHOD = opaque {};
pub const X509 = opaque {};
pub const X509_NAME = opaque {};
pub const X509_CRL = opaque {};
pub const EVP_PKEY = opaque {};
pub const X509_STORE = opaque {};
pub const ASN1_TIME = opaque {};
pub const X509_STORE_CTX = opaque {};
pub const X509_VERIFY_PARAM = opaque {};
pub const OPENSSL_STACK = opaque {};
pub const EVP_CIPHER = opaque {};
pub const EVP_CIPHER_CTX = opaque {};
pub const EVP_MD = opaque {};
pub const EVP_MD_CTX = opaque {};
pub const PKCS12 = opaque {};
pub const OPENSSL_INIT_SETTINGS = opaque {};
pub const OSSL_LIB_CTX = opaque {};
pub const OSSL_PARAM = opaque {};
pub const ENGINE = opaque {};

// -- Library
pub const OPENSSL_INIT_NO_LOAD_CONFIG: u64 = 0x80;
pub const OPENSSL_INIT_NO_ATEXIT: u64 = 0x80000;
pub const OPENSSL_VERSION: c_int = 0;
pub extern "c" fn OPENSSL_init_ssl(options: u64, settings: ?*const OPENSSL_INIT_SETTINGS) c_int;
pub const Allocate = fn (usize, ?[*:0]const u8, c_int) callconv(.c) ?*anyopaque;
pub const Reallocate = fn (?*anyopaque, usize, ?[*:0]const u8, c_int) callconv(.c) ?*anyopaque;
pub const Free = fn (?*anyopaque, ?[*:0]const u8, c_int) callconv(.c) void;
pub extern "c" fn CRYPTO_set_mem_functions(*const Allocate, *const Reallocate, *const Free) c_int;
pub extern "c" fn RAND_bytes(output: [*]u8, length: c_int) c_int;
pub extern "c" fn OpenSSL_version(kind: c_int) [*:0]const u8;

// -- Ciphers and digests
pub const EVP_CTRL_AEAD_GET_TAG: c_int = 0x10;
pub const EVP_CTRL_AEAD_SET_TAG: c_int = 0x11;
pub extern "c" fn EVP_CIPHER_fetch(library: ?*OSSL_LIB_CTX, name: [*:0]const u8, properties: ?[*:0]const u8) ?*EVP_CIPHER;
pub extern "c" fn EVP_CIPHER_free(cipher: *EVP_CIPHER) void;
pub extern "c" fn EVP_CIPHER_CTX_new() ?*EVP_CIPHER_CTX;
pub extern "c" fn EVP_CIPHER_CTX_free(context: ?*EVP_CIPHER_CTX) void;
pub extern "c" fn EVP_CIPHER_CTX_ctrl(context: ?*EVP_CIPHER_CTX, command: c_int, number: c_int, pointer: ?*anyopaque) c_int;
pub extern "c" fn EVP_CipherInit_ex(context: ?*EVP_CIPHER_CTX, cipher: ?*const EVP_CIPHER, engine: ?*ENGINE, key: ?[*]const u8, iv: ?[*]const u8, encrypts: c_int) c_int;
pub extern "c" fn EVP_EncryptUpdate(context: ?*EVP_CIPHER_CTX, output: ?[*]u8, output_length: *c_int, input: [*]const u8, length: c_int) c_int;
pub extern "c" fn EVP_EncryptFinal_ex(context: ?*EVP_CIPHER_CTX, output: [*]u8, output_length: *c_int) c_int;
pub extern "c" fn EVP_DecryptUpdate(context: ?*EVP_CIPHER_CTX, output: ?[*]u8, output_length: *c_int, input: [*]const u8, length: c_int) c_int;
pub extern "c" fn EVP_DecryptFinal_ex(context: ?*EVP_CIPHER_CTX, output: [*]u8, output_length: *c_int) c_int;
pub extern "c" fn EVP_MD_fetch(library: ?*OSSL_LIB_CTX, name: [*:0]const u8, properties: ?[*:0]const u8) ?*EVP_MD;
pub extern "c" fn EVP_MD_free(digest: *EVP_MD) void;
pub extern "c" fn EVP_MD_CTX_new() ?*EVP_MD_CTX;
pub extern "c" fn EVP_MD_CTX_free(context: ?*EVP_MD_CTX) void;
pub extern "c" fn EVP_DigestInit_ex2(context: *EVP_MD_CTX, digest: ?*const EVP_MD, parameters: ?*const OSSL_PARAM) c_int;
pub extern "c" fn EVP_DigestUpdate(context: *EVP_MD_CTX, bytes: [*]const u8, length: usize) c_int;
pub extern "c" fn EVP_DigestFinal_ex(context: *EVP_MD_CTX, output: [*]u8, length: *c_uint) c_int;

// -- Errors
pub const ERR_LIB_OFFSET = 23;
pub const ERR_LIB_MASK = 0xff;
pub const ERR_REASON_MASK = 0x7f_ffff;
pub const ERR_RFLAG_FATAL = 1 << 18;
pub const ERR_LIB_OSSL_DECODER = 60;
pub const ERR_LIB_PEM = 9;
pub const PEM_R_NO_START_LINE = 108;
pub const ERR_LIB_SSL = 20;
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
pub const SSL_AD_REASON_OFFSET = 1000;
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
    return code >> ERR_LIB_OFFSET & ERR_LIB_MASK;
}

pub fn reasonOf(code: c_ulong) c_ulong {
    return code & ERR_REASON_MASK;
}

/// The error code of a reason of libssl (ERR_PACK).
pub fn packReason(reason: c_ulong) c_ulong {
    return ERR_LIB_SSL << ERR_LIB_OFFSET | reason;
}

// -- Input and output
pub const BIO_TYPE_SOURCE_SINK: c_int = 0x400;
pub const BIO_FLAGS_READ: c_int = 1;
pub const BIO_FLAGS_SHOULD_RETRY: c_int = 8;
pub const BIO_CTRL_FLUSH: c_int = 11;
pub extern "c" fn BIO_meth_new(kind: c_int, name: [*:0]const u8) ?*BIO_METHOD;
pub extern "c" fn BIO_meth_free(method: *BIO_METHOD) void;
pub extern "c" fn BIO_meth_set_read(method: *BIO_METHOD, function: *const fn (*BIO, [*]u8, c_int) callconv(.c) c_int) c_int;
pub extern "c" fn BIO_meth_set_write(method: *BIO_METHOD, function: *const fn (*BIO, [*]const u8, c_int) callconv(.c) c_int) c_int;
pub extern "c" fn BIO_meth_set_ctrl(method: *BIO_METHOD, function: *const fn (*BIO, c_int, c_long, ?*anyopaque) callconv(.c) c_long) c_int;
pub extern "c" fn BIO_new(method: *const BIO_METHOD) ?*BIO;
pub extern "c" fn BIO_new_mem_buf(bytes: [*]const u8, length: c_int) ?*BIO;
pub extern "c" fn BIO_free(bio: *BIO) c_int;
pub extern "c" fn BIO_up_ref(bio: *BIO) c_int;
pub extern "c" fn BIO_set_data(bio: *BIO, data: ?*anyopaque) void;
pub extern "c" fn BIO_get_data(bio: *BIO) ?*anyopaque;
pub extern "c" fn BIO_set_init(bio: *BIO, init: c_int) void;
pub extern "c" fn BIO_set_flags(bio: *BIO, flags: c_int) void;
pub extern "c" fn BIO_clear_flags(bio: *BIO, flags: c_int) void;

// -- Certificates and keys
pub const PEM_BUFSIZE = 1024;
pub const PasswordCallback = fn ([*]u8, c_int, c_int, ?*anyopaque) callconv(.c) c_int;
pub extern "c" fn PEM_read_bio_X509_AUX(bio: *BIO, reused: ?*?*X509, callback: *const PasswordCallback, argument: ?*anyopaque) ?*X509;
pub extern "c" fn PEM_read_bio_X509_CRL(bio: *BIO, reused: ?*?*X509_CRL, callback: *const PasswordCallback, argument: ?*anyopaque) ?*X509_CRL;
pub extern "c" fn PEM_read_bio_PrivateKey(bio: *BIO, reused: ?*?*EVP_PKEY, callback: *const PasswordCallback, argument: ?*anyopaque) ?*EVP_PKEY;
pub extern "c" fn d2i_X509_bio(bio: *BIO, reused: ?*?*X509) ?*X509;
pub extern "c" fn d2i_X509_CRL_bio(bio: *BIO, reused: ?*?*X509_CRL) ?*X509_CRL;
pub extern "c" fn d2i_PrivateKey_bio(bio: *BIO, reused: ?*?*EVP_PKEY) ?*EVP_PKEY;
pub extern "c" fn d2i_PKCS8PrivateKey_bio(bio: *BIO, reused: ?*?*EVP_PKEY, callback: *const PasswordCallback, argument: ?*anyopaque) ?*EVP_PKEY;
pub extern "c" fn d2i_PKCS12_bio(bio: *BIO, reused: ?*?*PKCS12) ?*PKCS12;
pub extern "c" fn PKCS12_parse(store: *PKCS12, password: ?[*:0]const u8, key: *?*EVP_PKEY, certificate: *?*X509, others: *?*OPENSSL_STACK) c_int;
pub extern "c" fn PKCS12_free(store: *PKCS12) void;
pub extern "c" fn X509_up_ref(certificate: *X509) c_int;
pub extern "c" fn X509_free(certificate: *X509) void;
pub extern "c" fn X509_CRL_free(list: *X509_CRL) void;
pub extern "c" fn EVP_PKEY_free(key: *EVP_PKEY) void;
pub extern "c" fn i2d_X509(certificate: *const X509, output: ?*[*]u8) c_int;
pub extern "c" fn X509_get_subject_name(certificate: *const X509) *X509_NAME;
pub extern "c" fn i2d_X509_NAME(name: *const X509_NAME, output: ?*[*]u8) c_int;
pub extern "c" fn X509_check_host(certificate: *X509, name: [*]const u8, length: usize, flags: c_uint, peer_name: ?*?[*:0]u8) c_int;
pub extern "c" fn X509_get0_notAfter(certificate: *const X509) *const ASN1_TIME;
pub extern "c" fn X509_cmp_current_time(time: *const ASN1_TIME) c_int;
pub extern "c" fn X509_check_ip_asc(certificate: *X509, address: [*:0]const u8, flags: c_uint) c_int;
pub extern "c" fn X509_chain_up_ref(chain: *OPENSSL_STACK) ?*OPENSSL_STACK;
pub extern "c" fn OPENSSL_sk_num(stack: ?*const OPENSSL_STACK) c_int;
pub extern "c" fn OPENSSL_sk_value(stack: ?*const OPENSSL_STACK, index: c_int) ?*anyopaque;
pub extern "c" fn OPENSSL_sk_pop_free(stack: ?*OPENSSL_STACK, free: *const fn (?*anyopaque) callconv(.c) void) void;

pub fn hasExpired(certificate: *const X509) bool {
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
pub const VerifyCallback = fn (c_int, *X509_STORE_CTX) callconv(.c) c_int;
pub const CertificateVerify = fn (*X509_STORE_CTX, ?*anyopaque) callconv(.c) c_int;
pub extern "c" fn X509_verify_cert(context: *X509_STORE_CTX) c_int;
pub extern "c" fn X509_STORE_add_cert(store: *X509_STORE, certificate: *X509) c_int;
pub extern "c" fn X509_STORE_add_crl(store: *X509_STORE, list: *X509_CRL) c_int;
pub extern "c" fn X509_STORE_set_flags(store: *X509_STORE, flags: c_ulong) c_int;
pub extern "c" fn X509_STORE_CTX_get_ex_data(context: *const X509_STORE_CTX, index: c_int) ?*anyopaque;
pub extern "c" fn X509_STORE_CTX_get0_cert(context: *const X509_STORE_CTX) ?*X509;
pub extern "c" fn SSL_get_ex_data_X509_STORE_CTX_idx() c_int;
pub extern "c" fn X509_STORE_CTX_get_error(context: *const X509_STORE_CTX) c_int;
pub extern "c" fn X509_VERIFY_PARAM_set1_host(parameters: *X509_VERIFY_PARAM, name: [*]const u8, length: usize) c_int;
pub extern "c" fn X509_VERIFY_PARAM_set1_ip_asc(parameters: *X509_VERIFY_PARAM, address: [*:0]const u8) c_int;
pub extern "c" fn X509_VERIFY_PARAM_set_flags(parameters: *X509_VERIFY_PARAM, flags: c_ulong) c_int;
pub extern "c" fn X509_VERIFY_PARAM_clear_flags(parameters: *X509_VERIFY_PARAM, flags: c_ulong) c_int;
pub extern "c" fn X509_VERIFY_PARAM_set_depth(parameters: *X509_VERIFY_PARAM, depth: c_int) void;
pub extern "c" fn X509_VERIFY_PARAM_set_hostflags(parameters: *X509_VERIFY_PARAM, flags: c_uint) void;

// -- Contexts
pub const SSL_CTRL_MODE: c_int = 33;
pub const SSL_CTRL_SET_SESS_CACHE_MODE: c_int = 44;
pub const SSL_CTRL_SET_MAX_CERT_LIST: c_int = 51;
pub const SSL_CTRL_SET_TLSEXT_SERVERNAME_CB: c_int = 53;
pub const SSL_CTRL_SET_TLSEXT_HOSTNAME: c_int = 55;
pub const SSL_CTRL_SET_TLSEXT_TICKET_KEYS: c_int = 59;
pub const SSL_CTRL_CHAIN: c_int = 88;
pub const SSL_CTRL_CHAIN_CERT: c_int = 89;
pub const SSL_CTRL_SET_GROUPS_LIST: c_int = 92;
pub const SSL_CTRL_SET_MIN_PROTO_VERSION: c_int = 123;
pub const SSL_CTRL_SET_MAX_PROTO_VERSION: c_int = 124;
pub const SSL_CTRL_GET_MIN_PROTO_VERSION: c_int = 130;
pub const SSL_CTRL_GET_MAX_PROTO_VERSION: c_int = 131;
pub const SSL_CTRL_GET_NEGOTIATED_GROUP: c_int = 134;
pub const SSL_MODE_RELEASE_BUFFERS: c_long = 0x10;
pub const SSL_SESS_CACHE_OFF: c_long = 0;
pub const SSL_SESS_CACHE_CLIENT: c_long = 1;
pub const SSL_SESS_CACHE_NO_INTERNAL: c_long = 0x300;
pub const SSL_OP_NO_COMPRESSION: u64 = 1 << 17;
pub const SSL_OP_PRIORITIZE_CHACHA: u64 = 1 << 21;
pub const SSL_OP_CIPHER_SERVER_PREFERENCE: u64 = 1 << 22;
pub const SSL_OP_NO_RENEGOTIATION: u64 = 1 << 30;
pub const SSL_VERIFY_NONE: c_int = 0;
pub const SSL_VERIFY_PEER: c_int = 1;
pub const SSL_VERIFY_FAIL_IF_NO_PEER_CERT: c_int = 2;
pub const TLS1_2_VERSION: c_long = 0x0303;
pub const TLS1_3_VERSION: c_int = 0x0304;
pub const SSL_TLSEXT_ERR_OK: c_int = 0;
pub const SSL_TLSEXT_ERR_ALERT_FATAL: c_int = 2;
pub const SSL_TLSEXT_ERR_NOACK: c_int = 3;
pub const OPENSSL_NPN_NEGOTIATED: c_int = 1;
pub const SSL_TICKET_SUCCESS: c_int = 5;
pub const SSL_TICKET_SUCCESS_RENEW: c_int = 6;
pub const SSL_TICKET_RETURN_IGNORE_RENEW: c_int = 2;
pub const SSL_TICKET_RETURN_USE: c_int = 3;
pub const SSL_TICKET_RETURN_USE_RENEW: c_int = 4;
pub const SSL_CLIENT_HELLO_SUCCESS: c_int = 1;
pub const SSL_CLIENT_HELLO_ERROR: c_int = 0;
pub const SSL_CLIENT_HELLO_RETRY: c_int = -1;
pub const SSL_AD_ILLEGAL_PARAMETER = 47;
pub const SSL_AD_DECODE_ERROR = 50;
pub const SSL_AD_INTERNAL_ERROR = 80;
pub const SSL_AD_UNRECOGNIZED_NAME: c_int = 112;

pub extern "c" fn TLS_method() *const SSL_METHOD;
pub extern "c" fn SSL_CTX_new(method: *const SSL_METHOD) ?*SSL_CTX;
pub extern "c" fn SSL_CTX_free(context: *SSL_CTX) void;
pub extern "c" fn SSL_CTX_ctrl(context: *SSL_CTX, command: c_int, number: c_long, pointer: ?*anyopaque) c_long;
pub extern "c" fn SSL_CTX_callback_ctrl(context: *SSL_CTX, command: c_int, callback: ?*const fn () callconv(.c) void) c_long;
pub extern "c" fn SSL_CTX_set_options(context: *SSL_CTX, options: u64) u64;
pub extern "c" fn SSL_CTX_set_cipher_list(context: *SSL_CTX, list: [*:0]const u8) c_int;
pub extern "c" fn SSL_CTX_set_ciphersuites(context: *SSL_CTX, list: [*:0]const u8) c_int;
pub extern "c" fn SSL_CTX_set_alpn_protos(context: *SSL_CTX, protocols: [*]const u8, length: c_uint) c_int;
pub extern "c" fn SSL_CTX_set_alpn_select_cb(context: *SSL_CTX, callback: ?*const AlpnSelect, argument: ?*anyopaque) void;
pub extern "c" fn SSL_select_next_proto(output: *[*]u8, output_length: *u8, server: [*]const u8, server_length: c_uint, client: [*]const u8, client_length: c_uint) c_int;
pub extern "c" fn SSL_CTX_use_certificate(context: *SSL_CTX, certificate: *X509) c_int;
pub extern "c" fn SSL_CTX_use_PrivateKey(context: *SSL_CTX, key: *EVP_PKEY) c_int;
pub extern "c" fn SSL_CTX_check_private_key(context: *const SSL_CTX) c_int;
pub extern "c" fn SSL_CTX_get_cert_store(context: *const SSL_CTX) *X509_STORE;
pub extern "c" fn SSL_CTX_set1_cert_store(context: *SSL_CTX, store: *X509_STORE) void;
pub extern "c" fn SSL_CTX_add_client_CA(context: *SSL_CTX, certificate: *X509) c_int;
pub extern "c" fn SSL_CTX_set_session_id_context(context: *SSL_CTX, id: [*]const u8, length: c_uint) c_int;
pub extern "c" fn SSL_CTX_sess_set_new_cb(context: *SSL_CTX, callback: ?*const NewSession) void;
pub extern "c" fn SSL_CTX_set_keylog_callback(context: *SSL_CTX, callback: ?*const KeyLog) void;
pub extern "c" fn SSL_CTX_set_session_ticket_cb(context: *SSL_CTX, generate: ?*const fn (*SSL, ?*anyopaque) callconv(.c) c_int, decrypt: *const DecryptedTicket, argument: ?*anyopaque) c_int;
pub extern "c" fn SSL_CTX_set_num_tickets(context: *SSL_CTX, count: usize) c_int;
pub extern "c" fn SSL_CTX_set_client_hello_cb(context: *SSL_CTX, callback: ?*const ClientHello, argument: ?*anyopaque) void;
pub extern "c" fn SSL_CTX_set_client_CA_list(context: *SSL_CTX, names: ?*OPENSSL_STACK) void;
pub extern "c" fn SSL_CTX_set_cert_verify_callback(context: *SSL_CTX, callback: ?*const CertificateVerify, argument: ?*anyopaque) void;
pub extern "c" fn SSL_CTX_set_security_level(context: *SSL_CTX, level: c_int) void;
pub extern "c" fn SSL_CTX_set_ex_data(context: *SSL_CTX, index: c_int, data: ?*anyopaque) c_int;
pub extern "c" fn SSL_CTX_get_ex_data(context: *const SSL_CTX, index: c_int) ?*anyopaque;

pub const AlpnSelect = fn (*SSL, *[*]const u8, *u8, [*]const u8, c_uint, ?*anyopaque) callconv(.c) c_int;
pub const NewSession = fn (*SSL, *SSL_SESSION) callconv(.c) c_int;
pub const KeyLog = fn (*const SSL, [*:0]const u8) callconv(.c) void;
pub const Message = fn (c_int, c_int, c_int, [*]const u8, usize, *SSL, ?*anyopaque) callconv(.c) void;
pub const ClientHello = fn (*SSL, *c_int, ?*anyopaque) callconv(.c) c_int;
pub const DecryptedTicket = fn (*SSL, ?*SSL_SESSION, ?[*]const u8, usize, c_int, ?*anyopaque) callconv(.c) c_int;

// -- Connections
pub const SSL_ERROR_WANT_READ = 2;
pub const SSL_ERROR_ZERO_RETURN = 6;
pub const SSL_ERROR_WANT_CLIENT_HELLO_CB = 11;
pub const SSL_KEY_UPDATE_NOT_REQUESTED: c_int = 0;
pub const SSL_KEY_UPDATE_REQUESTED: c_int = 1;
pub const SSL3_RT_HANDSHAKE: c_int = 22;
pub const SSL3_MT_CLIENT_HELLO = 1;
pub const TLSEXT_TYPE_server_name: c_uint = 0;
pub const TLSEXT_TYPE_padding: c_uint = 21;
pub const TLSEXT_TYPE_psk: c_uint = 41;
pub const TLSEXT_TYPE_early_data: c_uint = 42;
pub const TLSEXT_TYPE_key_share: c_uint = 51;
pub const TLSEXT_NAMETYPE_host_name: c_int = 0;

pub extern "c" fn SSL_new(context: *SSL_CTX) ?*SSL;
pub extern "c" fn SSL_free(connection: *SSL) void;
pub extern "c" fn SSL_set_SSL_CTX(connection: *SSL, context: *SSL_CTX) ?*SSL_CTX;
pub extern "c" fn SSL_get_SSL_CTX(connection: *const SSL) ?*SSL_CTX;
pub extern "c" fn SSL_set_bio(connection: *SSL, reader: *BIO, writer: *BIO) void;
pub extern "c" fn SSL_get_rbio(connection: *const SSL) ?*BIO;
pub extern "c" fn SSL_set_msg_callback(connection: *SSL, callback: ?*const Message) void;
pub extern "c" fn SSL_set_connect_state(connection: *SSL) void;
pub extern "c" fn SSL_set_accept_state(connection: *SSL) void;
pub extern "c" fn SSL_do_handshake(connection: *SSL) c_int;
pub extern "c" fn SSL_in_init(connection: *const SSL) c_int;
pub extern "c" fn SSL_read(connection: *SSL, buffer: [*]u8, length: c_int) c_int;
pub extern "c" fn SSL_write(connection: *SSL, buffer: [*]const u8, length: c_int) c_int;
pub extern "c" fn SSL_shutdown(connection: *SSL) c_int;
pub extern "c" fn SSL_get_error(connection: *const SSL, result: c_int) c_int;
pub extern "c" fn SSL_pending(connection: *const SSL) c_int;
pub extern "c" fn SSL_ctrl(connection: *SSL, command: c_int, number: c_long, pointer: ?*anyopaque) c_long;
pub extern "c" fn SSL_get0_param(connection: *SSL) *X509_VERIFY_PARAM;
pub extern "c" fn SSL_set_num_tickets(connection: *SSL, count: usize) c_int;
pub extern "c" fn SSL_set_verify(connection: *SSL, mode: c_int, callback: ?*const VerifyCallback) void;
pub extern "c" fn SSL_get_verify_result(connection: *const SSL) c_long;
pub extern "c" fn SSL_set_verify_result(connection: *SSL, result: c_long) void;
pub extern "c" fn SSL_get_version(connection: *const SSL) [*:0]const u8;
pub extern "c" fn SSL_version(connection: *const SSL) c_int;
pub extern "c" fn SSL_get_current_cipher(connection: *const SSL) ?*const SSL_CIPHER;
pub extern "c" fn SSL_CIPHER_get_protocol_id(cipher: *const SSL_CIPHER) u16;
pub extern "c" fn SSL_get_client_random(connection: *const SSL, output: [*]u8, length: usize) usize;
pub extern "c" fn SSL_get_session(connection: *const SSL) ?*SSL_SESSION;
pub extern "c" fn SSL_SESSION_get_max_fragment_length(session: *const SSL_SESSION) u8;
pub extern "c" fn SSL_CIPHER_get_name(cipher: ?*const SSL_CIPHER) [*:0]const u8;
pub extern "c" fn SSL_group_to_name(connection: *SSL, id: c_int) ?[*:0]const u8;
pub extern "c" fn SSL_export_keying_material(connection: *SSL, output: [*]u8, length: usize, label: [*]const u8, label_length: usize, context: [*]const u8, context_length: usize, use_context: c_int) c_int;
pub extern "c" fn SSL_get0_alpn_selected(connection: *const SSL, protocol: *?[*]const u8, length: *c_uint) void;
pub extern "c" fn SSL_get_servername(connection: *const SSL, kind: c_int) ?[*:0]const u8;
pub extern "c" fn SSL_get0_peer_certificate(connection: *const SSL) ?*X509;
pub extern "c" fn SSL_get_peer_cert_chain(connection: *const SSL) ?*OPENSSL_STACK;
pub extern "c" fn SSL_session_reused(connection: *const SSL) c_int;
pub extern "c" fn SSL_set_session(connection: *SSL, session: ?*SSL_SESSION) c_int;
pub extern "c" fn SSL_set_session_id_context(connection: *SSL, id: [*]const u8, length: c_uint) c_int;
pub extern "c" fn SSL_SESSION_get0_peer(session: *SSL_SESSION) ?*X509;
pub extern "c" fn SSL_SESSION_get0_hostname(session: *const SSL_SESSION) ?[*:0]const u8;
pub extern "c" fn SSL_SESSION_free(session: ?*SSL_SESSION) void;
pub extern "c" fn d2i_SSL_SESSION(reused: ?*?*SSL_SESSION, input: *[*]const u8, length: c_long) ?*SSL_SESSION;
pub extern "c" fn i2d_SSL_SESSION(session: *const SSL_SESSION, output: ?*[*]u8) c_int;
pub extern "c" fn SSL_key_update(connection: *SSL, kind: c_int) c_int;
pub extern "c" fn SSL_client_hello_get0_ext(connection: *SSL, kind: c_uint, data: *?[*]const u8, length: *usize) c_int;
