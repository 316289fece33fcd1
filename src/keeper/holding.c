#include "keeper/holding.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/notify.h"
#include "usage/segment.h"

/* The first descriptor that a service manager passes. */
#define PASSED_FIRST 3

/* More is none of our sets: the unit allows this many in the store (FileDescriptorStoreMax=). */
#define PASSED_MAX 64

/* "usage.", the area's id in hexadecimal, ".", the segment's number. */
#define NAME_SIZE 64

static void segment_name(const uint8_t area[KEEPER_AREA_BYTES], unsigned k,
                         char ret_name[NAME_SIZE])
{
    char hex[2 * KEEPER_AREA_BYTES + 1];

    for (unsigned i = 0; i < KEEPER_AREA_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", area[i]);
    snprintf(ret_name, NAME_SIZE, "usage.%s.%u", hex, k);
}

/* The reverse. Only a name that segment_name makes is one. */
static bool segment_parse(const char *name, uint8_t ret_area[KEEPER_AREA_BYTES], unsigned *ret_k)
{
    char again[NAME_SIZE];
    int used = 0;

    if (sscanf(name, "usage.%*32[0-9a-f].%2u%n", ret_k, &used) != 1 || name[used] != '\0')
        return false;
    for (unsigned i = 0; i < KEEPER_AREA_BYTES; i++)
        if (sscanf(name + strlen("usage.") + 2 * i, "%2hhx", &ret_area[i]) != 1)
            return false;
    segment_name(ret_area, *ret_k, again);
    return strcmp(name, again) == 0;
}

static bool is_named(const uint8_t area[KEEPER_AREA_BYTES])
{
    static const uint8_t none[KEEPER_AREA_BYTES];

    return memcmp(area, none, sizeof none) != 0;
}

static void store(const struct holding *holding, unsigned k)
{
    char name[NAME_SIZE];

    segment_name(holding->area, k, name);
    int failed = notify_store(name, holding->segments.fds[k]);
    if (failed != 0)
        log_line(LOG_WARNING,
                 "the service manager does not keep segment %u (%s): should this end, the usage "
                 "area is lost",
                 k, strerror(failed));
}

static void forget(const char *name)
{
    int failed = notify_forget(name);

    if (failed != 0)
        log_line(LOG_WARNING, "the service manager does not forget %s: %s", name, strerror(failed));
}

/* Out of the store before the next one goes in: a keeper that starts between the two finds an area
 * that nobody wants any more, or none, and never a mixture. */
static void drop(struct holding *holding)
{
    char name[NAME_SIZE];

    /* From the end: what is left at any moment is whole but for its end. */
    for (unsigned k = holding->segments.count; k > 0; k--) {
        segment_name(holding->area, k - 1, name);
        forget(name);
    }
    passing_close(&holding->segments);
    memset(holding->area, 0, sizeof holding->area);
}

static bool is_same_memory(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* KEEPER_OK: it is to be added. */
static enum keeper_status put_check(const struct holding *holding,
                                    const uint8_t area[KEEPER_AREA_BYTES], uint32_t segment, int fd)
{
    struct error error;
    bool same = memcmp(area, holding->area, sizeof holding->area) == 0;

    if (segment >= USAGE_SEGMENTS_MAX || (segment > 0 && !same) ||
        (same && segment != holding->segments.count))
        return KEEPER_OUT_OF_ORDER;
    if (usage_segment_check(fd, segment, &error) == 0)
        return KEEPER_OK;
    log_line(LOG_WARNING, "refused: %s", error.text);
    return KEEPER_UNFIT;
}

static void put(struct holding *holding, const uint8_t area[KEEPER_AREA_BYTES], int fd)
{
    bool replaces = memcmp(area, holding->area, sizeof holding->area) != 0;

    if (replaces)
        drop(holding);
    memcpy(holding->area, area, sizeof holding->area);
    unsigned k = holding->segments.count++;
    holding->segments.fds[k] = fd;
    log_line(LOG_NOTICE, "%s segment %u", replaces ? "a new area:" : "the area grew:", k);
    store(holding, k);
}

enum keeper_status holding_put(struct holding *holding, const uint8_t area[KEEPER_AREA_BYTES],
                               uint32_t segment, int fd)
{
    enum keeper_status status = KEEPER_UNFIT;

    if (is_named(area)) {
        bool again = memcmp(area, holding->area, sizeof holding->area) == 0 &&
                     segment < holding->segments.count &&
                     is_same_memory(holding->segments.fds[segment], fd);
        status = again ? KEEPER_OK : put_check(holding, area, segment, fd);
        if (status == KEEPER_OK && !again) {
            put(holding, area, fd);
            return KEEPER_OK;
        }
    }
    close(fd);
    return status;
}

/* What was passed at the start, in the manager's order. */
struct passed {
    long count;  /* descriptors from PASSED_FIRST on */
    char *names; /* with a ':' between each two; cut up as it is read */
    const char *names_end;
    unsigned placed; /* bit k: segment k was found */
    const char *wrong;
};

static struct passed passed_read(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    struct passed passed = {.names = getenv("LISTEN_FDNAMES")};

    if (pid != NULL && count != NULL && strtol(pid, NULL, 10) == getpid())
        passed.count = strtol(count, NULL, 10);
    if (passed.count < 0 || passed.count > PASSED_MAX) {
        log_line(LOG_WARNING, "$LISTEN_FDS passes %s descriptors, which are none of ours", count);
        passed.count = 0;
    }
    if (passed.names != NULL)
        passed.names_end = passed.names + strlen(passed.names);
    return passed;
}

/* Segment k of the area that all before it are of. */
static const char *take_one(struct holding *holding, struct passed *passed, const char *name,
                            int fd)
{
    uint8_t area[KEEPER_AREA_BYTES];
    struct error error;
    unsigned k;

    if (!segment_parse(name, area, &k) || k >= USAGE_SEGMENTS_MAX || !is_named(area))
        return "is no segment";
    if (passed->placed != 0 && memcmp(area, holding->area, sizeof area) != 0)
        return "is another area's";
    if ((passed->placed & 1u << k) != 0)
        return "was kept twice";
    if (usage_segment_check(fd, k, &error) != 0)
        return "is unfit";
    memcpy(holding->area, area, sizeof area);
    holding->segments.fds[k] = fd;
    passed->placed |= 1u << k;
    return NULL;
}

/* Looks at all of them, whatever is wrong with one. */
static void take_all(struct holding *holding, struct passed *passed)
{
    char *rest = passed->names;

    for (int i = 0; i < passed->count; i++) {
        const char *name = rest != NULL ? strsep(&rest, ":") : "";
        int fd = PASSED_FIRST + i;
        const char *wrong = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0
                                ? take_one(holding, passed, name, fd)
                                : "is not open";
        if (wrong != NULL && passed->wrong == NULL) {
            passed->wrong = wrong;
            log_line(LOG_WARNING, "what the service manager kept is dropped: \"%.*s\" %s",
                     NAME_SIZE, name, wrong);
        }
    }
    /* Bits without a gap, from the first on. */
    if (passed->wrong == NULL && (passed->placed & (passed->placed + 1)) != 0) {
        passed->wrong = "incomplete";
        log_line(LOG_WARNING, "what the service manager kept is dropped: a segment is missing");
    }
}

/* strsep left the names one behind the other. */
static void drop_all(const struct passed *passed)
{
    const char *name = passed->names;

    for (int i = 0; i < passed->count; i++) {
        close(PASSED_FIRST + i);
        if (name == NULL || name > passed->names_end)
            continue;
        if (name[0] != '\0')
            forget(name);
        name += strlen(name) + 1;
    }
}

void holding_inherit(struct holding *ret_holding)
{
    struct passed passed = passed_read();

    *ret_holding = (struct holding){.segments = {.count = 0}};
    take_all(ret_holding, &passed);
    if (passed.wrong != NULL) {
        drop_all(&passed);
        *ret_holding = (struct holding){.segments = {.count = 0}};
    } else if (passed.count > 0) {
        ret_holding->segments.count = (unsigned)passed.count;
        log_line(LOG_NOTICE, "took back %ld segments that the service manager kept", passed.count);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}
