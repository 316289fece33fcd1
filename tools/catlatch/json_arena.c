#include "json_arena.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <pthread.h>

/* What jansson used before, and uses outside of arenas. */
static json_free_t heap_free;
static json_malloc_t heap_malloc;

static _Thread_local struct json_arena *current; /* NULL: none */

static void *arena_malloc(size_t size)
{
    struct json_arena *arena = current;
    size_t room = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);

    if (arena == NULL || size > sizeof arena->bytes || room > sizeof arena->bytes - arena->used)
        return heap_malloc(size);
    arena->used += room;
    return arena->bytes + arena->used - room;
}

static void arena_free(void *memory)
{
    const struct json_arena *arena = current;
    const unsigned char *at = memory;

    if (arena == NULL || at < arena->bytes || at >= arena->bytes + sizeof arena->bytes)
        heap_free(memory);
}

static void install(void)
{
    json_get_alloc_funcs(&heap_malloc, &heap_free);
    json_set_alloc_funcs(arena_malloc, arena_free);
}

void json_arena_begin(struct json_arena *arena)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, install);
    current = arena;
}

void json_arena_end(void)
{
    struct json_arena *arena = current;

    current = NULL;
    OPENSSL_cleanse(arena->bytes, arena->used);
    arena->used = 0;
}
