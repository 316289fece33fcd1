/* PROCESSES, HISTORY and USAGE.TOP: who verifies, what was counted when, and of which keys. */
#include <time.h>

#include "core/key.h"
#include "core/result.h"
#include "daemon/daemon.h"
#include "daemon/keys.h"
#include "daemon/options.h"
#include "daemon/pairs.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* How far back HISTORY looks when nobody says. */
static const struct {
    const char *word;
    const char *name; /* of the setting that keeps it */
    int64_t back_s;
} steps[HISTORY_LEVELS] = {
    [HISTORY_DAYS] = {"d", "days", INT64_C(30) * 86400},
    [HISTORY_HOURS] = {"h", "hours", INT64_C(86400)},
    [HISTORY_MINUTES] = {"m", "minutes", INT64_C(3600)},
};

static bool is_known(unsigned result)
{
    return result <= CATLATCH_UNAVAILABLE;
}

/* A map of those that are not 0. */
static void write_results(struct reply *reply, const uint64_t counts[PROCESS_RESULTS])
{
    size_t pairs = 0;

    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        pairs += is_known(i) && counts[i] != 0;
    reply_map(reply, pairs);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        if (is_known(i) && counts[i] != 0)
            pair_count(reply, result_name((enum catlatch_result)i), counts[i]);
}

void pair_results(struct reply *reply, const uint64_t counts[PROCESS_RESULTS])
{
    reply_word(reply, "results");
    write_results(reply, counts);
}

void handle_processes(struct call *call)
{
    struct op *op = call_op(call, OP_PROCESSES);

    if (op == NULL)
        return;
    op->current_generation = call->view != NULL ? call->view->generation : 0;
    call_leave(call, op, true);
}

void answer_processes(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    (void)place;
    reply_map(reply, 2);
    pair_count(reply, "generation", op->current_generation);
    reply_word(reply, "processes");
    reply_array(reply, op->process_count);
    for (size_t i = 0; i < op->process_count; i++) {
        const struct op_process *process = &op->processes[i];
        reply_map(reply, 6);
        pair_count(reply, "pid", process->pid);
        pair_count(reply, "uid", process->uid);
        pair_time(reply, "attached_at", process->attached_unix_s);
        pair_count(reply, "generation", process->generation);
        pair_bool(reply, "stale", process->generation != op->current_generation);
        pair_results(reply, process->counts.results);
    }
}

static bool take_since(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    return options_time(call, word, values[0], &op->since_unix_s);
}

static bool take_until(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    return options_time(call, word, values[0], &op->until_unix_s);
}

static bool take_step(struct call *call, struct op *op, const char *word, const struct text *values)
{
    for (unsigned i = 0; i < HISTORY_LEVELS; i++)
        if (text_is_nocase(values[0], steps[i].word)) {
            op->level = (enum history_level)i;
            return true;
        }
    return call_refuse(call, "INVALID", "%s is m, h or d: minutes, hours or days", word);
}

static bool is_kept(struct call *call, enum history_level level)
{
    const struct config *config = call->daemon->settings.config;

    if (keys_history_plan(config, 0).kept[level])
        return true;
    return call_refuse(call, "INVALID", "nothing is kept by %s: see [history] in %s",
                       steps[level].name, config->path);
}

static bool begins_with_id(const struct call *call)
{
    struct text word = call->request->count > 1 ? call_word(call, 1) : text_of("");
    uint64_t id;

    return key_id_parse(word.bytes, word.len, &id) == 0;
}

static bool take_words(struct call *call, struct op *op)
{
    static const struct option options[] = {{"SINCE", 1, false, take_since},
                                            {"UNTIL", 1, false, take_until},
                                            {"STEP", 1, false, take_step}};
    size_t next = 1;

    op->level = HISTORY_HOURS;
    if (begins_with_id(call) && !options_ids(call, op, &next))
        return false;
    if (op->id_count > 1)
        return call_refuse(call, "INVALID", "HISTORY is of one key, or of all results");
    if (op->id_count == 0 && op->confined_owner.len > 0)
        return call_refuse(call, "NOPERM",
                           "HISTORY without an id is about the whole daemon, and the key of this "
                           "connection's AUTH is confined to its owner");
    return options_parse(call, op, next, options, COUNT(options)) && is_kept(call, op->level);
}

void handle_history(struct call *call)
{
    struct op *op = call_op(call, OP_HISTORY);

    if (op == NULL)
        return;
    bool ok = take_words(call, op);
    int64_t until_unix_s = op->until_unix_s != 0 ? op->until_unix_s : (int64_t)time(NULL) + 1;
    if (op->since_unix_s == 0)
        op->since_unix_s = until_unix_s - steps[op->level].back_s;
    call_leave(call, op, ok);
}

void answer_history(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    (void)place;
    reply_map(reply, 3);
    pair_time(reply, "cursor", op->next_unix_s);
    pair_word(reply, "step", steps[op->level].word);
    reply_word(reply, "history");
    reply_array(reply, op->span_count);
    for (size_t i = 0; i < op->span_count; i++) {
        const struct op_span *span = &op->spans[i];
        reply_map(reply, op->id_count > 0 ? 3 : 2);
        pair_time(reply, "time", span->begin_unix_s);
        if (op->id_count == 0) {
            pair_results(reply, span->results);
            continue;
        }
        pair_count(reply, "granted", span->entry.granted);
        pair_count(reply, "refused", span->entry.refused);
    }
}

/* Keys, and owners, of one answer unless it was asked for fewer. */
#define TOP_MAX BUSIEST_MAX

void handle_usage_top(struct call *call)
{
    struct text word = call->request->count > 1 ? call_word(call, 1) : text_of("20");
    struct op *op = call_op(call, OP_BUSIEST);

    if (op != NULL)
        call_leave(call, op, options_limit(call, op, "the count", &word));
}

static size_t at_most(size_t count, const struct op *op)
{
    size_t limit = op->limit < TOP_MAX ? op->limit : TOP_MAX;

    return count < limit ? count : limit;
}

static void write_counts(struct reply *reply, const struct op_busy *busy)
{
    pair_count(reply, "granted", busy->more.granted);
    pair_count(reply, "refused", busy->more.refused);
}

void answer_usage_top(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    (void)place;
    reply_map(reply, 5);
    pair_count(reply, "span_ms", op->busy_span_ms);
    pair_count(reply, "round", op->busy_round);
    pair_count(reply, "key_count", op->busy_total);
    reply_word(reply, "keys");
    reply_array(reply, at_most(op->busy_count, op));
    for (size_t i = 0; i < at_most(op->busy_count, op); i++) {
        reply_map(reply, 9);
        pair_id(reply, "id", op->busy[i].id);
        pair_text(reply, "name", op->busy[i].name);
        pair_text(reply, "owner", op->busy[i].owner);
        write_counts(reply, &op->busy[i]);
        pair_time(reply, "last_used_at", op->busy[i].used.last_unix_s);
        answer_from(reply, "last_used_from", &op->busy[i].used);
        pair_time(reply, "last_refused_at", op->busy[i].refused.last_unix_s);
        answer_from(reply, "last_refused_from", &op->busy[i].refused);
    }
    reply_word(reply, "owners");
    reply_array(reply, at_most(op->busy_owner_count, op));
    for (size_t i = 0; i < at_most(op->busy_owner_count, op); i++) {
        reply_map(reply, 3);
        pair_text(reply, "owner", op->busy_owners[i].owner);
        write_counts(reply, &op->busy_owners[i]);
    }
}
