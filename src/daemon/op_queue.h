/* op_queue.h - operations in line, first come first served. No lock: whoever shares one holds his.
 */
#ifndef DAEMON_OP_QUEUE_H
#define DAEMON_OP_QUEUE_H

#include "daemon/op.h"

struct op_queue {
    struct op *first;
    struct op **last;
    uint64_t count;
};

void op_queue_init(struct op_queue *queue);
void op_queue_add(struct op_queue *queue, struct op *op);
struct op *op_queue_take(struct op_queue *queue); /* NULL: it is empty */

/* Moves all of `from` in front of what `to` has. */
void op_queue_put_back(struct op_queue *to, struct op_queue *from);

#endif
