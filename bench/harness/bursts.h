/*
 * Bursts of load on command. A load client prints {"acceptedMs":...} when its connections are established.
 * Then it obeys lines on stdin until stdin ends. "burst <warm-up seconds> <window seconds>" loads the
 * server, prints one line of JSON, and leaves the connections open and idle.
 *
 * The client reads the server's CPU time itself, before a burst and after the last answer of the burst.
 * The server is asleep at both moments, so the CPU time is exactly that of the burst. Read while the
 * server runs, it would be off by a tick of the kernel's timer. Throughput and latency cover the window inside the burst, fairness covers the
 * windows of all bursts so far.
 *
 * Everything has a time limit, so a server that hangs does not stop the client.
 */
#ifndef BENCH_BURSTS_H
#define BENCH_BURSTS_H

#include <poll.h>
#include <unistd.h>

#include "client.h"
#include "histogram.h"
#include "process-cpu.h"

static const double PARK_LIMIT_SECONDS = 5;
static const double COMMAND_LIMIT_SECONDS = 300;
static const long FALL_ASLEEP_NS = 2000000;

enum phase { CONNECTING, WARMING_UP, MEASURING, PARKING };

static enum phase phase = CONNECTING;
/* Latencies of the answers in the window. */
static struct histogram latencies;
/* Work in the window, and in the whole burst: requests, bytes or handshakes. */
static uint64_t work_in_window, work_in_burst;

/* The client that includes this file defines these. */

/* Gives every connection work. In PARKING none gets more. */
static void start_all(void);
/* Handles what is ready. Waits for that until the deadline at most. */
static void turn(uint64_t deadline_ns);
static bool is_parked(void);
/* The work of a connection in the windows of all bursts. */
static uint64_t work_of(uint32_t index);
/* The amount of work in one unit of the output, such as a request or a MiB. */
static double work_per_unit(void);

/* Jain's index: 1 if all connections did the same work, 1 / N if one of N did all of it. */
static double fairness(uint32_t connections) {
  double sum = 0, sum_of_squares = 0;
  for (uint32_t index = 0; index < connections; index++) {
    double work = (double)work_of(index);
    sum += work;
    sum_of_squares += work * work;
  }
  return sum == 0 ? 0 : sum * sum / ((double)connections * sum_of_squares);
}

static void run_until(uint64_t deadline_ns) {
  while (now_ns() < deadline_ns) turn(deadline_ns);
}

/* Waits for the last answer, and returns its time. */
static uint64_t park_all(void) {
  phase = PARKING;
  uint64_t deadline = after_seconds(now_ns(), PARK_LIMIT_SECONDS);
  while (!is_parked()) {
    if (now_ns() >= deadline) fail_because("the server left requests without an answer");
    turn(deadline);
  }
  uint64_t parked_at = now_ns();
  nanosleep(&(struct timespec){.tv_nsec = FALL_ASLEEP_NS}, NULL);
  return parked_at;
}

static void read_cpu(pid_t pid, struct process_cpu *server, struct process_cpu *own) {
  if (!process_cpu_read(pid, server)) fail("the server's CPU time");
  if (!process_cpu_read(getpid(), own)) fail("own CPU time");
}

static void burst(pid_t pid, uint32_t connections, double warmup_seconds, double window_seconds) {
  struct process_cpu server_before, server_after, own_before, own_after;
  histogram_clear(&latencies);
  work_in_window = work_in_burst = 0;
  read_cpu(pid, &server_before, &own_before);
  phase = WARMING_UP;
  uint64_t burst_start = now_ns();
  start_all();
  run_until(after_seconds(burst_start, warmup_seconds));
  phase = MEASURING;
  uint64_t window_start = now_ns();
  run_until(after_seconds(window_start, window_seconds));
  uint64_t window_end = now_ns();
  uint64_t burst_end = park_all();
  read_cpu(pid, &server_after, &own_after);

  if (work_in_window == 0) fail_because("no request was answered in the window");
  printf("{\"requests\":%.6f,\"seconds\":%.6f,\"fairness\":%.6f,",
         (double)work_in_window / work_per_unit(),
         (double)(window_end - window_start) / (double)SECOND_NS, fairness(connections));
  printf("\"p50Us\":%.3f,\"p99Us\":%.3f,\"p999Us\":%.3f,\"maximumUs\":%.3f,",
         histogram_percentile_ns(&latencies, 0.5) / 1e3,
         histogram_percentile_ns(&latencies, 0.99) / 1e3,
         histogram_percentile_ns(&latencies, 0.999) / 1e3, (double)latencies.maximum_ns / 1e3);
  printf("\"burstRequests\":%.6f,\"burstSeconds\":%.6f,", (double)work_in_burst / work_per_unit(),
         (double)(burst_end - burst_start) / (double)SECOND_NS);
  printf("\"serverCpuSeconds\":%.9f,\"serverUserTicks\":%llu,\"serverSystemTicks\":%llu,",
         (double)(server_after.total_ns - server_before.total_ns) / (double)SECOND_NS,
         (unsigned long long)(server_after.user_ticks - server_before.user_ticks),
         (unsigned long long)(server_after.system_ticks - server_before.system_ticks));
  printf("\"loadCpuSeconds\":%.9f}\n",
         (double)(own_after.total_ns - own_before.total_ns) / (double)SECOND_NS);
  if (fflush(stdout) != 0) fail("stdout");
}

/* Obeys commands until stdin ends. `pid` is the server's. */
static void obey(pid_t pid, uint32_t connections, uint64_t accepted_ns) {
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
    /* The last resort, in case a burst hangs in a system call. */
    alarm((unsigned)(warmup_seconds + window_seconds + PARK_LIMIT_SECONDS) + 5);
    burst(pid, connections, warmup_seconds, window_seconds);
  }
}

/* Reports that the connections are established, and keeps them idle until stdin ends. */
static void keep_idle(int epoll, uint32_t connections, double seconds) {
  printf("held %u\n", connections);
  if (fflush(stdout) != 0) fail("stdout");
  struct pollfd events[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = epoll, .events = POLLIN}};
  uint64_t deadline = after_seconds(now_ns(), seconds);
  if (poll(events, 2, milliseconds_until(deadline)) < 0) fail("poll");
  if (events[1].revents != 0) fail_because("the server did not leave an idle connection alone");
  if (events[0].revents == 0) fail_because("held longer than --hold allows");
}

#endif
