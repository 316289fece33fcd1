load lib

setup() {
    make_folder
    start_daemon
}

teardown() {
    remove_folder
}

@test "revoke by id is final, and the receipt says since when and where" {
    make_key ci
    run --separate-stderr catlatch revoke "$id" --reason leaked --comment "in a public log"
    expect_status 0
    expect_text "$output" "1 key refused everywhere on $(hostname) since 20"
    [ "$(verdict "$key")" = revoked ]
    catlatch show --json "$id" | jq -e '.state == "revoked" and .revoke_reason == "leaked"
        and .revoke_comment == "in a public log" and (.revoked_at | fromdate) > 0'
    run --separate-stderr catlatch enable "$id"
    expect_status 1
    [ "$(verdict "$key")" = revoked ]
}

@test "the receipt says when and from where the keys were last accepted" {
    make_key one --owner acme
    run --separate-stderr catlatch revoke "$id" --yes
    expect_text "$output" "never accepted so far"
    make_key two --owner beta
    use_key "$key" 203.0.113.9
    run --separate-stderr catlatch revoke "$id" --yes
    [[ $output =~ revoked\ +yes\ +20[-0-9]+\ [0-9:]+\ +203\.0\.113\.9 ]]
    [[ ${lines[-1]} =~ ^last\ accepted\ at\ 20[-0-9]+T[0-9:]+Z\ from\ 203\.0\.113\.9$ ]]
    make_key three --owner gamma
    use_key "$key"
    local used=$id
    make_key four --owner gamma
    run --separate-stderr catlatch revoke --owner gamma --yes
    [[ ${lines[-1]} =~ ^last\ accepted\ at\ 20[-0-9]+T[0-9:]+Z:\ $used$ ]]
    run --separate-stderr catlatch purge --owner gamma --yes
    [[ $output != *"last accepted"* ]]
}

@test "revoke --json answers with a receipt that names each key" {
    make_key one --owner acme
    make_key two --owner acme
    run --separate-stderr catlatch revoke --owner acme --yes --json
    expect_status 0
    jq -e --arg host "$(hostname)" '.host == $host and .count == 2 and (.keys | length) == 2
        and all(.keys[]; .state == "revoked" and .changed and .owner == "acme")' <<<"$output"
}

@test "a reason that is not on the list is refused with the nearest one" {
    make_key ci
    run --separate-stderr catlatch revoke "$id" --reason leakd
    expect_status 65
    expect_text "$stderr" "did you mean leaked?"
    [ "$(verdict "$key")" = valid ]
}

@test "several keys off a terminal need --yes" {
    make_key one
    make_key two
    run --separate-stderr catlatch revoke --owner default
    expect_status 64
    expect_text "$stderr" "2 keys would be revoked for ever"
    [ "$(verdict "$key")" = valid ]
}

@test "a raw key on stdin is revoked, and told nobody" {
    make_key ci
    run --separate-stderr catlatch revoke --key-stdin --reason leaked <<<"  $key"
    expect_status 0
    [ "$(verdict "$key")" = revoked ]
    [[ $output$stderr != *"$key"* ]]
    run grep -rF "$key" "$dir"
    expect_status 1
}

@test "a key that is revoked already still gets its receipt by raw key" {
    make_key ci
    catlatch revoke "$id"
    run --separate-stderr catlatch revoke --key-stdin --json <<<"$key"
    expect_status 0
    jq -e '.count == 0 and .keys[0].changed == false' <<<"$output"
    run --separate-stderr catlatch revoke --prefix "${key:0:15}"
    expect_status 1
    expect_text "$stderr" "revoked already"
}

@test "thousands of raw keys at once: the known are revoked, the unknown told by their lines" {
    local i
    for ((i = 0; i < 2000; i++)); do
        printf '*5\r\n$10\r\nKEY.CREATE\r\n$4\r\nNAME\r\n$5\r\nk%04d\r\n$5\r\nOWNER\r\n$4\r\nleak\r\n' "$i"
    done >"$dir/creates"
    python3 - "$dir/admin/catlatch.sock" "$dir/creates" >"$dir/keys" <<'PYTHON'
import re, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
requests = re.split(rb"(?=\*5)", open(sys.argv[2], "rb").read())[1:]
for first in range(0, len(requests), 100):
    peer.sendall(b"".join(requests[first:first + 100]))
    text = b""
    while text.count(b"cc_live_") < 2 * 100 or not text.endswith(b"\r\n"):
        text += peer.recv(65536)
    print("\n".join(re.findall(rb"cc_live_[0-9A-Za-z]{42}".decode(), text.decode())))
PYTHON
    [ "$(sort -u "$dir/keys" | wc -l)" -eq 2000 ]
    make_key bystander
    { echo cc_live_unknown; cat "$dir/keys" "$dir/keys"; echo; echo "no key at all"; } >"$dir/dump"
    run --separate-stderr catlatch revoke --key-stdin --reason leaked --json <"$dir/dump"
    expect_status 64
    run --separate-stderr catlatch revoke --key-stdin --reason leaked --json --yes <"$dir/dump"
    expect_status 0
    expect_text "$stderr" "line 1 of standard input is no key"
    expect_text "$stderr" "line 4003 of standard input is no key"
    [ "$(jq '.count' <<<"$output")" -eq 2000 ]
    [ "$(jq '.keys | length' <<<"$output")" -eq 2000 ]
    [ "$(catlatch list --json --owner leak --state revoked | jq length)" -eq 2000 ]
    [ "$(verdict "$key")" = valid ]
    run grep -c cc_live_ <<<"$stderr"
    [ "$output" -eq 0 ]
}

@test "no key at all, too long a line and a NUL are told apart, and nothing is changed" {
    make_key ci
    run --separate-stderr catlatch revoke --key-stdin </dev/null
    expect_status 1
    expect_text "$stderr" "no key matches"
    run --separate-stderr catlatch revoke --key-stdin < <(echo "$key"; head -c 600 /dev/zero | tr '\0' x)
    expect_status 65
    expect_text "$stderr" "line 2 is over 512 bytes"
    run --separate-stderr catlatch revoke --key-stdin < <(echo "$key"; printf 'cc_\0live\n')
    expect_status 65
    [ "$(verdict "$key")" = valid ]
}

@test "a daemon that goes away under a revoke leaves it unknown, and that is said" {
    stop_daemon
    rm -f "$dir/admin/catlatch.sock"
    start_fake_daemon <<'RULES'
KEY.GET {"id": "", "name": "n", "state": "active"}
KEY.REVOKE "CLOSE"
RULES
    run --separate-stderr catlatch revoke key_aaaaaaaaaaaab
    expect_status 69
    expect_text "$stderr" "is not known"
}
