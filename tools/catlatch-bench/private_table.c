#include "private_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/digest.h"

struct entry {
    struct digest digest;
    uint64_t value; /* 0: free */
};

struct private_table {
    struct entry *entries;
    uint64_t mask;
    size_t size;
};

/* Where the digest is, or the free place where it would be. */
static struct entry *place(const struct private_table *table, const struct digest *digest)
{
    uint64_t at = digest->word[0] & table->mask;
    while (table->entries[at].value != 0 &&
           memcmp(&table->entries[at].digest, digest, sizeof *digest) != 0)
        at = (at + 1) & table->mask;
    return &table->entries[at];
}

int private_table_make(const struct keys *keys, struct private_table **ret_table)
{
    uint64_t count = 1;
    while (count < 2 * keys->count)
        count *= 2;
    struct private_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return CATLATCH_E_MEMORY;
    table->mask = count - 1;
    table->size = count * sizeof *table->entries;
    void *base =
        mmap(NULL, table->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        free(table);
        return CATLATCH_E_MEMORY;
    }
    madvise(base, table->size, MADV_HUGEPAGE);
    table->entries = base;
    for (size_t i = 0; i < keys->count; i++) {
        struct digest digest;
        digest_of(keys->texts[i], KEYS_TEXT_LEN, &digest);
        *place(table, &digest) = (struct entry){digest, i + 1};
    }
    *ret_table = table;
    return 0;
}

void private_table_free(struct private_table *table)
{
    if (table == NULL)
        return;
    munmap(table->entries, table->size);
    free(table);
}

uint64_t private_table_find(const struct private_table *table, const char *text, size_t len)
{
    struct digest digest;
    digest_of(text, len, &digest);
    return place(table, &digest)->value;
}
