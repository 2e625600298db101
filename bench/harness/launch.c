/*
 * Usage: launch <core | any> <program> [arguments...]
 *
 * Replaces itself by the program, on one core if one is given. The kernel kills the program when the
 * process that started it ends, so a benchmark that is killed leaves no server behind. The pid stays the
 * same, so the starter can measure and kill it.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argument_count, char **arguments) {
  if (argument_count < 3) {
    fprintf(stderr, "usage: launch <core | any> <program> [arguments...]\n");
    return 2;
  }
  if (strcmp(arguments[1], "any") != 0) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((size_t)atoi(arguments[1]), &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
      perror("sched_setaffinity");
      return 1;
    }
  }
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    perror("prctl");
    return 1;
  }
  execvp(arguments[2], arguments + 2);
  perror(arguments[2]);
  return 127;
}
