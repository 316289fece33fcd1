#include "restore_file.h"

int restore_file_verify(int fd, struct backup_tally *ret_tally, struct error *error)
{
    struct backup_reader reader;
    struct backup_entry entry;
    int code = backup_reader_open(&reader, fd, error);

    if (code != 0)
        return code;
    do
        code = backup_next(&reader, &entry, error);
    while (code == 1);
    if (code == 0 && ret_tally != NULL)
        *ret_tally = reader.tally;
    backup_reader_close(&reader);
    return code;
}
