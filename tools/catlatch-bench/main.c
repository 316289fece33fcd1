/*
 * catlatch-bench [--keys N]... [--rounds N] [--modules DIR] [--usage]: what a verification costs,
 * beside the cheapest thing that could stand in its place, an in-process table with the same
 * SHA-256. Rounds of all subjects alternate, so that what else the machine does hits them alike;
 * medians are printed.
 *
 * Every subject reads the same keys' texts in the same order. Where a key lies in a table follows
 * from its digest, so this order is a random one for memory, the same for all.
 */
#include <err.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "catlatch.h"
#include "core/error.h"
#include "direct.h"
#include "keys.h"
#include "private_table.h"
#include "published.h"
#include "rivals.h"
#include "statistics.h"
#include "usage.h"

#define SIZES_MAX 8
#define BATCH 16

/* Long enough for a clock, short enough for the machine's moods to average out over rounds. */
#define VERIFIES_PER_ROUND 500000

/* Milliseconds, on any machine far below the three seconds of a stale heartbeat. */
#define VERIFIES_PER_BEAT 20000

enum subject { PRIVATE, DIRECT, VERIFY, COUNTED, LIMITED, BATCHED, SUBJECTS };

static const char *const subject_names[SUBJECTS] = {
    [PRIVATE] = "private table",           [DIRECT] = "the same checks, no stack",
    [VERIFY] = "catlatch_verify",          [COUNTED] = "... and the use counted",
    [LIMITED] = "... and a limit charged", [BATCHED] = "catlatch_verify_batch(16)",
};

/* A table, and the library on it. */
struct worker {
    struct published *published;
    struct catlatch *latch;
};

struct bench {
    struct keys keys;
    struct private_table *private_table;
    struct worker workers[SUBJECTS]; /* of those that have one */
    struct direct direct;
    size_t at; /* the key that comes next */
};

static size_t run_private(const struct bench *bench, size_t first, size_t count)
{
    size_t found = 0;
    for (size_t i = first; i < first + count; i++)
        found += private_table_find(bench->private_table, bench->keys.texts[i], KEYS_TEXT_LEN) != 0;
    return found;
}

static size_t run_direct(struct bench *bench, size_t first, size_t count)
{
    struct catlatch_request request = {.size = sizeof request, .key_len = KEYS_TEXT_LEN};
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    size_t granted = 0;
    for (size_t i = first; i < first + count; i++) {
        request.key = bench->keys.texts[i];
        granted += direct_verify(&bench->direct, &request, &outcome) == CATLATCH_VALID;
    }
    return granted;
}

static size_t run_verify(const struct bench *bench, enum subject subject, size_t first,
                         size_t count)
{
    struct catlatch *latch = bench->workers[subject].latch;
    struct catlatch_request request = {.size = sizeof request, .key_len = KEYS_TEXT_LEN};
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    size_t granted = 0;
    for (size_t i = first; i < first + count; i++) {
        request.key = bench->keys.texts[i];
        granted += catlatch_verify(latch, &request, &outcome) == CATLATCH_VALID;
    }
    return granted;
}

static size_t run_batched(const struct bench *bench, size_t first, size_t count)
{
    struct catlatch_request requests[BATCH];
    struct catlatch_outcome outcomes[BATCH];
    size_t granted = 0;
    for (size_t i = 0; i < BATCH; i++) {
        requests[i] = (struct catlatch_request){.size = sizeof requests[i]};
        outcomes[i] = (struct catlatch_outcome){.size = sizeof outcomes[i]};
    }
    while (count > 0) {
        size_t some = count < BATCH ? count : BATCH;
        for (size_t i = 0; i < some; i++) {
            requests[i].key = bench->keys.texts[first + i];
            requests[i].key_len = KEYS_TEXT_LEN;
        }
        granted += catlatch_verify_batch(bench->workers[VERIFY].latch, requests, outcomes, some);
        first += some;
        count -= some;
    }
    return granted;
}

static size_t run_subject(struct bench *bench, enum subject subject, size_t first, size_t count)
{
    switch (subject) {
    case PRIVATE:
        return run_private(bench, first, count);
    case DIRECT:
        return run_direct(bench, first, count);
    case VERIFY:
    case COUNTED:
    case LIMITED:
        return run_verify(bench, subject, first, count);
    case BATCHED:
        return run_batched(bench, first, count);
    case SUBJECTS:
        break;
    }
    return 0;
}

/* One round of one subject: nanoseconds for each verification. */
static double round_ns(struct bench *bench, enum subject subject)
{
    size_t done = 0, first = bench->at;
    uint64_t begin = now_ns();
    while (done < VERIFIES_PER_ROUND) {
        size_t some = bench->keys.count - first;
        if (some > VERIFIES_PER_ROUND - done)
            some = VERIFIES_PER_ROUND - done;
        if (some > VERIFIES_PER_BEAT)
            some = VERIFIES_PER_BEAT;
        for (unsigned i = 0; i < SUBJECTS; i++)
            if (bench->workers[i].published != NULL)
                published_beat(bench->workers[i].published);
        if (run_subject(bench, subject, first, some) != some)
            errx(EX_SOFTWARE, "%s did not grant every key", subject_names[subject]);
        done += some;
        first = (first + some) % bench->keys.count;
    }
    return (double)(now_ns() - begin) / VERIFIES_PER_ROUND;
}

static void measure(struct bench *bench, unsigned rounds)
{
    static double ns[SUBJECTS][ROUNDS_MAX];
    double medians[SUBJECTS];

    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned subject = 0; subject < SUBJECTS; subject++)
            ns[subject][round] = round_ns(bench, (enum subject)subject);
        bench->at = (bench->at + VERIFIES_PER_ROUND) % bench->keys.count;
    }
    printf("%zu live keys, medians of %u alternating rounds of %d verifications\n",
           bench->keys.count, rounds, VERIFIES_PER_ROUND);
    for (unsigned subject = 0; subject < SUBJECTS; subject++) {
        medians[subject] = median(ns[subject], rounds);
        printf("  %-26s %7.1f ns   %4.2f\n", subject_names[subject], medians[subject],
               medians[subject] / medians[PRIVATE]);
    }
    fflush(stdout);
}

/* One key, or two, verified by two processes. */
struct shared {
    struct bench *bench;
    enum subject subject;
};

static void verify_rival(void *context, bool is_other)
{
    const struct shared *shared = context;
    if (run_verify(shared->bench, shared->subject, is_other ? 1 : 0, 1) != 1)
        errx(EX_SOFTWARE, "%s did not grant every key", subject_names[shared->subject]);
}

/* A fork gives the usage area's line back, and would ask for another. */
static void begin_rival(void *context)
{
    const struct shared *shared = context;
    const struct worker *worker = &shared->bench->workers[shared->subject];
    if (shared->subject != VERIFY)
        published_count(worker->published, worker->latch);
}

static void beat_rival(void *context)
{
    const struct shared *shared = context;
    published_beat(shared->bench->workers[shared->subject].published);
}

static void measure_shared(struct bench *bench, unsigned rounds)
{
    static const char *const names[SUBJECTS] = {
        [VERIFY] = "catlatch_verify", [COUNTED] = "... counted", [LIMITED] = "... limited"};

    for (unsigned subject = VERIFY; bench->keys.count > 1 && subject <= LIMITED; subject++) {
        struct shared shared = {bench, (enum subject)subject};
        rivals_measure(
            &(struct rivals){names[subject], verify_rival, begin_rival, beat_rival, &shared},
            rounds);
    }
}

static void open_worker(struct bench *bench, enum subject subject, const char *modules,
                        struct published_kind kind)
{
    struct worker *worker = &bench->workers[subject];
    struct error error = {0};
    char message[256] = "";
    struct catlatch_options options = {.size = sizeof options};

    if (published_make(&bench->keys, modules, kind, &worker->published, &error) != 0)
        errx(error_exit_status(error.code), "%s", error.text);
    options.config_path = published_config(worker->published);
    int r = catlatch_open(&options, &worker->latch, message, sizeof message);
    if (r != 0)
        errx(error_exit_status(r), "%s", message);
    if (kind.counted)
        published_count(worker->published, worker->latch);
}

static void close_worker(struct worker *worker)
{
    if (worker->published == NULL)
        return;
    published_uncount(worker->latch);
    catlatch_close(worker->latch);
    published_free(worker->published);
}

static void open_bench(size_t key_count, const char *modules, struct bench *bench)
{
    struct error error = {0};

    if (keys_make(key_count, &bench->keys) != 0 ||
        private_table_make(&bench->keys, &bench->private_table) != 0)
        errx(EX_OSERR, "out of memory for %zu keys", key_count);
    open_worker(bench, VERIFY, modules, (struct published_kind){false, false});
    open_worker(bench, COUNTED, modules, (struct published_kind){true, false});
    open_worker(bench, LIMITED, modules, (struct published_kind){true, true});
    if (direct_open(&bench->direct, published_run_dir(bench->workers[VERIFY].published), &error) !=
        0)
        errx(error_exit_status(error.code), "%s", error.text);
    for (unsigned i = 0; i < SUBJECTS; i++)
        if (bench->workers[i].published != NULL)
            published_hide(bench->workers[i].published);
}

static void close_bench(struct bench *bench)
{
    for (unsigned i = 0; i < SUBJECTS; i++)
        close_worker(&bench->workers[i]);
    direct_close(&bench->direct);
    private_table_free(bench->private_table);
    keys_free(&bench->keys);
}

static size_t parse_count(const char *text, size_t max, const char *what)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value == 0 || value > max)
        errx(EX_USAGE, "%s \"%s\" is not a number from 1 to %zu", what, text, max);
    return (size_t)value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"keys", required_argument, NULL, 'k'},    {"rounds", required_argument, NULL, 'r'},
        {"modules", required_argument, NULL, 'm'}, {"usage", no_argument, NULL, 'u'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    size_t sizes[SIZES_MAX] = {10000, 1000000}, given = 0;
    const char *modules = NULL;
    unsigned rounds = 9;
    bool usage = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'k' && given < SIZES_MAX) {
            sizes[given++] = parse_count(optarg, 100000000, "--keys");
        } else if (option == 'r') {
            rounds = (unsigned)parse_count(optarg, ROUNDS_MAX, "--rounds");
        } else if (option == 'm') {
            modules = optarg;
        } else if (option == 'u') {
            usage = true;
        } else {
            fprintf(option == 'h' ? stdout : stderr,
                    "usage: catlatch-bench [--keys N]... [--rounds N] [--modules DIR] [--usage]\n"
                    "Costs of one verification beside an in-process table's, up to %d sizes.\n",
                    SIZES_MAX);
            return option == 'h' ? 0 : EX_USAGE;
        }
    }
    if (optind < argc)
        errx(EX_USAGE, "unexpected argument \"%s\"", argv[optind]);
    for (size_t i = 0; i < (given > 0 ? given : 2); i++) {
        if (usage) {
            usage_measure(sizes[i], rounds);
            continue;
        }
        struct bench bench = {0};
        open_bench(sizes[i], modules, &bench);
        measure(&bench, rounds);
        measure_shared(&bench, rounds);
        close_bench(&bench);
    }
    return 0;
}
