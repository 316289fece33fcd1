/*
 * input.h - what fuzzers share: a check that says what was not so, and an input that is taken byte
 * by byte, to make decisions of.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(truth)                                                            \
    do {                                                                        \
        if (!(truth)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #truth); \
            abort();                                                            \
        }                                                                       \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes of the input, zeros after its end. */
struct input {
    const uint8_t *at;
    size_t left;
};

static inline unsigned take(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

static inline void take_bytes(struct input *input, void *to, size_t len)
{
    size_t given = len < input->left ? len : input->left;
    memset(to, 0, len);
    if (given > 0)
        memcpy(to, input->at, given);
    input->at += given;
    input->left -= given;
}

/* The bytes in memory of exactly their size, so that a read past the end is seen. */
static inline void *exact_copy(const void *bytes, size_t len)
{
    void *copy = malloc(len);
    CHECK(copy != NULL);
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

#endif
