#include "lib_line.h"

#include "core/digest.h"

/* Nothing is begun behind it; what was begun fits. */
#define LINE_FULL ((size_t)14 << 10)

const char *line_key(void)
{
    static char key[KEY_TEXT_MAX + 1];

    if (key[0] != '\0')
        return key;
    memcpy(key, "cc_live_", 8);
    for (unsigned i = 0; i < KEY_RANDOM_LEN; i++)
        key[8 + i] = KEY_ALPHABET[(7 * i + 11) % 62];
    key_check_digits(key, 8 + KEY_RANDOM_LEN, key + 8 + KEY_RANDOM_LEN);
    return key;
}

static void put(struct line *line, const char *bytes, size_t len)
{
    CHECK(sizeof line->bytes - line->len >= len);
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void put_string(struct line *line, const char *string)
{
    put(line, string, strlen(string));
}

static void put_quoted(struct line *line, const char *bytes, size_t len)
{
    put(line, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        char escaped[8];
        unsigned char c = (unsigned char)bytes[i];
        if (c < 0x20 || c == '"' || c == '\\')
            put(line, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", c));
        else
            put(line, bytes + i, 1);
    }
    put(line, "\"", 1);
}

static void put_taken(struct line *line, struct input *input, size_t len)
{
    char bytes[32];

    take_bytes(input, bytes, len);
    put_quoted(line, bytes, len);
}

/* As long as texts may be, or nearly. */
static void put_long(struct line *line, struct input *input)
{
    static const size_t bounds[] = {15, 64, 255, 1024};
    char bytes[1024 + 1];

    memset(bytes, 'l', sizeof bytes);
    put_quoted(line, bytes, bounds[take(input) % 4] - 1 + take(input) % 3);
}

static void put_scopes(struct line *line, struct input *input)
{
    unsigned count = take(input) % 35, pad = take(input) % 66, same = take(input);
    char scope[80];

    put(line, "[", 1);
    for (unsigned i = 0; i < count; i++) {
        put(line, ",", i > 0);
        put_quoted(line, scope,
                   (size_t)snprintf(scope, sizeof scope, "%0*u", (int)pad, i == same ? 0 : i));
    }
    put(line, "]", 1);
}

static void put_metadata(struct line *line, struct input *input)
{
    unsigned count = take(input) % 4;

    put(line, "{", 1);
    for (unsigned i = 0; i < count; i++) {
        put(line, ",", i > 0);
        put_taken(line, input, 1 + take(input) % 4);
        put(line, ":", 1);
        put_taken(line, input, take(input) % 32);
    }
    put(line, "}", 1);
}

static void put_key(struct line *line, struct input *input, const char *key)
{
    char bytes[KEY_TEXT_MAX + 1];
    unsigned bend = take(input);

    snprintf(bytes, sizeof bytes, "%s", key);
    if (bend >= 192) /* a letter that is another one, or the end that is missing */
        bytes[bend % strlen(key)] = bend & 1 ? '\0' : 'X';
    put_quoted(line, bytes, strlen(bytes));
}

/* More in memory than is kept ready for a line. */
static void put_arrays(struct line *line, struct input *input)
{
    put(line, "[[]", 3);
    for (unsigned i = 16 * take(input); i > 0 && line->len < LINE_FULL; i--)
        put(line, ",[]", 3);
    put(line, "]", 1);
}

enum kind {
    TEXT,
    TIME,
    ID,
    STATE,
    REASON,
    FLAG,
    NUMBER,
    WORD,
    KEY,
    DIGEST,
    SCOPES,
    METADATA,
    ADDRESS
};

static void put_sample(struct line *line, struct input *input, enum kind kind)
{
    static const char *const samples[][8] = {
        [TIME] = {"\"2027-01-31T12:00:00Z\"", "\"1970-01-01T00:00:00Z\"", "\"1970-01-01\"",
                  "\"9999-12-31T23:59:59Z\"", "\"2026-01-01T00:00:00+01:00\"", "\"10000-01-01\"",
                  "\"1969-12-31\"", "\"90d\""},
        [ID] = {"\"key_aaaaaaaaaaaab\"", "\"key_aaaaaaaaaaaac\"", "\"key_h777777777777\"",
                "\"key_iaaaaaaaaaaaa\"", "\"key_paaaaaaaaaaaa\"", "\"key_aaaaaaaaaaaaa\"", "\"\"",
                "null"},
        [STATE] = {"\"active\"", "\"disabled\"", "\"revoked\"", "\"expired\"", "\"not_yet_valid\"",
                   "\"Active\"", "\"\"", "null"},
        [REASON] = {"\"leaked\"", "\"compromised\"", "\"superseded\"", "\"owner-left\"",
                    "\"unused\"", "\"other\"", "\"none\"", "\"\""},
        [FLAG] = {"true", "true", "true", "true", "false", "false", "null", "1"},
        [NUMBER] = {"128", "112", "111", "4096", "4097", "0", "9223372036854775807", "1.5"},
        [WORD] = {"\"live\"", "\"test\"", "\"cc_live_AbCdEfG\"", "\"cc_test_AbCdEfG\"",
                  "\"cc_live_Ab\"", "\"sk_\"", "\"\"", "null"},
        [ADDRESS] = {"\"192.0.2.1\"", "\"2001:db8::7\"", "\"2001:DB8:0:0::7\"", "\"::\"",
                     "\"::ffff:192.0.2.1\"", "\"192.0.2.0/24\"", "\"\"", "null"},
    };

    put_string(line, samples[kind][take(input) % 8]);
}

static void put_text(struct line *line, struct input *input)
{
    switch (take(input) % 8) {
    case 0:
        put_key(line, input, line_key());
        break;
    case 1:
        put_long(line, input);
        break;
    default:
        put_taken(line, input, take(input) % 32);
        break;
    }
}

static void put_kind(struct line *line, struct input *input, enum kind kind)
{
    switch (kind) {
    case TEXT:
        put_text(line, input);
        break;
    case KEY:
        put_key(line, input, take(input) % 4 == 1 ? KEY_EXAMPLE : line_key());
        break;
    case DIGEST:
        put_string(line, "\"5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5\"");
        break;
    case SCOPES:
        put_scopes(line, input);
        break;
    case METADATA:
        put_metadata(line, input);
        break;
    default:
        put_sample(line, input, kind);
        break;
    }
}

/* Nearly a field's, if it is short. */
static void put_misspelt(struct line *line, struct input *input, const char *name)
{
    char bytes[32];
    unsigned count = take(input) % 6;

    snprintf(bytes, sizeof bytes, "%s%.*s", name, (int)(2 * count),
             "\xC3\xA4\xC3\xB6\xC3\xBC\xC3\xA4\xC3\xB6");
    put_quoted(line, bytes, strlen(bytes));
}

static const struct field {
    const char *name;
    enum kind kind;
} fields[] = {
    {"id", ID},
    {"sha256", DIGEST},
    {"key", KEY},
    {"name", TEXT},
    {"owner", TEXT},
    {"prefix", WORD},
    {"environment", WORD},
    {"state", STATE},
    {"disabled", FLAG},
    {"created_at", TIME},
    {"last_used_at", TIME},
    {"last_used_from", ADDRESS},
    {"use_count", NUMBER},
    {"last_refused_at", TIME},
    {"last_refused_from", ADDRESS},
    {"refused_count", NUMBER},
    {"expires_at", TIME},
    {"not_before", TIME},
    {"revoked_at", TIME},
    {"revoke_reason", REASON},
    {"revoke_comment", TEXT},
    {"comment", TEXT},
    {"scopes", SCOPES},
    {"metadata", METADATA},
    {"rotated_from", ID},
    {"rotated_to", ID},
    {"assumed_bits", NUMBER},
    {"suspended_owner", TEXT},
    {"suspended_at", TIME},
    {"limited_owner", TEXT},
};

#define FIELDS (sizeof fields / sizeof fields[0])

/* Mostly a field with what belongs there. */
static void put_field(struct line *line, struct input *input)
{
    unsigned choice = take(input), bend = take(input);
    const struct field *field = &fields[choice % FIELDS];

    if (choice < 240)
        put_quoted(line, field->name, strlen(field->name));
    else if (choice < 243)
        put_quoted(line, line_key(), KEY_TEXT_MAX);
    else if (choice < 246)
        put_quoted(line, LINE_FOREIGN, strlen(LINE_FOREIGN));
    else if (choice < 249)
        put_taken(line, input, take(input) % 32);
    else
        put_misspelt(line, input, fields[take(input) % FIELDS].name);
    put(line, ":", 1);
    if (bend < 240) {
        put_kind(line, input, field->kind);
    } else if (bend < 244) {
        put_key(line, input, line_key());
    } else if (bend < 246) {
        put_key(line, input, LINE_FOREIGN);
        line->foreign_elsewhere = true;
    } else if (bend < 248) {
        put_arrays(line, input);
    } else {
        put_kind(line, input, fields[take(input) % FIELDS].kind);
    }
}

/* Which key it is, or not. */
static void put_start(struct line *line, struct input *input)
{
    char hex[2 * DIGEST_BYTES + 1];
    struct digest digest = {{take(input), 2, 3, 4}};

    switch (take(input) % 6) {
    case 0:
        return;
    case 1:
        put_string(line, "\"key\":");
        put_key(line, input, line_key());
        break;
    case 2:
        put_string(line, "\"key\":");
        put_key(line, input, LINE_FOREIGN);
        break;
    case 3:
        put_string(line, "\"suspended_owner\":\"o\",\"suspended_at\":\"2026-01-01\",");
        return;
    case 4:
        put_string(line, "\"prefix\":\"cc_live_AbCdEfG\",");
        /* fall through */
    default:
        digest_hex(&digest, hex);
        put_string(line, "\"sha256\":");
        put_quoted(line, hex, 2 * DIGEST_BYTES);
        break;
    }
    put_string(line, ",\"name\":\"n\",");
}

void line_make(struct line *line, struct input *input)
{
    put(line, "{", 1);
    put_start(line, input);
    while (input->left > 0 && line->len < LINE_FULL) {
        put_field(line, input);
        put(line, ",", 1);
    }
    line->len -= line->bytes[line->len - 1] == ',';
    put(line, "}", 1);
}
