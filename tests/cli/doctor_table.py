"""doctor_table.py FILE WHAT: makes a table wrong in one respect, as nobody but root could.

WHAT: `disable` sets a flag of the first living key; `future`, `boot` and `layout` change the header
and its checksum; `damage` changes it without; `supersede` marks it; `map` maps it, says so and waits.
"""
import mmap
import struct
import sys
import time
import zlib

# Offsets of src/table/layout.h.
PULSE, MAGIC, LAYOUT, BOOT_ID, SLOT_COUNT, SLOTS_OFFSET = 0, 64, 72, 104, 136, 144
CREATED, CHECKSUM = 200, 228
LIVE, DISABLED = 1, 4


def number(area, at):
    return struct.unpack_from("=Q", area, at)[0]


def disable(area):
    at = number(area, SLOTS_OFFSET)
    for slot in range(at, at + 64 * number(area, SLOT_COUNT), 64):
        control = number(area, slot)
        if control & 3 == LIVE:
            struct.pack_into("=Q", area, slot, control ^ DISABLED)
            return
    sys.exit("no key lives there")


def header(area, what):
    if what == "future":
        struct.pack_into("=Q", area, CREATED, int(time.time()) + 86400)
    elif what == "boot":
        area[BOOT_ID:BOOT_ID + 16] = bytes(16)
    elif what == "layout":
        struct.pack_into("=I", area, LAYOUT, 99)
    else:
        struct.pack_into("=Q", area, SLOT_COUNT, 7)
        return
    struct.pack_into("=I", area, CHECKSUM, zlib.crc32(area[MAGIC:CHECKSUM]))


def main():
    path, what = sys.argv[1:]
    with open(path, "rb" if what == "map" else "r+b") as file:
        area = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ if what == "map" else mmap.ACCESS_WRITE)
    if what == "map":
        print("mapped", flush=True)
        time.sleep(600)
    elif what == "disable":
        disable(area)
    elif what == "supersede":
        struct.pack_into("=Q", area, PULSE, 2**64 - 1)
    else:
        header(area, what)


main()
