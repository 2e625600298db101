/*
 * A log-linear histogram of nanoseconds. Every power of two has 256 equal buckets. So a percentile is off
 * by at most 0.4 %, and recording a value is a shift and an increment.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <string.h>

enum { HISTOGRAM_BITS = 8, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

struct histogram {
  uint64_t total;
  uint64_t maximum_ns;
  uint32_t counts[HISTOGRAM_BUCKETS];
};

static inline void histogram_clear(struct histogram *histogram) {
  memset(histogram, 0, sizeof *histogram);
}

static inline uint32_t histogram_bucket(uint64_t value_ns) {
  if (value_ns < (1u << HISTOGRAM_BITS)) return (uint32_t)value_ns;
  /* After the shift the value has HISTOGRAM_BITS + 1 bits; its top bit is part of the row. */
  uint32_t shift = 63u - (uint32_t)__builtin_clzll(value_ns) - HISTOGRAM_BITS;
  return (shift << HISTOGRAM_BITS) + (uint32_t)(value_ns >> shift);
}

static inline void histogram_record(struct histogram *histogram, uint64_t value_ns) {
  histogram->total++;
  if (value_ns > histogram->maximum_ns) histogram->maximum_ns = value_ns;
  histogram->counts[histogram_bucket(value_ns)]++;
}

/* Returns the middle of the bucket that holds the given fraction of the values. */
static inline double histogram_percentile_ns(const struct histogram *histogram, double fraction) {
  uint64_t wanted = (uint64_t)(fraction * (double)histogram->total);
  if (wanted >= histogram->total) return (double)histogram->maximum_ns;
  uint64_t seen = 0;
  for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    seen += histogram->counts[bucket];
    if (seen <= wanted) continue;
    if (bucket < (1u << HISTOGRAM_BITS)) return (double)bucket;
    uint32_t shift = (bucket >> HISTOGRAM_BITS) - 1;
    uint64_t low = (uint64_t)(bucket - (shift << HISTOGRAM_BITS)) << shift;
    return (double)low + (double)(1ull << shift) / 2.0;
  }
  return (double)histogram->maximum_ns;
}

#endif
