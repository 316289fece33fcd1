/* What LOG and LOG.VERIFY found, as PROTOCOL.md's maps. */
#include "daemon/command.h"
#include "daemon/pairs.h"

static void actor_pairs(struct reply *reply, const struct actor *actor)
{
    reply_map(reply, 4);
    pair_count(reply, "uid", actor->uid);
    reply_word(reply, "login_uid");
    if (actor->login_uid != UINT32_MAX)
        reply_count(reply, actor->login_uid);
    else
        reply_null(reply);
    reply_word(reply, "pid");
    reply_integer(reply, actor->pid);
    pair_id(reply, "key_id", actor->key_id);
}

static void change_pairs(struct reply *reply, const struct change *change)
{
    reply_map(reply, 8);
    pair_position(reply, "sequence", change->epoch, change->sequence);
    pair_moment(reply, "time", change->time_unix_ms);
    pair_word(reply, "change", change_kind_name(change->kind));
    pair_id(reply, "id", change->key_id);
    pair_text(reply, "owner", change->owner);
    pair_text(reply, "comment", change->detail);
    reply_word(reply, "actor");
    actor_pairs(reply, &change->actor);
    reply_word(reply, "fields");
    reply_array(reply, change->difference_count);
    for (size_t i = 0; i < change->difference_count; i++) {
        reply_map(reply, 3);
        pair_text(reply, "field", change->differences[i].field);
        pair_text(reply, "before", change->differences[i].before);
        pair_text(reply, "after", change->differences[i].after);
    }
}

void answer_log(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    (void)place;
    reply_map(reply, 3);
    pair_position(reply, "cursor", op->at.epoch, op->at.sequence);
    pair_bool(reply, "end", op->at_end);
    reply_word(reply, "changes");
    reply_array(reply, op->change_count);
    for (size_t i = 0; i < op->change_count; i++)
        change_pairs(reply, &op->changes[i]);
}

void answer_log_verified(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    char chain[2 * DIGEST_BYTES + 1];

    (void)place;
    digest_hex(&op->chain, chain);
    reply_map(reply, 5);
    pair_position(reply, "cursor", op->at.epoch, op->at.sequence);
    pair_word(reply, "chain", chain);
    pair_count(reply, "count", op->verified);
    pair_bool(reply, "end", op->at_end);
    pair_word(reply, "problem", op->problem.code != 0 ? op->problem.text : NULL);
}
