/*
 * A single-threaded epoll load client for echo servers. Every connection keeps exactly one request
 * in flight and compares every byte that comes back.
 *
 * Usage:
 *   load --port P --pid SERVER --connections N --size BYTES
 *     Connects all N at once and starts each as soon as it is connected, until every connection
 *     has had its first echo. Then it obeys commands on stdin (bursts.h).
 *   load --port P --connections N --size BYTES --hold S
 *     Connects N, a few at a time, echoes once on each, prints "held N" and keeps them open and
 *     idle until stdin ends, or for S seconds at most.
 *
 * Everything has a time limit, so a server that hangs does not stop the client.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../harness/bursts.h"

enum { EVENTS_PER_WAIT = 1024, HELD_CONNECTS_AT_ONCE = 64, RECEIVE_BYTES = 256 * 1024 };
static const double CONNECT_LIMIT_SECONDS = 10;

struct options {
  uint16_t port;
  pid_t pid;
  uint32_t connections;
  size_t size;
  double hold_seconds;
};

struct connection {
  int fd;
  bool is_connected;
  bool has_echoed;
  bool waits_for_writable;
  uint32_t index;
  size_t sent;
  size_t received;
  uint64_t sent_at_ns;
  /* Over the windows of all bursts, since one short burst has few requests per connection. */
  uint64_t requests_in_windows;
  uint64_t requests_ever;
};

static struct options options;
static struct connection *connections;
/* The request of connection i starts at i * size: its index and number, then a fixed pattern. */
static unsigned char *payloads;
static unsigned char receive_buffer[RECEIVE_BYTES];
static int epoll;
static uint32_t connects_started, first_echoes, parked;

static void watch(struct connection *connection, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(epoll, operation, connection->fd, &event) != 0) fail("epoll_ctl");
}

static void start_connect(struct connection *connection) {
  int fd = start_connecting(options.port);
  connection->fd = fd;
  connection->waits_for_writable = true;
  watch(connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
  connects_started++;
}

static void send_rest(struct connection *connection) {
  unsigned char *payload = payloads + (size_t)connection->index * options.size;
  ssize_t sent = send(connection->fd, payload + connection->sent, options.size - connection->sent,
                      MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) fail("send");
    sent = 0;
  }
  connection->sent += (size_t)sent;
  bool has_rest = connection->sent < options.size;
  if (has_rest == connection->waits_for_writable) return;
  connection->waits_for_writable = has_rest;
  watch(connection, EPOLL_CTL_MOD, has_rest ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_request(struct connection *connection, uint64_t now) {
  unsigned char *payload = payloads + (size_t)connection->index * options.size;
  uint32_t stamp[2] = {connection->index, (uint32_t)connection->requests_ever};
  memcpy(payload, stamp, options.size < sizeof stamp ? options.size : sizeof stamp);
  connection->sent = 0;
  connection->received = 0;
  connection->sent_at_ns = now;
  send_rest(connection);
}

static void on_writable(struct connection *connection) {
  if (connection->is_connected) {
    send_rest(connection);
    return;
  }
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) fail("getsockopt");
  if (error != 0) {
    errno = error;
    fail("connect");
  }
  connection->is_connected = true;
  send_request(connection, now_ns());
}

static void on_readable(struct connection *connection) {
  ssize_t received = recv(connection->fd, receive_buffer, sizeof receive_buffer, 0);
  if (received < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    fail("recv");
  }
  if (received == 0) fail_because("the server closed a connection");
  unsigned char *payload = payloads + (size_t)connection->index * options.size;
  if ((size_t)received > connection->sent - connection->received ||
      memcmp(receive_buffer, payload + connection->received, (size_t)received) != 0) {
    fail_because("the server did not echo what it was sent");
  }
  connection->received += (size_t)received;
  if (connection->received < options.size) return;

  uint64_t now = now_ns();
  connection->requests_ever++;
  work_in_burst++;
  if (!connection->has_echoed) {
    connection->has_echoed = true;
    first_echoes++;
    if (options.hold_seconds > 0) return;
  }
  if (phase == PARKING) {
    parked++;
    return;
  }
  if (phase == MEASURING) {
    histogram_record(&latencies, now - connection->sent_at_ns);
    work_in_window++;
    connection->requests_in_windows++;
  }
  send_request(connection, now);
}

static void turn(uint64_t deadline_ns) {
  static struct epoll_event events[EVENTS_PER_WAIT];
  int count = epoll_wait(epoll, events, EVENTS_PER_WAIT, milliseconds_until(deadline_ns));
  if (count < 0 && errno != EINTR) fail("epoll_wait");
  for (int index = 0; index < count; index++) {
    struct connection *connection = events[index].data.ptr;
    if (events[index].events & EPOLLOUT) on_writable(connection);
    if (events[index].events & ~(uint32_t)EPOLLOUT) on_readable(connection);
  }
}

/* Returns the time from the first connect to the first echo on the last connection. */
static uint64_t connect_all(uint32_t at_once) {
  uint64_t start = now_ns();
  uint64_t deadline = after_seconds(start, CONNECT_LIMIT_SECONDS);
  while (first_echoes < options.connections) {
    while (connects_started < options.connections && connects_started - first_echoes < at_once) {
      start_connect(&connections[connects_started]);
    }
    turn(deadline);
    if (now_ns() >= deadline) {
      fprintf(stderr, "load: only %u of %u connections had an echo in %g s\n", first_echoes,
              options.connections, CONNECT_LIMIT_SECONDS);
      exit(1);
    }
  }
  return now_ns() - start;
}

static uint64_t work_of(uint32_t index) { return connections[index].requests_in_windows; }

static double work_per_unit(void) { return 1; }

static void start_all(void) {
  parked = 0;
  for (uint32_t index = 0; index < options.connections; index++) {
    send_request(&connections[index], now_ns());
  }
}

static bool is_parked(void) { return parked == options.connections; }

static void parse_options(int argument_count, char **arguments) {
  static const struct option names[] = {{"port", required_argument, NULL, 'p'},
                                        {"pid", required_argument, NULL, 'i'},
                                        {"connections", required_argument, NULL, 'c'},
                                        {"size", required_argument, NULL, 'b'},
                                        {"hold", required_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};
  options = (struct options){.connections = 1, .size = 64};
  int name;
  while ((name = getopt_long(argument_count, arguments, "", names, NULL)) != -1) {
    if (name == '?') exit(2);
    double value = number(optarg);
    if (name == 'p') options.port = (uint16_t)value;
    if (name == 'i') options.pid = (pid_t)value;
    if (name == 'c') options.connections = (uint32_t)value;
    if (name == 'b') options.size = (size_t)value;
    if (name == 'h') options.hold_seconds = value;
  }
  if (options.port == 0 || options.connections == 0 || options.size == 0 ||
      (options.pid > 0) == (options.hold_seconds > 0)) {
    fprintf(stderr, "load: needs --port, and either --pid or --hold\n");
    exit(2);
  }
}

int main(int argument_count, char **arguments) {
  parse_options(argument_count, arguments);
  alarm((unsigned)(CONNECT_LIMIT_SECONDS + PARK_LIMIT_SECONDS + options.hold_seconds) + 5);
  raise_descriptor_limit();

  connections = calloc(options.connections, sizeof *connections);
  payloads = malloc((size_t)options.connections * options.size);
  if (connections == NULL || payloads == NULL) fail("memory");
  for (uint32_t index = 0; index < options.connections; index++) {
    connections[index].index = index;
    for (size_t byte = 0; byte < options.size; byte++) {
      payloads[(size_t)index * options.size + byte] = (unsigned char)(byte * 31 + index);
    }
  }
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  if (options.hold_seconds > 0) {
    connect_all(HELD_CONNECTS_AT_ONCE);
    keep_idle(epoll, options.connections, options.hold_seconds);
  } else {
    obey(options.pid, options.connections, connect_all(options.connections));
  }
  return 0;
}
