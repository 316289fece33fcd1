#include "usage/segment.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "usage/area.h"
#include "usage/process.h"

/* Without the last the others could not be relied on, or F_SEAL_WRITE be added later. */
#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define SEALS_REFUSED (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

int usage_memory_check(int fd, size_t size, const char *what, struct error *error)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS), flags = fcntl(fd, F_GETFL);

    /* Only memory has seals; a file on a tmpfs has F_SEAL_SEAL alone. */
    if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED)
        return error_set(error, CATLATCH_E_DATA,
                         "%s is no memfd that is sealed against shrinking and growing", what);
    if ((seals & SEALS_REFUSED) != 0 || flags < 0 || (flags & O_ACCMODE) != O_RDWR)
        return error_set(error, CATLATCH_E_DATA, "%s cannot be written", what);
    if (fstat(fd, &status) != 0 || status.st_size < 0 || (size_t)status.st_size != size)
        return error_set(error, CATLATCH_E_DATA, "%s is not %zu bytes long", what, size);
    return 0;
}

int usage_process_check(int fd, struct error *error)
{
    return usage_memory_check(fd, sizeof(struct process_segment), "the process segment", error);
}

int usage_segment_check(int fd, unsigned k, struct error *error)
{
    char what[32];

    snprintf(what, sizeof what, "segment %u", k);
    return usage_memory_check(fd, usage_segment_size(k), what, error);
}
