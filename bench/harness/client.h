/* What the load clients share: the clock, failing, connecting, and numbers of the command line. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

static const uint64_t SECOND_NS = 1000000000ull;

static inline _Noreturn void fail(const char *what) {
  bool has_errno = errno != 0;
  fprintf(stderr, "load: %s%s%s\n", what, has_errno ? ": " : "", has_errno ? strerror(errno) : "");
  exit(1);
}

static inline _Noreturn void fail_because(const char *reason) {
  errno = 0;
  fail(reason);
}

static inline uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

static inline uint64_t after_seconds(uint64_t start_ns, double seconds) {
  return start_ns + (uint64_t)(seconds * (double)SECOND_NS);
}

/* Milliseconds until that point, rounded up, for epoll_wait. */
static inline int milliseconds_until(uint64_t deadline_ns) {
  uint64_t now = now_ns();
  return deadline_ns > now ? (int)((deadline_ns - now) / 1000000) + 1 : 0;
}

static inline void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
}

/* Returns a socket that is connecting to a port of the loopback interface. */
static inline int start_connecting(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  int one = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) fail("TCP_NODELAY");
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
    fail("connect");
  }
  return fd;
}

static inline double number(const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end != '\0' || value < 0) {
    fprintf(stderr, "load: not a number: %s\n", text);
    exit(2);
  }
  return value;
}

#endif
