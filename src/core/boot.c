#include "core/boot.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "catlatch.h"

#define UUID_TEXT_LEN 36u

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static int is_dash_place(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

int boot_id_parse(const char *text, size_t len, uint8_t ret_id[BOOT_ID_BYTES])
{
    uint8_t id[BOOT_ID_BYTES] = {0};
    size_t digits = 0;

    if (len == UUID_TEXT_LEN + 1 && text[UUID_TEXT_LEN] == '\n')
        len--;
    if (len != UUID_TEXT_LEN)
        return CATLATCH_E_DATA;
    for (size_t i = 0; i < len; i++) {
        if (is_dash_place(i)) {
            if (text[i] != '-')
                return CATLATCH_E_DATA;
            continue;
        }
        int value = hex_value(text[i]);
        if (value < 0)
            return CATLATCH_E_DATA;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | value);
        digits++;
    }
    memcpy(ret_id, id, sizeof id);
    return 0;
}

int boot_id_read(uint8_t ret_id[BOOT_ID_BYTES])
{
    char text[UUID_TEXT_LEN + 2];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return CATLATCH_E_UNAVAILABLE;
    ssize_t len = read(fd, text, sizeof text);
    close(fd);
    return len > 0 && boot_id_parse(text, (size_t)len, ret_id) == 0 ? 0 : CATLATCH_E_UNAVAILABLE;
}
