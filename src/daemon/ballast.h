/*
 * ballast.h - a file of reserved room that is given back when the disk is full.
 *
 * Recovery writes before anything else can be done, so a full disk would keep the daemon from
 * starting and a leaked key from being revoked. The file `ballast` holds the room for that.
 */
#ifndef DAEMON_BALLAST_H
#define DAEMON_BALLAST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

/* Brings the folder's ballast to size_bytes, really allocated. Where as much again would not stay
 * free it leaves things as they are and returns 0: a disk that is nearly full needs what is left.
 * Returns 0, or E_IO or E_PERMISSION for failures other than that of room. */
int ballast_lay(int directory_fd, uint64_t size_bytes, struct error *error);

bool ballast_is_there(int directory_fd);

/* Its size; 0: it is not there. */
uint64_t ballast_bytes(int directory_fd);

/* Gives its room back. True if there was one. */
bool ballast_release(int directory_fd);

/* Whether it was released, by whatever process, and not laid again since. */
bool ballast_was_released(int directory_fd);

/* Bytes that the file system of the folder has free for us; UINT64_MAX where it cannot tell. */
uint64_t ballast_free_bytes(int directory_fd);

#endif
