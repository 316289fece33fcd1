# page.awk: makes of scdoc's output what mandoc -Tlint has nothing against: no paragraph macro where
# none is needed, the title in capitals, no line of text over 80 bytes.
function wrap(line,    cut) {
    while (length(line) > 80) {
        for (cut = 80; cut > 1 && substr(line, cut, 1) != " "; cut--) ;
        if (cut <= 1)
            break
        print substr(line, 1, cut - 1)
        line = substr(line, cut + 1)
        if (line ~ /^[.']/)
            line = "\\&" line
    }
    print line
}
/^\.TH / { $2 = toupper($2) }
/^\.P$/ { paragraph = !headed; next }
/^$/ && !literal { next }
/^\.RE$/ { print; next }
{
    if (paragraph && !/^\.(SH|SS)/)
        print ".P"
    paragraph = 0
    headed = /^\.(SH|SS)/
    if (/^\.nf/) literal = 1
    if (/^\.fi/) literal = 0
    if (literal || /^\./) print; else wrap($0)
}
