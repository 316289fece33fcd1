#include "daemon/options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What a page holds when LIMIT is not given. */
#define PAGE_DEFAULT 100u

static bool take_cursor(struct call *call, struct op *op, const char *word,
                        const struct text *values)
{
    return options_text(call, op, word, values[0], 1, RECORD_TEXT_MAX, &op->after_owner);
}

void handle_owner_list(struct call *call)
{
    static const struct option options[] = {{"CURSOR", 1, false, take_cursor},
                                            {"LIMIT", 1, false, options_limit}};
    struct op *op = call_op(call, OP_OWNER_LIST);

    if (!op)
        return;
    op->limit = PAGE_DEFAULT;
    call_leave(call, op, options_parse(call, op, 1, options, COUNT(options)));
}

static void handle_owner(struct call *call, enum op_kind kind, const struct option *options,
                         size_t count)
{
    struct op *op = call_op(call, kind);

    if (!op)
        return;
    bool ok =
        options_text(call, op, "the owner", call_word(call, 1), 1, RECORD_TEXT_MAX, &op->owner) &&
        options_parse(call, op, 2, options, count);
    call_leave(call, op, ok);
}

void handle_owner_get(struct call *call)
{
    handle_owner(call, OP_OWNER_GET, NULL, 0);
}

void handle_owner_suspend(struct call *call)
{
    static const struct option options[] = {{"COMMENT", 1, false, options_comment}};
    handle_owner(call, OP_OWNER_SUSPEND, options, COUNT(options));
}

static bool take_set(struct call *call, struct op *op, const char *word, const struct text *values)
{
    if (!text_is_nocase(values[0], "rate"))
        return call_refuse(call, "INVALID", "%s of an owner knows rate alone", word);
    return options_all_rates(call, op, "rate", &values[1]);
}

void handle_owner_update(struct call *call)
{
    static const struct option options[] = {{"SET", 2, false, take_set},
                                            {"COMMENT", 1, false, options_comment}};
    handle_owner(call, OP_OWNER_UPDATE, options, COUNT(options));
}

void handle_owner_resume(struct call *call)
{
    handle_owner(call, OP_OWNER_RESUME, NULL, 0);
}
