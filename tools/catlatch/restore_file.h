/* restore_file.h - a backup as a file: whether it is whole. */
#ifndef TOOL_RESTORE_FILE_H
#define TOOL_RESTORE_FILE_H

#include "core/backup.h"

/* Reads all of it from where the descriptor stands. Returns 0 and what it is (NULL: nobody wants to
 * know), E_DATA, E_VERSION, E_IO or E_MEMORY. */
int restore_file_verify(int fd, struct backup_tally *ret_tally, struct error *error);

#endif
