/* help.h - what --help and `help` print, made from the tables of commands and options. */
#ifndef TOOL_HELP_H
#define TOOL_HELP_H

#include "command.h"

void help_overview(void);
void help_group(const char *first_word); /* the commands that begin with it */
void help_command(const struct command *command);
void help_version(void);

#endif
