/*
 * A single-threaded epoll load client for TLS 1.3 servers, whose certificate it does not verify.
 *
 * Usage: tls-load --mode M --port P --pid SERVER --connections N [--common]
 *          Obeys commands on stdin (bursts.h). Every connection has one request in flight.
 *        tls-load --mode echo --port P --connections N --hold S
 *          Connects N, a few at a time, echoes once on each, and keeps them open and idle until stdin
 *          ends, or for S seconds at most.
 *
 * With --common it offers only TLS_AES_128_GCM_SHA256 and X25519, so that all servers do the same work.
 * Without, it offers what OpenSSL does by default. The modes, and what is counted:
 *   handshake  Connects, ends the stream at once, and waits for the server's end. Handshakes.
 *   echo       64 bytes, which are compared when they come back. Requests.
 *   send       Asks for 4 MiB. Reads only the headers of the records, which say how long they are, and
 *              discards the rest: decrypting would take longer than the server takes. Bytes.
 *   receive    Sends 4 MiB, and waits for the one byte that the server sends when it has all. Bytes.
 *
 * The request of send and receive is two 32-bit numbers, the least significant byte first: how many
 * bytes follow, and how many are wanted.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../harness/bursts.h"

enum {
  EVENTS_PER_WAIT = 256,
  HELD_CONNECTS_AT_ONCE = 16,
  ECHO_BYTES = 64,
  BULK_BYTES = 4 * 1024 * 1024,
  SEND_BYTES = 64 * 1024,
  RECEIVE_BYTES = 256 * 1024,
  RECORD_HEADER_BYTES = 5,
  /* The type and the tag in each record of TLS 1.3 with AES-GCM or ChaCha20-Poly1305. */
  RECORD_OVERHEAD_BYTES = 17,
};
static const double CONNECT_LIMIT_SECONDS = 20;

enum mode { HANDSHAKE, ECHO, SEND, RECEIVE };
static const char *const mode_names[] = {"handshake", "echo", "send", "receive"};

static struct options {
  enum mode mode;
  uint16_t port;
  pid_t pid;
  uint32_t connections;
  bool is_common;
  double hold_seconds;
} options = {.connections = 1};

enum state { UNUSED, HANDSHAKING, TRANSFERRING, ENDING };

struct connection {
  int fd;
  enum state state;
  SSL *tls;
  /* What OpenSSL has written. Several records leave in one call. */
  BIO *sealed;
  bool waits_for_writable;
  /* The server's records are not decrypted any more. */
  bool is_raw;
  uint32_t index;
  /* Plaintext of the request that is to be sent, and of the answer that is to come. */
  size_t unsent, unanswered;
  uint64_t requests_ever;
  uint64_t started_at_ns;
  uint64_t work_in_windows;
  /* What is left of the current record, in connections whose records are not decrypted. */
  unsigned char header[RECORD_HEADER_BYTES];
  size_t header_length;
  size_t record_rest;
};

static SSL_CTX *context;
static struct connection *connections;
static int epoll;
static uint32_t started, ready, busy;
static unsigned char pattern[SEND_BYTES];
static unsigned char receive_buffer[RECEIVE_BYTES];

static _Noreturn void fail_in_tls(const char *what) {
  unsigned long code = ERR_get_error();
  const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
  fprintf(stderr, "load: error: %s: %s\n", what, reason == NULL ? "no reason given" : reason);
  exit(1);
}

static void go_on(struct connection *connection);

/* -- Counting */

static void count_work(struct connection *connection, uint64_t work) {
  work_in_burst += work;
  if (phase != MEASURING) return;
  work_in_window += work;
  connection->work_in_windows += work;
}

static void count_latency(const struct connection *connection, uint64_t now) {
  if (phase == MEASURING) histogram_record(&latencies, now - connection->started_at_ns);
}

static double work_per_unit(void) {
  return options.mode == SEND || options.mode == RECEIVE ? 1024 * 1024 : 1;
}

static uint64_t work_of(uint32_t index) { return connections[index].work_in_windows; }

static bool is_parked(void) { return busy == 0; }

/* -- Connections */

static void watch(struct connection *connection, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(epoll, operation, connection->fd, &event) != 0) fail("epoll_ctl");
}

static void start_connect(struct connection *connection) {
  int fd = start_connecting(options.port);
  SSL *tls = SSL_new(context);
  BIO *sealed = BIO_new(BIO_s_mem());
  BIO *source = BIO_new_socket(fd, BIO_NOCLOSE);
  if (tls == NULL || sealed == NULL || source == NULL) fail("memory");
  SSL_set_bio(tls, source, sealed);
  SSL_set_connect_state(tls);
  connection->fd = fd;
  connection->tls = tls;
  connection->sealed = sealed;
  connection->state = HANDSHAKING;
  connection->waits_for_writable = true;
  connection->started_at_ns = now_ns();
  watch(connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void disconnect(struct connection *connection) {
  SSL_free(connection->tls);
  close(connection->fd);
  connection->tls = NULL;
  connection->state = UNUSED;
}

/* Sends what OpenSSL has written. Returns false when the kernel does not take all of it. */
static bool flush(struct connection *connection) {
  for (;;) {
    char *bytes;
    long length = BIO_get_mem_data(connection->sealed, &bytes);
    if (length <= 0) break;
    ssize_t sent = send(connection->fd, bytes, (size_t)length, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN && errno != EINTR) fail("send");
      break;
    }
    if (sent == length) {
      (void)BIO_reset(connection->sealed);
      break;
    }
    /* Reading does not move bytes until the memory is reset (BIO_s_mem(3)). */
    static unsigned char discarded[SEND_BYTES * 2];
    for (size_t rest = (size_t)sent; rest > 0;) {
      int count = BIO_read(connection->sealed, discarded,
                           (int)(rest < sizeof discarded ? rest : sizeof discarded));
      if (count <= 0) fail_because("BIO_read");
      rest -= (size_t)count;
    }
  }
  bool has_rest = BIO_pending(connection->sealed) > 0;
  if (has_rest != connection->waits_for_writable) {
    connection->waits_for_writable = has_rest;
    watch(connection, EPOLL_CTL_MOD, has_rest ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
  return !has_rest;
}

/* -- Requests */

static void seal(struct connection *connection, const void *bytes, size_t length) {
  if (SSL_write(connection->tls, bytes, (int)length) != (int)length) fail_in_tls("SSL_write");
}

static void put_number(unsigned char *bytes, uint32_t value) {
  for (int byte = 0; byte < 4; byte++) bytes[byte] = (unsigned char)(value >> (8 * byte));
}

static void send_request(struct connection *connection) {
  connection->started_at_ns = now_ns();
  connection->requests_ever++;
  busy++;
  if (options.mode == ECHO) {
    unsigned char request[ECHO_BYTES];
    memcpy(request, pattern, sizeof request);
    put_number(request, connection->index);
    put_number(request + 4, (uint32_t)connection->requests_ever);
    connection->unanswered = ECHO_BYTES;
    seal(connection, request, sizeof request);
  } else {
    unsigned char header[8];
    bool is_send = options.mode == SEND;
    connection->unsent = is_send ? 0 : BULK_BYTES;
    connection->unanswered = is_send ? BULK_BYTES : 1;
    put_number(header, (uint32_t)connection->unsent);
    put_number(header + 4, (uint32_t)connection->unanswered);
    seal(connection, header, sizeof header);
  }
}

static void send_rest(struct connection *connection) {
  while (flush(connection) && connection->unsent > 0) {
    size_t length = connection->unsent < SEND_BYTES ? connection->unsent : SEND_BYTES;
    seal(connection, pattern, length);
    connection->unsent -= length;
  }
}

static void finish_request(struct connection *connection) {
  uint64_t now = now_ns();
  busy--;
  count_latency(connection, now);
  if (options.mode == ECHO) count_work(connection, 1);
  if (options.mode == RECEIVE) count_work(connection, BULK_BYTES);
  if (connection->requests_ever == 1) {
    ready++;
    /* The tickets have arrived before the first answer. From here on there are only records of data. */
    connection->is_raw = options.mode == SEND;
    if (options.hold_seconds > 0) return;
  }
  if (phase == PARKING) return;
  send_request(connection);
  send_rest(connection);
}

static void compare(const struct connection *connection, const unsigned char *bytes, size_t length) {
  if (length > connection->unanswered) fail_because("the server sent more than was asked for");
  if (options.mode != ECHO) return;
  unsigned char request[ECHO_BYTES];
  memcpy(request, pattern, sizeof request);
  put_number(request, connection->index);
  put_number(request + 4, (uint32_t)connection->requests_ever);
  if (memcmp(bytes, request + ECHO_BYTES - connection->unanswered, length) != 0) {
    fail_because("the server did not echo what it was sent");
  }
}

static void receive_plaintext(struct connection *connection) {
  for (;;) {
    int length = SSL_read(connection->tls, receive_buffer, sizeof receive_buffer);
    if (length <= 0) {
      if (SSL_get_error(connection->tls, length) == SSL_ERROR_WANT_READ) return;
      fail_in_tls("the server ended a connection");
    }
    compare(connection, receive_buffer, (size_t)length);
    if (options.mode == SEND) count_work(connection, (uint64_t)length);
    connection->unanswered -= (size_t)length;
    if (connection->unanswered > 0) continue;
    finish_request(connection);
    if (connection->is_raw) return;
  }
}

static void count_plaintext(struct connection *connection, size_t length) {
  if (length > connection->unanswered) fail_because("the server sent more than was asked for");
  count_work(connection, length);
  connection->unanswered -= length;
}

/* Reads only the headers of records. */
static void receive_raw(struct connection *connection) {
  ssize_t received = recv(connection->fd, receive_buffer, sizeof receive_buffer, 0);
  if (received < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    fail("recv");
  }
  if (received == 0) fail_because("the server closed a connection");
  const unsigned char *at = receive_buffer, *end = receive_buffer + received;
  while (at < end) {
    if (connection->record_rest == 0) {
      connection->header[connection->header_length++] = *at++;
      if (connection->header_length < RECORD_HEADER_BYTES) continue;
      connection->header_length = 0;
      connection->record_rest = (size_t)connection->header[3] << 8 | connection->header[4];
      if (connection->header[0] != SSL3_RT_APPLICATION_DATA ||
          connection->record_rest <= RECORD_OVERHEAD_BYTES) {
        fail_because("the server sent an unexpected record");
      }
      count_plaintext(connection, connection->record_rest - RECORD_OVERHEAD_BYTES);
    }
    size_t length = (size_t)(end - at);
    if (length > connection->record_rest) length = connection->record_rest;
    at += length;
    connection->record_rest -= length;
  }
  if (connection->unanswered == 0 && connection->record_rest == 0) finish_request(connection);
}

/* -- Handshakes */

static void begin(struct connection *connection) {
  busy++;
  start_connect(connection);
}

static void end_stream(struct connection *connection) {
  if (SSL_shutdown(connection->tls) < 0) fail_in_tls("SSL_shutdown");
  if (!flush(connection)) fail_because("the kernel did not take an alert");
  if (shutdown(connection->fd, SHUT_WR) != 0) fail("shutdown");
  connection->state = ENDING;
}

/* The server ends its stream when it has done its work for this handshake. */
static void await_end(struct connection *connection) {
  for (;;) {
    ssize_t received = recv(connection->fd, receive_buffer, sizeof receive_buffer, 0);
    if (received > 0) continue;
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    /* A reset is an end too. */
    break;
  }
  if (connection->requests_ever++ == 0) ready++;
  busy--;
  count_latency(connection, now_ns());
  count_work(connection, 1);
  disconnect(connection);
  if (phase != PARKING) begin(connection);
}

static void handshake(struct connection *connection) {
  int result = SSL_do_handshake(connection->tls);
  if (result != 1 && SSL_get_error(connection->tls, result) != SSL_ERROR_WANT_READ) {
    fail_in_tls("the handshake");
  }
  flush(connection);
  if (result != 1) return;
  if (SSL_version(connection->tls) != TLS1_3_VERSION) fail_because("the server has no TLS 1.3");
  if (SSL_session_reused(connection->tls)) fail_because("a session was resumed");
  if (options.mode == HANDSHAKE) {
    end_stream(connection);
    return;
  }
  connection->state = TRANSFERRING;
  busy--;
  send_request(connection);
  send_rest(connection);
}

/* -- The loop */

static void go_on(struct connection *connection) {
  switch (connection->state) {
    case UNUSED:
      return;
    case HANDSHAKING:
      handshake(connection);
      return;
    case TRANSFERRING:
      if (connection->is_raw) {
        receive_raw(connection);
      } else {
        receive_plaintext(connection);
      }
      send_rest(connection);
      return;
    case ENDING:
      await_end(connection);
      return;
  }
}

static void turn(uint64_t deadline_ns) {
  static struct epoll_event events[EVENTS_PER_WAIT];
  int count = epoll_wait(epoll, events, EVENTS_PER_WAIT, milliseconds_until(deadline_ns));
  if (count < 0 && errno != EINTR) fail("epoll_wait");
  for (int index = 0; index < count; index++) {
    struct connection *connection = events[index].data.ptr;
    if (connection->state == HANDSHAKING && (events[index].events & EPOLLERR)) {
      fail_because("the server refused a connection");
    }
    go_on(connection);
  }
}

static void start_all(void) {
  for (uint32_t index = 0; index < options.connections; index++) {
    struct connection *connection = &connections[index];
    if (options.mode == HANDSHAKE) {
      begin(connection);
    } else {
      send_request(connection);
      send_rest(connection);
    }
  }
}

/* Returns the time from the first connect to the first answer on the last connection. */
static uint64_t connect_all(uint32_t at_once) {
  uint64_t start = now_ns();
  uint64_t deadline = after_seconds(start, CONNECT_LIMIT_SECONDS);
  while (ready < options.connections) {
    while (started < options.connections && started - ready < at_once) {
      connections[started].index = started;
      begin(&connections[started++]);
    }
    turn(deadline);
    if (now_ns() >= deadline) fail_because("not every connection had an answer in time");
  }
  return now_ns() - start;
}

static void make_context(void) {
  context = SSL_CTX_new(TLS_client_method());
  if (context == NULL) fail_in_tls("SSL_CTX_new");
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  if (!options.is_common) return;
  if (SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
      SSL_CTX_set1_groups_list(context, "X25519") != 1) {
    fail_in_tls("settings");
  }
}

static void parse_options(int argument_count, char **arguments) {
  static const struct option names[] = {{"mode", required_argument, NULL, 'm'},
                                        {"port", required_argument, NULL, 'p'},
                                        {"pid", required_argument, NULL, 'i'},
                                        {"connections", required_argument, NULL, 'c'},
                                        {"common", no_argument, NULL, 'o'},
                                        {"hold", required_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};
  int name;
  int mode = -1;
  while ((name = getopt_long(argument_count, arguments, "", names, NULL)) != -1) {
    if (name == '?') exit(2);
    if (name == 'm') {
      for (int each = HANDSHAKE; each <= RECEIVE; each++) {
        if (strcmp(optarg, mode_names[each]) == 0) mode = each;
      }
    }
    if (name == 'p') options.port = (uint16_t)number(optarg);
    if (name == 'i') options.pid = (pid_t)number(optarg);
    if (name == 'c') options.connections = (uint32_t)number(optarg);
    if (name == 'o') options.is_common = true;
    if (name == 'h') options.hold_seconds = number(optarg);
  }
  if (mode < 0 || options.port == 0 || options.connections == 0 ||
      (options.pid > 0) == (options.hold_seconds > 0)) {
    fprintf(stderr, "load: needs --mode, --port, and either --pid or --hold\n");
    exit(2);
  }
  options.mode = (enum mode)mode;
}

int main(int argument_count, char **arguments) {
  parse_options(argument_count, arguments);
  alarm((unsigned)(CONNECT_LIMIT_SECONDS + PARK_LIMIT_SECONDS + options.hold_seconds) + 5);
  raise_descriptor_limit();
  make_context();
  for (size_t byte = 0; byte < sizeof pattern; byte++) pattern[byte] = (unsigned char)(byte * 31);
  connections = calloc(options.connections, sizeof *connections);
  if (connections == NULL) fail("memory");
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  if (options.hold_seconds > 0) {
    phase = PARKING;
    connect_all(HELD_CONNECTS_AT_ONCE);
    keep_idle(epoll, options.connections, options.hold_seconds);
  } else {
    obey(options.pid, options.connections, connect_all(options.connections));
  }
  return 0;
}
