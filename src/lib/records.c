#include "lib/records.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/huge.h"
#include "usage/fetch.h"

int64_t records_compare_clocks(struct records *records, uint64_t now_ms)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    records->clocked_ms = now_ms;
    records->ahead_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)now_ms;
    return records->ahead_ms;
}

static const unsigned char no_area[sizeof((struct usage_area *)0)->id];

void records_end(struct records *records)
{
    for (unsigned k = 0; k < records->area.segment_count; k++)
        munmap(records->area.segments[k], usage_segment_size(k));
    records->area.segment_count = 0;
    records->fits = records->whole = false;
}

/* Maps the segments from the first one on that is not mapped; as far as it comes. */
static void map_segments(struct usage_area *area, const struct usage_fetched *fetched)
{
    for (unsigned k = area->segment_count; k < fetched->segments.count; k++) {
        size_t size = usage_segment_size(k);
        void *base = huge_map(fetched->segments.fds[k], size, PROT_READ | PROT_WRITE);
        if (base == MAP_FAILED)
            return;
        /* As with the table: fewer walks of page tables, and no addresses in core dumps. */
        madvise(base, size, MADV_HUGEPAGE);
        madvise(base, size, MADV_DONTDUMP);
        area->segments[k] = base;
        area->segment_count = k + 1;
    }
}

static void fetch(struct records *records, const struct attach *attach, unsigned patience_ms)
{
    struct usage_fetched fetched;

    if (usage_fetch(attach->run_dir, &attach->trust, patience_ms, &fetched, NULL) != 0)
        return;
    if (memcmp(fetched.area, records->area.id, sizeof fetched.area) != 0) {
        records_end(records);
        memcpy(records->area.id, fetched.area, sizeof fetched.area);
    }
    map_segments(&records->area, &fetched);
    usage_fetched_close(&fetched);
}

/* Whether what is mapped is what this table needs. */
static void compare(struct records *records, const struct table_header *header)
{
    bool none = memcmp(header->usage_area, no_area, sizeof no_area) == 0;

    records->fits =
        !none && memcmp(header->usage_area, records->area.id, sizeof records->area.id) == 0;
    records->whole =
        none || (records->fits && records->area.segment_count >= header->usage_segments);
}

const struct usage_area *records_follow(struct records *records, const struct attach *attach,
                                        unsigned patience_ms, bool now)
{
    uint64_t now_ms = attach_clock_ms();

    if (!attach->attached)
        return NULL;
    compare(records, attach->view.header);
    if (!records->whole &&
        (now || records->looked_ms == 0 || now_ms - records->looked_ms >= RECORDS_LOOK_MS)) {
        records->looked_ms = now_ms;
        fetch(records, attach, patience_ms);
        compare(records, attach->view.header);
    }
    records->generation = attach->view.generation;
    return records->fits ? &records->area : NULL;
}
