/*
 * note.h - what a decision leaves behind in the usage area: the key was used, or refused.
 *
 * The host's part of the outcome, whatever lines the service has: for a key whose digest matched,
 * and neither for a recheck nor for a dry run. Wait-free.
 */
#ifndef STACK_NOTE_H
#define STACK_NOTE_H

#include "stack/decide.h"

/* `run` was decided with this result. record: how much of the address is kept. */
void stack_note(const struct stack_run *run, enum catlatch_result result,
                enum config_address record, int64_t now_unix_s);

#endif
