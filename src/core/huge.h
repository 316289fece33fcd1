/* huge.h - shared mappings that the kernel can back with huge pages. */
#ifndef CORE_HUGE_H
#define CORE_HUGE_H

#include <stddef.h>

/* What one huge page holds. Files of whole ones can be mapped with them. */
#define HUGE_PAGE ((size_t)2 << 20)

/* mmap of the file's first `size` bytes, shared, and where a huge page of the file can be one of
 * the mapping if the size is a multiple of one. MAP_FAILED and errno, as mmap. */
void *huge_map(int fd, size_t size, int protection);

/*
 * Has the kernel hand out every page of such a mapping, for writing, and huge ones where it can. A
 * first page of each, and that made huge: all pages first and huge ones made of them would copy
 * everything, 3 to 8 s for 2 GiB, where this takes 0.3. In small pieces, for a call holds the
 * address space, and with it every other thread that asks for memory. Best effort, and ends where
 * the file system is full: whoever needs the pages asks the file for them (posix_fallocate) behind
 * it, which also tells.
 */
void huge_populate(void *base, size_t size);

#endif
