/* boot.h - which boot of this host we are in. */
#ifndef CORE_BOOT_H
#define CORE_BOOT_H

#include <stddef.h>
#include <stdint.h>

#define BOOT_ID_BYTES 16u

/* The kernel's random number of this boot (random(4)), which containers share with their host.
 * Returns 0, or E_UNAVAILABLE where /proc does not tell. Allocates nothing, keeps no descriptor. */
int boot_id_read(uint8_t ret_id[BOOT_ID_BYTES]);

/* The same from its text, "6fd5a44b-35f4-4ad4-a9b9-6b9be13e1fe9", which may end with a newline.
 * Returns 0 or E_DATA. */
int boot_id_parse(const char *text, size_t len, uint8_t ret_id[BOOT_ID_BYTES]);

#endif
