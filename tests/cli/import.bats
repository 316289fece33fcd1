load lib

setup() {
    make_folder
    export TMPDIR=$dir
}

teardown() {
    [ -z "${mounted:-}" ] || umount -l "$mounted"
    remove_folder
}

# Of a key's text, in hex.
digest() {
    printf %s "$1" | sha256sum | cut -d' ' -f1
}

# COUNT lines, of keys numbered from FROM.
lines() { # COUNT [FROM]
    python3 - "$1" "${2:-0}" <<'PY'
import hashlib, sys
for n in range(int(sys.argv[2]), int(sys.argv[1]) + int(sys.argv[2])):
    print('{"sha256":"%s","name":"key %d","owner":"owner %d","prefix":"cc_live_%07d"}'
          % (hashlib.sha256(b"%d" % n).hexdigest(), n, n // 10, n))
PY
}

# Another host, as it were: an empty store, and no table of the first.
second_daemon() {
    stop_daemon
    rm -rf "$dir/state" "$dir/run"
    mkdir "$dir/run"
    mkdir -m 700 "$dir/state"
    start_daemon
}

key_count() {
    catlatch status --json | jq .keys
}

# Nothing was imported, and the line on stderr says why.
refused() { # STATUS TEXT < LINES
    cat >"$dir/in"
    run --separate-stderr catlatch import --assume-bits 128 "$dir/in"
    expect_status "$1"
    expect_text "$stderr" "$2"
    [ "$(wc -l <<<"$stderr")" -eq 1 ]
    [ "$(key_count)" -eq 0 ]
}

@test "raw keys and digests come in, and verify" {
    start_daemon
    make_key first
    second_daemon
    lines 3 >"$dir/in"
    echo "{\"key\":\"$key\",\"name\":\"moved\",\"scopes\":[\"a:read\"],\"metadata\":{\"team\":\"x\"}}" >>"$dir/in"
    run --separate-stderr catlatch import "$dir/in"
    expect_status 0
    expect_text "$output" "4 keys imported"
    [ "$(verdict "$key")" = valid ]
    [ "$(catlatch list --json --name moved | jq -r '.[0].prefix')" = "${key:0:15}" ]
    [ "$(catlatch list --owner 'owner 0' --json | jq length)" -eq 3 ]
    [ "$(catlatch log --kind imported --json | jq length)" -eq 4 ]
}

@test "export, import into an empty store and export again are equal to the byte" {
    start_daemon
    make_key 'plain "quoted" \ ünï' --owner alice --scope a:b --scope c --meta team=x --meta a.b=é \
        --comment 'a remark' --expires 90d --not-before 1d
    make_key disabled --owner alice && catlatch disable "$id"
    make_key both && catlatch disable "$id"
    catlatch revoke "$id" --yes --reason leaked --comment 'seen in a gist'
    make_key rotated && catlatch rotate "$id" --grace 1h >"$dir/fresh"
    make_key awaited && catlatch rotate "$id" --activate-on-use --until-unseen 36h >"$dir/awaited"
    make_key test --env test --owner bob
    make_key confined --allow 192.0.2.0/24 --allow 2001:db8::/32 --allow ::1
    make_key narrowed --allow 0.0.0.0/0 && catlatch update "$id" --set allow=::ffff:10.0.0.0/104
    make_key gone --owner bob && catlatch update "$id" --set expires=now
    catlatch owner suspend bob
    printf '{"sha256":"%s","name":"foreign","prefix":"sk_","last_used_at":"2026-01-02T03:04:05Z"}' "$(digest x)" |
        catlatch import --assume-bits 128 -
    make_key used
    use_key "$key" 203.0.113.9
    use_key "$key" 2001:db8::7
    catlatch disable "$id"
    use_key "$key" 192.0.2.1
    make_key counted && use_key "$key"
    catlatch export >"$dir/one"
    catlatch list --json | jq 'map(del(.version))' >"$dir/list.one"
    [ "$(wc -l <"$dir/one")" -eq 15 ]
    jq -se '.[] | select(.name == "used") | .use_count == 2 and .refused_count == 1
        and .last_refused_from == "192.0.2.1" and (.last_used_from | length) > 0' "$dir/one"
    jq -se '.[] | select(.name == "counted") | .use_count == 1 and (has("last_used_from") | not)
        and (has("refused_count") | not)' "$dir/one"
    jq -se 'map(.allowed_networks | values) ==
        [["192.0.2.0/24", "2001:db8::/32", "::1/128"], ["10.0.0.0/8"]]' "$dir/one"
    second_daemon
    run --separate-stderr catlatch import "$dir/one"
    expect_status 0
    expect_text "$stderr" "2 of them are refused, because their owners are suspended"
    catlatch export >"$dir/two"
    cmp "$dir/one" "$dir/two"
    catlatch list --json | jq 'map(del(.version))' >"$dir/list.two"
    cmp "$dir/list.one" "$dir/list.two"
    [ "$(verdict "$(head -n 1 "$dir/fresh")")" = valid ]
    catlatch owner show bob | grep -q suspended
    # Behind a restart too.
    stop_daemon KILL
    start_daemon
    catlatch export | cmp "$dir/one" -
    # What is counted here comes on top.
    use_key "$key" 198.51.100.1
    catlatch show --json "$id" | jq -e '.use_count == 2 and .last_used_from == "198.51.100.1"'
}

@test "what is told of a key's use is checked" {
    start_daemon
    local sha field
    sha=$(digest used)
    for field in '"use_count":-1' '"use_count":1.5' '"use_count":"1"' '"refused_count":18446744073709551616' \
        '"last_used_at":"2026-01-01","last_used_from":"192.0.2.0/24"' '"last_used_from":"192.0.2.1"' \
        '"last_refused_from":"192.0.2.1"' '"last_refused_at":"yesterday"'; do
        echo "{\"sha256\":\"$sha\",\"name\":\"x\",$field}" >"$dir/in"
        run --separate-stderr catlatch import --assume-bits 128 "$dir/in"
        expect_status 65
        expect_text "$stderr" "line 1 of $dir/in: "
    done
    [ "$(key_count)" -eq 0 ]
    run redis-cli -e -s "$dir/admin/catlatch.sock" KEY.IMPORT KEY "$sha" NAME x BITS 128 LAST_USED_FROM 192.0.2.1
    expect_text "$output" "without the time"
    run redis-cli -e -s "$dir/admin/catlatch.sock" KEY.IMPORT KEY "$sha" NAME x BITS 128 USE_COUNT 9223372036854775808
    expect_text "$output" "USE_COUNT is no number"
    echo "{\"sha256\":\"$sha\",\"name\":\"x\",\"use_count\":9223372036854775807}" |
        catlatch import --assume-bits 128 -
    catlatch list --json | jq -e '.[0].use_count == 9223372036854775807'
}

@test "a bad line stops it, named by number and reason, with nothing applied" {
    start_daemon
    local good sha
    good=$(lines 1)
    sha=$(digest bad)
    refused 65 "line 2 of $dir/in: byte" <<<"$good"$'\n{"sha256":'
    refused 65 'line 2 of '"$dir/in"': unknown field "nmae"; did you mean "name"?' <<<"$good"$'\n{"nmae":"x"}'
    refused 65 "line 3 of $dir/in: neither sha256 nor key" <<<"$good"$'\n\n{"name":"x"}'
    refused 65 "sha256 is not 64 hex digits" <<<'{"sha256":"abc","name":"x"}'
    refused 65 "no name: a key needs one" <<<"{\"sha256\":\"$sha\"}"
    refused 65 "name has control characters" <<<"{\"sha256\":\"$sha\",\"name\":\"a\\nb\"}"
    refused 65 "name is no string" <<<"{\"sha256\":\"$sha\",\"name\":7}"
    refused 65 "created_at is no time" <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"created_at\":\"90d\"}"
    refused 65 "state is expired, and expires_at is not past" <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"state\":\"expired\"}"
    refused 65 "revoked_at is given for a key that is not revoked" \
        <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"state\":\"active\",\"revoked_at\":\"2026-01-01\"}"
    refused 65 "scopes names one twice" <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"scopes\":[\"a\",\"a\"]}"
    refused 65 "allowed_networks names one twice" \
        <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"allowed_networks\":[\"::1\",\"::1/128\"]}"
    refused 65 "allowed_networks: number 2 has bits set behind its prefix; the network is 10.0.0.0/8" \
        <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"allowed_networks\":[\"::1\",\"10.0.0.1/8\"]}"
    refused 65 "allowed_networks: number 1 is no network" \
        <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"allowed_networks\":[\"\"]}"
    refused 65 "allowed_networks is no array of strings" \
        <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"allowed_networks\":\"::1\"}"
    refused 65 "allowed_networks is no array of strings" \
        <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"allowed_networks\":[null]}"
    refused 65 "allowed_networks are more than 32" \
        < <(jq -nc --arg sha "$sha" '{sha256: $sha, name: "x", allowed_networks: [range(33) | "10.0.0.\(.)"]}')
    refused 65 "a field that stands there twice" <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"name\":\"y\"}"
    refused 65 "environment is none of the configuration's" <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"environment\":\"prod\"}"
    refused 65 "environment is not that of the prefix" \
        <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"prefix\":\"cc_live_AbCdEfG\",\"environment\":\"test\"}"
    refused 65 "no JSON object" <<<'[1]'
    refused 65 "something follows the JSON" <<<"$good $good"
    refused 65 "line 2 of $dir/in: the key of line 1 again" <<<"$good"$'\n'"$good"
    refused 65 "the id of line 1 again" <<<"{\"sha256\":\"$sha\",\"name\":\"x\",\"id\":\"key_buidteqncweyi\"}
{\"sha256\":\"$(digest other)\",\"name\":\"x\",\"id\":\"key_buidteqncweyi\"}"
    refused 65 "not UTF-8" < <(printf '{"sha256":"%s","name":"\xff"}' "$sha")
    refused 65 "a NUL character" <<<"{\"sha256\":\"$sha\",\"name\":\"a\\u0000b\"}"
    refused 65 "is that of the documentation's example key" \
        <<<"{\"sha256\":\"$(digest cc_live_ThisIsAnExampleKeyAndItNeverVerifiesSample)\",\"name\":\"x\"}"
    run --separate-stderr catlatch import "$dir/nowhere"
    expect_status 74
}

@test "networks come in in any form, and are shown in their own" {
    start_daemon
    printf '{"sha256":"%s","name":"x","allowed_networks":["2001:DB8:0:0::/32","::ffff:192.0.2.1","10.0.0.0/8"]}' \
        "$(digest x)" >"$dir/in"
    printf '\n{"sha256":"%s","name":"y","allowed_networks":[]}' "$(digest y)" >>"$dir/in"
    catlatch import --assume-bits 128 "$dir/in"
    catlatch list --json | jq -e 'map(.allowed_networks) ==
        [["2001:db8::/32", "192.0.2.1/32", "10.0.0.0/8"], []]'
    catlatch export | jq -se '.[1] | has("allowed_networks") | not'
}

@test "a raw key that begins as ours must have its check digits, and is never repeated" {
    start_daemon
    make_key real
    catlatch revoke "$id" --yes
    local wrong other=x before
    [ "${key:20:1}" != x ] || other=y
    before=$(key_count)
    for wrong in "${key%?}" "${key:0:20}$other${key:21}" cc_live_ThisIsAnExampleKeyAndItNeverVerifiesSample; do
        run --separate-stderr catlatch import - <<<"{\"key\":\"$wrong\",\"name\":\"x\"}"
        expect_status 65
        [[ $stderr != *"$wrong"* ]]
    done
    for line in "{\"key\":\"$key\",\"name\":\"$key\"}" "{\"key\":\"$key\" \"name\":1}" "{\"$key\":1}" \
        "{\"key\":[\"$key\"]}" "{\"sha256\":\"$key\",\"name\":\"x\"}" "$key"; do
        run --separate-stderr catlatch import - <<<"$line"
        expect_status 65
        [[ $stderr != *"${key:20}"* ]]
    done
    [ "$(key_count)" -eq "$before" ]
}

@test "a line of 100 MB is one clear error, in little memory" {
    # A build that looks for leaks needs far more address space than it uses.
    nm "$(type -P catlatch)" 2>/dev/null | grep -q __asan_init && skip "not with ASan"
    start_daemon
    { lines 1; printf '{"sha256":"'; head -c 100000000 /dev/zero | tr '\0' a; echo '"}'; lines 1 1; } >"$dir/in"
    run --separate-stderr bash -c "ulimit -v 60000; catlatch import '$dir/in'"
    expect_status 65
    expect_text "$stderr" "line 2 of $dir/in: longer than 262144 bytes"
    [ "$(key_count)" -eq 0 ]
    run --separate-stderr bash -c "ulimit -v 60000; catlatch import - --skip-bad '$dir/bad' <'$dir/in'"
    expect_status 0
    [ "$(key_count)" -eq 2 ]
    sed -n 2p "$dir/in" | cmp - "$dir/bad"
}

@test "--skip-bad sets bad lines aside as they are, for their owner alone" {
    start_daemon
    { lines 2; echo nonsense; lines 1; printf '{"x":"\xff"}\n'; lines 1 5; printf '{"no end'; } >"$dir/in"
    run --separate-stderr catlatch import "$dir/in" --skip-bad "$dir/bad"
    expect_status 0
    expect_text "$output" "3 keys imported, 4 bad lines set aside in $dir/bad"
    { echo nonsense; lines 1; printf '{"x":"\xff"}\n'; echo '{"no end'; } | cmp - "$dir/bad"
    [ "$(stat -c %a "$dir/bad")" = 600 ]
    # Never over a file that is there; none is left where nothing was bad.
    run --separate-stderr catlatch import "$dir/in" --skip-bad "$dir/bad" --on-conflict skip
    expect_status 74
    lines 1 7 | catlatch import - --skip-bad "$dir/none"
    [ ! -e "$dir/none" ]
}

@test "bad lines far apart are set aside in their order, and the first of them is named" {
    start_daemon
    # As many as several blocks of what is checked at a time; a double names the line that it repeats.
    lines 6000 | sed -e '701s/.*/nonsense/' -e '1900s/name/nmae/' -e '4100s/.*/{"x":1}/' -e '5999s/}$//' >"$dir/some"
    { head -n 3000 "$dir/some"; sed -n 10p "$dir/some"; echo
      printf '{"name":"'; head -c 300000 /dev/zero | tr '\0' a; echo '"}'
      tail -n 3000 "$dir/some"; } >"$dir/in"
    sed -n -e 701p -e 1900p -e 3001p -e 3003p -e 4103p -e 6002p "$dir/in" >"$dir/expected"
    run --separate-stderr catlatch import "$dir/in"
    expect_status 65
    expect_text "$stderr" "line 701 of $dir/in: byte 8: not JSON"
    sed -e 701d -e 1900d "$dir/in" >"$dir/doubled"
    run --separate-stderr catlatch import "$dir/doubled"
    expect_status 65
    expect_text "$stderr" "line 2999 of $dir/doubled: the key of line 10 again"
    [ "$(key_count)" -eq 0 ]
    run --separate-stderr catlatch import "$dir/in" --skip-bad "$dir/bad" --json
    expect_status 0
    [ "$(jq -c '[.imported,.bad]' <<<"$output")" = '[5996,6]' ]
    cmp "$dir/expected" "$dir/bad"
    catlatch export | jq -r .name | sort -u | wc -l | grep -qx 5996
}

@test "a bad line is told of while its input goes on" {
    start_daemon
    mkfifo "$dir/slow"
    { lines 700; echo nonsense; printf '{"sha'; } >"$dir/in"
    catlatch import - <"$dir/slow" 2>"$dir/err" 3>&- &
    local pid=$! status=0
    exec 8>"$dir/slow"
    cat "$dir/in" >&8 || true # nobody reads it to its end
    wait $pid || status=$?
    exec 8>&-
    [ $status -eq 65 ]
    grep -q 'line 701 of standard input: byte 8: not JSON' "$dir/err"
}

@test "an import does without a second thread where none can be started" {
    # A build that looks for leaks needs far more address space than it uses.
    nm "$(type -P catlatch)" 2>/dev/null | grep -q __asan_init && skip "not with ASan"
    start_daemon
    lines 6000 >"$dir/in"
    # A thread would take as much address space as the stack may grow to.
    run --separate-stderr bash -c "ulimit -s 1000000 && ulimit -v 500000 && catlatch import '$dir/in'"
    expect_status 0
    [ "$(key_count)" -eq 6000 ]
}

@test "keys issued elsewhere need --assume-bits, and who would refuse them is said" {
    cat >>"$dir/etc/catlatch.ini" <<INI
[service web]
required = format
required = table
[service legacy]
required = table
INI
    start_daemon
    echo '{"key":"sk-an-old-key-of-ours","name":"old","environment":"live"}' >"$dir/in"
    run --separate-stderr catlatch import "$dir/in"
    expect_status 65
    expect_text "$stderr" "--assume-bits must say"
    run --separate-stderr catlatch import "$dir/in" --assume-bits 80
    expect_status 64
    run --separate-stderr catlatch import "$dir/in" --assume-bits 80 --force
    expect_status 0
    expect_text "$stderr" "service web: its \`format\` would refuse 1 of these keys"
    [[ $stderr != *"service legacy"* ]]
    run catlatch verify --service legacy --json <<<sk-an-old-key-of-ours
    [ "$(jq -r .result <<<"$output")" = valid ]
    [ "$(catlatch export | jq .assumed_bits)" -eq 80 ]
    # One that looks like ours but for its check digits passes no `format` by being in the table.
    local near=cc_live_ThisIsNoKeyOfOursForItsCheckIsWrong0aaaaaa
    [ "${#near}" -eq 50 ]
    echo "{\"sha256\":\"$(digest $near)\",\"name\":\"near\",\"prefix\":\"${near:0:15}\",\"assumed_bits\":128}" |
        catlatch import -
    [ "$(catlatch verify --service legacy --json <<<$near | jq -r .result)" = valid ]
    [ "$(catlatch verify --service web --json <<<$near | jq -r .result)" = malformed ]
    # What an export says of them is held to the same.
    catlatch export >"$dir/out"
    run --separate-stderr catlatch import --on-conflict skip "$dir/out"
    expect_status 65
    expect_text "$stderr" "under 112 needs --force"
}

@test "what is there already: fail names the first line and applies nothing, skip counts it" {
    start_daemon
    lines 5 | catlatch import -
    lines 2500 >"$dir/in"
    tac "$dir/in" >"$dir/reverse"
    run --separate-stderr catlatch import "$dir/reverse"
    expect_status 1
    expect_text "$stderr" "nothing was imported (--on-conflict skip passes over keys that are there): line 2496: the key is there already, as key_"
    [ "$(key_count)" -eq 5 ]
    run --separate-stderr catlatch import "$dir/in" --on-conflict skip --json
    expect_status 0
    [ "$(jq -c '[.imported,.skipped]' <<<"$output")" = '[2495,5]' ]
    [ "$(key_count)" -eq 2500 ]
    # An id that is another key's is no key that is there.
    id=$(catlatch list --json --limit 1 | jq -r '.[0].id')
    run --separate-stderr catlatch import - --on-conflict skip <<<"$(lines 1 9999 | jq -c ".id = \"$id\"")"
    expect_status 1
    expect_text "$stderr" "line 1: its id, $id, is another key's"
}

@test "--dry-run says what would be done and changes nothing" {
    start_daemon
    lines 3 | catlatch import -
    local before
    before=$(catlatch status --json | jq -r .sequence)
    { lines 1500; echo '{"suspended_owner":"owner 0"}'; } >"$dir/in"
    run --separate-stderr catlatch import "$dir/in" --dry-run --on-conflict skip
    expect_status 0
    [ "$output" = "1497 keys would be imported, 3 were there already" ]
    run --separate-stderr catlatch import "$dir/in" --dry-run
    expect_status 1
    expect_text "$stderr" "line 1: the key is there already"
    [ "$(catlatch status --json | jq -r .sequence)" = "$before" ]
    [ "$(catlatch owner show 'owner 0' --json | jq .suspended)" = false ]
}

@test "an import that was killed, run again, completes without doubles" {
    start_daemon
    lines 30000 >"$dir/in"
    catlatch import "$dir/in" >/dev/null 2>&1 &
    local pid=$!
    until [ "$(key_count)" -gt 0 ]; do kill -0 $pid || break; done
    kill -9 $pid || true
    wait $pid || true
    run --separate-stderr catlatch import "$dir/in" --on-conflict skip --json
    expect_status 0
    [ "$(jq '.imported + .skipped' <<<"$output")" -eq 30000 ]
    [ "$(key_count)" -eq 30000 ]
    [ "$(catlatch export | jq -r .sha256 | sort -u | wc -l)" -eq 30000 ]
    catlatch log --verify
}

@test "the daemon killed in the middle: what was acknowledged is there, and the rest follows" {
    start_daemon
    lines 40000 >"$dir/in"
    catlatch import "$dir/in" >"$dir/out" 2>"$dir/err" &
    local pid=$! said
    until [ "$(key_count)" -gt 0 ]; do kill -0 $pid || break; done
    stop_daemon KILL
    local status=0
    wait $pid || status=$?
    [ $status -eq 69 ]
    grep -q 'of 40000 keys were imported; run it again with --on-conflict skip' "$dir/err"
    said=$(sed 's/^catlatch: \([0-9]*\) of.*/\1/' "$dir/err")
    start_daemon
    [ "$(key_count)" -ge "$said" ]
    [ $(($(key_count) % 500)) -eq 0 ]
    catlatch import "$dir/in" --on-conflict skip
    [ "$(key_count)" -eq 40000 ]
    catlatch log --verify
}

@test "two tools at once: every key once, whoever brings it" {
    start_daemon
    lines 20000 >"$dir/one"
    lines 20000 10000 >"$dir/two"
    catlatch import "$dir/one" --on-conflict skip --json >"$dir/said.one" &
    catlatch import "$dir/two" --on-conflict skip --json >"$dir/said.two"
    wait $!
    [ "$(key_count)" -eq 30000 ]
    [ "$(jq -s 'map(.imported) | add' "$dir"/said.*)" -eq 30000 ]
    [ "$(jq -s 'map(.skipped) | add' "$dir"/said.*)" -eq 10000 ]
    [ "$(catlatch export | jq -r .sha256 | sort -u | wc -l)" -eq 30000 ]
}

@test "a revoke that comes during an import is done at once" {
    start_daemon
    make_key victim
    lines 60000 >"$dir/in"
    catlatch import "$dir/in" >/dev/null &
    local pid=$!
    until [ "$(key_count)" -gt 1 ]; do kill -0 $pid || break; done
    catlatch revoke "$id" --yes
    kill -0 $pid # it goes on
    [ "$(verdict "$key")" = revoked ]
    wait $pid
    [ "$(key_count)" -eq 60001 ]
}

@test "a full disk in the middle: a clear error, whole batches, and the daemon lives" {
    mount -t tmpfs -o size=80m,mode=0700 tmpfs "$dir/state" 2>/dev/null || skip "needs root, to mount a small disk"
    mounted=$dir/state
    printf 'ballast_size = 16M\n' >>"$dir/etc/catlatch.ini"
    start_daemon
    make_key victim
    lines 120000 >"$dir/in"
    run --separate-stderr catlatch import "$dir/in"
    expect_status 74
    expect_text "$stderr" "of 120000 keys were imported; run it again with --on-conflict skip"
    [[ $stderr == *"No space left on device"* || $stderr == *"is full; make room"* ]]
    catlatch revoke "$id" --yes
    [ "$(verdict "$key")" = revoked ]
    local before
    before=$(key_count)
    [ $((before % 500)) -eq 1 ]
    mount -o remount,size=400m "$dir/state"
    until_true catlatch create --name room
    catlatch import "$dir/in" --on-conflict skip
    [ "$(key_count)" -eq 120002 ]
    catlatch log --verify
}

@test "a temporary file that does not fit is an error before anything is done" {
    mkdir "$dir/small"
    mount -t tmpfs -o size=64k tmpfs "$dir/small" 2>/dev/null || skip "needs root, to mount a small disk"
    mounted=$dir/small
    start_daemon
    lines 5000 >"$dir/in"
    TMPDIR=$dir/small run --separate-stderr catlatch import "$dir/in"
    expect_status 74
    expect_text "$stderr" "TMPDIR says where"
    [ "$(key_count)" -eq 0 ]
}

@test "catlatch: scopes come from an admin peer alone" {
    start_daemon
    catlatch create --name boss --scope catlatch:admin --quiet >"$dir/key"
    lines 1 | jq -c '.scopes = ["catlatch:admin"]' | catlatch import -
    sha=$(digest z)
    run bash -c "printf 'AUTH %s\nKEY.IMPORT KEY $sha NAME x PREFIX cc_live_AbCdEfG SCOPE catlatch:read\n' \"\$(cat '$dir/key')\" | redis-cli -s '$dir/admin/catlatch.sock'"
    expect_text "$output" "NOPERM record 1: a catlatch: scope can be given by a peer with the right admin only"
}

@test "policies for new keys do not hold for imported ones" {
    printf '[policy]\nmax_expiry = 1d\nmax_keys_per_owner = 1\n' >>"$dir/etc/catlatch.ini"
    start_daemon
    lines 5 | catlatch import -
    [ "$(key_count)" -eq 5 ]
}

@test "raw keys are in no temporary file, log or argument" {
    start_daemon
    make_key first
    second_daemon
    strace -V >/dev/null 2>&1 || skip "needs strace"
    echo "{\"key\":\"$key\",\"name\":\"moved\"}" >"$dir/in"
    ASAN_OPTIONS=detect_leaks=0 strace -f -s 100000 -e trace=write,pwrite64,sendto,execve -o "$dir/trace" catlatch import - <"$dir/in"
    ! grep -q "${key:16}" "$dir/trace"
    ! grep -rq "${key:16}" "$dir/log" "$dir/state"
}

@test "moving in, as the README has it" {
    start_daemon
    readme_code 'Moving in' console | grep '^{' >"$dir/keys.ndjson"
    [ "$(wc -l <"$dir/keys.ndjson")" -eq 2 ]
    run --separate-stderr catlatch import "$dir/keys.ndjson" --assume-bits 128 --dry-run
    expect_status 0
    [ "$output" = "2 keys would be imported" ]
    [ "$stderr" = 'catlatch: service default: its `format` would refuse 2 of these keys, which were issued elsewhere and have no check digits' ]
    catlatch import "$dir/keys.ndjson" --assume-bits 128
    catlatch export >"$dir/one"
    second_daemon
    catlatch import "$dir/one"
    catlatch export | cmp "$dir/one" -
}
