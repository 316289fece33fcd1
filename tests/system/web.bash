# web.bash - what tests of web servers share: keys that leave no trace, what was answered, and load.
# Loaded after ../cli/lib and process, before nginx or apache: those say how the server is asked
# (fetch, web_address), and under which $mpm it runs, if there are several.

# As make_key; it leaves no trace.
give_key() { # NAME [OPTION...]
    make_key "$@"
    echo "$key" >>"$dir/keys"
}

# The lines of these logs that have a key in them, without it.
leaked_keys() { # FILE...
    [ ! -s "$dir/keys" ] || grep -hFf "$dir/keys" "$@" | sed -f <(sed 's/.*/s|&|KEY|g/' "$dir/keys")
}

# One request with a key, which is in no process's arguments.
fetch_with() { # KEY PATH [curl's options]
    local sent=$1
    shift
    fetch "$@" -H @- <<<"Authorization: Bearer $sent"
}

# The value of a header field of the last answer, without its name.
field() { # NAME
    tr -d '\r' <"$dir/head" | sed -n "s/^$1: //Ip"
}

# The last answer is a refusal with this status and code, as every refusal is.
expect_refused() { # STATUS CODE SAID
    [ "$3" = "$1" ] && [ "$(field content-type)" = application/problem+json ] &&
        [ "$(field cache-control)" = no-store ] && [ -n "$(field x-request-id)" ] &&
        jq -e --arg code "$2" --argjson status "$1" --arg id "$(field x-request-id)" \
            '.code == $code and .status == $status and .request_id == $id and .type == "about:blank"' \
            "$dir/answer" >/dev/null || {
        echo "${mpm:+under $mpm: }status $3, expected $1 and $2"
        cat "$dir/head" "$dir/answer"
        return 1
    }
}

# What raw bytes are answered: the statuses, in order. In them \r\n is written out, and KEY stands
# for the key.
statuses() { # PRINTF-TEXT
    printf "${1//KEY/$key}" | python3 "$BATS_TEST_DIRNAME/raw_http.py" "$(web_address)" >"$dir/raw"
    grep -a -o '^HTTP/1.1 [0-9]*' "$dir/raw" | cut -d' ' -f2 | tr '\n' ' '
}

# The application of web_app.py, behind the server.
start_app() { # SOCKET
    python3 "$BATS_TEST_DIRNAME/web_app.py" "$1" "$dir" 3>&- &
    app_pid=$!
    until_true [ -S "$1" ]
    chmod 666 "$1"
}

stop_app() {
    [ -z "${app_pid:-}" ] || kill "$app_pid"
    app_pid=
}

# An upgraded connection to the application goes on after its key was granted, and is none without.
check_upgrade() { # PATH
    local request="GET $1 HTTP/1.1\\r\\nHost: localhost\\r\\nUpgrade: echo\\r\\nConnection: upgrade\\r\\n"
    request+='Authorization: Bearer KEY\r\n\r\nhello\n'
    give_key upgrading
    [ "$(statuses "$request")" = '101 ' ]
    grep -q '^echo hello' "$dir/raw"
    catlatch revoke "$id"
    [[ $(statuses "$request") == '401 '* ]] # what follows is no request
    run ! grep -q '^echo hello' "$dir/raw"
}

make_keys() { # COUNT: good ones and revoked ones
    local i
    : >"$dir/good" >"$dir/bad"
    for ((i = 0; i < $1; i++)); do
        give_key "good-$i" && echo "$key" >>"$dir/good"
        give_key "bad-$i" && echo "$key" >>"$dir/bad"
        catlatch revoke "$id"
    done
}

# Asks all the time, with these keys in turn; see web_load.py. end_load says whether all was well.
start_load() { # PROCESSES
    rm -f "$dir/stop"
    python3 "$BATS_TEST_DIRNAME/web_load.py" "$(web_address)" /hello "$dir/good" "$dir/bad" \
        "$dir/stop" "$1" >"$dir/load" 2>&1 3>&- &
    load_pid=$!
}

end_load() {
    local status=0
    touch "$dir/stop"
    wait "$load_pid" || status=$?
    sed "s/^/# ${mpm:+$mpm: }/" "$dir/load" >&3
    return "$status"
}
