#include "keeper/holding.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/notify.h"
#include "usage/segment.h"

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

/* Segment k of the area that all before it are of; bit k of *placed: it was found. */
static const char *take_one(struct holding *holding, unsigned *placed, const char *name, int fd)
{
    uint8_t area[KEEPER_AREA_BYTES];
    struct error error;
    unsigned k;

    if (fd < 0)
        return "is not open";
    if (!segment_parse(name, area, &k) || k >= USAGE_SEGMENTS_MAX || !is_named(area))
        return "is no segment";
    if (*placed != 0 && memcmp(area, holding->area, sizeof area) != 0)
        return "is another area's";
    if ((*placed & 1u << k) != 0)
        return "was kept twice";
    if (usage_segment_check(fd, k, &error) != 0)
        return "is unfit";
    memcpy(holding->area, area, sizeof area);
    holding->segments.fds[k] = fd;
    *placed |= 1u << k;
    return NULL;
}

/* Looks at all of them, whatever is wrong with one; returns whether something was. */
static bool take_all(struct holding *holding, const struct passed *passed)
{
    unsigned placed = 0;
    bool wrong = false;

    for (unsigned i = 0; i < passed->count; i++) {
        const char *name = passed->list[i].name;
        const char *why = take_one(holding, &placed, name, passed->list[i].fd);
        if (why != NULL && !wrong)
            log_line(LOG_WARNING, "what the service manager kept is dropped: \"%.*s\" %s",
                     NAME_SIZE, name, why);
        wrong = wrong || why != NULL;
    }
    /* Bits without a gap, from the first on. */
    if (wrong || (placed & (placed + 1)) == 0)
        return wrong;
    log_line(LOG_WARNING, "what the service manager kept is dropped: a segment is missing");
    return true;
}

void holding_inherit(struct holding *ret_holding, struct passed *passed)
{
    *ret_holding = (struct holding){.segments = {.count = 0}};
    if (take_all(ret_holding, passed)) {
        for (unsigned i = 0; i < passed->count; i++)
            passed_drop(passed, i);
        *ret_holding = (struct holding){.segments = {.count = 0}};
    } else if (passed->count > 0) {
        ret_holding->segments.count = passed->count;
        log_line(LOG_NOTICE, "took back %u segments that the service manager kept", passed->count);
    }
}
