#include "daemon/results.h"

#include <string.h>

#include "daemon/bytes.h"
#include "daemon/total.h"

#define RESULTS_VERSION 1u

static uint64_t more_of(uint64_t count, uint64_t seen)
{
    return count >= seen && count - seen <= TOTAL_STEP_MAX ? count - seen : 0;
}

bool results_advance(struct results *io_results, const struct results_look *look,
                     uint64_t ret_more[PROCESS_RESULTS])
{
    bool same = memcmp(io_results->segment, look->segment, sizeof look->segment) == 0;
    bool any = false;

    for (unsigned i = 0; i < PROCESS_RESULTS; i++) {
        uint64_t count = look->totals.results[i], known = io_results->counts[i];
        uint64_t more = more_of(count, same ? io_results->seen[i] : 0);
        if (more > (uint64_t)INT64_MAX - known)
            more = (uint64_t)INT64_MAX - known;
        ret_more[i] = more;
        io_results->counts[i] = known + more;
        io_results->seen[i] = count;
        any |= more > 0;
    }
    memcpy(io_results->segment, look->segment, sizeof look->segment);
    return any;
}

size_t results_encode(const struct results *results, unsigned char ret_bytes[RESULTS_ENCODED_MAX])
{
    struct bytes_writer writer = {.at = ret_bytes, .left = RESULTS_ENCODED_MAX};

    bytes_put_u8(&writer, RESULTS_VERSION);
    bytes_put(&writer, results->segment, sizeof results->segment);
    bytes_put_u8(&writer, PROCESS_RESULTS);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++) {
        bytes_put_u64(&writer, results->counts[i]);
        bytes_put_u64(&writer, results->seen[i]);
    }
    return RESULTS_ENCODED_MAX - writer.left;
}

int results_decode(const unsigned char *bytes, size_t len, struct results *ret_results)
{
    struct bytes_reader reader;
    struct results results;

    int r = bytes_reader_start(&reader, bytes, len, RESULTS_VERSION);
    if (r != 0)
        return r;
    memset(&results, 0, sizeof results);
    const unsigned char *segment = bytes_take(&reader, sizeof results.segment);
    unsigned count = bytes_take_u8(&reader);
    for (unsigned i = 0; i < count && i < PROCESS_RESULTS; i++) {
        results.counts[i] = bytes_take_u64(&reader);
        results.seen[i] = bytes_take_u64(&reader);
        if (results.counts[i] > INT64_MAX)
            return CATLATCH_E_DATA;
    }
    if (segment == NULL || count != PROCESS_RESULTS || !bytes_reader_is_done(&reader))
        return CATLATCH_E_DATA;
    memcpy(results.segment, segment, sizeof results.segment);
    *ret_results = results;
    return 0;
}
static_assert(2 + RESULTS_SEGMENT_BYTES + PROCESS_RESULTS * 16 <= RESULTS_ENCODED_MAX,
              "an encoded one fits");
