#include "usage.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/digest.h"
#include "core/huge.h"
#include "core/prefetch.h"
#include "rivals.h"
#include "statistics.h"
#include "usage/limit.h"
#include "usage/record.h"
#include "usage/sweep.h"

#define NOTES_PER_ROUND 1000000u
#define AHEAD 16u /* as a batch has it */
#define NOW INT64_C(1790000000)
#define SLICE 4096u

static const struct address from = {{[10] = 0xff, [11] = 0xff, 203, 0, 113, 9}};

/* The segments as the host has them: memory that has a file, of huge pages where there are any. */
static void open_area(struct usage_area *area, size_t key_count)
{
    int count = usage_segments_for(key_count);
    if (count < 0)
        errx(EX_USAGE, "no usage area holds %zu keys", key_count);
    *area = (struct usage_area){.segment_count = (unsigned)count};
    for (unsigned k = 0; k < area->segment_count; k++) {
        size_t size = usage_segment_size(k);
        int fd = memfd_create("usage", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
            err(EX_OSERR, "a segment of %zu bytes", size);
        void *segment = huge_map(fd, size, PROT_READ | PROT_WRITE);
        if (segment == MAP_FAILED)
            err(EX_OSERR, "a segment of %zu bytes", size);
        huge_populate(segment, size);
        area->segments[k] = segment;
        close(fd);
    }
}

static void close_area(struct usage_area *area)
{
    for (unsigned k = 0; k < area->segment_count; k++)
        munmap(area->segments[k], usage_segment_size(k));
}

/* References in an order that is random for memory (Fibonacci hashing), from any place in it. */
static uint32_t nth_ref(uint32_t n, size_t key_count)
{
    uint32_t hash = n * UINT32_C(2654435769);
    return 1 + (uint32_t)((uint64_t)hash * key_count >> 32);
}

enum subject { ORDER, NOTED, AHEAD_NOTED, STORED, HOT, REFUSED_TOO, SUBJECTS };

static const char *const subject_names[SUBJECTS] = {
    [ORDER] = "(the loop alone)",
    [NOTED] = "a use of any key",
    [AHEAD_NOTED] = "  asked for 16 before",
    [STORED] = "  its first in that second",
    [HOT] = "a use of one key",
    [REFUSED_TOO] = "a refusal of one key",
};

static void note(const struct usage_area *area, enum subject subject, uint32_t n, size_t key_count)
{
    uint32_t ref = nth_ref(n, key_count);
    switch (subject) {
    case ORDER:
        __asm__ volatile("" ::"r"(ref));
        break;
    case AHEAD_NOTED:
        usage_prefetch(area, nth_ref(n + AHEAD, key_count));
        usage_note_use(area, ref, NOW, &from);
        break;
    case NOTED:
        usage_note_use(area, ref, NOW, &from);
        break;
    case STORED: /* no two notes have one time */
        usage_note_use(area, ref, NOW + n * INT64_C(100), &from);
        break;
    case HOT:
        usage_note_use(area, 77, NOW, &from);
        break;
    case REFUSED_TOO:
        usage_note_refusal(area, 77, NOW, &from);
        break;
    case SUBJECTS:
        break;
    }
}

static double notes_ns(const struct usage_area *area, enum subject subject, uint32_t first,
                       size_t key_count)
{
    uint64_t begin = now_ns();
    for (uint32_t n = first; n < first + NOTES_PER_ROUND; n++)
        note(area, subject, n, key_count);
    return (double)(now_ns() - begin) / NOTES_PER_ROUND;
}

static void measure_notes(const struct usage_area *area, size_t key_count, unsigned rounds)
{
    static double ns[SUBJECTS][ROUNDS_MAX];

    notes_ns(area, NOTED, 0, key_count);
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned subject = 0; subject < SUBJECTS; subject++)
            ns[subject][round] =
                notes_ns(area, (enum subject)subject, round * NOTES_PER_ROUND, key_count);
    for (unsigned subject = 0; subject < SUBJECTS; subject++)
        printf("  %-34s %7.1f ns\n", subject_names[subject], median(ns[subject], rounds));
}

/*
 * A use and a charge of the key's one limit, as a worker makes them: look, the coarse clock,
 * charge. The blocks of limits lie in an area of their own, as densely as they can.
 */
struct charging {
    const struct usage_area *area, *blocks;
    struct limit_rule rule;
    size_t key_count;
};

enum charge_subject { CHARGED, AHEAD_CHARGED, HOT_CHARGED, ANSWERED, HOT_REFUSED, CHARGE_SUBJECTS };

static const char *const charge_names[CHARGE_SUBJECTS] = {
    [CHARGED] = "a use and a charge of any key",      [AHEAD_CHARGED] = "  asked for 16 before",
    [HOT_CHARGED] = "a use and a charge of one key",  [ANSWERED] = "  and what is left of it",
    [HOT_REFUSED] = "a refusal and a refused charge",
};

static uint64_t coarse_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static enum limit_verdict charge(const struct charging *charging, uint32_t ref, bool is_asked)
{
    struct limit limit = {&charging->rule, &usage_limits_at(charging->blocks, 2 * ref)->rates[0]};
    struct limit_charge charge;
    struct limit_answer answer;
    limits_look(&limit, 1, &charge);
    enum limit_verdict verdict = limits_charge(&limit, &charge, 1000, coarse_ns());
    if (is_asked) {
        limits_answer(&limit, &charge, &answer);
        __asm__ volatile("" ::"r"(&answer) : "memory");
    }
    return verdict;
}

static void use_and_charge(const struct charging *charging, enum charge_subject subject, uint32_t n)
{
    uint32_t ref = nth_ref(n, charging->key_count), ahead;
    bool is_hot = subject == HOT_CHARGED || subject == ANSWERED || subject == HOT_REFUSED;
    if (subject == AHEAD_CHARGED) {
        ahead = nth_ref(n + AHEAD, charging->key_count);
        usage_prefetch(charging->area, ahead);
        prefetch_for_write(usage_limits_at(charging->blocks, 2 * ahead));
    }
    bool granted = charge(charging, is_hot ? 77 : ref, subject == ANSWERED) == LIMIT_GRANTED;
    if (granted != (subject != HOT_REFUSED))
        errx(EX_SOFTWARE, "a charge was %s", granted ? "granted" : "not granted");
    if (granted)
        usage_note_use(charging->area, is_hot ? 77 : ref, NOW, &from);
    else
        usage_note_refusal(charging->area, 77, NOW, &from);
}

/* What is to be granted always is of a limit that no benchmark uses up; nothing is left of what is
 * not. */
static double charges_ns(struct charging *charging, enum charge_subject subject, uint32_t first)
{
    static const struct rate endless = {1000000, 1, RATE_COUNT_MAX}, spent = {1, 3600, 1};
    charging->rule = limit_rule_of(subject == HOT_REFUSED ? &spent : &endless);
    if (subject == HOT_REFUSED)
        charge(charging, 77, false);
    uint64_t begin = now_ns();
    for (uint32_t n = first; n < first + NOTES_PER_ROUND; n++)
        use_and_charge(charging, subject, n);
    return (double)(now_ns() - begin) / NOTES_PER_ROUND;
}

static void measure_charges(const struct usage_area *area, size_t key_count, unsigned rounds)
{
    static double ns[CHARGE_SUBJECTS][ROUNDS_MAX];
    struct usage_area blocks;
    struct charging charging = {.area = area, .blocks = &blocks, .key_count = key_count};

    open_area(&blocks, 2 * (key_count + 1));
    charges_ns(&charging, CHARGED, 0);
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned subject = 0; subject < CHARGE_SUBJECTS; subject++)
            ns[subject][round] =
                charges_ns(&charging, (enum charge_subject)subject, round * NOTES_PER_ROUND);
    for (unsigned subject = 0; subject < CHARGE_SUBJECTS; subject++)
        printf("  %-34s %7.1f ns\n", charge_names[subject], median(ns[subject], rounds));
    close_area(&blocks);
}

/* One key by two processes, with nothing between two notes or with the hash of a verification. */

static void note_rival(void *context, bool is_other)
{
    usage_note_use(context, is_other ? 9 : 1, NOW, &from);
}

static void hash_and_note_rival(void *context, bool is_other)
{
    static const char text[] = "cc_live_0123456789abcdefghijklmnopqrstuvwxyz012345";
    struct digest digest;

    digest_of(text, sizeof text - 1, &digest);
    __asm__ volatile("" ::"r"(&digest) : "memory");
    note_rival(context, is_other);
}

static double sweep_ms(const struct usage_area *area, size_t expected)
{
    static uint32_t refs[SLICE];
    struct usage_cursor at = {0};
    size_t found = 0, count;
    bool is_over;
    uint64_t begin = now_ns();
    do {
        is_over = usage_sweep(area, &at, SLICE, refs, SLICE, &count);
        found += count;
    } while (!is_over);
    double ms = (double)(now_ns() - begin) / 1e6;
    if (found < expected)
        errx(EX_SOFTWARE, "a sweep found %zu of %zu keys", found, expected);
    return ms;
}

static void measure_sweep(const struct usage_area *area, size_t key_count, unsigned rounds)
{
    static double ms[ROUNDS_MAX];

    sweep_ms(area, 0);
    for (unsigned round = 0; round < rounds; round++) {
        for (size_t n = 0; n < key_count / 100; n++)
            usage_note_use(area, 1 + (uint32_t)n * 100 + (uint32_t)(n * 37 % 100), NOW, &from);
        ms[round] = sweep_ms(area, key_count / 100);
    }
    printf("  %-34s %9.3f ms\n", "a sweep that finds one in a hundred", median(ms, rounds));
}

void usage_measure(size_t key_count, unsigned rounds)
{
    struct usage_area area;

    open_area(&area, key_count);
    printf("usage of %zu keys, medians of %u rounds of %u\n", key_count, rounds, NOTES_PER_ROUND);
    measure_notes(&area, key_count, rounds);
    measure_charges(&area, key_count, rounds);
    rivals_measure(&(struct rivals){"nothing but noting", .work = note_rival, .context = &area},
                   rounds);
    rivals_measure(&(struct rivals){"hash and note", .work = hash_and_note_rival, .context = &area},
                   rounds);
    measure_sweep(&area, key_count, rounds);
    fflush(stdout);
    close_area(&area);
}
