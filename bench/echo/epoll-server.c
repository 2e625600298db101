/*
 * The yardstick: a single-threaded, level-triggered epoll echo server.
 *
 * In the common case a request costs one recv and one send. After a short write it keeps the rest with
 * the connection, and stops reading from it until the rest is sent. So memory stays bounded when a
 * client does not read.
 *
 * Usage: epoll-server        Prints "PORT <n>" and runs until it is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../harness/server.h"

enum { EVENTS_PER_WAIT = 1024, RECEIVE_BYTES = 64 * 1024 };

struct connection {
  int fd;
  /* The part of the last request that the kernel did not take, null in the common case. */
  char *unsent;
  size_t unsent_offset;
  size_t unsent_length;
};

static char receive_buffer[RECEIVE_BYTES];

static void close_connection(struct connection *connection) {
  /* Closing the descriptor also removes it from the epoll set. */
  close(connection->fd);
  free(connection->unsent);
  free(connection);
}

static void watch(int epoll, struct connection *connection, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0) fail("epoll_ctl mod");
}

/* Accepts all pending connections, so that a burst of them costs one wake-up. */
static void accept_all(int epoll, int listener) {
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
    if (connection == NULL) fail("calloc");
    connection->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl add");
  }
}

static void on_readable(int epoll, struct connection *connection) {
  ssize_t received = recv(connection->fd, receive_buffer, sizeof receive_buffer, 0);
  if (received <= 0) {
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    close_connection(connection);
    return;
  }
  ssize_t sent = send(connection->fd, receive_buffer, (size_t)received, MSG_NOSIGNAL);
  if (sent == received) return;
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) {
      close_connection(connection);
      return;
    }
    sent = 0;
  }
  size_t length = (size_t)(received - sent);
  connection->unsent = malloc(length);
  if (connection->unsent == NULL) fail("malloc");
  memcpy(connection->unsent, receive_buffer + sent, length);
  connection->unsent_offset = 0;
  connection->unsent_length = length;
  watch(epoll, connection, EPOLLOUT);
}

static void on_writable(int epoll, struct connection *connection) {
  ssize_t sent = send(connection->fd, connection->unsent + connection->unsent_offset,
                      connection->unsent_length - connection->unsent_offset, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    close_connection(connection);
    return;
  }
  connection->unsent_offset += (size_t)sent;
  if (connection->unsent_offset < connection->unsent_length) return;
  free(connection->unsent);
  connection->unsent = NULL;
  watch(epoll, connection, EPOLLIN);
}

int main(void) {
  raise_descriptor_limit();
  int epoll = epoll_create1(EPOLL_CLOEXEC);
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
        accept_all(epoll, listener);
      } else if (connection->unsent != NULL) {
        on_writable(epoll, connection);
      } else {
        on_readable(epoll, connection);
      }
    }
  }
}
