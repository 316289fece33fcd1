#include "usage/segment.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>

#include "usage/area.h"

/* Without the last the others could not be relied on, or F_SEAL_WRITE be added later. */
#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define SEALS_REFUSED (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

int usage_segment_check(int fd, unsigned k, struct error *error)
{
    struct stat status;
    size_t size = usage_segment_size(k);
    int seals = fcntl(fd, F_GET_SEALS), flags = fcntl(fd, F_GETFL);

    /* Only memory has seals; a file on a tmpfs has F_SEAL_SEAL alone. */
    if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED)
        return error_set(error, CATLATCH_E_DATA,
                         "segment %u is no memfd that is sealed against shrinking and growing", k);
    if ((seals & SEALS_REFUSED) != 0 || flags < 0 || (flags & O_ACCMODE) != O_RDWR)
        return error_set(error, CATLATCH_E_DATA, "segment %u cannot be written", k);
    if (fstat(fd, &status) != 0 || status.st_size < 0 || (size_t)status.st_size != size)
        return error_set(error, CATLATCH_E_DATA, "segment %u is not %zu bytes long", k, size);
    return 0;
}
