/* What LOG and LOG.VERIFY found, as PROTOCOL.md's maps. */
#include "daemon/command.h"
#include "daemon/event.h"
#include "daemon/pairs.h"

void answer_log(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    (void)place;
    reply_map(reply, 3);
    pair_position(reply, "cursor", op->at.epoch, op->at.sequence);
    pair_bool(reply, "end", op->at_end);
    reply_word(reply, "changes");
    reply_array(reply, op->change_count);
    for (size_t i = 0; i < op->change_count; i++)
        event_map(reply, &op->changes[i]);
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
