/* LOG, LOG.VERIFY, SUBSCRIBE and UNSUBSCRIBE: their words. */
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/options.h"
#include "daemon/subscription.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What a page holds when LIMIT is not given. */
#define PAGE_DEFAULT 100u

/* Decimal digits, nothing else; moves *io_text behind them. */
static bool take_digits(struct text *io_text, uint64_t *ret_number)
{
    uint64_t number = 0;
    uint32_t at = 0;

    while (at < io_text->len && io_text->bytes[at] >= '0' && io_text->bytes[at] <= '9') {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(io_text->bytes[at] - '0'), &number))
            return false;
        at++;
    }
    io_text->bytes += at;
    io_text->len -= at;
    *ret_number = number;
    return at > 0;
}

bool options_position(struct text text, struct store_position *ret)
{
    struct store_position position;

    if (!take_digits(&text, &position.epoch) || text.len == 0 || text.bytes[0] != ':')
        return false;
    text.bytes++;
    text.len--;
    if (!take_digits(&text, &position.sequence) || text.len != 0)
        return false;
    *ret = position;
    return true;
}

static bool take_since_position(struct call *call, struct op *op, const char *word,
                                const struct text *values)
{
    if (options_position(values[0], &op->after))
        return true;
    return call_refuse(call, "INVALID", "%s is no position in the log, as 1:42", word);
}

static bool take_moment(struct call *call, const char *word, struct text value, int64_t *ret_ms)
{
    int64_t unix_s;

    if (value.len == 0)
        return call_refuse(call, "INVALID", "%s is empty", word);
    if (!options_time(call, word, value, &unix_s))
        return false;
    *ret_ms = unix_s * 1000;
    return true;
}

static bool take_since(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    if (options_position(values[0], &op->after))
        return true;
    return take_moment(call, word, values[0], &op->log_selection.since_unix_ms);
}

static bool take_until(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    return take_moment(call, word, values[0], &op->log_selection.until_unix_ms);
}

static bool take_id(struct call *call, struct op *op, const char *word, const struct text *values)
{
    if (key_id_parse(values[0].bytes, values[0].len, &op->log_selection.key_id) == 0)
        return true;
    return call_refuse(call, "INVALID", "%s is no id of a key", word);
}

static bool take_log_owner(struct call *call, struct op *op, const char *word,
                           const struct text *values)
{
    return options_text(call, op, word, values[0], 1, RECORD_TEXT_MAX, &op->log_selection.owner);
}

static bool take_actor(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    struct op_log_selection *wanted = &op->log_selection;
    struct text rest = values[0];
    uint64_t uid = 0;

    if (key_id_parse(rest.bytes, rest.len, &wanted->actor_key_id) == 0)
        return true;
    wanted->has_uid = take_digits(&rest, &uid) && rest.len == 0 && uid <= UINT32_MAX;
    wanted->uid = (uint32_t)uid;
    if (wanted->has_uid)
        return true;
    return call_refuse(call, "INVALID", "%s is neither a uid nor the id of a key", word);
}

static bool take_kind(struct call *call, struct op *op, const char *word, const struct text *values)
{
    op->log_selection.has_kind = true;
    if (change_kind_parse(values[0], &op->log_selection.kind) == 0)
        return true;
    return call_refuse(call, "INVALID",
                       "%s is none of created, updated, disabled, enabled, revoked, rotated, "
                       "owner_suspended, owner_resumed, owner_updated, purged, imported, "
                       "restored",
                       word);
}

void handle_log(struct call *call)
{
    static const struct option options[] = {
        {"SINCE", 1, true, take_since},     {"UNTIL", 1, false, take_until},
        {"ID", 1, false, take_id},          {"OWNER", 1, false, take_log_owner},
        {"ACTOR", 1, false, take_actor},    {"KIND", 1, false, take_kind},
        {"LIMIT", 1, false, options_limit},
    };
    struct op *op = call_op(call, OP_LOG);

    if (!op)
        return;
    op->limit = PAGE_DEFAULT;
    call_leave(call, op, options_parse(call, op, 1, options, COUNT(options)));
}

static bool take_chain(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    if (digest_parse(values[0].bytes, values[0].len, &op->chain) == 0)
        return true;
    return call_refuse(call, "INVALID", "%s is none that LOG.VERIFY returned", word);
}

void handle_log_verify(struct call *call)
{
    static const struct option options[] = {
        {"SINCE", 1, false, take_since_position},
        {"CHAIN", 1, false, take_chain},
    };
    struct op *op = call_op(call, OP_LOG_VERIFY);

    if (!op)
        return;
    bool ok = options_parse(call, op, 1, options, COUNT(options));
    if (ok && (op->after.epoch != 0) != (call->request->count == 5))
        ok = call_refuse(call, "INVALID", "SINCE and CHAIN go together: what was returned before");
    call_leave(call, op, ok);
}

static void answer_subscription(struct call *call, const char *what, struct text channel)
{
    reply_push(call->reply, 3);
    reply_word(call->reply, what);
    reply_text(call->reply, channel);
    reply_count(call->reply, call->session->subscribed);
}

void handle_subscribe(struct call *call)
{
    struct session *session = call->session;

    if (!text_is(call_word(call, 1), SUBSCRIPTION_CHANNEL)) {
        call_refuse(call, "ERR", "there is one channel: " SUBSCRIPTION_CHANNEL);
        return;
    }
    if (!session->subscribed) {
        session->fed = changer_position(call->daemon->changer);
        session->subscribed = true;
    }
    answer_subscription(call, "subscribe", call_word(call, 1));
}

void handle_unsubscribe(struct call *call)
{
    struct text channel =
        call->request->count == 2 ? call_word(call, 1) : text_of(SUBSCRIPTION_CHANNEL);

    if (text_is(channel, SUBSCRIPTION_CHANNEL))
        call->session->subscribed = false;
    answer_subscription(call, "unsubscribe", channel);
}
