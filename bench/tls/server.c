/*
 * The yardstick: a single-threaded, level-triggered epoll server on the OpenSSL that plait links.
 *
 * Each connection has a socket BIO. It reads ahead, so a record costs one recv, not two. A write of several
 * records costs one send for each, since OpenSSL writes one at a time. It sends one ticket for each
 * handshake, as plait does, and keeps no buffers for idle connections.
 *
 * Usage: tls-server CERTIFICATE KEY echo      Echoes.
 *        tls-server CERTIFICATE KEY transfer  Serves requests of two 32-bit numbers: how many bytes
 *                                             follow, and how many are wanted (load.c).
 * Prints "PORT <n>" and runs until it is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../harness/server.h"

enum { EVENTS_PER_WAIT = 1024, TRANSFER_BYTES = 64 * 1024 };
enum { REQUEST_BYTES = 8 };

struct connection {
  int fd;
  SSL *tls;
  bool is_open;
  bool waits_for_writable;
  /* Data that was read and is not echoed yet; null in the common case. */
  char *unsent;
  size_t unsent_length;
  unsigned char request[REQUEST_BYTES];
  size_t request_length;
  uint64_t to_receive, to_send;
};

static bool echoes;
static int epoll;
static SSL_CTX *context;
static char buffer[TRANSFER_BYTES];

static void watch(struct connection *connection, bool for_writable) {
  if (connection->waits_for_writable == for_writable) return;
  connection->waits_for_writable = for_writable;
  struct epoll_event event = {.events = for_writable ? EPOLLOUT : EPOLLIN, .data.ptr = connection};
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0) fail("epoll_ctl mod");
}

static void close_connection(struct connection *connection) {
  if (connection->is_open) SSL_shutdown(connection->tls);
  SSL_free(connection->tls);
  close(connection->fd);
  free(connection->unsent);
  free(connection);
}

/* Accepts all pending connections, so that a burst of them costs one wake-up. */
static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      fail("accept4");
    }
    int one = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) fail("TCP_NODELAY");
    struct connection *connection = calloc(1, sizeof *connection);
    SSL *tls = SSL_new(context);
    if (connection == NULL || tls == NULL || SSL_set_fd(tls, fd) != 1) fail("memory");
    SSL_set_accept_state(tls);
    connection->fd = fd;
    connection->tls = tls;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl add");
  }
}

/* Whether a call that failed only has to be repeated later. */
static bool is_blocked(struct connection *connection, int result) {
  switch (SSL_get_error(connection->tls, result)) {
    case SSL_ERROR_WANT_READ:
      watch(connection, false);
      return true;
    case SSL_ERROR_WANT_WRITE:
      watch(connection, true);
      return true;
    default:
      ERR_clear_error();
      return false;
  }
}

/* The functions below return false when the connection is over. */

static bool echo(struct connection *connection) {
  for (;;) {
    if (connection->unsent != NULL) {
      int sent = SSL_write(connection->tls, connection->unsent, (int)connection->unsent_length);
      if (sent <= 0) return is_blocked(connection, sent);
      free(connection->unsent);
      connection->unsent = NULL;
      watch(connection, false);
    }
    int received = SSL_read(connection->tls, buffer, sizeof buffer);
    if (received <= 0) return is_blocked(connection, received);
    int sent = SSL_write(connection->tls, buffer, received);
    if (sent == received) {
      /* In the common case nothing more is there, and another recv would only find that out. */
      if (SSL_has_pending(connection->tls)) continue;
      return true;
    }
    if (!is_blocked(connection, sent)) return false;
    /* OpenSSL accepts the same bytes at another address (SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER). */
    connection->unsent = malloc((size_t)received);
    if (connection->unsent == NULL) fail("malloc");
    memcpy(connection->unsent, buffer, (size_t)received);
    connection->unsent_length = (size_t)received;
    return true;
  }
}

static uint32_t number_at(const unsigned char *bytes) {
  uint32_t value = 0;
  for (int byte = 3; byte >= 0; byte--) value = value << 8 | bytes[byte];
  return value;
}

static bool transfer(struct connection *connection) {
  for (;;) {
    if (connection->to_receive == 0 && connection->to_send > 0) {
      int length = connection->to_send < sizeof buffer ? (int)connection->to_send : TRANSFER_BYTES;
      int sent = SSL_write(connection->tls, buffer, length);
      if (sent <= 0) return is_blocked(connection, sent);
      connection->to_send -= (uint64_t)sent;
      if (connection->to_send == 0) watch(connection, false);
      continue;
    }
    bool is_body = connection->to_receive > 0;
    size_t room = is_body ? sizeof buffer : REQUEST_BYTES - connection->request_length;
    void *place = is_body ? (void *)buffer : connection->request + connection->request_length;
    int received = SSL_read(connection->tls, place, (int)room);
    if (received <= 0) return is_blocked(connection, received);
    if (is_body) {
      if ((uint64_t)received > connection->to_receive) return false;
      connection->to_receive -= (uint64_t)received;
    } else if ((connection->request_length += (size_t)received) == REQUEST_BYTES) {
      connection->request_length = 0;
      connection->to_receive = number_at(connection->request);
      connection->to_send = number_at(connection->request + 4);
    }
  }
}

static bool go_on(struct connection *connection) {
  if (!connection->is_open) {
    int result = SSL_do_handshake(connection->tls);
    if (result != 1) return is_blocked(connection, result);
    connection->is_open = true;
    watch(connection, false);
    if (!SSL_has_pending(connection->tls)) return true;
  }
  return echoes ? echo(connection) : transfer(connection);
}

static void make_context(const char *certificate, const char *key) {
  context = SSL_CTX_new(TLS_server_method());
  if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    exit(1);
  }
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);
}

int main(int argument_count, char **arguments) {
  if (argument_count != 4) {
    fprintf(stderr, "usage: tls-server CERTIFICATE KEY echo|transfer\n");
    return 2;
  }
  echoes = strcmp(arguments[3], "echo") == 0;
  make_context(arguments[1], arguments[2]);
  raise_descriptor_limit();
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  int listener = start_listening();
  /* The listener is the one entry without a connection. */
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) fail("epoll_ctl listener");

  static struct epoll_event events[EVENTS_PER_WAIT];
  for (;;) {
    int count = epoll_wait(epoll, events, EVENTS_PER_WAIT, -1);
    if (count < 0) {
      if (errno == EINTR) continue;
      fail("epoll_wait");
    }
    for (int index = 0; index < count; index++) {
      struct connection *connection = events[index].data.ptr;
      if (connection == NULL) {
        accept_all(listener);
      } else if (!go_on(connection)) {
        close_connection(connection);
      }
    }
  }
}
