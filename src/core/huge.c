#include "core/huge.h"

#include <stdint.h>
#include <sys/mman.h>

/* Newer than Debian 12's headers or its C library's. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define SMALL_PAGE 4096u

/* Room for one more is taken, and what lies before and behind is given back. */
void *huge_map(int fd, size_t size, int protection)
{
    if (size % HUGE_PAGE != 0)
        return mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    char *room =
        mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return MAP_FAILED;
    size_t before = -(uintptr_t)room % HUGE_PAGE;
    void *base = mmap(room + before, size, protection, MAP_SHARED | MAP_FIXED, fd, 0);
    if (base == MAP_FAILED) {
        munmap(room, size + HUGE_PAGE);
        return MAP_FAILED;
    }
    if (before > 0)
        munmap(room, before);
    munmap(room + before + size, HUGE_PAGE - before);
    return base;
}

void huge_populate(void *base, size_t size)
{
    unsigned char *bytes = base;

    madvise(base, size, MADV_HUGEPAGE);
    for (size_t at = 0; at < size; at += HUGE_PAGE) {
        size_t len = size - at < HUGE_PAGE ? size - at : HUGE_PAGE;
        if (len == HUGE_PAGE && madvise(bytes + at, SMALL_PAGE, MADV_POPULATE_WRITE) == 0)
            madvise(bytes + at, len, MADV_COLLAPSE);
        if (madvise(bytes + at, len, MADV_POPULATE_WRITE) != 0)
            return; /* full (EFAULT), or a kernel before 5.14 (EINVAL) */
    }
}
