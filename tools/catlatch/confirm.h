/* confirm.h - questions to the person at the terminal, on /dev/tty. */
#ifndef TOOL_CONFIRM_H
#define TOOL_CONFIRM_H

#include <stdbool.h>
#include <stddef.h>

/* Is there somebody to ask? stderr is a terminal, and stdin is one too or was given away for ids or
 * keys. A script's commands, whose stdin or stderr goes elsewhere, are never asked. */
bool confirm_is_possible(bool stdin_is_input);

/* Asks until one of the answers is typed in full; the last one is what an empty line, the end of
 * input or a third misunderstanding mean. Returns its index. */
size_t confirm_ask(const char *question, const char *const *answers, size_t count);

#endif
