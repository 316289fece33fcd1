#include "command.h"
#include "commands.h"

#define BITS1(a) OPTION_BIT(OPTION_##a)
#define BITS2(a, b) (BITS1(a) | BITS1(b))
#define BITS3(a, b, c) (BITS2(a, b) | BITS1(c))

#define ANY ((size_t)-1)
#define CHANGES (OPTIONS_SELECT | BITS2(DRY_RUN, YES))

const struct command command_list[] = {
    {"create", "issue a new key and print it, this once", "",
     "The key is printed on standard output and kept nowhere: copy it now. --expires never makes a "
     "key that does not expire where the configuration has a default. A key with --allow may be "
     "used from those networks alone; ::/0 is all of IPv6, and 0.0.0.0/0 all of IPv4. --rate "
     "100/1m lets 100 pass in a minute, all of them at once if they come so; with 100/1m:20, 20 "
     "at once. --uses 1000 lets 1000 pass in all, 1000/monthly each month.",
     BITS3(NAME, OWNER, ENV) | BITS3(EXPIRES, NOT_BEFORE, SCOPE) | BITS3(COMMENT, META, QUIET) |
         BITS3(ALLOW, RATE, USES),
     0, 0, cmd_create},
    {"list", "list keys, or those of a selection", "[ID]...",
     "Times are UTC; --json has them to the second.", OPTIONS_SELECT | BITS1(LIMIT), 0, ANY,
     cmd_list},
    {"show", "show all that is known of one key", "ID", "", 0, 1, 1, cmd_show},
    {"update", "change names, expiry, scopes, networks, rates, uses, comments or metadata",
     "[ID]... --set FIELD=VALUE...",
     "FIELD is name, expires, not_before, comment, scopes, allow, rate, uses or meta.K. A list "
     "(scopes, allow) replaces the whole list; an empty value clears: with allow= a key may "
     "be used from everywhere. Owner and environment of a key never change. Revoked keys that a "
     "condition sweeps up are left out.",
     CHANGES | BITS1(SET), 0, ANY, cmd_update},
    {"disable", "refuse keys until they are enabled again", "[ID]...",
     "Revoked keys that a condition sweeps up are left out.", CHANGES | BITS1(BECAUSE), 0, ANY,
     cmd_disable},
    {"enable", "accept disabled keys again", "[ID]...",
     "Lifts what `disable` did; keys of a suspended owner stay refused until `owner resume`.",
     CHANGES, 0, ANY, cmd_enable},
    {"revoke", "refuse keys for ever", "[ID]...",
     "There is no way back: `disable` has one. On a terminal it shows what it will hit and asks. "
     "When it returns, every process on this host refuses the keys. Up to 10,000 keys are one "
     "transaction.",
     CHANGES | BITS2(REASON, BECAUSE), 0, ANY, cmd_revoke},
    {"rotate", "replace keys by new ones with the same settings", "[ID]...",
     "The old key stays valid for --grace, never longer than it would have been. With --grace 0 it "
     "is revoked once the new one has been written out; there is no moment in which neither works. "
     "With --until-unseen it stays valid until it was not used for that long, and until --grace, "
     "if that is given, at most. With --activate-on-use both begin when the new key is first used.",
     CHANGES | BITS2(GRACE, OUTPUT) | BITS2(UNTIL_UNSEEN, ON_USE), 0, ANY, cmd_rotate},
    {"purge", "forget revoked keys, all but their digests", "[ID]...",
     "Names, owners, comments, scopes, networks and metadata go; the digest stays refused for "
     "ever, and the "
     "id is no key any more. Keys that are not revoked are left out. [policy] retain_revoked does "
     "this by itself.",
     CHANGES, 0, ANY, cmd_purge},
    {"owner list", "list owners", "", "", 0, 0, 0, cmd_owner_list},
    {"owner show", "show one owner", "OWNER", "", 0, 1, 1, cmd_owner_show},
    {"owner suspend", "refuse all keys of an owner", "OWNER",
     "One commit, whatever the number of keys. Keys that are created later are refused too.",
     BITS1(BECAUSE), 1, 1, cmd_owner_suspend},
    {"owner resume", "accept the keys of a suspended owner again", "OWNER",
     "Keys that were disabled one by one stay disabled.", 0, 1, 1, cmd_owner_resume},
    {"owner update", "limit all keys of an owner together", "OWNER --set rate=RATES",
     "With rate=1000/1m his keys may be used 1000 times in a minute in all, whatever limits each "
     "of "
     "them has; what one of them is refused for is not counted. An empty rate= lifts it. Where the "
     "service charges no limits (a line with the module limit), nothing is limited.",
     BITS2(SET, BECAUSE), 1, 1, cmd_owner_update},
    {"verify", "ask whether a key is accepted", "",
     "The key comes on standard input. Exit status 0: valid, 1: refused, 69: it could not be "
     "checked. With --explain the service is opened in this process, as a worker does it, and each "
     "of its lines is shown with what it said and what that did.",
     BITS2(SERVICE, NEED_SCOPE) | BITS2(ADDRESS, EXPLAIN), 0, 0, cmd_verify},
    {"log", "show who changed what, and when", "",
     "Each line tells when, the sequence, what, the key and its owner, who, and each field before "
     "and after. --verify walks the hash chain of all records and prints where it ends: note that "
     "down, give it to --head later, and no record up to it can have been changed unseen. --follow "
     "--uses tells each second which keys were used or refused, how often and from where: of one "
     "with --id, of an owner's with --owner.",
     BITS3(SINCE, UNTIL, LOG_ID) | BITS3(WITH_OWNER, ACTOR, KIND) | BITS3(LIMIT, FOLLOW, VERIFY) |
         BITS2(HEAD, LOG_USES),
     0, 0, cmd_log},
    {"scan", "find leaked keys in files", "PATH...",
     "A PATH is a file, a folder with all below it, or - for standard input. Prints FILE:LINE: and "
     "the start of each key, never the key. Needs no daemon: it looks for the prefixes of the "
     "configuration, or without one for cc_live_ and cc_test_, and for check digits that fit. "
     "Links in folders are not followed; "
     ".git/objects (compressed) and what is no file are left out. A key in a file's name is "
     "line 0. Exit status 0: no key, 1: keys found; otherwise 65, 74 or 77 if something could not "
     "be read, 78 for a configuration that was named and is bad.",
     0, 1, ANY, cmd_scan},
    {"backup", "write everything that the daemon has to a file", "FILE",
     "A consistent copy while the daemon serves, checksummed, and read back before it gets its "
     "name. It holds no key, but names, owners and digests: keep it as you keep the store.",
     BITS1(OVERWRITE), 1, 1, cmd_backup},
    {"restore", "put a backup in the place of all that the daemon has", "FILE",
     "Shows what would become of the keys, and asks. Every revocation, disabling and suspension "
     "that the present store knows of is done again, so no revoked key comes back to life; where "
     "that store is gone or cannot tell, --accept-resurrection is needed. What else was narrowed "
     "since (an expiry, scopes) comes back as the backup has it, and is counted. Works with the "
     "daemon running or stopped; workers go on verifying meanwhile.",
     BITS3(DRY_RUN, YES, ACCEPT_RESURRECTION), 1, 1, cmd_restore},
    {"status", "show how the daemon is", "", "", 0, 0, 0, cmd_status},
    {"stats", "show what is verified, of all keys or of one", "[ID]",
     "How often there was each result, now, in all, and in the last day or since --since; which "
     "processes verify keys, and with which table. Of one key: when it was granted and refused. "
     "--since takes a time, or how long ago, such as 7d.",
     BITS2(SINCE, STEP), 0, 1, cmd_stats},
    {"top", "watch what is verified", "",
     "A picture each second, until q: verifications by their result, the keys and owners that are "
     "used most, and the processes that verify. Owners are those of the 256 busiest keys. While it "
     "runs the daemon stores what was counted each second. Off a terminal it takes --once or -n.",
     BITS2(ONCE, ROUNDS), 0, 0, cmd_top},
    {"configtest", "check the configuration", "", "Needs no daemon.", 0, 0, 0, cmd_configtest},
    {"reload", "have the daemon read its configuration again", "",
     "A configuration with any error changes nothing.", 0, 0, 0, cmd_reload},
    {"import", "take over keys from another system, or from `export`", "FILE",
     "NDJSON, one object a line, FILE - is standard input: sha256 (hex) or the raw key, name, "
     "owner, "
     "prefix, environment, state, disabled, created_at, last_used_at, last_used_from, use_count, "
     "last_refused_at, last_refused_from, refused_count, expires_at, not_before, revoked_at, "
     "revoke_reason, revoke_comment, comment, scopes, allowed_networks, rates, uses, "
     "uses_remaining, metadata, id, rotated_from, rotated_to, retires, assumed_bits. Only name and "
     "one of "
     "key and sha256 are needed. "
     "{\"suspended_owner\", "
     "\"suspended_at\"} suspends an owner, {\"limited_owner\", \"rates\"} limits all of his keys "
     "together. A line takes at most 256 KiB. Every line is checked "
     "before the first key is imported; a bad one ends it, with nothing done. Then a thousand "
     "keys are one transaction: an import that was interrupted goes on with --on-conflict skip. "
     "What "
     "[policy] says of new keys does not hold for these. A key whose prefix is none of ours was "
     "issued elsewhere, and --assume-bits must say what entropy it has.",
     BITS3(ON_CONFLICT, ASSUME_BITS, FORCE) | BITS2(SKIP_BAD, TRY), 1, 1, cmd_import},
    {"export", "print every key as `import` takes it", "",
     "NDJSON on standard output: suspended owners, then keys by id. It holds digests, never keys. "
     "What changes meanwhile may be in it or not.",
     0, 0, 0, cmd_export},
    {"completion", "print a completion script", "bash|zsh|fish",
     "`make install` puts them where shells look. For this session alone: "
     "source <(catlatch completion bash)",
     0, 1, 1, cmd_completion},
    {"doctor", "find out what is wrong, and how to mend it", "",
     "Looks at configuration, accounts, daemon, sockets, folders, table, the processes that map "
     "it, "
     "disk, clock and backups, and changes nothing. Works with the daemon down; what only root can "
     "see is skipped for others, and says so. Exit status 0: all well, notes allowed; 1: warnings "
     "or problems.",
     BITS1(AS_USER), 0, 0, cmd_doctor},
    {"help", "show help for a command", "[COMMAND]", "", 0, 0, 2, cmd_help},
};
const size_t command_list_len = sizeof command_list / sizeof *command_list;
