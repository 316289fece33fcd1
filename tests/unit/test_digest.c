#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "core/digest.h"

static const char live_key[] = "cc_live_AbCdEfGhIjKlMnOpQrStUvWxYz01234567890YCLTR";

static void digests_are_sha256(void **state)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        /* FIPS 180-2 appendix B, and others by another implementation. */
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {live_key, "8b39f261300289d364473fe615dbf773017433b87cad67242bba45e76f9bc197"},
    };
    char hex[2 * DIGEST_BYTES + 1];
    struct digest digest;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        digest_of(cases[i].text, strlen(cases[i].text), &digest);
        digest_hex(&digest, hex);
        assert_string_equal(hex, cases[i].hex);
    }
}

static void texts_of_every_length_agree_with_evp(void **state)
{
    unsigned char text[200], expected[DIGEST_BYTES];
    struct digest digest;

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)(i * 37 + 11);
    for (size_t len = 0; len <= sizeof text; len++) {
        assert_int_equal(EVP_Digest(text, len, expected, NULL, EVP_sha256(), NULL), 1);
        digest_of(text, len, &digest);
        assert_memory_equal(&digest, expected, sizeof expected);
    }
}

static void a_text_of_many_blocks_is_hashed_whole(void **state)
{
    char text[1000], hex[2 * DIGEST_BYTES + 1];
    struct digest digest;

    (void)state;
    memset(text, 'a', sizeof text);
    digest_of(text, sizeof text, &digest);
    digest_hex(&digest, hex);
    assert_string_equal(hex, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
}

static void digests_that_differ_in_one_bit_are_not_equal(void **state)
{
    struct digest a, b;

    (void)state;
    digest_of("abc", 3, &a);
    for (unsigned bit = 0; bit < 8 * DIGEST_BYTES; bit++) {
        b = a;
        assert_true(digest_equal(&a, &b));
        b.word[bit / 64] ^= UINT64_C(1) << bit % 64;
        assert_false(digest_equal(&a, &b));
    }
}

/* Deep enough that the thread's end does not write over what is left there. */
static void *hash_once(void *digest)
{
    volatile char deep[64 * 1024];

    deep[0] = 1;
    digest_of(live_key, strlen(live_key), digest);
    return deep[0] == 1 ? digest : NULL;
}

/* A thread on a stack of ours, so that what it leaves there can be searched. */
static void hashing_leaves_no_trace_of_the_text(void **state)
{
    size_t size = 256 * 1024;
    void *stack =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    struct digest digest = {0}, again;
    pthread_attr_t attributes;
    pthread_t thread;

    (void)state;
    assert_ptr_not_equal(stack, MAP_FAILED);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, size), 0);
    assert_int_equal(pthread_create(&thread, &attributes, hash_once, &digest), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    hash_once(&again);
    assert_true(digest_equal(&digest, &again));
    assert_null(memmem(stack, size, live_key + 15, 16));
    assert_null(memmem(stack, size, live_key + 34, 16));
    pthread_attr_destroy(&attributes);
    munmap(stack, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_sha256),
        cmocka_unit_test(texts_of_every_length_agree_with_evp),
        cmocka_unit_test(a_text_of_many_blocks_is_hashed_whole),
        cmocka_unit_test(digests_that_differ_in_one_bit_are_not_equal),
        cmocka_unit_test(hashing_leaves_no_trace_of_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
