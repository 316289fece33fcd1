/*
 * use_keys RUN_DIR KEYS EVERY: notes a use of every so-manieth of the first KEYS records of the
 * usage area, as workers do that verify these keys; prints how many. Runs as the daemon's user.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <time.h>

#include "core/huge.h"
#include "usage/fetch.h"
#include "usage/record.h"

static void map_area(const char *run_dir, struct usage_area *area)
{
    struct trust trust = trust_self();
    struct usage_fetched fetched;
    struct error error;

    if (usage_fetch(run_dir, &trust, 1000, &fetched, &error) != 0)
        errx(EX_UNAVAILABLE, "%s", error.text);
    *area = (struct usage_area){.segment_count = fetched.segments.count};
    for (unsigned k = 0; k < area->segment_count; k++) {
        void *base =
            huge_map(fetched.segments.fds[k], usage_segment_size(k), PROT_READ | PROT_WRITE);
        if (base == MAP_FAILED)
            err(EX_OSERR, "segment %u of the usage area", k);
        area->segments[k] = base;
    }
    usage_fetched_close(&fetched);
}

int main(int argc, char **argv)
{
    static struct usage_area area;
    int64_t now_unix_s = time(NULL);

    if (argc != 4)
        errx(EX_USAGE, "usage: use_keys RUN_DIR KEYS EVERY");
    unsigned long keys = strtoul(argv[2], NULL, 10), every = strtoul(argv[3], NULL, 10);
    if (keys == 0 || keys > UINT32_MAX || every == 0)
        errx(EX_USAGE, "KEYS and EVERY are numbers above 0");
    map_area(argv[1], &area);
    for (unsigned long ref = every; ref <= keys; ref += every)
        usage_note_use(&area, (uint32_t)ref, now_unix_s, NULL);
    printf("%lu\n", keys / every);
    return 0;
}
