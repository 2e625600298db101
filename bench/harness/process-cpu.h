/*
 * The CPU time of another process, all its threads included.
 *
 * The total comes from the process CPU clock, which counts nanoseconds and includes threads that have
 * ended. The kernel splits user and system time by sampling at its timer tick,
 * so only the proportion of the two fields of /proc/<pid>/stat is used.
 */
#ifndef BENCH_PROCESS_CPU_H
#define BENCH_PROCESS_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

struct process_cpu {
  uint64_t total_ns;
  uint64_t user_ticks;
  uint64_t system_ticks;
};

static inline bool process_cpu_read(pid_t pid, struct process_cpu *result) {
  char path[64];
  char line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return false;
  bool has_line = fgets(line, sizeof line, file) != NULL;
  fclose(file);
  if (!has_line) return false;
  /* The name may contain spaces and parentheses, so fields are counted from the last parenthesis. */
  const char *fields = strrchr(line, ')');
  unsigned long long user, system;
  if (fields == NULL || sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                               &user, &system) != 2) {
    return false;
  }
  clockid_t clock;
  struct timespec time;
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return false;
  result->total_ns = (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
  result->user_ticks = user;
  result->system_ticks = system;
  return true;
}

#endif
