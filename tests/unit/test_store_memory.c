/* What the store does when memory for its indexes is refused, at every place where it asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/store_internal.h"
#include "lib_store_test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static bool counting;
static unsigned asked, refused_at; /* 0: none is */

#if !SANITIZED
static bool is_refused(void)
{
    return counting && ++asked == refused_at;
}

/* In front of libc's, for the store's own calls. */
void *reallocarray(void *array, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || is_refused())
        return NULL;
    return realloc(array, bytes);
}

/* glibc's own name of it; of malloc and memset a compiler would make this very function again. */
extern void *__libc_calloc(size_t count, size_t size);

void *calloc(size_t count, size_t size)
{
    return count > 1 && is_refused() ? NULL : __libc_calloc(count, size); /* of arrays alone */
}
#endif

/* New keys in order and between others, so that a part begins. */
static int try_commit(uint64_t first, uint64_t count)
{
    struct store_txn *txn;

    int r = store_begin(store, &txn, &error);
    if (r != 0)
        return r;
    for (uint64_t i = 0; r == 0 && i < count; i++) {
        struct record record = store_sample(first + 2 * i, "n", "acme");
        record.expires_unix_s = (int64_t)(1000 + i);
        r = store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error);
    }
    if (r == 0)
        return store_commit(txn, &error);
    store_abort(txn);
    return r;
}

static void refused_memory_undoes_the_transaction_and_no_more(void **state)
{
    (void)state;
    if (SANITIZED) {
        print_message("# skipped: the sanitizer has malloc for itself\n");
        skip();
    }
    uint64_t first = 10, count = 0;
    for (refused_at = 1;; refused_at++) {
        close_store(); /* what is there already need not be asked for */
        store = store_open_or_die(folder);
        store->part_keys = 100;
        asked = 0;
        counting = true;
        int r = try_commit(first, 1200);
        counting = false;
        if (r == 0) {
            count += 1200;
            first += 2400;
        } else {
            assert_int_equal(r, CATLATCH_E_MEMORY);
        }
        assert_false(store_is_broken(store));
        assert_int_equal(store_key_count(store), count);
        assert_agrees();
        if (asked < refused_at && store->part_count > 1)
            break;
        if (r == 0)
            refused_at = 0; /* again, now with a part to seal */
    }
    assert_true(refused_at > 5);
    assert_ok(try_commit(11, 900));
    assert_agrees();
    reopen();
    assert_agrees();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(refused_memory_undoes_the_transaction_and_no_more),
    };
    return cmocka_run_group_tests_name("store memory", tests, NULL, NULL);
}
