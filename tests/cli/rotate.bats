load lib

setup() {
    make_folder
    start_daemon
}

teardown() {
    remove_folder
}

@test "rotate keeps the settings, links both keys and leaves the old one valid for a day" {
    make_key ci --owner acme --scope read --meta team=core --comment why
    old=$id old_key=$key
    run --separate-stderr catlatch rotate "$old"
    expect_status 0
    [[ $output =~ ^cc_live_[0-9A-Za-z]{42}$ ]]
    expect_text "$stderr" "shown this once"
    new=$(catlatch show --json "$old" | jq -r .rotated_to)
    catlatch show --json "$new" | jq -e --arg old "$old" '.rotated_from == $old and .name == "ci"
        and .owner == "acme" and .scopes == ["read"] and .metadata.team == "core" and .comment == "why"'
    [ "$(verdict "$output")" = valid ]
    [ "$(verdict "$old_key")" = valid ]
    catlatch show --json "$old" | jq -e '((.expires_at | fromdate) - now) as $left
        | $left > 86000 and $left <= 86400'
}

@test "a successor is confined as the old key was" {
    make_key ci --allow 192.0.2.0/24 --allow ::1
    catlatch rotate "$id" >"$dir/fresh"
    new=$(catlatch show --json "$id" | jq -r .rotated_to)
    for each in "$id" "$new"; do
        catlatch show --json "$each" | jq -e '.allowed_networks == ["192.0.2.0/24", "::1/128"]'
    done
}

@test "a successor that is refused because its owner is suspended, or as the old key was disabled, is told so" {
    make_key first --owner acme
    catlatch owner suspend acme
    run --separate-stderr catlatch rotate "$id"
    expect_status 0
    [ "$(verdict "$output")" = disabled ]
    expect_text "$stderr" "1 of 1 new key is refused until \`catlatch owner resume\`"
    make_key second --owner other
    catlatch disable "$id"
    run --separate-stderr catlatch rotate "$id" --json
    expect_status 0
    jq -e '.keys[0].owner_suspended == false and .keys[0].state == "disabled"' <<<"$output"
    expect_text "$stderr" "1 of 1 new key is refused until \`catlatch enable\`"
    make_key third
    run --separate-stderr catlatch rotate "$id"
    [[ $stderr != *refused* ]]
}

@test "--grace is never longer than the old key had" {
    make_key ci --expires 1h
    catlatch rotate "$id" --grace 7d >/dev/null
    catlatch show --json "$id" | jq -e '(.expires_at | fromdate) - now <= 3600'
}

@test "--until-unseen leaves the old key until nobody uses it, and --grace is the most then" {
    make_key ci
    run --separate-stderr catlatch rotate "$id" --until-unseen 24h
    expect_status 0
    expect_text "$stderr" "the old key is valid until not used for 24h"
    catlatch show --json "$id" | jq -e '.retires == "unseen=1d" and .expires_at == null'
    expect_text "$(catlatch show "$id")" "unseen=1d"
    catlatch log --id "$id" --json | jq -e 'any(.[].fields[]; .field == "retires" and .after == "unseen=1d")'
    make_key second
    run --separate-stderr catlatch rotate "$id" --until-unseen 24h --grace 30d
    expect_text "$stderr" "valid until not used for 24h, and until 2"
    catlatch show --json "$id" | jq -e '.retires == "unseen=1d" and (.expires_at | fromdate) > now + 29 * 86400'
    catlatch update "$id" --set expires=never --yes >"$dir/updated" 2>&1
    catlatch show --json "$id" | jq -e '.retires == null and .expires_at == null'
}

@test "with --activate-on-use the grace begins with the first use of the new key" {
    make_key ci
    run --separate-stderr catlatch rotate "$id" --activate-on-use --grace 2h
    expect_status 0
    expect_text "$stderr" "the old key is valid until 2h after the first use of its successor"
    new=$output
    catlatch show --json "$id" | jq -e '.retires == "on-use grace=2h" and .expires_at == null'
    use_key "$key"
    stop_daemon
    start_daemon # which looks at once
    catlatch show --json "$id" | jq -e '.expires_at == null'
    use_key "$new"
    stop_daemon
    start_daemon
    until_true bash -c 'catlatch show --json "$0" | jq -e ".expires_at != null"' "$id"
    catlatch show --json "$id" | jq -e '.retires == null and ((.expires_at | fromdate) - now) as $left
        | $left > 7000 and $left <= 7200'
    catlatch log --id "$id" --json | jq -e 'any(.[]; .comment == "as the rotation said"
        and any(.fields[]; .field == "expires_at"))'
}

@test "what has nothing to wait for is refused" {
    make_key ci
    run catlatch rotate "$id" --grace 0 --until-unseen 24h
    expect_status 65
    expect_text "$output" "--grace 0 revokes the old key at once"
    run catlatch rotate "$id" --grace 0 --activate-on-use
    expect_status 65
    run catlatch rotate "$id" --until-unseen 0
    expect_status 65
    run catlatch rotate "$id" --until-unseen soon
    expect_status 65
    expect_text "$output" "--until-unseen takes a duration, such as 24h"
    run catlatch rotate "$id" --until-unseen 200y
    expect_text "$output" "UNTIL_UNSEEN is 1s to 100y"
    catlatch show --json "$id" | jq -e '.rotated_to == null'
}

@test "what a rotation left open is imported with a successor alone" {
    make_key ci
    catlatch rotate "$id" --activate-on-use --until-unseen 36h >/dev/null
    catlatch export >"$dir/all"
    jq -se 'map(select(.retires != null)) | length == 1 and .[0].retires == "on-use unseen=36h"' "$dir/all"
    jq -c 'select(.retires != null) | .sha256 |= ("0" * 32 + .[32:]) | del(.id, .rotated_to)' "$dir/all" >"$dir/one"
    run catlatch import "$dir/one"
    expect_status 65
    expect_text "$output" "no successor"
    jq -c '.rotated_to = "key_aaaaaaaaaaaab" | .retires = "soon"' "$dir/one" >"$dir/two"
    run catlatch import "$dir/two"
    expect_status 65
    expect_text "$output" "is not as unseen=24h"
}

@test "--grace 0 revokes the old key as superseded once the new one is out" {
    make_key ci
    run --separate-stderr catlatch rotate "$id" --grace 0
    expect_status 0
    [ "$(verdict "$output")" = valid ]
    [ "$(verdict "$key")" = revoked ]
    [ "$(catlatch show --json "$id" | jq -r .revoke_reason)" = superseded ]
    expect_text "$stderr" "refused everywhere on $(hostname) since 20"
}

@test "who still uses what was replaced is told of" {
    make_key ci
    use_key "$key" 203.0.113.9
    run --separate-stderr catlatch rotate "$id"
    expect_text "$stderr" "Z from 203.0.113.9"
    make_key ci
    use_key "$key" 203.0.113.9
    run --separate-stderr catlatch rotate "$id" --grace 0
    expect_text "$stderr" "old: last accepted at 20"
}

@test "--grace 0 --json is one document with both receipts" {
    make_key ci
    run --separate-stderr catlatch rotate "$id" --grace 0 --json
    expect_status 0
    jq -es --arg id "$id" 'length == 1 and .[0].keys[0].old_id == $id
        and (.[0].keys[0].key | startswith("cc_live_"))
        and .[0].superseded.keys[0].id == $id
        and .[0].superseded.keys[0].state == "revoked"' <<<"$output"
}

@test "a rotation that is refused answers with an error, not with half a document" {
    make_key ci
    catlatch rotate "$id" >/dev/null
    run --separate-stderr catlatch rotate "$id" --json
    expect_status 1
    [ -z "$output" ]
}

@test "--json with grace is the receipt with the new key in it" {
    make_key ci
    run --separate-stderr catlatch rotate "$id" --json
    expect_status 0
    jq -es 'length == 1 and (.[0].keys[0].key | startswith("cc_live_"))
        and (.[0].keys[0].old_expires_at | fromdate) > now' <<<"$output"
}

@test "with stdout full, --grace 0 leaves the old key working and names the new one" {
    make_key ci
    run bash -c 'catlatch rotate "$0" --grace 0 2>&1 >/dev/full' "$id"
    expect_status 74
    expect_text "$output" "the old ones still work"
    expect_text "$output" "No space left on device"
    new=$(catlatch show --json "$id" | jq -r .rotated_to)
    expect_text "$output" "$new replaces $id"
    [ "$(verdict "$key")" = valid ]
    [ "$(catlatch show --json "$id" | jq -r .expires_at)" = null ]
}

@test "with stdout full, a rotation with grace names the new key too" {
    make_key ci
    run bash -c 'catlatch rotate "$0" --grace 1h 2>&1 >/dev/full' "$id"
    expect_status 74
    expect_text "$output" "the old ones work for another 1h at most"
    expect_text "$output" "$(catlatch show --json "$id" | jq -r .rotated_to) replaces $id"
}

@test "if the second commit fails both keys work, and message and status say so" {
    stop_daemon
    rm -f "$dir/admin/catlatch.sock"
    start_fake_daemon <<'RULES'
KEY.GET {"id": "", "name": "n", "state": "active", "rotated_to": null}
KEY.ROTATE {"host": "h", "time": "t", "sequence": "1:1", "generation": 1, "count": 1, "keys": [{"id": "key_aaaaaaaaaaaac", "prefix": "cc_live_x", "name": "n", "owner": "o", "state": "active", "changed": true, "old_id": "key_aaaaaaaaaaaab", "key": "cc_live_theNewKey", "old_expires_at": null}]}
KEY.REVOKE "-UNAVAILABLE the daemon is stopping"
RULES
    run --separate-stderr catlatch rotate key_aaaaaaaaaaaab --grace 0
    expect_status 69
    [ "$output" = cc_live_theNewKey ]
    expect_text "$stderr" "both work: revoke them with --reason superseded"
    expect_text "$stderr" "the daemon is stopping"
    grep -q '^KEY.ROTATE key_aaaaaaaaaaaab GRACE' "$dir/log"
    run --separate-stderr catlatch rotate key_aaaaaaaaaaaab --grace 0 --json
    expect_status 69
    jq -e '.superseded == null and .keys[0].key == "cc_live_theNewKey"' <<<"$output"
}

@test "several keys need a file, which is new, 0600 and complete" {
    make_key one --owner acme
    one_key=$key
    make_key two --owner acme
    run --separate-stderr catlatch rotate --owner acme --yes
    expect_status 64
    expect_text "$stderr" "--output"
    run --separate-stderr catlatch rotate --owner acme --yes --grace 0 --output "$dir/new"
    expect_status 0
    [ -z "$output" ]
    [ "$(stat -c %a "$dir/new")" = 600 ]
    jq -es 'length == 2 and all(.[]; .id and .old_id and .key and .name and .owner == "acme")' "$dir/new"
    [ "$(verdict "$one_key")" = revoked ]
    local new
    for new in $(jq -r .key "$dir/new"); do
        [ "$(verdict "$new")" = valid ]
    done
}

@test "a file that cannot be made stops the rotation before any key is made" {
    make_key one --owner acme
    touch "$dir/there"
    run --separate-stderr catlatch rotate "$id" --output "$dir/there"
    expect_status 74
    expect_text "$stderr" "nothing was changed"
    run --separate-stderr catlatch rotate "$id" --output "$dir/absent/new"
    expect_status 74
    [ "$(catlatch list --json | jq length)" -eq 1 ]
    [ ! -s "$dir/there" ]
}

@test "a rotation that is refused leaves no file behind" {
    make_key one
    catlatch revoke "$id"
    run --separate-stderr catlatch rotate "$id" --output "$dir/new"
    expect_status 1
    [ ! -e "$dir/new" ]
}

@test "with --output the JSON answer has no keys in it" {
    make_key one
    run --separate-stderr catlatch rotate "$id" --output "$dir/new" --json
    expect_status 0
    jq -e '.keys[0].old_id and (.keys[0] | has("key") | not)' <<<"$output"
}

@test "keys that cannot be rotated are left out of a condition, and refused by id" {
    make_key one --owner acme
    first=$id
    catlatch rotate "$id" >/dev/null
    run --separate-stderr catlatch rotate --owner acme
    expect_status 0
    expect_text "$stderr" "1 matching key is left out"
    run --separate-stderr catlatch rotate "$first"
    expect_status 1
    expect_text "$stderr" "was rotated"
}

@test "a grace that is none is refused" {
    make_key one
    run --separate-stderr catlatch rotate "$id" --grace soon
    expect_status 65
    [ "$(catlatch list --json | jq length)" -eq 1 ]
}
