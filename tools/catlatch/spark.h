/*
 * spark.h - numbers as a line of bars, one character each: eighths of the largest, and a dot for
 * none. In the blocks of Unicode where the locale is UTF-8, otherwise in ASCII.
 */
#ifndef TOOL_SPARK_H
#define TOOL_SPARK_H

#include <stddef.h>
#include <stdint.h>

/* Characters of a line at most, and what it takes with three bytes each. */
#define SPARK_WIDTH_MAX 64u
#define SPARK_SIZE (3 * SPARK_WIDTH_MAX + 1)

/* How many neighbours are added up for each character so that `count` numbers fit into `width`. */
size_t spark_together(size_t count, size_t width);

/* Draws them in no more characters than `width`; returns what the tallest stands for. */
uint64_t spark_draw(const uint64_t *numbers, size_t count, size_t width, char ret_text[SPARK_SIZE]);

#endif
