#!/usr/bin/env bats
# Who may do what on the sockets: real processes of real users and groups, known to the daemon by
# what the kernel says of them and by nothing that they say themselves.

load ../cli/lib
load process

setup() {
    need_root
    open_folder <<'INI'
user = daemon

[access]
verify = lp
read = mail
revoke = news @backup
write = uucp
admin = root proxy
gateway = www-data @games
INI
    copy_programs
    launch catlatchd
    make_key subject --owner acme
    requests=$dir/requests
}

teardown() {
    [ -z "${dir:-}" ] || remove_folder
}

# What each request is answered with: `ok`, or the error's first word, or closed.
outcomes() { # SOCKET [as_user arguments...] < requests
    local socket=$1
    shift
    as_user "$@" /usr/bin/python3 "$dir/bin/peer.py" "$socket" |
        sed -E 's/^-([A-Z]+) .*/\1/; t; /^closed$/!s/.*/ok/' | tr '\n' ' ' | sed 's/ $//'
}

# One request for every command that needs a right, those of a lower right first, and what a peer
# of that right is answered.
commands() {
    cat <<EOF
verify KEY.VERIFY $key
read KEY.LIST OWNER acme
read KEY.GET $id
read OWNER.LIST
read OWNER.GET acme
read STATS
read CLIENT LIST
revoke KEY.DISABLE $id
revoke OWNER.SUSPEND acme
write OWNER.RESUME acme
write KEY.ENABLE $id
write KEY.UPDATE $id SET comment "by $1"
write KEY.CREATE NAME new
write KEY.ROTATE $id
revoke KEY.REVOKE $id REASON other
admin RELOAD
EOF
}

rank() {
    case $1 in
    none | gateway) echo 0 ;;
    verify) echo 1 ;;
    read) echo 2 ;;
    revoke) echo 3 ;;
    write) echo 4 ;;
    admin) echo 5 ;;
    esac
}

# The peer may do what its right allows and nothing above.
expect_right() { # RIGHT as_user-arguments...
    local right=$1 needed rest wanted=
    shift
    commands "$right" >"$dir/commands"
    while read -r needed rest; do
        if [ "$(rank "$right")" -ge "$(rank "$needed")" ]; then
            wanted+='ok '
        else
            wanted+='NOPERM '
        fi
    done <"$dir/commands"
    cut -d' ' -f2- "$dir/commands" >"$requests"
    got=$(outcomes "$admin" "$@" <"$requests")
    [ "$got" = "${wanted% }" ] || {
        paste -d' ' <(tr ' ' '\n' <<<"$got") <(tr ' ' '\n' <<<"$wanted") "$dir/commands"
        return 1
    }
}

@test "verify: one command, and the key is as it was" {
    expect_right verify lp
    [ "$(catlatch show --json "$id" | jq -c '[.state, .version, .comment]')" = '["active",1,null]' ]
}

@test "read: sees everything, changes nothing" {
    expect_right read mail
    [ "$(catlatch show --json "$id" | jq -c '[.state, .version, .comment]')" = '["active",1,null]' ]
    [ "$(catlatch owner show acme --json | jq .suspended)" = false ]
}

@test "revoke: takes away, gives nothing back" {
    expect_right revoke news
    [ "$(state_of "$id")" = revoked ]
    [ "$(catlatch owner show acme --json | jq .suspended)" = true ]
    [ "$(catlatch list --json | jq length)" -eq 1 ]
}

@test "write: all but RELOAD" {
    expect_right write uucp
    [ "$(state_of "$id")" = revoked ]
    [ "$(catlatch list --json | jq length)" -eq 3 ]
}

@test "admin: everything; root because it is named" {
    expect_right admin proxy
    make_key again --owner acme
    expect_right admin root
}

@test "the daemon's own user is admin on its socket though it is named nowhere" {
    expect_right admin daemon
}

@test "gateway: nothing but AUTH and small talk, until it has authenticated" {
    make_key support --scope catlatch:read
    printf '%s\n' PING "KEY.VERIFY $key" 'KEY.LIST' 'CLIENT LIST' RELOAD "AUTH $key" "KEY.GET $id" \
        "KEY.REVOKE $id" RESET "KEY.GET $id" PING >"$requests"
    wanted='ok NOAUTH NOAUTH NOPERM NOAUTH ok ok NOPERM ok NOAUTH ok'
    [ "$(outcomes "$admin" www-data <"$requests")" = "$wanted" ]
    [ "$(outcomes "$admin" list -g games <"$requests")" = "$wanted" ]
    [ "$(outcomes "$verify" www-data <"$requests")" = 'NOPERM closed' ]
    [ "$(state_of "$id")" = active ]
}

@test "who is named nowhere gets one line and the end, on both sockets" {
    [ "$(outcomes "$admin" bin <<<$'PING\nPING')" = 'NOPERM closed' ]
    [ "$(outcomes "$verify" bin <<<$'PING\nPING')" = 'NOPERM closed' ]
    [ "$(outcomes "$admin" bin <<<"AUTH $key")" = NOPERM ]
}

@test "a supplementary group counts, and only for who has it" {
    printf '%s\n' 'KEY.GET '"$id" "KEY.ENABLE $id" "KEY.DISABLE $id" >"$requests"
    [ "$(outcomes "$admin" list <"$requests")" = 'NOPERM closed' ]
    [ "$(outcomes "$admin" list -g sys,backup,bin <"$requests")" = 'ok NOPERM ok' ]
    [ "$(state_of "$id")" = disabled ]
    # Of many groups too: more than the first guess at their number.
    many=$(getent group | cut -d: -f1 | grep -vxE 'root|games|backup|nogroup' | head -n 40 | paste -sd,)
    [ "$(outcomes "$admin" list -g "$many,backup" <"$requests")" = 'ok NOPERM ok' ]
    [ "$(outcomes "$admin" list -g "$many" <"$requests")" = 'NOPERM closed' ]
}

@test "the higher of two rights holds: a user's and a group's" {
    printf '%s\n' "KEY.DISABLE $id" "KEY.ENABLE $id" >"$requests"
    [ "$(outcomes "$admin" mail <"$requests")" = 'NOPERM NOPERM' ]
    [ "$(outcomes "$admin" mail -g backup <"$requests")" = 'ok NOPERM' ]
    [ "$(outcomes "$admin" uucp -g backup <"$requests")" = 'ok ok' ]
}

@test "uid 65534 has no right, whatever groups it has" {
    [ "$(outcomes "$admin" nobody -g backup <<<"KEY.GET $id")" = NOPERM ]
    [ "$(outcomes "$verify" nobody -g backup <<<"KEY.VERIFY $key")" = NOPERM ]
    expect_text "$(as_user nobody /usr/bin/python3 "$dir/bin/peer.py" "$admin" <<<PING)" 'uid 65534'
    sed -i 's/^read = .*/read = nobody/' "$CATLATCH_CONFIG"
    expect_refusal 78 "$CATLATCH_CONFIG:" catlatchd -t
    sed -i 's/^read = .*/read = @nogroup/' "$CATLATCH_CONFIG"
    expect_refusal 78 "$CATLATCH_CONFIG:" catlatchd -t
}

@test "on the verify socket every right is verify, root's and the daemon's too" {
    for user in lp mail news uucp proxy root daemon; do
        [ "$(outcomes "$verify" "$user" <<<"KEY.VERIFY $key"$'\nKEY.GET '"$id"$'\nKEY.REVOKE '"$id"$'\nRELOAD')" = \
            'ok NOPERM NOPERM NOPERM' ]
    done
    [ "$(state_of "$id")" = active ]
}

@test "AUTH puts the key's right in place of the peer's, and on the verify socket gives none" {
    make_key reader --scope catlatch:read
    reader=$key
    make_key plain
    printf '%s\n' "AUTH $reader" "KEY.GET $id" "KEY.DISABLE $id" "AUTH $key" "KEY.GET $id" >"$requests"
    [ "$(outcomes "$admin" uucp <"$requests")" = 'ok ok NOPERM WRONGPASS ok' ]
    [ "$(outcomes "$admin" lp <"$requests")" = 'ok ok NOPERM WRONGPASS ok' ]
    [ "$(outcomes "$verify" lp <"$requests")" = 'ok NOPERM NOPERM ok NOPERM' ]
    [ "$(state_of "$id")" = active ]
}

# A conversation with one connection: says a line, expects an answer.
say() { # REQUEST EXPECTED
    echo "$1" >&"${talk[1]}"
    read -rt 30 line <&"${talk[0]}"
    expect_text "$line" "$2"
}

set_access() { # RIGHT WHO
    sed -i "s/^$1 = .*/$1 = $2/" "$CATLATCH_CONFIG"
    catlatch reload
}

@test "a reload of [access] changes the rights of who is connected, at once and both ways" {
    coproc talk { as_user mail /usr/bin/python3 "$dir/bin/peer.py" "$admin"; }
    talk_pid=$talk_PID
    say "KEY.GET $id" subject
    say "KEY.DISABLE $id" '-NOPERM'
    set_access revoke 'news mail'
    say "KEY.DISABLE $id" '"disabled"'
    set_access revoke news
    say "KEY.DISABLE $id" '-NOPERM'
    say "KEY.GET $id" subject
    sed -i 's/^verify = .*/verify = mail/' "$CATLATCH_CONFIG"
    set_access read lp
    say "KEY.GET $id" '-NOPERM'
    say "KEY.VERIFY $key" '"disabled"'
    set_access verify lp
    say PING closed
    wait "$talk_pid"
    [ "$(outcomes "$admin" mail <<<"KEY.GET $id")" = NOPERM ]
}

@test "a reload that is refused changes nobody's right" {
    sed -i 's/^read = .*/read = lp/' "$CATLATCH_CONFIG"
    set_daemon_key cache_size 16M # needs a restart
    expect_text "$(redis-cli -s "$admin" RELOAD)" 'CONFIG'
    [ "$(outcomes "$admin" lp <<<"KEY.GET $id")" = NOPERM ]
    [ "$(outcomes "$admin" mail <<<"KEY.GET $id")" = ok ]
    set_daemon_key cache_size 8M
    [ "$(redis-cli -s "$admin" RELOAD)" = OK ]
    [ "$(outcomes "$admin" lp <<<"KEY.GET $id")" = ok ]
    [ "$(outcomes "$admin" mail <<<"KEY.GET $id")" = NOPERM ]
}

@test "a gateway that authenticated keeps its key's right, but not when it is struck out itself" {
    make_key writer --scope catlatch:write
    coproc talk { as_user www-data /usr/bin/python3 "$dir/bin/peer.py" "$admin"; }
    talk_pid=$talk_PID
    say "AUTH $key" OK
    say "KEY.GET $id" writer
    set_access read 'mail lp'
    say "KEY.GET $id" writer
    set_access gateway ''
    say "KEY.GET $id" closed
    wait "$talk_pid"
}

@test "scopes that are rights are given by an admin alone" {
    for scope in catlatch:read catlatch:revoke catlatch:write catlatch:admin catlatch:own catlatch: catlatch:new; do
        printf '%s\n' "KEY.CREATE NAME n SCOPE a SCOPE $scope" "KEY.UPDATE $id SET scopes \"a $scope\"" >"$requests"
        [ "$(outcomes "$admin" uucp <"$requests")" = 'NOPERM NOPERM' ]
    done
    [ "$(catlatch list --json | jq length)" -eq 1 ]
    [ "$(catlatch show --json "$id" | jq -c .scopes)" = '[]' ]
    [ "$(outcomes "$admin" proxy <"$requests")" = 'ok ok' ]
    # No key gives them on, whatever its own rights: it would outlive its own revoke.
    for scopes in 'catlatch:write NOPERM' 'catlatch:admin NOPERM' 'catlatch:admin,catlatch:own NOPERM'; do
        make_key giver
        catlatch update "$id" --set "scopes=${scopes% *}" --yes
        [ "$(outcomes "$admin" www-data <<<"AUTH $key"$'\nKEY.CREATE NAME n SCOPE catlatch:read')" = "ok ${scopes#* }" ]
    done
}

@test "a key that has such a scope is changed by an admin alone; to disable and revoke it a write peer may" {
    make_key powerful --scope catlatch:read
    printf '%s\n' "KEY.UPDATE $id SET name x" "KEY.UPDATE $id SET scopes \"\"" "KEY.ROTATE $id" \
        "KEY.DISABLE $id" "KEY.ENABLE $id" >"$requests"
    [ "$(outcomes "$admin" uucp <"$requests")" = 'NOPERM NOPERM NOPERM ok NOPERM' ]
    [ "$(catlatch show --json "$id" | jq -c '[.name, .scopes, .state, .rotated_to]')" = \
        '["powerful",["catlatch:read"],"disabled",null]' ]
    [ "$(outcomes "$admin" proxy <<<"KEY.ENABLE $id"$'\nKEY.UPDATE '"$id"$' SET name x\nKEY.ROTATE '"$id")" = 'ok ok ok' ]
    [ "$(outcomes "$admin" uucp <<<"KEY.REVOKE $id")" = ok ]
    # With a plain key in one request: both or neither.
    make_key plain
    plain=$id
    make_key powerful --scope catlatch:own
    [ "$(outcomes "$admin" uucp <<<"KEY.UPDATE $plain $id SET name taken")" = NOPERM ]
    [ "$(catlatch show --json "$plain" | jq -r .name)" = plain ]
}

@test "a peer is who the kernel says it is, whatever it calls itself" {
    [ "$(outcomes "$admin" uucp <<<"HELLO 2 SETNAME root"$'\nCLIENT SETNAME root\nCLIENT INFO')" = 'ok ok ok' ]
    as_user uucp /usr/bin/python3 "$dir/bin/peer.py" "$admin" <<<'CLIENT INFO' >"$dir/info"
    expect_text "$(cat "$dir/info")" "uid=$(id -u uucp) "
    expect_text "$(cat "$dir/info")" 'right=write '
}
