/* TABLE.CHECK: its words and its answer. A cursor is the last key's id, or "slot:GENERATION:N". */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/key.h"
#include "daemon/options.h"
#include "daemon/pairs.h"

#define SLOT_CURSOR "slot:%" PRIu64 ":%" PRIu64
#define SLOT_CURSOR_SIZE 48 /* "slot:", ":" and twice twenty digits */

static bool slot_cursor_parse(struct text text, struct op_check_place *ret)
{
    char copy[SLOT_CURSOR_SIZE], again[SLOT_CURSOR_SIZE];
    struct op_check_place place = {0};

    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.bytes, text.len);
    copy[text.len] = '\0';
    if (sscanf(copy, "slot:%" SCNu64 ":%" SCNu64, &place.generation, &place.slot) != 2)
        return false;
    snprintf(again, sizeof again, SLOT_CURSOR, place.generation, place.slot);
    if (strcmp(copy, again) != 0 || place.generation == 0)
        return false;
    *ret = place;
    return true;
}

static bool take_check_cursor(struct call *call, struct op *op, const char *word,
                              const struct text *values)
{
    if (key_id_parse(values[0].bytes, values[0].len, &op->check_at.after_id) == 0 ||
        slot_cursor_parse(values[0], &op->check_at))
        return true;
    return call_refuse(call, "INVALID", "%s is none that TABLE.CHECK returned", word);
}

void handle_table_check(struct call *call)
{
    static const struct option options[] = {{"CURSOR", 1, false, take_check_cursor}};
    struct op *op = call_op(call, OP_TABLE_CHECK);

    if (op)
        call_leave(call, op, options_parse(call, op, 1, options, 1));
}

void answer_table_checked(const struct op *op, const struct answer_place *place,
                          struct reply *reply)
{
    char slot[SLOT_CURSOR_SIZE];

    (void)place;
    reply_map(reply, 4);
    snprintf(slot, sizeof slot, SLOT_CURSOR, op->check_next.generation, op->check_next.slot);
    if (op->check_next.generation == 0)
        pair_id(reply, "cursor", op->check_next.after_id);
    else
        pair_word(reply, "cursor", op->check_ended ? NULL : slot);
    pair_count(reply, "checked", op->checked);
    pair_count(reply, "confined", op->confined);
    reply_word(reply, "wrong");
    reply_array(reply, op->wrong_count);
    for (size_t i = 0; i < op->wrong_count; i++) {
        reply_map(reply, 2);
        pair_id(reply, "id", op->wrong[i].id);
        pair_word(reply, "what", op->wrong[i].what);
    }
}
