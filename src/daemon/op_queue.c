#include "daemon/op_queue.h"

void op_queue_init(struct op_queue *queue)
{
    *queue = (struct op_queue){.last = &queue->first};
}

void op_queue_add(struct op_queue *queue, struct op *op)
{
    op->next = NULL;
    *queue->last = op;
    queue->last = &op->next;
    queue->count++;
}

struct op *op_queue_take(struct op_queue *queue)
{
    struct op *op = queue->first;
    if (op == NULL)
        return NULL;
    queue->first = op->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    queue->count--;
    op->next = NULL;
    return op;
}

void op_queue_put_back(struct op_queue *to, struct op_queue *from)
{
    if (from->first == NULL)
        return;
    *from->last = to->first;
    if (to->first == NULL)
        to->last = from->last;
    to->first = from->first;
    to->count += from->count;
    op_queue_init(from);
}
