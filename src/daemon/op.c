#include "daemon/op.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* A block of an operation's memory; the newest is first. */
struct arena {
    struct arena *older;
    size_t size;
    size_t used;
    _Alignas(max_align_t) unsigned char bytes[];
};

/* Most operations touch one key of a few hundred bytes. */
#define ARENA_BLOCK 4096u

struct op *op_new(enum op_kind kind)
{
    struct op *op = calloc(1, sizeof *op);
    if (op != NULL)
        op->kind = kind;
    return op;
}

static struct arena *arena_add(struct op *op, size_t wanted)
{
    size_t size = wanted > ARENA_BLOCK ? wanted : ARENA_BLOCK, total;
    if (__builtin_add_overflow(size, sizeof(struct arena), &total))
        return NULL;
    struct arena *block = calloc(1, total);
    if (block == NULL)
        return NULL;
    block->size = size;
    block->older = op->arena;
    op->arena = block;
    return block;
}

void *op_alloc(struct op *op, size_t size)
{
    size_t unit = _Alignof(max_align_t), room;
    if (__builtin_add_overflow(size, unit - 1, &room))
        return NULL;
    room -= room % unit;
    struct arena *block = op->arena;
    if (block == NULL || room > block->size - block->used)
        block = arena_add(op, room);
    if (block == NULL)
        return NULL;
    void *memory = block->bytes + block->used;
    block->used += room;
    return memory;
}

int op_text(struct op *op, const char *bytes, size_t len, struct text *ret_text)
{
    if (len > UINT32_MAX)
        return CATLATCH_E_MEMORY;
    char *copy = op_alloc(op, len + 1);
    if (copy == NULL)
        return CATLATCH_E_MEMORY;
    if (len > 0)
        memcpy(copy, bytes, len);
    *ret_text = (struct text){copy, (uint32_t)len};
    return 0;
}

void op_free(struct op *op)
{
    if (op == NULL)
        return;
    struct arena *block = op->arena;
    while (block != NULL) {
        struct arena *older = block->older;
        OPENSSL_cleanse(block->bytes, block->used);
        free(block);
        block = older;
    }
    free(op);
}
