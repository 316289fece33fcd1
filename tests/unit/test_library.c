/* libcatlatch through its public calls, against tables as the daemon would leave them. */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "catlatch.h"
#include "core/crc32.h"
#include "lib/attach.h"
#include "lib_latch.h"
#include "usage/keeper.h"

#define DAY INT64_C(86400)
#define SERVICES                                                \
    "[service strict]\nrequisite = format\nrequisite = table\n" \
    "requisite = environment live\nrequired = scope\n"          \
    "[service foreign]\nrequired = table\n"

/* Keys of the first table, by their numbers. */
enum { LIVE, DISABLED, SUSPENDED, REVOKED, EXPIRED, EARLY, TESTING, FOREIGN, TIMED, UNKNOWN };

static const char foreign_text[] = "sk-whatever+another/service=issued==";

struct fixture {
    struct latch_world world;
    struct latch_table table;
    struct catlatch *latch;
    int64_t now_unix_s;
};

static void fill(struct fixture *fixture, struct latch_table *table)
{
    int64_t now = fixture->now_unix_s;
    const struct latch_key keys[] = {
        {.number = LIVE},
        {.number = DISABLED, .disabled = true},
        {.number = SUSPENDED, .suspended = true},
        {.number = REVOKED, .revoked = true},
        {.number = EXPIRED, .expires_unix_s = now - DAY},
        {.number = EARLY, .not_before_unix_s = now + DAY},
        {.number = TESTING, .prefix = "cc_test_", .environment = "test"},
        {.number = FOREIGN, .text = foreign_text},
        {.number = TIMED, .expires_unix_s = now + DAY, .not_before_unix_s = now - DAY},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        latch_table_put(table, &keys[i]);
}

static struct catlatch *open_flags(const struct latch_world *world, const char *service,
                                   uint64_t flags)
{
    struct catlatch_options options = {
        .size = sizeof options, .config_path = world->config, .service = service, .flags = flags};
    struct catlatch *latch = NULL;
    char message[256] = "";
    int r = catlatch_open(&options, &latch, message, sizeof message);
    if (r != 0)
        fail_msg("catlatch_open: %d: %s", r, message);
    return latch;
}

static struct catlatch *open_service(const struct latch_world *world, const char *service)
{
    return open_flags(world, service, 0);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->now_unix_s = (int64_t)time(NULL);
    latch_world_open(&fixture->world, SERVICES);
    latch_table_make(&fixture->table, &fixture->world, 1);
    fill(fixture, &fixture->table);
    latch_table_place(&fixture->table, &fixture->world, 1);
    fixture->latch = open_service(&fixture->world, NULL);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    catlatch_close(fixture->latch);
    latch_table_unmap(&fixture->table);
    latch_world_close(&fixture->world);
    free(fixture);
    return 0;
}

static void key_text(unsigned number, char ret_text[LATCH_KEY_LEN + 1])
{
    latch_key_text(number, number == TESTING ? "cc_test_" : "cc_live_", ret_text);
}

static enum catlatch_result verify_full(struct catlatch *latch, const char *text, size_t len,
                                        const char *scope, struct catlatch_outcome *outcome)
{
    struct catlatch_request request = {.size = sizeof request,
                                       .key = text,
                                       .key_len = len,
                                       .scopes = &scope,
                                       .scope_count = scope != NULL};
    memset(outcome, 0x5a, sizeof *outcome);
    outcome->size = sizeof *outcome;
    enum catlatch_result result = catlatch_verify(latch, &request, outcome);
    assert_int_equal(outcome->result, result);
    assert_int_equal(outcome->size, sizeof *outcome);
    return result;
}

static enum catlatch_result verify(struct catlatch *latch, unsigned number)
{
    struct catlatch_outcome outcome;
    char text[LATCH_KEY_LEN + 1];
    key_text(number, text);
    return verify_full(latch, text, LATCH_KEY_LEN, NULL, &outcome);
}

static enum catlatch_result verify_header(struct catlatch *latch, const char *value)
{
    struct catlatch_request request = {
        .size = sizeof request, .authorization = value, .authorization_len = strlen(value)};
    return catlatch_verify(latch, &request, NULL);
}

static void each_state_of_a_key_has_its_answer(void **state)
{
    static const enum catlatch_result expected[] = {
        [LIVE] = CATLATCH_VALID,
        [DISABLED] = CATLATCH_DISABLED,
        [SUSPENDED] = CATLATCH_DISABLED,
        [REVOKED] = CATLATCH_REVOKED,
        [EXPIRED] = CATLATCH_EXPIRED,
        [EARLY] = CATLATCH_NOT_YET_VALID,
        [TESTING] = CATLATCH_WRONG_ENVIRONMENT,
        [FOREIGN] = CATLATCH_NOT_FOUND,
        [TIMED] = CATLATCH_VALID,
        [UNKNOWN] = CATLATCH_NOT_FOUND,
    };
    struct fixture *fixture = *state;
    for (unsigned i = LIVE; i <= UNKNOWN; i++)
        assert_int_equal(verify(fixture->latch, i), expected[i]);
}

static void a_typo_a_cut_and_a_swapped_environment_are_malformed(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_outcome outcome;
    char text[LATCH_KEY_LEN + 1];
    for (unsigned i = 0; i < LATCH_KEY_LEN; i++) {
        key_text(LIVE, text);
        text[i] = text[i] == 'x' ? 'y' : 'x';
        assert_int_equal(verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome),
                         CATLATCH_MALFORMED);
        assert_int_equal(outcome.matched, 0);
        key_text(LIVE, text);
        assert_int_equal(verify_full(fixture->latch, text, i, NULL, &outcome), CATLATCH_MALFORMED);
    }
    key_text(LIVE, text);
    memcpy(text, "cc_test_", 8);
    assert_int_equal(verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome),
                     CATLATCH_MALFORMED);
}

static void bytes_of_all_kinds_and_lengths_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_outcome outcome;
    char bytes[2000];
    unsigned seed = 1;
    for (size_t len = 0; len < sizeof bytes; len += 7) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)(seed = seed * 1103515245u + 12345u, seed >> 16);
        assert_int_equal(verify_full(fixture->latch, bytes, len, NULL, &outcome),
                         CATLATCH_MALFORMED);
    }
}

static void a_service_applies_its_own_checks(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch *strict = open_service(&fixture->world, "strict");
    struct catlatch *foreign = open_service(&fixture->world, "foreign");
    struct catlatch_outcome outcome;
    assert_int_equal(verify(strict, LIVE), CATLATCH_VALID);
    assert_int_equal(verify(strict, TESTING), CATLATCH_WRONG_ENVIRONMENT);
    assert_int_equal(
        verify_full(fixture->latch, foreign_text, strlen(foreign_text), NULL, &outcome),
        CATLATCH_MALFORMED);
    assert_int_equal(verify_full(foreign, foreign_text, strlen(foreign_text), NULL, &outcome),
                     CATLATCH_VALID);
    assert_int_equal(verify_full(foreign, foreign_text, strlen(foreign_text), "read", &outcome),
                     CATLATCH_DENIED);
    catlatch_close(strict);
    catlatch_close(foreign);
}

static void scopes_are_demanded_of_the_key(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_outcome outcome;
    char text[LATCH_KEY_LEN + 1];
    key_text(LIVE, text);
    assert_int_equal(verify_full(fixture->latch, text, LATCH_KEY_LEN, "write", &outcome),
                     CATLATCH_VALID);
    assert_int_equal(verify_full(fixture->latch, text, LATCH_KEY_LEN, "admin", &outcome),
                     CATLATCH_INSUFFICIENT_SCOPE);
    assert_int_equal(outcome.matched, 1);
}

static void the_key_is_taken_out_of_an_authorization_header(void **state)
{
    struct fixture *fixture = *state;
    char text[LATCH_KEY_LEN + 1], value[128];
    key_text(LIVE, text);
    snprintf(value, sizeof value, "bearer  %s ", text);
    assert_int_equal(verify_header(fixture->latch, value), CATLATCH_VALID);
    snprintf(value, sizeof value, "Bearer %s, Bearer %s", text, text);
    assert_int_equal(verify_header(fixture->latch, value), CATLATCH_MALFORMED);
    assert_int_equal(verify_header(fixture->latch, "Basic dTpw"), CATLATCH_MISSING);
    assert_int_equal(verify_header(fixture->latch, ""), CATLATCH_MISSING);
}

static void no_credential_is_missing_and_two_are_a_bad_request(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_request request = {.size = sizeof request};
    assert_int_equal(catlatch_verify(fixture->latch, &request, NULL), CATLATCH_MISSING);
    request.key = "k";
    request.key_len = 1;
    request.authorization = "Bearer k";
    request.authorization_len = 8;
    assert_int_equal(catlatch_verify(fixture->latch, &request, NULL), CATLATCH_INVALID_REQUEST);
}

static void calls_that_make_no_sense_are_refused_and_never_granted(void **state)
{
    struct fixture *fixture = *state;
    const char *scopes[] = {"read", NULL};
    char text[LATCH_KEY_LEN + 1];
    key_text(LIVE, text);
    struct catlatch_request request = {
        .size = sizeof request, .key = text, .key_len = LATCH_KEY_LEN, .scope_count = 1};
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    struct catlatch_identity identity = {.size = sizeof identity};
    assert_int_equal(catlatch_verify(fixture->latch, &request, NULL), CATLATCH_INVALID_REQUEST);
    request.scopes = scopes;
    request.scope_count = 2;
    assert_int_equal(catlatch_verify(fixture->latch, &request, NULL), CATLATCH_INVALID_REQUEST);
    request.scope_count = 1;
    assert_int_equal(catlatch_verify(fixture->latch, &request, NULL), CATLATCH_VALID);
    assert_int_equal(catlatch_verify(fixture->latch, NULL, NULL), CATLATCH_INVALID_REQUEST);
    assert_int_equal(catlatch_verify(NULL, &request, &outcome), CATLATCH_UNAVAILABLE);
    assert_int_equal(outcome.result, CATLATCH_UNAVAILABLE);
    assert_int_equal(catlatch_verify_batch(NULL, &request, &outcome, 1), 0);
    assert_int_equal(outcome.result, CATLATCH_UNAVAILABLE);
    assert_int_equal(catlatch_verify_batch(fixture->latch, NULL, &outcome, 1), 0);
    assert_int_equal(outcome.result, CATLATCH_INVALID_REQUEST);
    assert_int_equal(catlatch_verify_batch(fixture->latch, &request, NULL, 1), 0);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity), CATLATCH_E_ARGUMENT);
    assert_int_equal(catlatch_identity(fixture->latch, NULL, &identity), CATLATCH_E_ARGUMENT);
    assert_int_equal(catlatch_refresh(NULL), CATLATCH_E_ARGUMENT);
    catlatch_close(NULL);
}

static void structs_smaller_than_the_first_releases_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char text[LATCH_KEY_LEN + 1];
    key_text(LIVE, text);
    struct catlatch_request request = {
        .size = sizeof request, .key = text, .key_len = LATCH_KEY_LEN};
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    struct catlatch_identity identity = {.size = sizeof identity - 1};
    assert_int_equal(catlatch_verify(fixture->latch, &request, &outcome), CATLATCH_VALID);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity), CATLATCH_E_ARGUMENT);
    assert_int_equal(identity.key_id[0], 0);

    request.size = sizeof request - 1;
    assert_int_equal(catlatch_verify(fixture->latch, &request, &outcome), CATLATCH_INVALID_REQUEST);
    request.size = 0;
    assert_int_equal(catlatch_verify(fixture->latch, &request, &outcome), CATLATCH_INVALID_REQUEST);
    request.size = SIZE_MAX;
    assert_int_equal(catlatch_verify(fixture->latch, &request, &outcome), CATLATCH_INVALID_REQUEST);
    request.size = sizeof request;
    outcome.size = sizeof outcome - 1;
    outcome.result = CATLATCH_EXPIRED;
    assert_int_equal(catlatch_verify(fixture->latch, &request, &outcome), CATLATCH_INVALID_REQUEST);
    assert_int_equal(outcome.result, CATLATCH_EXPIRED);
}

struct later_request {
    struct catlatch_request known;
    const char *later;
};

struct later_outcome {
    struct catlatch_outcome known;
    uint64_t later;
};

static void a_later_releases_request_is_taken_unless_it_asks_for_what_we_do_not_know(void **state)
{
    struct fixture *fixture = *state;
    char text[LATCH_KEY_LEN + 1];
    key_text(LIVE, text);
    struct later_request request = {
        .known = {.size = sizeof request, .key = text, .key_len = LATCH_KEY_LEN}};
    struct later_outcome outcome = {.known.size = sizeof outcome, .later = 77};
    assert_int_equal(catlatch_verify(fixture->latch, &request.known, &outcome.known),
                     CATLATCH_VALID);
    assert_int_equal(outcome.later, 77);
    request.later = "a restriction";
    assert_int_equal(catlatch_verify(fixture->latch, &request.known, &outcome.known),
                     CATLATCH_INVALID_REQUEST);
}

static void a_batch_walks_by_the_sizes_that_it_was_told(void **state)
{
    struct fixture *fixture = *state;
    char texts[UNKNOWN + 1][LATCH_KEY_LEN + 1];
    struct later_request requests[UNKNOWN + 1] = {0};
    struct later_outcome outcomes[UNKNOWN + 1] = {0};
    for (unsigned i = LIVE; i <= UNKNOWN; i++) {
        key_text(i, texts[i]);
        requests[i].known = (struct catlatch_request){
            .size = sizeof requests[i], .key = texts[i], .key_len = LATCH_KEY_LEN};
        outcomes[i].known.size = sizeof outcomes[i];
        outcomes[i].later = i;
    }
    requests[TIMED].later = "a restriction";
    assert_int_equal(
        catlatch_verify_batch(fixture->latch, &requests[0].known, &outcomes[0].known, UNKNOWN + 1),
        1);
    for (unsigned i = LIVE; i <= UNKNOWN; i++) {
        assert_int_equal(outcomes[i].later, i);
        assert_int_equal(outcomes[i].known.result,
                         i == TIMED ? CATLATCH_INVALID_REQUEST : verify(fixture->latch, i));
    }
    requests[LIVE].known.size--;
    requests[TESTING].known.size--;
    requests[LIVE].later = NULL;
    catlatch_verify_batch(fixture->latch, &requests[1].known, &outcomes[1].known, UNKNOWN);
    assert_int_equal(outcomes[TESTING].known.result, CATLATCH_INVALID_REQUEST);
    assert_int_equal(outcomes[DISABLED].known.result, CATLATCH_DISABLED);
}

#define MANY 100

static void a_batch_answers_as_one_by_one(void **state)
{
    struct fixture *fixture = *state;
    static char texts[MANY][LATCH_KEY_LEN + 1];
    struct catlatch_request requests[MANY] = {0};
    struct catlatch_outcome outcomes[MANY], single;
    for (size_t count = 0; count <= MANY; count += 11) {
        size_t valid = 0;
        for (unsigned i = 0; i < count; i++) {
            key_text(i % (UNKNOWN + 1), texts[i]);
            requests[i] = (struct catlatch_request){.size = sizeof requests[i]};
            requests[i].key = i % 17 == 16 ? NULL : texts[i];
            requests[i].key_len = i % 13 == 12 ? LATCH_KEY_LEN - 1 : LATCH_KEY_LEN;
            memset(&outcomes[i], 0x5a, sizeof outcomes[i]);
            outcomes[i].size = sizeof outcomes[i];
        }
        size_t granted = catlatch_verify_batch(fixture->latch, requests, outcomes, count);
        for (unsigned i = 0; i < count; i++) {
            single = (struct catlatch_outcome){.size = sizeof single};
            catlatch_verify(fixture->latch, &requests[i], &single);
            assert_memory_equal(&single, &outcomes[i], sizeof single);
            valid += single.result == CATLATCH_VALID;
        }
        assert_int_equal(granted, valid);
    }
}

struct tracing {
    struct catlatch *latch;
    const char *text, *header;
    bool good;
};

/* Deep enough that the thread's end does not write over what is left there. */
static void *verify_each_way(void *context)
{
    struct tracing *tracing = context;
    struct catlatch_outcome outcome = {.size = sizeof outcome}, outcomes[4];
    struct catlatch_request requests[4];
    volatile char deep[64 * 1024];

    deep[0] = 1;
    for (size_t i = 0; i < 4; i++) {
        requests[i] = (struct catlatch_request){
            .size = sizeof requests[i], .key = tracing->text, .key_len = LATCH_KEY_LEN};
        outcomes[i] = (struct catlatch_outcome){.size = sizeof outcomes[i]};
    }
    requests[1].key_len--; /* malformed */
    tracing->good = catlatch_verify(tracing->latch, &requests[0], &outcome) == CATLATCH_VALID &&
                    catlatch_recheck(tracing->latch, &outcome, NULL) == CATLATCH_VALID &&
                    verify_header(tracing->latch, tracing->header) == CATLATCH_VALID &&
                    catlatch_verify_batch(tracing->latch, requests, outcomes, 4) == 3 &&
                    deep[0] == 1;
    return NULL;
}

/* A thread on a stack of ours, so that what it leaves there can be searched. */
static void verifying_leaves_no_trace_of_the_key(void **state)
{
    struct fixture *fixture = *state;
    char text[LATCH_KEY_LEN + 1], header[LATCH_KEY_LEN + 16];
    struct tracing tracing = {fixture->latch, text, header, false};
    size_t size = 512 * 1024;
    pthread_attr_t attributes;
    pthread_t thread;
    void *stack =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    assert_ptr_not_equal(stack, MAP_FAILED);
    key_text(LIVE, text);
    snprintf(header, sizeof header, "Bearer %s", text);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, size), 0);
    assert_int_equal(pthread_create(&thread, &attributes, verify_each_way, &tracing), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(tracing.good);
    assert_null(memmem(stack, size, text + 15, 12));
    assert_null(memmem(stack, size, text + LATCH_KEY_LEN - 12, 12));
    assert_null(memmem(fixture->latch, malloc_usable_size(fixture->latch), text + 15, 12));
    pthread_attr_destroy(&attributes);
    munmap(stack, size);
}

/* More than are looked up together, three times. */
#define LONG_BATCH 48

static struct {
    void *page;
    size_t size;
    struct table_header *old;
} trap;

/* The batch came to the page that it could not read: now the old table is superseded. */
static void on_trap(int number)
{
    (void)number;
    if (mprotect(trap.page, trap.size, PROT_READ | PROT_WRITE) != 0)
        _exit(1);
    table_supersede(trap.old);
}

static void a_long_batch_does_not_outlive_the_table_that_it_began_with(void **state)
{
    struct fixture *fixture = *state;
    struct latch_table second;
    struct catlatch_outcome outcomes[LONG_BATCH];
    struct sigaction action = {.sa_handler = on_trap}, before;
    char text[LATCH_KEY_LEN + 1];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 8 * page;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);

    key_text(LIVE, text);
    trap.page = memory + 4 * page; /* the request in the middle is the first that lies there */
    trap.size = 4 * page;
    trap.old = fixture->table.writer.header;
    struct catlatch_request *requests = (struct catlatch_request *)trap.page - LONG_BATCH / 2;
    for (size_t i = 0; i < LONG_BATCH; i++) {
        requests[i] = (struct catlatch_request){
            .size = sizeof requests[i], .key = text, .key_len = LATCH_KEY_LEN};
        outcomes[i] = (struct catlatch_outcome){.size = sizeof outcomes[i]};
    }
    latch_table_make(&second, &fixture->world, 2);
    latch_table_put(&second, &(struct latch_key){.number = LIVE, .revoked = true});
    latch_table_place(&second, &fixture->world, 1);
    table_beat(trap.old, attach_clock_ms());
    assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
    assert_int_equal(mprotect(trap.page, trap.size, PROT_NONE), 0);
    catlatch_verify_batch(fixture->latch, requests, outcomes, LONG_BATCH);
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    assert_int_equal(outcomes[0].result, CATLATCH_VALID);
    assert_int_equal(outcomes[LONG_BATCH - 1].result, CATLATCH_REVOKED);
    latch_table_unmap(&second);
    munmap(memory, size);
}

static void identity_tells_whose_key_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_outcome outcome;
    struct catlatch_identity identity = {.size = sizeof identity};
    char text[LATCH_KEY_LEN + 1];
    key_text(TIMED, text);
    assert_int_equal(verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome),
                     CATLATCH_VALID);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity), 0);
    assert_int_equal(identity.size, sizeof identity);
    assert_string_equal(identity.key_id, "key_aaaaaaaaaaaaj");
    assert_memory_equal(identity.prefix, text, 15);
    assert_int_equal(identity.prefix[15], 0);
    assert_string_equal(identity.environment, "live");
    assert_string_equal(identity.owner, "owner-000000");
    assert_string_equal(identity.name, "key 0000000000000008");
    assert_string_equal(identity.scopes, "read write");
    assert_int_equal(identity.expires_unix_s, fixture->now_unix_s + DAY);
    assert_int_equal(identity.not_before_unix_s, fixture->now_unix_s - DAY);
}

static void identity_is_known_of_refused_keys_whose_digest_matched(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_outcome outcome;
    struct catlatch_identity identity = {.size = sizeof identity};
    char text[LATCH_KEY_LEN + 1];
    key_text(REVOKED, text);
    assert_int_equal(verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome),
                     CATLATCH_REVOKED);
    assert_int_equal(outcome.matched, 1);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity), 0);
    assert_string_equal(identity.name, "key 0000000000000003");
    key_text(UNKNOWN, text);
    assert_int_equal(verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome),
                     CATLATCH_NOT_FOUND);
    assert_int_equal(outcome.matched, 0);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity), CATLATCH_E_ARGUMENT);
}

/* Not "not found": whose key it is cannot be told now, and that says nothing of the key. */
static void identity_out_of_a_damaged_table_is_an_outage(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_outcome outcome;
    struct catlatch_identity identity = {.size = sizeof identity};
    struct table_hit hit;
    struct digest digest;
    char text[LATCH_KEY_LEN + 1];
    key_text(LIVE, text);
    assert_int_equal(verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome),
                     CATLATCH_VALID);
    digest_of(text, LATCH_KEY_LEN, &digest);
    assert_int_equal(table_find(&fixture->table.writer.view, &digest, &hit), TABLE_HIT);
    struct table_slot *slot = &fixture->table.writer.slots[hit.slot];
    atomic_store(&slot->identity_ref, UINT32_MAX);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity),
                     CATLATCH_E_UNAVAILABLE);
    atomic_store(&slot->id, 0);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity),
                     CATLATCH_E_UNAVAILABLE);
    assert_int_equal(catlatch_recheck(fixture->latch, &outcome, NULL), CATLATCH_UNAVAILABLE);
}

static void identity_follows_a_key_into_another_generation_and_out_of_it(void **state)
{
    struct fixture *fixture = *state;
    struct latch_table second, third;
    struct catlatch_outcome outcome;
    struct catlatch_identity identity = {.size = sizeof identity};
    char text[LATCH_KEY_LEN + 1];
    key_text(LIVE, text);
    verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome);

    latch_table_make(&second, &fixture->world, 2);
    for (unsigned i = 50; i < 90; i++)
        latch_table_put(&second, &(struct latch_key){.number = i});
    fill(fixture, &second);
    latch_table_place(&second, &fixture->world, 1);
    table_supersede(fixture->table.writer.header);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity), 0);
    assert_string_equal(identity.name, "key 0000000000000000");

    latch_table_publish(&third, &fixture->world, 3);
    table_supersede(second.writer.header);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity), CATLATCH_E_NOT_FOUND);
    assert_int_equal(unlink(fixture->world.table), 0);
    table_supersede(third.writer.header);
    assert_int_equal(catlatch_identity(fixture->latch, &outcome, &identity),
                     CATLATCH_E_UNAVAILABLE);
    latch_table_unmap(&second);
    latch_table_unmap(&third);
}

static void recheck_sees_what_happened_since(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_outcome outcome;
    const char *scope = "read";
    struct catlatch_request request = {.size = sizeof request, .scopes = &scope, .scope_count = 1};
    char text[LATCH_KEY_LEN + 1];
    key_text(LIVE, text);
    verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome);
    assert_int_equal(catlatch_recheck(fixture->latch, &outcome, NULL), CATLATCH_VALID);
    assert_int_equal(catlatch_recheck(fixture->latch, &outcome, &request), CATLATCH_VALID);
    scope = "admin";
    assert_int_equal(catlatch_recheck(fixture->latch, &outcome, &request),
                     CATLATCH_INSUFFICIENT_SCOPE);
    latch_table_put(&fixture->table, &(struct latch_key){.number = LIVE, .disabled = true});
    assert_int_equal(catlatch_recheck(fixture->latch, &outcome, NULL), CATLATCH_DISABLED);
    latch_table_put(&fixture->table, &(struct latch_key){.number = LIVE, .revoked = true});
    assert_int_equal(catlatch_recheck(fixture->latch, &outcome, NULL), CATLATCH_REVOKED);
}

static void recheck_follows_a_key_into_another_generation(void **state)
{
    struct fixture *fixture = *state;
    struct latch_table second;
    struct catlatch_outcome outcome;
    char text[LATCH_KEY_LEN + 1];
    key_text(LIVE, text);
    assert_int_equal(verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome),
                     CATLATCH_VALID);
    latch_table_make(&second, &fixture->world, 2);
    latch_table_put(&second, &(struct latch_key){.number = LIVE, .revoked = true});
    latch_table_place(&second, &fixture->world, 1);
    table_supersede(fixture->table.writer.header);
    assert_int_equal(catlatch_recheck(fixture->latch, &outcome, NULL), CATLATCH_REVOKED);
    latch_table_unmap(&second);
}

static void recheck_takes_no_credential_and_only_what_matched(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_outcome outcome;
    char text[LATCH_KEY_LEN + 1];
    key_text(UNKNOWN, text);
    struct catlatch_request request = {
        .size = sizeof request, .key = text, .key_len = LATCH_KEY_LEN};
    verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome);
    assert_int_equal(catlatch_recheck(fixture->latch, &outcome, NULL), CATLATCH_MISSING);
    assert_int_equal(catlatch_recheck(fixture->latch, NULL, NULL), CATLATCH_MISSING);
    key_text(LIVE, text);
    verify_full(fixture->latch, text, LATCH_KEY_LEN, NULL, &outcome);
    assert_int_equal(catlatch_recheck(fixture->latch, &outcome, &request),
                     CATLATCH_INVALID_REQUEST);
    assert_int_equal(catlatch_recheck(NULL, &outcome, NULL), CATLATCH_UNAVAILABLE);
}

static void a_change_is_seen_by_the_next_verification(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(verify(fixture->latch, LIVE), CATLATCH_VALID);
    latch_table_put(&fixture->table, &(struct latch_key){.number = LIVE, .revoked = true});
    assert_int_equal(verify(fixture->latch, LIVE), CATLATCH_REVOKED);
    assert_int_equal(verify(fixture->latch, DISABLED), CATLATCH_DISABLED);
    latch_table_put(&fixture->table, &(struct latch_key){.number = DISABLED});
    assert_int_equal(verify(fixture->latch, DISABLED), CATLATCH_VALID);
}

static void a_change_of_generation_is_seen_by_the_next_verification(void **state)
{
    struct fixture *fixture = *state;
    struct latch_table second;
    assert_int_equal(verify(fixture->latch, LIVE), CATLATCH_VALID);
    latch_table_make(&second, &fixture->world, 2);
    latch_table_put(&second, &(struct latch_key){.number = LIVE, .revoked = true});
    latch_table_place(&second, &fixture->world, 1);
    table_supersede(fixture->table.writer.header);
    assert_int_equal(verify(fixture->latch, LIVE), CATLATCH_REVOKED);
    latch_table_unmap(&second);
}

static void without_a_table_keys_are_unavailable_until_there_is_one(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch *latch;
    char moved[256];
    snprintf(moved, sizeof moved, "%s/elsewhere", fixture->world.run_dir);
    assert_int_equal(rename(fixture->world.table, moved), 0);
    latch = open_service(&fixture->world, NULL);
    assert_int_equal(verify(latch, LIVE), CATLATCH_UNAVAILABLE);
    assert_int_equal(catlatch_refresh(latch), CATLATCH_E_UNAVAILABLE);
    assert_int_equal(rename(moved, fixture->world.table), 0);
    assert_int_equal(catlatch_refresh(latch), 0);
    assert_int_equal(verify(latch, LIVE), CATLATCH_VALID);
    catlatch_close(latch);
}

static void refresh_lets_go_of_a_table_that_is_gone(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(latch_mappings(fixture->world.run_dir), 2);
    assert_int_equal(unlink(fixture->world.table), 0);
    table_supersede(fixture->table.writer.header);
    assert_int_equal(catlatch_refresh(fixture->latch), CATLATCH_E_UNAVAILABLE);
    assert_int_equal(latch_mappings(fixture->world.run_dir), 1);
}

/* Puts a table in place that wants a usage area, and a keeper that takes questions and answers
 * none. Returns where it listens. */
static int be_silent(struct fixture *fixture, struct latch_table *table)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    latch_table_make(table, &fixture->world, 2);
    struct table_header *header = table->writer.header;
    memcpy(header->usage_area, "a usage area 123", sizeof header->usage_area);
    header->checksum = crc32_update(0, &header->magic,
                                    offsetof(struct table_header, checksum) -
                                        offsetof(struct table_header, magic));
    latch_table_place(table, &fixture->world, 1);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/" KEEPER_SOCKET_NAME,
             fixture->world.run_dir);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 100), 0);
    return fd;
}

static int64_t refresh_ms(struct catlatch *latch)
{
    struct timespec begun, ended;

    clock_gettime(CLOCK_MONOTONIC, &begun);
    catlatch_refresh(latch);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    return (ended.tv_sec - begun.tv_sec) * 1000 + (ended.tv_nsec - begun.tv_nsec) / 1000000;
}

static void a_silent_keeper_holds_a_loop_up_no_longer_than_a_request(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch *loop = open_flags(&fixture->world, NULL, CATLATCH_OPEN_NEVER_BLOCK);
    struct latch_table silent;
    int fd = be_silent(fixture, &silent);
    int64_t shortest_ms = INT64_MAX;

    assert_true(refresh_ms(fixture->latch) >= 400);
    for (unsigned i = 0; i < 20 && shortest_ms >= 200; i++) {
        int64_t took_ms = refresh_ms(loop);
        assert_true(took_ms >= 19);
        shortest_ms = took_ms < shortest_ms ? took_ms : shortest_ms;
    }
    assert_true(shortest_ms < 200);
    catlatch_close(loop);
    close(fd);
    latch_table_unmap(&silent);
}

/* What a child that inherited the handle ends with. */
static int in_child(struct catlatch *latch, unsigned number)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit((int)verify(latch, number));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_forked_child_uses_the_handle_and_leaves_the_parents_alone(void **state)
{
    struct fixture *fixture = *state;
    struct latch_table second;
    assert_int_equal(in_child(fixture->latch, LIVE), CATLATCH_VALID);
    latch_table_put(&fixture->table, &(struct latch_key){.number = LIVE, .revoked = true});
    assert_int_equal(in_child(fixture->latch, LIVE), CATLATCH_REVOKED);
    latch_table_make(&second, &fixture->world, 2);
    latch_table_put(&second, &(struct latch_key){.number = UNKNOWN});
    latch_table_place(&second, &fixture->world, 1);
    table_supersede(fixture->table.writer.header);
    assert_int_equal(in_child(fixture->latch, UNKNOWN), CATLATCH_VALID);
    assert_int_equal(verify(fixture->latch, UNKNOWN), CATLATCH_VALID);
    latch_table_unmap(&second);
}

static void nothing_stays_open(void **state)
{
    struct fixture *fixture = *state;
    size_t before = latch_descriptors();
    struct catlatch *latch = open_service(&fixture->world, "strict");
    assert_int_equal(latch_descriptors(), before);
    verify(latch, LIVE);
    catlatch_refresh(latch);
    assert_int_equal(latch_descriptors(), before);
    size_t mapped = latch_mappings(fixture->world.run_dir);
    catlatch_close(latch);
    assert_int_equal(latch_mappings(fixture->world.run_dir), mapped - 1);
}

static void open_refuses_what_it_cannot_use_and_says_why(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_options options = {
        .size = sizeof options, .config_path = fixture->world.config, .service = "nowhere"};
    struct catlatch *latch = (struct catlatch *)fixture;
    char message[256] = "", tiny[8];
    assert_int_equal(catlatch_open(&options, &latch, message, sizeof message),
                     CATLATCH_E_NOT_FOUND);
    assert_non_null(strstr(message, "nowhere"));
    assert_null(strchr(message, '\n'));
    assert_ptr_equal(latch, fixture);
    assert_int_equal(catlatch_open(&options, &latch, tiny, sizeof tiny), CATLATCH_E_NOT_FOUND);
    assert_int_equal(strlen(tiny), sizeof tiny - 1);
    assert_int_equal(catlatch_open(&options, &latch, NULL, 0), CATLATCH_E_NOT_FOUND);
    options.config_path = "/nonexistent/catlatch.ini";
    assert_int_equal(catlatch_open(&options, &latch, message, sizeof message),
                     CATLATCH_E_NOT_FOUND);
    assert_non_null(strstr(message, "/nonexistent"));
    options.size = 1;
    assert_int_equal(catlatch_open(&options, &latch, message, sizeof message), CATLATCH_E_ARGUMENT);
    assert_int_equal(catlatch_open(NULL, &latch, message, sizeof message), CATLATCH_E_ARGUMENT);
}

static void open_refuses_a_configuration_or_run_dir_that_others_can_write(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_options options = {.size = sizeof options,
                                       .config_path = fixture->world.config};
    struct catlatch *latch = NULL;
    char message[256] = "";
    assert_int_equal(chmod(fixture->world.run_dir, 0777), 0);
    assert_int_equal(catlatch_open(&options, &latch, message, sizeof message),
                     CATLATCH_E_PERMISSION);
    assert_non_null(strstr(message, fixture->world.run_dir));
    assert_int_equal(chmod(fixture->world.run_dir, 0750), 0);
    assert_int_equal(chmod(fixture->world.config, 0666), 0);
    assert_int_equal(catlatch_open(&options, &latch, message, sizeof message),
                     CATLATCH_E_PERMISSION);
    assert_null(latch);
}

static void names_and_statuses_are_the_shared_ones(void **state)
{
    (void)state;
    assert_string_equal(catlatch_result_name(CATLATCH_NOT_YET_VALID), "not_yet_valid");
    assert_int_equal(catlatch_result_http_status(CATLATCH_UNAVAILABLE), 503);
    assert_int_equal(catlatch_result_http_status(CATLATCH_VALID), 200);
    assert_true(strlen(catlatch_strerror(CATLATCH_E_FULL)) > 0);
    assert_non_null(catlatch_strerror(12345));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_state_of_a_key_has_its_answer),
        TEST(a_typo_a_cut_and_a_swapped_environment_are_malformed),
        TEST(bytes_of_all_kinds_and_lengths_are_refused),
        TEST(a_service_applies_its_own_checks),
        TEST(scopes_are_demanded_of_the_key),
        TEST(the_key_is_taken_out_of_an_authorization_header),
        TEST(no_credential_is_missing_and_two_are_a_bad_request),
        TEST(calls_that_make_no_sense_are_refused_and_never_granted),
        TEST(structs_smaller_than_the_first_releases_are_refused),
        TEST(a_later_releases_request_is_taken_unless_it_asks_for_what_we_do_not_know),
        TEST(a_batch_walks_by_the_sizes_that_it_was_told),
        TEST(a_batch_answers_as_one_by_one),
        TEST(verifying_leaves_no_trace_of_the_key),
        TEST(a_long_batch_does_not_outlive_the_table_that_it_began_with),
        TEST(identity_tells_whose_key_it_is),
        TEST(identity_is_known_of_refused_keys_whose_digest_matched),
        TEST(identity_out_of_a_damaged_table_is_an_outage),
        TEST(identity_follows_a_key_into_another_generation_and_out_of_it),
        TEST(recheck_sees_what_happened_since),
        TEST(recheck_follows_a_key_into_another_generation),
        TEST(recheck_takes_no_credential_and_only_what_matched),
        TEST(a_change_is_seen_by_the_next_verification),
        TEST(a_change_of_generation_is_seen_by_the_next_verification),
        TEST(without_a_table_keys_are_unavailable_until_there_is_one),
        TEST(refresh_lets_go_of_a_table_that_is_gone),
        TEST(a_silent_keeper_holds_a_loop_up_no_longer_than_a_request),
        TEST(a_forked_child_uses_the_handle_and_leaves_the_parents_alone),
        TEST(nothing_stays_open),
        TEST(open_refuses_what_it_cannot_use_and_says_why),
        TEST(open_refuses_a_configuration_or_run_dir_that_others_can_write),
        TEST(names_and_statuses_are_the_shared_ones),
    };
    return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
