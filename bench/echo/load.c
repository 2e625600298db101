/*
 * A single-threaded epoll load client for echo servers. Every connection keeps exactly one request
 * in flight and compares every byte that comes back.
 *
 * Usage:
 *   load --port P --pid SERVER --connections N --size BYTES
 *     Connects all N at once and starts each as soon as it is connected, until every connection
 *     has had its first echo; prints {"acceptedMs":...}. Then it obeys lines on stdin until that
 *     ends: "burst <warm-up seconds> <window seconds>" loads the server, prints one line of JSON,
 *     and leaves the connections open and idle.
 *   load --port P --connections N --size BYTES --hold S
 *     Connects N, a few at a time, echoes once on each, prints "held N" and keeps them open and
 *     idle until stdin ends, or for S seconds at most.
 *
 * The server's CPU time is read here and not by the script that started this, once before a burst
 * and once after the last echo of it. The server is asleep at both moments, so the CPU time is
 * exactly that of the requests of the burst; read from a server that runs, it would be off by a
 * tick of the kernel's timer. Throughput and latency cover the window inside the burst, fairness
 * covers the windows of all bursts so far.
 *
 * Everything is bounded in time, whatever the server does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"
#include "process-cpu.h"

enum { EVENTS_PER_WAIT = 1024, HELD_CONNECTS_AT_ONCE = 64, RECEIVE_BYTES = 256 * 1024 };
static const double CONNECT_LIMIT_SECONDS = 10;
static const double PARK_LIMIT_SECONDS = 5;
static const double COMMAND_LIMIT_SECONDS = 300;
static const long FALL_ASLEEP_NS = 2000000;
static const uint64_t SECOND_NS = 1000000000ull;

struct options {
  uint16_t port;
  pid_t pid;
  uint32_t connections;
  size_t size;
  double hold_seconds;
};

enum phase { CONNECTING, WARMING_UP, MEASURING, PARKING };

struct connection {
  int fd;
  bool is_connected;
  bool has_echoed;
  bool waits_for_writable;
  uint32_t index;
  size_t sent;
  size_t received;
  uint64_t sent_at_ns;
  /* Over the windows of all bursts, since a short one alone has few requests per connection. */
  uint64_t requests_in_windows;
  uint64_t requests_ever;
};

static struct options options;
static struct connection *connections;
/* The request of connection i starts at i * size: its index and number, then a fixed pattern. */
static unsigned char *payloads;
static unsigned char receive_buffer[RECEIVE_BYTES];
static struct histogram latencies;
static enum phase phase = CONNECTING;
static int epoll;
static uint32_t connects_started, first_echoes, parked;
static uint64_t requests_in_burst;

static void fail(const char *what) {
  bool has_errno = errno != 0;
  fprintf(stderr, "load: %s%s%s\n", what, has_errno ? ": " : "", has_errno ? strerror(errno) : "");
  exit(1);
}

static void fail_because(const char *reason) {
  errno = 0;
  fail(reason);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

static uint64_t after_seconds(uint64_t start_ns, double seconds) {
  return start_ns + (uint64_t)(seconds * (double)SECOND_NS);
}

static void watch(struct connection *connection, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(epoll, operation, connection->fd, &event) != 0) fail("epoll_ctl");
}

static void start_connect(struct connection *connection) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  int one = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) fail("TCP_NODELAY");
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(options.port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
    fail("connect");
  }
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
  requests_in_burst++;
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
    connection->requests_in_windows++;
  }
  send_request(connection, now);
}

/* Handles what is ready, and waits at most until the deadline for something to be. */
static void turn(uint64_t deadline_ns) {
  static struct epoll_event events[EVENTS_PER_WAIT];
  uint64_t now = now_ns();
  int timeout_ms = deadline_ns > now ? (int)((deadline_ns - now) / 1000000) + 1 : 0;
  int count = epoll_wait(epoll, events, EVENTS_PER_WAIT, timeout_ms);
  if (count < 0 && errno != EINTR) fail("epoll_wait");
  for (int index = 0; index < count; index++) {
    struct connection *connection = events[index].data.ptr;
    if (events[index].events & EPOLLOUT) on_writable(connection);
    if (events[index].events & ~(uint32_t)EPOLLOUT) on_readable(connection);
  }
}

static void run_until(uint64_t deadline_ns) {
  while (now_ns() < deadline_ns) turn(deadline_ns);
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

/* Jain's index: one if all connections had the same, 1 / N if one of N had everything. */
static double fairness(void) {
  double sum = 0, sum_of_squares = 0;
  for (uint32_t index = 0; index < options.connections; index++) {
    double requests = (double)connections[index].requests_in_windows;
    sum += requests;
    sum_of_squares += requests * requests;
  }
  return sum == 0 ? 0 : sum * sum / ((double)options.connections * sum_of_squares);
}

/* Lets the last request of every connection come back, sends no more, and returns when that was. */
static uint64_t park_all(void) {
  phase = PARKING;
  parked = 0;
  uint64_t deadline = after_seconds(now_ns(), PARK_LIMIT_SECONDS);
  while (parked < options.connections) {
    if (now_ns() >= deadline) fail_because("the server left requests without an answer");
    turn(deadline);
  }
  uint64_t parked_at = now_ns();
  nanosleep(&(struct timespec){.tv_nsec = FALL_ASLEEP_NS}, NULL);
  return parked_at;
}

static void read_cpu(struct process_cpu *server, struct process_cpu *own) {
  if (!process_cpu_read(options.pid, server)) fail("the server's CPU time");
  if (!process_cpu_read(getpid(), own)) fail("own CPU time");
}

static void burst(double warmup_seconds, double window_seconds) {
  struct process_cpu server_before, server_after, own_before, own_after;
  histogram_clear(&latencies);
  requests_in_burst = 0;
  read_cpu(&server_before, &own_before);
  phase = WARMING_UP;
  uint64_t burst_start = now_ns();
  for (uint32_t index = 0; index < options.connections; index++) {
    send_request(&connections[index], now_ns());
  }
  run_until(after_seconds(burst_start, warmup_seconds));
  phase = MEASURING;
  uint64_t window_start = now_ns();
  run_until(after_seconds(window_start, window_seconds));
  uint64_t window_end = now_ns();
  uint64_t burst_end = park_all();
  read_cpu(&server_after, &own_after);

  if (latencies.total == 0) fail_because("no request was answered in the window");
  printf("{\"requests\":%llu,\"seconds\":%.6f,\"fairness\":%.6f,",
         (unsigned long long)latencies.total,
         (double)(window_end - window_start) / (double)SECOND_NS, fairness());
  printf("\"p50Us\":%.3f,\"p99Us\":%.3f,\"p999Us\":%.3f,\"maximumUs\":%.3f,",
         histogram_percentile_ns(&latencies, 0.5) / 1e3,
         histogram_percentile_ns(&latencies, 0.99) / 1e3,
         histogram_percentile_ns(&latencies, 0.999) / 1e3, (double)latencies.maximum_ns / 1e3);
  printf("\"burstRequests\":%llu,\"burstSeconds\":%.6f,", (unsigned long long)requests_in_burst,
         (double)(burst_end - burst_start) / (double)SECOND_NS);
  printf("\"serverCpuSeconds\":%.9f,\"serverUserTicks\":%llu,\"serverSystemTicks\":%llu,",
         (double)(server_after.total_ns - server_before.total_ns) / (double)SECOND_NS,
         (unsigned long long)(server_after.user_ticks - server_before.user_ticks),
         (unsigned long long)(server_after.system_ticks - server_before.system_ticks));
  printf("\"loadCpuSeconds\":%.9f}\n",
         (double)(own_after.total_ns - own_before.total_ns) / (double)SECOND_NS);
  if (fflush(stdout) != 0) fail("stdout");
}

static void measure(void) {
  uint64_t accepted_ns = connect_all(options.connections);
  park_all();
  printf("{\"acceptedMs\":%.3f}\n", (double)accepted_ns / 1e6);
  if (fflush(stdout) != 0) fail("stdout");
  for (;;) {
    struct pollfd commands = {.fd = STDIN_FILENO, .events = POLLIN};
    alarm((unsigned)COMMAND_LIMIT_SECONDS);
    char line[128];
    if (poll(&commands, 1, -1) != 1) fail("poll");
    if (fgets(line, sizeof line, stdin) == NULL) return;
    double warmup_seconds, window_seconds;
    if (sscanf(line, "burst %lf %lf", &warmup_seconds, &window_seconds) != 2) {
      fail_because("an unknown command");
    }
    /* The last resort, should a burst ever be stuck in a system call. */
    alarm((unsigned)(warmup_seconds + window_seconds + PARK_LIMIT_SECONDS) + 5);
    burst(warmup_seconds, window_seconds);
  }
}

static void hold(void) {
  connect_all(HELD_CONNECTS_AT_ONCE);
  printf("held %u\n", options.connections);
  if (fflush(stdout) != 0) fail("stdout");
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) fail("epoll_ctl stdin");
  uint64_t deadline = after_seconds(now_ns(), options.hold_seconds);
  for (;;) {
    uint64_t now = now_ns();
    if (now >= deadline) fail_because("held longer than --hold allows");
    if (epoll_wait(epoll, &event, 1, (int)((deadline - now) / 1000000) + 1) <= 0) continue;
    if (event.data.ptr != NULL) fail_because("the server did not leave an idle connection alone");
    if (read(STDIN_FILENO, receive_buffer, sizeof receive_buffer) == 0) return;
  }
}

static double number(const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end != '\0' || value < 0) {
    fprintf(stderr, "load: not a number: %s\n", text);
    exit(2);
  }
  return value;
}

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
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");

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
    hold();
  } else {
    measure();
  }
  return 0;
}
