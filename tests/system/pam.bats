#!/usr/bin/env bats
# pam_catlatch.so as PAM loads it: whom a key lets in, what the others are told, and what is logged.

load ../cli/lib
load process
load pam

setup() {
    reason=$(pam_missing | head -n 1)
    [ -z "$reason" ] || skip "$reason"
    open_pam_folder
    pam_service web <<PAM
auth required $module
account required $plain
PAM
}

teardown() {
    [ -z "${dir:-}" ] || close_pam_folder
}

refused='Authentication failure'
outage='Authentication service cannot retrieve authentication info'
misconfigured='Error in service module'

@test "a user's own key lets him in, and nothing else does" {
    launch catlatchd
    give_key other bob
    theirs=$key
    give_key own alice
    log_in web alice authenticate acct_mgmt 'setcred(PAM_ESTABLISH_CRED)' <<<"$key"
    expect_login
    expect_text "$logged" "opened user \"alice\" from -: valid, service pam, key $id ${key:0:15} of \"alice\""
    log_in web alice authenticate <<<"$theirs"
    expect_no_login "$refused" "refused user \"alice\" from -: not_owner, service pam, key key_"
    expect_text "$logged" "${theirs:0:15} of \"bob\""
    log_in web alice authenticate <<<"$(unknown_key 0123456789abcdefghijABCDEFGHIJ012345)"
    expect_no_login "$refused" 'refused user "alice" from -: not_found, service pam, key -'
    for text in "${key%?}" "${key}x" 'password' ''; do
        log_in web alice authenticate <<<"$text"
        expect_no_login "$refused" ': malformed, service pam, key -'
    done
    log_in web alic authenticate <<<"$key"
    expect_no_login "$refused" 'user "alic" from -: not_owner'
}

@test "a key without the scope lets nobody in, and scope= asks for another one" {
    launch catlatchd
    make_key clerk --owner alice --scope catlatch:write
    echo "$key" >>"$dir/keys"
    log_in web alice authenticate <<<"$key"
    expect_no_login "$refused" ': insufficient_scope, service pam'
    pam_service clerks <<<"auth required $module scope=catlatch:write"
    log_in clerks alice authenticate <<<"$key"
    expect_login
}

@test "a service that asks for no scope, or for nothing, lets nobody in" {
    launch catlatchd
    give_key own alice
    printf '[service bare]\nrequired = table\n[service open]\nrequired = permit\nrequired = scope\n' >>"$CATLATCH_CONFIG"
    for service in bare open; do
        pam_service web <<<"auth required $plain config=$CATLATCH_CONFIG service=$service"
        log_in web alice authenticate <<<"$(unknown_key 0123456789abcdefghijABCDEFGHIJ012345)"
        expect_status 1
        expect_text "$output" "$refused"
    done
    pam_service web <<<"auth required $plain config=$CATLATCH_CONFIG service=bare"
    log_in web alice authenticate <<<"$key"
    expect_no_login "$refused" ': denied, service bare'
}

@test "a key of another environment, a disabled, expired and revoked one are all refused alike" {
    launch catlatchd
    give_key test alice --env test
    log_in web alice authenticate <<<"$key"
    expect_no_login "$refused" ': wrong_environment,'
    told=$output
    give_key own alice
    catlatch disable "$id"
    log_in web alice authenticate <<<"$key"
    expect_no_login "$refused" ': disabled,'
    [ "$output" = "$told" ]
    catlatch enable "$id"
    catlatch update "$id" --set expires=now
    log_in web alice authenticate <<<"$key"
    expect_no_login "$refused" ': expired,'
    [ "$output" = "$told" ]
    catlatch revoke "$id" --yes
    log_in web alice authenticate <<<"$key"
    expect_no_login "$refused" ': revoked,'
    [ "$output" = "$told" ]
}

# Something happens to the key between authentication and account.
meanwhile() { # COMMAND...
    printf '#!/bin/sh\nexport CATLATCH_CONFIG=%q PATH=%q\nexec %s\n' "$CATLATCH_CONFIG" "$PATH" "$*" >"$dir/meanwhile"
    chmod 755 "$dir/meanwhile"
    pam_service web <<PAM
auth required $module
auth required pam_exec.so quiet $dir/meanwhile
account required $plain
PAM
}

@test "the account is asked about anew: what became of the key since it let the user in" {
    launch catlatchd
    give_key own alice
    meanwhile true
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_login
    meanwhile "catlatch disable $id"
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_login_then 'Permission denied' 'refused user "alice" from -: disabled, service pam, key '"$id"
    catlatch enable "$id"
    meanwhile "catlatch update $id --set scopes=read"
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_login_then 'Permission denied' ': insufficient_scope,'
    catlatch update "$id" --set scopes=pam:login
    meanwhile "catlatch update $id --set expires=now"
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_login_then 'User account has expired' ': expired,'
    catlatch update "$id" --set expires=never
    meanwhile "catlatch revoke $id --yes"
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_login_then 'Permission denied' ': revoked,'
}

expect_login_then() { # WHAT_PAM_SAYS WHAT_THE_LOG_SAYS
    expect_text "$output" 'pamtester: successfully authenticated'
    expect_no_login "$1" "$2"
}

@test "an account without a table is an outage" {
    launch catlatchd
    give_key own alice
    meanwhile "mv $dir/run/table $dir/run/gone"
    end_daemon
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_login_then "$outage" 'SYSLOG(3): could not check user "alice" from -: unavailable'
}

@test "the account line's own words come before those of the line that let the user in" {
    launch catlatchd
    give_key own alice
    pam_service web <<PAM
auth required $module
account required $plain scope=pam:more
PAM
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_login_then 'Permission denied' ': insufficient_scope,'
}

@test "who was given another name since is compared anew" {
    launch catlatchd
    give_key own alice
    pam_service web <<PAM
auth required $module
account required $plain map=$dir/map
PAM
    echo 'bob alice' >"$dir/map"
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_login_then 'Permission denied' ': not_owner,'
}

@test "who came in otherwise is no business of account and credentials" {
    pam_service web <<PAM
auth required pam_permit.so
account required $module debug
account required pam_permit.so
PAM
    log_in web alice authenticate acct_mgmt 'setcred(PAM_ESTABLISH_CRED)' <<<''
    expect_status 0
    expect_text "$logged" 'account: ignored, the user was let in otherwise'
    # Alone they decide nothing, and PAM lets nobody in by nothing.
    printf '%s\n' "auth required $module" "account required $plain" | pam_service web
    log_in web alice acct_mgmt <<<''
    expect_status 1
    expect_text "$output" 'Permission denied'
    log_in web alice 'setcred(PAM_ESTABLISH_CRED)' <<<''
    expect_status 1
}

@test "a map says whose keys open whom; users of the owner's name alone are not opened" {
    launch catlatchd
    pam_service web <<<"auth required $module map=$dir/map"
    cat >"$dir/map" <<'MAP'
# owner user

acme	deploy
"Acme Corp" deploy
  acme   backup
MAP
    give_key acme acme
    acme=$key
    give_key corp 'Acme Corp'
    for user in deploy backup; do
        log_in web "$user" authenticate <<<"$acme"
        expect_login
    done
    log_in web deploy authenticate <<<"$key"
    expect_login
    expect_text "$logged" 'of "Acme Corp"'
    log_in web backup authenticate <<<"$key"
    expect_no_login "$refused" ': not_owner,'
    log_in web acme authenticate <<<"$acme"
    expect_no_login "$refused" ': not_owner,'
}

@test "a map with any bad line is refused, with file and line in the log, and so is one that others can write" {
    launch catlatchd
    give_key acme acme
    pam_service web <<<"auth required $module map=$dir/map"
    while IFS='|' read -r line text; do
        printf "acme deploy\n# comment\n$line\n" >"$dir/map"
        log_in web deploy authenticate <<<"$key"
        expect_no_login "$misconfigured" "SYSLOG(3): $dir/map:3: $text"
    done <<LINES
acme|\`owner user\` is wanted
acme deploy backup|\`owner user\` is wanted
acme deploy # comment|\`owner user\` is wanted
"" deploy|\`owner user\` is wanted
"Acme Corp deploy|the quotes are not closed
"acme"deploy|a blank is wanted behind the quotes
$(printf 'a%.0s' {1..256}) deploy|an owner has at most 255 bytes
acme de\\001ploy|this is no UTF-8
acme \\377|this is no UTF-8
acme\\000 deploy|this is no UTF-8
LINES
    echo 'acme deploy' >"$dir/map"
    log_in web deploy authenticate <<<"$key"
    expect_login
    chmod 666 "$dir/map"
    log_in web deploy authenticate <<<"$key"
    expect_no_login "$misconfigured" "$dir/map is writable by"
    rm "$dir/map"
    log_in web deploy authenticate <<<"$key"
    expect_no_login "$misconfigured" "$dir/map"
}

@test "root is refused unless allow_root is written, whatever the name of user 0" {
    launch catlatchd
    give_key own root
    log_in web root authenticate <<<"$key"
    expect_no_login "$refused" ': root_not_allowed,'
    pam_service web <<<"auth required $module allow_root"
    log_in web root authenticate <<<"$key"
    expect_login
}

@test "the daemon may be down, but without a table it is an outage and no denial" {
    launch catlatchd
    give_key own alice
    end_daemon
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_login
    rm "$dir"/run/table*
    log_in web alice authenticate <<<"$key"
    expect_no_login "$outage" 'SYSLOG(3): could not check user "alice" from -: unavailable, service pam'
}

@test "a revoked key is refused at once, by a service that said yes just before" {
    launch catlatchd
    give_key own alice
    for _ in 1 2 3; do
        log_in web alice authenticate <<<"$key"
        expect_login
    done
    catlatch revoke "$id" --yes
    log_in web alice authenticate <<<"$key"
    expect_no_login "$refused" ': revoked,'
}

# A module that asks for a password before ours does, and lets everybody in.
ask_first() { # ARGUMENTS
    pam_service web <<PAM
auth optional pam_unix.so
auth required $module $1
PAM
}

@test "use_first_pass takes what was asked for before and never asks; try_first_pass asks once more" {
    launch catlatchd
    give_key own alice
    pam_service web <<<"auth required $module use_first_pass"
    log_in web alice authenticate <<<"$key"
    expect_no_login "$refused" 'no key for the user'
    run ! grep -F 'API key' <<<"$output"
    for words in '' use_first_pass try_first_pass; do
        ask_first "$words"
        log_in web alice authenticate <<<"$key"
        expect_login
        run ! grep -F 'API key' <<<"$output"
    done
    for words in '' use_first_pass; do
        ask_first "$words"
        log_in web alice authenticate <<<$'password\n'"$key"
        expect_no_login "$refused" ': malformed,'
        run ! grep -F 'API key' <<<"$output"
    done
    ask_first try_first_pass
    log_in web alice authenticate <<<$'password\n'"$key"
    expect_login
    expect_text "$logged" ': malformed,'
    expect_text "$output" 'API key: '
    log_in web alice authenticate <<<$'password\nwrong\n'"$key"
    expect_no_login "$refused" ': malformed,'
    # Nobody to ask: what was refused stays refused.
    log_in web alice authenticate <<<'password'
    expect_status 1
}

@test "an unknown key and one of another owner are told apart by nothing but the log" {
    launch catlatchd
    give_key other bob
    unknown=$(unknown_key 0123456789abcdefghijABCDEFGHIJ012345)
    for words in '' try_first_pass; do
        ask_first "$words"
        log_in web alice authenticate <<<"$key"$'\n'"$key"
        expect_no_login "$refused" ': not_owner,'
        told=$output
        log_in web alice authenticate <<<"$unknown"$'\n'"$unknown"
        expect_no_login "$refused" ': not_found,'
        [ "$output" = "$told" ]
    done
}

# Instructions of an authentication that fails: of the library's two calls, and of all the rest.
count() { # KEY
    run valgrind --tool=callgrind --callgrind-out-file="$dir/counted" --toggle-collect=pam_sm_authenticate \
        pam_login "$dir/pam.d" web alice <<<"$1"
    expect_text "$output" "authenticate: $refused"
    callgrind_annotate --inclusive=yes --threshold=100 --show-percs=no --auto=no "$dir/counted" | tr -d , |
        awk '/PROGRAM TOTALS/ { all = $1 }
            /:catlatch_verify \[/ { verify = $1 }
            /:catlatch_identity \[/ { identity = $1 }
            END { if (all && verify && identity) print all - verify - identity, verify, identity }' >"$dir/counts"
    read -r rest verify identity <"$dir/counts"
}

distance() {
    echo $(($1 > $2 ? $1 - $2 : $2 - $1))
}

@test "an unknown key and one of another owner take the same number of instructions" {
    command -v valgrind >/dev/null || skip "valgrind is not here (make deps)"
    launch catlatchd
    count "$(unknown_key 0123456789abcdefghijABCDEFGHIJ012345)"
    unknown=("$rest" "$verify" "$identity")
    give_key other bob
    count "$key"
    echo "# unknown: ${unknown[*]}; of another owner: $rest $verify $identity" >&3
    # The length of the owner's name in the log.
    [ "$(distance "$rest" "${unknown[0]}")" -lt 100 ]
    # A key that there is is counted, and where from.
    [ "$(distance "$verify" "${unknown[1]}")" -lt 500 ]
    # The names of a key that there is are copied.
    [ "$(distance "$identity" "${unknown[2]}")" -lt 1500 ]
}

@test "PAM's environment says which key and whose" {
    launch catlatchd
    give_key own alice
    run pam_login "$dir/pam.d" web alice <<<"$key"
    expect_status 0
    [ "$output" = "said: API key: 
authenticate: Success
account: Success
credentials: Success
environment: CATLATCH_KEY_ID=$id
environment: CATLATCH_OWNER=alice" ]
    run pam_login "$dir/pam.d" web bob <<<"$key"
    expect_status 1
    [ "$output" = "said: API key: 
authenticate: $refused" ]
}

@test "a program that asks for ever does not grow" {
    launch catlatchd
    give_key own alice
    run pam_login -n 1000 "$dir/pam.d" web alice <<<"$key"
    expect_status 0
    grown=$(sed -n 's/^grown: \(.*\) bytes$/\1/p' <<<"$output")
    [ "$grown" -lt 50000 ]
}

@test "the remote host is the request's address where it is one" {
    launch catlatchd
    give_key own alice
    cat >"$dir/near.c" <<'C'
#include <catlatch_module.h>
#include <string.h>
static int verify(void *instance, struct catlatch_call *call)
{
    (void)instance;
    const char *address = call->address != NULL ? call->address : "none";
    return strcmp(address, "203.0.113.9") == 0 || strcmp(address, "2001:db8::9") == 0
               ? CATLATCH_VALID : CATLATCH_IP_NOT_ALLOWED;
}
CATLATCH_MODULE(near, .verify = verify);
C
    cp -R "$CATLATCH_BUILD/modules" "$dir/modules"
    cc -shared -fPIC -I"$BATS_TEST_DIRNAME/../../src/include" -o "$dir/modules/near.so" "$dir/near.c"
    set_daemon_key module_dir "$dir/modules"
    printf 'required = near\n' >>"$CATLATCH_CONFIG"
    for host in 203.0.113.9 2001:db8::9; do
        log_in -I rhost="$host" web alice authenticate acct_mgmt <<<"$key"
        expect_login
        expect_text "$logged" "opened user \"alice\" from $host: valid"
    done
    log_in -I rhost=203.0.113.10 web alice authenticate <<<"$key"
    expect_no_login "$refused" 'from 203.0.113.10: ip_not_allowed'
    for host in client.example '' 1.2.3 '203.0.113.9 '; do
        log_in -I rhost="$host" web alice authenticate <<<"$key"
        expect_no_login "$refused" 'from -: ip_not_allowed'
    done
}

@test "words that are not known, said twice, wrong or contrary refuse everybody, and the log says which" {
    launch catlatchd
    give_key own alice
    while IFS='|' read -r words text; do
        for line in "auth required $module $words" "auth sufficient pam_permit.so
account required $module $words"; do
            pam_service web <<<"$line"
            log_in web alice authenticate acct_mgmt <<<"$key"
            expect_no_login "$misconfigured" "SYSLOG(3): $text"
        done
    done <<'WORDS'
scop=x|unknown argument "scop"; did you mean "scope"?
nullok|unknown argument "nullok"
debug debug|debug is given twice
debug=yes|debug takes no value
scope=|scope= wants a value
map|map= wants a value
scope=two"words|scope=two"words: a scope is
owner=alice|owner=alice: there is owner=user
map=etc/map|map=etc/map: a path that begins with /
owner=user map=/etc/map|owner and map contradict each other
use_first_pass try_first_pass|use_first_pass and try_first_pass contradict each other
WORDS
    pam_service web <<<"auth required $plain config=catlatch.ini"
    log_in web alice authenticate <<<"$key"
    expect_no_login "$misconfigured" 'SYSLOG(3): config=catlatch.ini: a path that begins with /'
}

@test "a configuration that cannot be had refuses everybody, and the log says where" {
    launch catlatchd
    give_key own alice
    pam_service web <<<"auth required $plain config=$CATLATCH_CONFIG service=pan"
    log_in web alice authenticate <<<"$key"
    expect_no_login "$misconfigured" 'SYSLOG(3): no [service pan] in '
    pam_service web <<<"auth required $plain config=$dir/none.ini service=pam"
    log_in web alice authenticate <<<"$key"
    expect_no_login "$misconfigured" "$dir/none.ini"
    pam_service web <<<"auth required $module"
    echo 'nonsense = 1' >>"$CATLATCH_CONFIG"
    log_in web alice authenticate <<<"$key"
    expect_no_login "$misconfigured" "$CATLATCH_CONFIG:"
}

@test "the log is one line each, and of a long name it has the beginning" {
    launch catlatchd
    give_key own alice
    log_in web "$key" authenticate <<<'password'
    expect_no_login "$refused" "refused user \"${key:0:15}...\" from -: malformed"
    log_in web $'al\nice: opened user "root' authenticate <<<'password'
    expect_no_login "$refused" 'refused user "al?ice: opened user "root" from -: malformed'
    [ "$(wc -l <<<"$logged")" -eq 1 ]
}

@test "debug says what a line came to, and without it nothing more than who and why is logged" {
    launch catlatchd
    give_key own alice
    log_in web alice authenticate acct_mgmt <<<"$key"
    [ "$(wc -l <<<"$logged")" -eq 1 ]
    pam_service web <<PAM
auth required $module debug
account required $plain
PAM
    log_in web alice authenticate acct_mgmt <<<"$key"
    expect_text "$logged" "SYSLOG(7): auth: config $CATLATCH_CONFIG, service pam, scope pam:login, map -, owners of the user: 1"
    expect_text "$logged" 'SYSLOG(7): account: config '
    [ "$(grep -c 'opened user "alice"' <<<"$logged")" -eq 2 ]
}

@test "it exports what PAM calls and nothing else, and brings along what the library does" {
    [ "$(nm -D --defined-only "$plain" | awk '{ print $3 }' | sort | tr '\n' ' ')" = \
        'pam_sm_acct_mgmt pam_sm_authenticate pam_sm_setcred ' ]
    needed=$(readelf -d "$plain" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sed 's/\.so.*//' | sort | tr '\n' ' ')
    [ "$needed" = 'libc libcatlatch libcrypto libpam ' ]
    run ! grep -F "$CATLATCH_BUILD" <(readelf -d "$plain")
}

@test "pam_catlatch(8) explains every argument and every value that is returned, and no other" {
    sources=$BATS_TEST_DIRNAME/../../plugin/pam page=$BATS_TEST_DIRNAME/../../etc/man/pam_catlatch.8.scd
    diff <(sed -n 's/^ *\[WORD_[A-Z_]*\] = {"\([a-z_]*\)", .*/\1/p' "$sources/arguments.c" | sort) \
        <(awk '/^#/ { inside = $0 == "# ARGUMENTS" } inside && /^\*/' "$page" | grep -oE '^\*[a-z_]+' | tr -d '*' | sort)
    diff <(cat "$sources"/*.c | grep -oE '\bPAM_[A-Z_]+' | grep -E '_ERR$|_EXPIRED$|_DENIED$|_UNAVAIL$|_(SUCCESS|IGNORE|INCOMPLETE)$' | sort -u) \
        <(awk '/^#/ { inside = $0 == "# RETURN VALUES" } inside' "$page" | grep -oE '^\*PAM_.*' | grep -oE 'PAM_[A-Z_]+' | grep -vx PAM_CONV_ERR | sort -u)
    grep -qF "$(sed -n 's/^#define ARGUMENTS_SCOPE "\(.*\)"/*\1*/p' "$sources/arguments.h")" "$page"
}
