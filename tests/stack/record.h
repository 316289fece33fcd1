/*
 * record.h - what test modules leave behind for the test that loaded them: which call of which line
 * came when. The object itself is the test program's (lib_script.c); modules find it there.
 */
#ifndef TESTS_STACK_RECORD_H
#define TESTS_STACK_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#define RECORD_MAX 1024u /* more than 64 lines with six calls each leave behind */
#define RECORD_STEPS_MAX 65u
#define RECORD_WORD_SIZE 64u

struct record {
    unsigned count;
    unsigned lost; /* calls for which there was no room */
    struct record_call {
        char call; /* init, verify, settle, undo, finish, fini (x): its letter */
        int line;  /* the argument n= */
        int value; /* what the call returned; of finish the result that it was told */
    } calls[RECORD_MAX];

    unsigned dirty; /* calls that found in their line's state what should not be there */
    int told;       /* what host->tell returned last */
    uint32_t flags; /* of the last call */
    char service[RECORD_WORD_SIZE];
    char message[RECORD_WORD_SIZE]; /* whatever a module wants known */

    unsigned step_count; /* what host->step said in finish */
    struct record_step {
        char module[RECORD_WORD_SIZE], control[RECORD_WORD_SIZE], result[RECORD_WORD_SIZE],
            action[RECORD_WORD_SIZE];
        int standing;
        unsigned line, level;
        bool took_time;
    } steps[RECORD_STEPS_MAX];
};

extern struct record record __attribute__((visibility("default")));

static inline void record_add(char call, int line, int value)
{
    if (record.count == RECORD_MAX)
        record.lost++;
    else
        record.calls[record.count++] = (struct record_call){call, line, value};
}

#endif
