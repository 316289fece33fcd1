/*
 * delivery.h - where new keys go: one on standard output, or any number to a new file, 0600, one
 * JSON object a line. What was delivered has reached the disk, or the other end of the pipe.
 */
#ifndef TOOL_DELIVERY_H
#define TOOL_DELIVERY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct delivery {
    const char *path; /* NULL: standard output */
    int fd;
    int folder_fd;
    bool used; /* something was written to the file */
};

/* Makes the file, which must not exist, and keeps room for `count` keys, so that a full disk shows
 * before any key was made. path NULL: standard output. Returns 0, E_FULL, E_PERMISSION or E_IO. */
int delivery_open(const char *path, size_t count, struct delivery *ret_delivery,
                  struct error *error);

/* Writes the keys (maps with `key`, of a rotation's receipt) to the file and waits for the disk.
 * Returns 0, or E_FULL or E_IO: then some of them may have been written. */
int delivery_write(struct delivery *delivery, const json_t *keys, struct error *error);

/* For standard output: flushes what was printed there. Returns 0, E_FULL or E_IO. */
int delivery_flush(struct error *error);

/* Closes; a file that was not used is removed again. */
void delivery_close(struct delivery *delivery);

#endif
