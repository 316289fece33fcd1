#!/usr/bin/env bats
# Apache's children while other things go on: revokes, a daemon that comes and goes, tables that follow
# each other, reloads, killed children, no permission. CATLATCH_LONG=1 makes the full counts.

load ../cli/lib
load process
load web
load apache

setup() {
    need_apache
    open_apache_folder <<'INI'

[service default]
requisite = format
required = table
required = scope
required = limit
INI
    write_apache <<'CONF'
    <Location />
        AuthType Catlatch
        Require valid-key
    </Location>
CONF
}

teardown() {
    [ -z "${dir:-}" ] || {
        touch "$dir/stop"
        close_apache_folder
    }
}

# The answers to this key over as many connections at once, which all children take part in.
all_answer() { # COUNT
    local i
    for ((i = 0; i < $1; i++)); do
        echo "url = http://localhost/hello"
        echo "output = $dir/answer.$i"
    done >"$dir/urls"
    curl -sS --max-time 20 --parallel --parallel-immediate --parallel-max "$1" -K "$dir/urls" -H @- \
        -w '%{http_code}\n' --connect-to "localhost:80:127.0.0.1:$port" -H 'Connection: close' \
        <<<"Authorization: Bearer $key" | sort | uniq -c | tr -s ' '
}

@test "a revoked key is refused by every child once revoke has returned" {
    launch catlatchd
    revoked() {
        local i
        for ((i = 0; i < $(in_full 200 8); i++)); do
            give_key "key-$i"
            [ "$(all_answer 8)" = ' 8 200' ]
            catlatch revoke "$id"
            [ "$(all_answer 12)" = ' 12 401' ]
        done
    }
    under_each_mpm revoked
}

@test "without a daemon keys are unavailable, and good as soon as it is there" {
    absent() {
        expect_refused 503 verifier_unavailable \
            "$(fetch_with cc_live_0000000000000000000000000000000000000i6yS3 /hello)"
        [ "$(field retry-after)" = 5 ]
        [ -z "$(field www-authenticate)" ]
        jq -e '.detail == "Your API key could not be checked; it was not rejected."' "$dir/answer"
        launch catlatchd
        give_key first
        until_true eval '[ "$(fetch_with "$key" /hello)" = 200 ]'
        until_true eval '[ "$(all_answer 8)" = " 8 200" ]'
        # Children have the table; what becomes of the daemon is nothing to them.
        end_daemon KILL || [ $? -eq 137 ]
        [ "$(all_answer 8)" = ' 8 200' ]
        launch catlatchd
        [ "$(all_answer 8)" = ' 8 200' ]
        catlatch revoke "$id"
        [ "$(all_answer 8)" = ' 8 401' ]
        end_daemon
        rm "$dir/run/table"*
    }
    under_each_mpm absent
}

@test "tables follow each other under load, and no answer is wrong" {
    set_daemon_key expected_keys 16
    launch catlatchd
    make_keys 4
    followed() {
        local i before
        before=$(catlatch status --json | jq .generation)
        start_load 2
        for ((i = 0; i < $(in_full 2000 400); i++)); do
            echo "KEY.CREATE NAME n-$i"
        done | redis-cli -s "$admin" >/dev/null
        end_load
        [ "$(catlatch status --json | jq .generation)" -gt "$before" ]
    }
    under_each_mpm followed
}

# A generation that somebody still maps has no name any more.
maps_old_table() {
    grep -qsE "$dir/run/table.* \(deleted\)" /proc/[0-9]*/maps
}

@test "children that serve nobody let go of a table that was followed by another" {
    set_daemon_key expected_keys 16
    launch catlatchd
    idle() {
        [ "$(fetch /hello)" = 401 ]
        local before i
        before=$(catlatch status --json | jq .generation)
        for ((i = 0; i < 2000; i++)); do echo "KEY.CREATE NAME n-$i"; done | redis-cli -s "$admin" >/dev/null
        [ "$(catlatch status --json | jq .generation)" -gt "$before" ]
        until_true eval '! maps_old_table'
    }
    mpm=prefork
    start_apache
    idle
}

@test "graceful reloads and killed children under load: no answer is wrong" {
    launch catlatchd
    make_keys 4
    reloaded() {
        local i child before asked
        start_load 2
        for ((i = 0; i < $(in_full 200 4); i++)); do
            asked=$(wc -l <"$dir/access.log")
            until_true eval '[ "$(wc -l <"$dir/access.log")" -gt $((asked + 50)) ]'
            before=$(grep -c 'resuming normal operations' "$dir/error.log")
            kill -USR1 "$apache_pid"
            until_true eval '[ "$(grep -c "resuming normal operations" "$dir/error.log")" -gt "$before" ]'
            [ $((i % 2)) -eq 0 ] || {
                child=$(pgrep -P "$apache_pid" | tail -n 1)
                kill -KILL "$child" || true
            }
        done
        end_load
        ! grep -E ':(emerg|alert|crit)\]' "$dir/error.log"
    }
    under_each_mpm reloaded
}

@test "a graceful reload takes a changed service" {
    launch catlatchd
    local was
    was=$(cat "$CATLATCH_CONFIG")
    changed() {
        echo "$was" >"$CATLATCH_CONFIG"
        kill -USR1 "$apache_pid"
        give_key first
        until_true eval '[ "$(fetch_with "$key" /hello)" = 200 ]'
        sed -i '/^\[service default\]/,$d' "$CATLATCH_CONFIG"
        printf '[service default]\nrequired = deny\n' >>"$CATLATCH_CONFIG"
        [ "$(fetch_with "$key" /hello)" = 200 ]
        kill -USR1 "$apache_pid"
        until_true eval '[ "$(fetch_with "$key" /hello)" = 403 ]'
    }
    under_each_mpm changed
}

@test "limits are exact over all children and threads" {
    launch catlatchd
    exact() {
        give_key limited --rate 20/366d
        [ "$(all_answer 40)" = $' 20 200\n 20 429' ]
    }
    under_each_mpm exact
}

@test "a child that may not read the configuration answers 503 and says why, and serves when it may" {
    need_root
    launch catlatchd
    give_key first
    chmod 600 "$CATLATCH_CONFIG"
    unreadable() {
        expect_refused 503 verifier_unavailable "$(fetch_with "$key" /hello)"
        grep -q "catlatch: .*$CATLATCH_CONFIG.*answered 503" "$dir/error.log"
        chmod 644 "$CATLATCH_CONFIG"
        until_true eval '[ "$(fetch_with "$key" /hello)" = 200 ]'
        chmod 600 "$CATLATCH_CONFIG"
    }
    under_each_mpm unreadable
    chmod 644 "$CATLATCH_CONFIG"
}
