#include "daemon/retention.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/key.h"
#include "core/timespan.h"
#include "daemon/keys.h"

/* Keys or changes for one step: some milliseconds of the store thread's time. */
#define STEP_MAX 500u

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void retention_begin(struct retention *retention, struct keys *keys)
{
    *retention = (struct retention){.keys = keys, .at_once = STEP_MAX};
    clock_begin(&retention->clock, clock_ms(CLOCK_REALTIME), clock_ms(CLOCK_BOOTTIME),
                store_last_change_ms(keys->store));
}

void retention_confirm(struct retention *retention)
{
    clock_confirm(&retention->clock, clock_ms(CLOCK_REALTIME), clock_ms(CLOCK_BOOTTIME));
    retention->complained = false;
    retention->unused = (struct unused){.passing = false};
}

static int check_clock(struct retention *retention, int64_t now_ms, bool *ret_believed,
                       struct error *error)
{
    *ret_believed = clock_is_believed(&retention->clock, now_ms, clock_ms(CLOCK_BOOTTIME));
    if (*ret_believed || retention->complained)
        return 0;
    retention->complained = true;
    return error_set(error, CATLATCH_E_UNAVAILABLE,
                     "the wall clock jumped by more than an hour: nothing is purged, removed, "
                     "disabled or retired for its age until a reload confirms that it is right");
}

static bool is_bad(const struct retention *retention, uint64_t id)
{
    for (size_t i = 0; i < retention->bad_count; i++)
        if (retention->bad[i] == id)
            return true;
    return false;
}

/* The oldest keys that can be purged, as far as is known. */
static int find_old(const struct retention *retention, int64_t until_unix_s, uint64_t ids[STEP_MAX],
                    size_t *ret_count, struct error *error)
{
    uint64_t found[STEP_MAX + RETENTION_BAD_MAX];
    size_t found_count, count = 0;

    int r = store_revoked(retention->keys->store, until_unix_s, found,
                          retention->at_once + retention->bad_count, &found_count, error);
    for (size_t i = 0; r == 0 && i < found_count && count < retention->at_once; i++)
        if (!is_bad(retention, found[i]))
            ids[count++] = found[i];
    *ret_count = count;
    return r;
}

static struct op *make_op(enum op_kind kind, const uint64_t *ids, size_t count, const char *comment,
                          struct error *error)
{
    struct op *op = op_new(kind);

    if (op != NULL)
        op->ids = op_alloc(op, count * sizeof *ids);
    if (op == NULL || op->ids == NULL || op_text(op, comment, strlen(comment), &op->comment) != 0) {
        op_free(op);
        error_set(error, CATLATCH_E_MEMORY, "looking for keys that are old enough");
        return NULL;
    }
    memcpy(op->ids, ids, count * sizeof *ids);
    op->id_count = count;
    op->may_grant_admin = true;
    op->actor = (struct actor){.uid = geteuid(), .login_uid = UINT32_MAX, .pid = getpid()};
    return op;
}

static int make_purge(struct retention *retention, int64_t until_unix_s, struct op **ret_op,
                      struct error *error)
{
    uint64_t ids[STEP_MAX];
    size_t count;

    int r = find_old(retention, until_unix_s, ids, &count, error);
    if (r != 0 || count == 0)
        return r;
    *ret_op = make_op(OP_PURGE, ids, count, "[policy] retain_revoked", error);
    return *ret_op != NULL ? 0 : error->code;
}

static bool is_passed_over(const void *context, uint64_t id)
{
    return is_bad(context, id);
}

/* The change log's readers know whom to ask, and what for. */
static struct op *make_disable(const uint64_t *ids, size_t count, int64_t span_s,
                               int64_t since_unix_s, struct error *error)
{
    char comment[96], span[TIMESPAN_MS_SIZE];

    timespan_format_ms(span_s * 1000, span);
    snprintf(comment, sizeof comment, "[policy] disable_unused_after: not used for %s", span);
    struct op *op = make_op(OP_DISABLE, ids, count, comment, error);
    if (op != NULL)
        op->unused_since_unix_s = since_unix_s;
    return op;
}

static int disable_unused(struct retention *retention, int64_t span_s, int64_t now_ms,
                          struct op **ret_op, struct error *error)
{
    struct keys *keys = retention->keys;
    uint64_t ids[STEP_MAX];
    size_t count = 0;
    int64_t known_since_unix_s, since_unix_s = now_ms / 1000 - span_s;

    int r = sweeper_evidence(keys->store, keys->sweeper.tally, now_ms / 1000, &known_since_unix_s,
                             error);
    if (r != 0 || known_since_unix_s == 0 || known_since_unix_s > since_unix_s)
        return r;
    keys->now_unix_ms = now_ms;
    r = unused_find(&retention->unused, keys, since_unix_s, clock_ms(CLOCK_BOOTTIME),
                    is_passed_over, retention, ids, retention->at_once, &count, error);
    if (r != 0 || count == 0)
        return r;
    *ret_op = make_disable(ids, count, span_s, since_unix_s, error);
    return *ret_op != NULL ? 0 : error->code;
}

static int retire(struct retention *retention, int64_t now_ms, struct op **ret_op,
                  struct error *error)
{
    struct keys *keys = retention->keys;
    uint64_t ids[STEP_MAX];
    size_t count = 0;

    keys->now_unix_ms = now_ms;
    int r = retiring_find(&keys->retiring, keys, is_passed_over, retention, ids, retention->at_once,
                          &count, error);
    if (r != 0 || count == 0)
        return r;
    *ret_op = make_op(OP_RETIRE, ids, count, "as the rotation said", error);
    return *ret_op != NULL ? 0 : error->code;
}

/* One level in each step, until all have nothing more that is old. A level that is not kept has
 * nothing that is not. */
static int prune_history(struct retention *retention, const struct config *config,
                         int64_t now_unix_s, size_t *ret_pruned, struct error *error)
{
    int r = 0;

    *ret_pruned = 0;
    for (unsigned i = 0; i < HISTORY_LEVELS && r == 0 && *ret_pruned == 0; i++) {
        enum history_level level = (enum history_level)i;
        int64_t kept_s = keys_history_kept_s(config, level);
        uint32_t before = kept_s != 0 ? history_bucket(level, now_unix_s - kept_s) : UINT32_MAX;
        r = store_prune_history(retention->keys->store, level, before, STEP_MAX, ret_pruned, error);
    }
    return r;
}

int retention_step(struct retention *retention, const struct config *config, struct op **ret_op,
                   bool *ret_more, struct error *error)
{
    const struct keys *keys = retention->keys;
    int64_t now_ms = clock_ms(CLOCK_REALTIME);
    size_t pruned = 0, pruned_history = 0;
    bool believed;

    *ret_op = NULL;
    *ret_more = false;
    int r = check_clock(retention, now_ms, &believed, error);
    /* The room that the ballast left is not for this. */
    if (r != 0 || !believed || store_ballast_is_spent(retention->keys->store))
        return r;
    if (config->audit_retain_s != 0)
        r = store_prune(retention->keys->store, now_ms - config->audit_retain_s * 1000, STEP_MAX,
                        &pruned, error);
    if (r == 0)
        r = prune_history(retention, config, now_ms / 1000, &pruned_history, error);
    if (r == 0 && config->retain_revoked_s != 0)
        r = make_purge(retention, now_ms / 1000 - config->retain_revoked_s, ret_op, error);
    bool purges = *ret_op != NULL; /* and what comes behind is for the next step */
    if (r == 0 && *ret_op == NULL && config->disable_unused_s != 0)
        r = disable_unused(retention, config->disable_unused_s, now_ms, ret_op, error);
    if (r == 0 && *ret_op == NULL)
        r = retire(retention, now_ms, ret_op, error);
    *ret_more = r == 0 && (pruned == STEP_MAX || pruned_history > 0 || purges ||
                           retention->unused.passing || keys->retiring.passing);
    return r;
}

/* Whether it is one of the keys that made a purge fail, rather than the disk or the memory. */
static bool is_of_a_key(int code)
{
    return code == CATLATCH_E_DATA || code == CATLATCH_E_VERSION || code == CATLATCH_E_NOT_FOUND ||
           code == CATLATCH_E_CONFLICT;
}

static void pass_over(struct retention *retention, const struct op *op, struct error *error)
{
    char id[CATLATCH_ID_SIZE];

    retention->bad[retention->bad_count++] = op->ids[0];
    key_id_format(op->ids[0], id);
    const char *done = op->kind == OP_PURGE     ? "purged"
                       : op->kind == OP_DISABLE ? "disabled"
                                                : "retired";
    error_set(error, op->error.code,
              "%s is old enough to be %s and cannot be, so it is passed over and the others are "
              "%s: %s (a damaged store is mended by `catlatch restore` of a backup)",
              id, done, done, op->error.text);
}

bool retention_heed(struct retention *retention, const struct op *op, struct error *error)
{
    error->code = 0;
    if (op->error.code == 0) {
        retention->at_once = retention->at_once < STEP_MAX / 2 ? retention->at_once * 2 : STEP_MAX;
        return true;
    }
    if (!is_of_a_key(op->error.code) || retention->bad_count == RETENTION_BAD_MAX) {
        *error = op->error;
        return false;
    }
    if (op->id_count == 1)
        pass_over(retention, op, error);
    else
        retention->at_once = op->id_count / 2; /* until the one is found that fails alone */
    if (op->kind == OP_DISABLE) {              /* which were looked at already */
        retention->unused.after_id = op->ids[0] - 1;
        retention->unused.passing = true;
    }
    return true;
}
