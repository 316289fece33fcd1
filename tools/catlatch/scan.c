#include "scan.h"

#include <endian.h>
#include <string.h>

#define BODY_LEN (KEY_RANDOM_LEN + KEY_CHECK_LEN)
#define SHORTEST_KEY (KEY_PREFIX_MIN + BODY_LEN)

/* Sixteen bytes at a time, which gcc and clang turn into whatever vectors the machine has. */
typedef uint8_t byte_lanes __attribute__((vector_size(16)));
#define LANES sizeof(byte_lanes)

/* How many bytes one step looks at: two vectors, so that their tests are one. */
#define STEP (2 * LANES)

/* The last step begins where the shortest key still fits, and its loads stay within that key. */
_Static_assert(STEP - 1 + KEY_PREFIX_MAX - 1 < SHORTEST_KEY, "a step reads nothing past the end");

static size_t common_start(const char *a, const char *b)
{
    size_t len = 0;

    while (a[len] != '\0' && a[len] == b[len])
        len++;
    return len;
}

static struct scan_lead lead_of(const char *prefix, size_t len)
{
    return (struct scan_lead){(uint8_t)prefix[0], (uint8_t)prefix[len - 1], (uint8_t)(len - 1)};
}

/* Prefixes that begin alike, as cc_live_ and cc_test_, share a lead: fewer comparisons for each
 * byte. Three characters in common are about as rare in a text as a whole prefix. */
void scan_rules_make(const struct key_environments *environments, struct scan_rules *ret_rules)
{
    const char *prefixes[KEY_ENVIRONMENTS_MAX]; /* of which each lead is the start */
    struct scan_rules rules = {.environments = environments};

    for (size_t i = 0; i < environments->count; i++) {
        const char *prefix = environments->list[i].prefix;
        size_t at = 0, len = strlen(prefix);
        while (at < rules.lead_count && common_start(prefixes[at], prefix) < KEY_PREFIX_MIN)
            at++;
        if (at == rules.lead_count) {
            prefixes[rules.lead_count++] = prefix;
        } else {
            size_t shared = common_start(prefixes[at], prefix);
            size_t before = (size_t)rules.leads[at].distance + 1;
            len = shared < before ? shared : before;
        }
        rules.leads[at] = lead_of(prefix, len);
    }
    *ret_rules = rules;
}

void scan_begin(const struct scan_rules *rules, struct scan *ret_scan)
{
    *ret_scan = (struct scan){.rules = rules, .line = 1, .column = 1};
}

static byte_lanes lanes_load(const char *bytes)
{
    byte_lanes lanes;

    memcpy(&lanes, bytes, sizeof lanes);
    return lanes;
}

/* Lanes at which one of the leads may begin have all bits set. */
static byte_lanes lead_lanes(const struct scan_rules *rules, const char *bytes)
{
    byte_lanes here = lanes_load(bytes), hits = {0};

    for (size_t i = 0; i < rules->lead_count; i++) {
        const struct scan_lead *lead = &rules->leads[i];
        hits |= (byte_lanes)((here == lead->first) &
                             (lanes_load(bytes + lead->distance) == lead->last));
    }
    return hits;
}

static void lanes_halve(byte_lanes lanes, uint64_t ret_halves[2])
{
    memcpy(ret_halves, &lanes, sizeof lanes);
    ret_halves[0] = le64toh(ret_halves[0]);
    ret_halves[1] = le64toh(ret_halves[1]);
}

static size_t newline_count(const char *bytes, size_t len)
{
    size_t count = 0, at = 0;

    while (len - at >= LANES) {
        byte_lanes sums = {0};
        /* A lane counts up to 255. */
        for (unsigned rounds = 0; rounds < 255 && len - at >= LANES; rounds++, at += LANES)
            sums -= (byte_lanes)(lanes_load(bytes + at) == '\n');
        for (unsigned lane = 0; lane < LANES; lane++)
            count += sums[lane];
    }
    for (; at < len; at++)
        count += bytes[at] == '\n';
    return count;
}

static void place_advance(struct scan *scan, const char *bytes, size_t len)
{
    size_t newlines = newline_count(bytes, len);

    if (newlines == 0) {
        scan->column += len;
        return;
    }
    scan->line += newlines;
    scan->column = (size_t)(bytes + len - (const char *)memrchr(bytes, '\n', len));
}

/* A block while it is being looked at. */
struct pass {
    struct scan *scan;
    const char *bytes;
    size_t len;
    size_t placed; /* up to where line and column were counted */
    scan_found *found;
    void *context;
};

/* Is there a key at this place? A key that may go on behind the block is not asked about. */
static void candidate_check(struct pass *pass, size_t at)
{
    const struct key_environments *environments = pass->scan->rules->environments;
    const char *text = pass->bytes + at;
    const struct key_environment *environment =
        key_environment_of(environments, text, pass->len - at);
    struct scan_finding finding;
    size_t key_len;

    if (environment == NULL)
        return;
    key_len = strlen(environment->prefix) + BODY_LEN;
    if (key_len > pass->len - at || !key_is_well_formed(environments, text, key_len))
        return;
    place_advance(pass->scan, pass->bytes + pass->placed, at - pass->placed);
    pass->placed = at;
    finding =
        (struct scan_finding){pass->scan->line, pass->scan->column, text, key_len, environment};
    pass->found(pass->context, &finding);
}

static void half_check(struct pass *pass, uint64_t hits, size_t at, size_t limit)
{
    while (hits != 0) {
        unsigned lane = (unsigned)__builtin_ctzll(hits) / 8;
        if (at + lane < limit)
            candidate_check(pass, at + lane);
        hits &= ~(UINT64_C(0xFF) << 8 * lane);
    }
}

/* Before which place keys must begin to be decided on now. */
static size_t places_end(size_t len, bool at_end)
{
    size_t reserve = at_end ? SHORTEST_KEY - 1 : KEY_TEXT_MAX;

    return len > reserve ? len - reserve : 0;
}

size_t scan_block(struct scan *scan, const char *bytes, size_t len, bool at_end, scan_found *found,
                  void *context)
{
    struct pass pass = {scan, bytes, len, 0, found, context};
    size_t limit = places_end(len, at_end);
    size_t done = at_end ? len : limit;

    for (size_t at = 0; at < limit; at += STEP) {
        byte_lanes low = lead_lanes(scan->rules, bytes + at);
        byte_lanes high = lead_lanes(scan->rules, bytes + at + LANES);
        uint64_t halves[4];
        lanes_halve(low | high, halves);
        if ((halves[0] | halves[1]) == 0)
            continue;
        lanes_halve(low, halves);
        lanes_halve(high, halves + 2);
        for (size_t i = 0; i < 4; i++)
            half_check(&pass, halves[i], at + 8 * i, limit);
    }
    place_advance(scan, bytes + pass.placed, done - pass.placed);
    return done;
}
