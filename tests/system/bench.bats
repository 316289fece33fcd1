load ../cli/lib

# What `make bench` prints is for people. Here: that it measures every way, and ends well.

@test "catlatch-bench measures each way of verifying a key" {
    run catlatch-bench --keys 1000 --rounds 1 --modules "$(realpath "$CATLATCH_BUILD")/modules"
    expect_status 0
    for row in 'private table' 'the same checks, no stack' 'catlatch_verify ' 'the use counted' \
        'a limit charged' 'catlatch_verify_batch'; do
        expect_text "$output" "$row"
    done
}
