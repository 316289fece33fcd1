/*
 * lib_usage.h - a usage area in memory of its own, for tests.
 *
 * Before and behind each segment lies a page that nobody may touch, so that whoever leaves a
 * segment is killed. Memory is taken as it is written to.
 */
#ifndef TESTS_LIB_USAGE_H
#define TESTS_LIB_USAGE_H

#include "usage/area.h"

/* Failing to is a failed cmocka assertion. */
void test_area_open(struct usage_area *area, unsigned segment_count);
void test_area_grow(struct usage_area *area);
void test_area_close(struct usage_area *area);

/* Random bytes everywhere, the padding among them. */
void test_area_scribble(struct usage_area *area, uint64_t *random);

#endif
