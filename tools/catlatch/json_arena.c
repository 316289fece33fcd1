#include "json_arena.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stddef.h>

static struct {
    size_t used;
    _Alignas(max_align_t) unsigned char bytes[(size_t)256 << 10];
} arena;
static json_free_t heap_free;
static json_malloc_t heap_malloc;

static void *arena_malloc(size_t size)
{
    size_t room = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);

    if (size > sizeof arena.bytes || room > sizeof arena.bytes - arena.used)
        return heap_malloc(size);
    arena.used += room;
    return arena.bytes + arena.used - room;
}

static void arena_free(void *memory)
{
    unsigned char *at = memory;

    if (at < arena.bytes || at >= arena.bytes + sizeof arena.bytes)
        heap_free(memory);
}

void json_arena_begin(void)
{
    json_get_alloc_funcs(&heap_malloc, &heap_free);
    json_set_alloc_funcs(arena_malloc, arena_free);
}

void json_arena_end(void)
{
    json_set_alloc_funcs(heap_malloc, heap_free);
    OPENSSL_cleanse(arena.bytes, arena.used);
    arena.used = 0;
}
